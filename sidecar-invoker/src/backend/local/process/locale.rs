//! The locale of functions. Lambda sets `LANG=en_US.UTF-8`; a machine may not have that locale.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The folders in which glibc and macOS keep their locales.
const FOLDERS: [&str; 2] = ["usr/lib/locale", "usr/share/locale"];
/// The maximum number of bytes of an archive's names. A complete archive of glibc has 20 KB of them.
const MAX_NAMES_BYTES: u32 = 1 << 20;

/// Returns the UTF-8 locale of functions that have no other: Lambda's own, or `C.UTF-8`. The latter
/// is in every C library of the last years.
pub(crate) fn default() -> &'static str {
    match exists(Path::new("/"), "en_US.UTF-8") {
        true => "en_US.UTF-8",
        false => "C.UTF-8",
    }
}

/// Returns true if a locale of this name has UTF-8 and exists. In any other, many programs would take
/// text for ASCII.
pub(crate) fn is_utf8(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    let (_, codeset) = name.split_once('.').unwrap_or_default();
    let codeset = codeset.split('@').next().unwrap_or_default();
    is_utf8_codeset(codeset) && exists(Path::new("/"), name)
}

fn is_utf8_codeset(codeset: &str) -> bool {
    codeset.eq_ignore_ascii_case("utf-8") || codeset.eq_ignore_ascii_case("utf8")
}

/// Looks for a locale in the file system below `root`, without running a program.
fn exists(root: &Path, name: &str) -> bool {
    let (language, rest) = name.split_once('.').unwrap_or((name, ""));
    if language == "C" {
        return true;
    }
    // The C library itself takes `UTF-8` for `utf8`.
    let modifier = rest.split_once('@').map_or("", |(_, modifier)| modifier);
    let normalized = match modifier {
        "" => format!("{language}.utf8"),
        modifier => format!("{language}.utf8@{modifier}"),
    };
    let is_file_name = !name.contains(['/', '\0']);
    let has_folder = |folder: &str| {
        let folder = root.join(folder);
        folder.join(name).is_dir() || folder.join(&normalized).is_dir()
    };
    is_file_name
        && (FOLDERS.into_iter().any(has_folder)
            || archive_names(&root.join("usr/lib/locale/locale-archive")).is_ok_and(|names| {
                names
                    .split(|&byte| byte == 0)
                    .any(|name| name == normalized.as_bytes())
            }))
}

/// Reads the names of the locales in an archive of glibc. The header is a list of 32-bit numbers; the
/// sixth and the seventh are the position and the length of the names.
fn archive_names(path: &Path) -> io::Result<Vec<u8>> {
    let mut archive = File::open(path)?;
    let mut header = [[0; 4]; 7];
    archive.read_exact(header.as_flattened_mut())?;
    let [.., position, length] = header.map(u32::from_ne_bytes);
    archive.seek(SeekFrom::Start(position.into()))?;
    let mut names = Vec::new();
    let length = length.min(MAX_NAMES_BYTES);
    archive.take(length.into()).read_to_end(&mut names)?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_is_found_as_a_folder_or_in_the_archive() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("usr/lib/locale");
        std::fs::create_dir_all(folder.join("de_DE.utf8")).unwrap();
        std::fs::create_dir_all(folder.join("el_GR.UTF-8")).unwrap();
        let found = |name| exists(root.path(), name);
        for name in ["C.UTF-8", "de_DE.UTF-8", "de_DE.utf8", "el_GR.UTF-8"] {
            assert!(found(name), "{name}");
        }
        assert!(!found("en_US.UTF-8") && !found("../locale/de_DE.utf8"));
        let names = b"\0fr_FR.utf8\0en_US.utf8\0ca_ES.utf8@valencia\0";
        let mut archive: Vec<u8> = [1_u32, 0, 0, 0, 0, 60, names.len() as u32]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        archive.resize(60, 0xff);
        archive.extend_from_slice(names);
        std::fs::write(folder.join("locale-archive"), archive).unwrap();
        for name in ["en_US.UTF-8", "fr_FR.utf8", "ca_ES.UTF-8@valencia"] {
            assert!(found(name), "{name}");
        }
        assert!(!found("ca_ES.UTF-8") && !found("S.utf8"));
    }

    #[test]
    fn only_a_utf_8_locale_is_taken() {
        for name in ["C", "POSIX", "", "C.ISO-8859-1", "no_NO.UTF-8", "utf-8"] {
            assert!(!is_utf8(OsStr::new(name)), "{name}");
        }
        for name in ["C.UTF-8", "C.utf8", default()] {
            assert!(is_utf8(OsStr::new(name)), "{name}");
        }
    }
}
