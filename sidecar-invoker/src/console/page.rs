//! The files of the page. They are part of the program, so that it needs no folder beside it.

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// A file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct File {
    name: &'static str,
    pub(super) content_type: &'static str,
    pub(super) text: &'static str,
}

/// Makes the table of the files in the folder `page`.
macro_rules! files {
    ($($name:literal: $content_type:expr;)+) => {
        const FILES: &[File] = &[$(File {
            name: $name,
            content_type: $content_type,
            text: include_str!(concat!("page/", $name)),
        }),+];
    };
}

files! {
    "index.html": HTML;
    "style.css": STYLE;
    "actions.js": SCRIPT;
    "api.js": SCRIPT;
    "app.js": SCRIPT;
    "compare.js": SCRIPT;
    "detail.js": SCRIPT;
    "diff.js": SCRIPT;
    "dom.js": SCRIPT;
    "functions.js": SCRIPT;
    "keys.js": SCRIPT;
    "list.js": SCRIPT;
    "panes.js": SCRIPT;
    "plots.js": SCRIPT;
    "replay.js": SCRIPT;
    "store.js": SCRIPT;
    "text.js": SCRIPT;
}

/// Returns the file at a path below `/console`.
pub(super) fn file(path: &str) -> Option<&'static File> {
    let name = match path {
        "/" => "index.html",
        path => path.strip_prefix('/')?,
    };
    FILES.iter().find(|file| file.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn each_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/page");
        let found = fs::read_dir(folder).unwrap();
        let found: BTreeSet<_> = found
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let known = FILES.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(found, known);
        assert_eq!(file("/").unwrap().content_type, HTML);
        assert_eq!(file("/app.js").unwrap().content_type, SCRIPT);
        for path in ["", "/app", "/../app.js", "app.js", "//app.js"] {
            assert_eq!(file(path), None, "{path}");
        }
    }

    #[test]
    fn text_becomes_no_markup() {
        for file in FILES {
            for hazard in [
                "innerHTML",
                "outerHTML =",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!file.text.contains(hazard), "{}: {hazard}", file.name);
            }
        }
        let page = file("/").unwrap().text;
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"));
    }
}
