//! Paths without dots.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Returns the absolute path with neither `.` nor `..` in it. A symbolic link stays, because its name
/// may matter, unless `..` follows it.
pub(crate) fn normal_path(path: &Path) -> io::Result<PathBuf> {
    let mut normal = PathBuf::new();
    for component in std::path::absolute(path)?.components() {
        match component {
            Component::ParentDir if normal.is_symlink() => {
                normal = normal.canonicalize()?;
                normal.pop();
            }
            Component::ParentDir => _ = normal.pop(),
            component => normal.push(component),
        }
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_the_names_of_links_and_loses_its_dots() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["x", "s/deep"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        std::os::unix::fs::symlink("s/deep", path("link")).unwrap();
        let normal = |text: &str| normal_path(&path("s").join(text)).unwrap();
        assert_eq!(normal("../x"), path("x"));
        assert_eq!(normal("./deep/.././../x/."), path("x"));
        assert_eq!(normal("../link"), path("link"));
        assert_eq!(normal("../link/.."), path("s"), "where the link leads");
        assert_eq!(normal_path(Path::new("/../..")).unwrap(), Path::new("/"));
    }
}
