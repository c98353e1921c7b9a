//! Executables that exist and cannot be started, because their interpreter does not exist. The
//! operating system then says "no such file or directory", as if the executable did not exist.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The number of bytes of a script in which Linux looks for the interpreter.
const FIRST_LINE_BYTES: usize = 256;
/// The number of bytes that are read of a program. Its headers are in the first page.
const PAGE_BYTES: u64 = 4096;

/// The reason why an executable cannot be started, with the cure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterpreterError {
    #[error("its first line ends in CR LF; save it with LF at the end of each line")]
    CarriageReturn,
    #[error("it begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// The interpreter of a script does not exist.
    #[error(
        "its first line asks for {}, which does not exist; install that or correct the line",
        .0.display()
    )]
    Missing(PathBuf),
    /// The dynamic loader of a program does not exist.
    #[error(
        "it is built for a system with {}, which does not exist here; build it for this system",
        .0.display()
    )]
    Loader(PathBuf),
}

/// Checks that the interpreter of `program` exists. `path` is the `PATH` of the function, whose working
/// directory is `directory`. `file` returns the file on this machine that the function sees at a path.
pub(crate) fn check(
    program: &Path,
    directory: &Path,
    path: Option<&OsStr>,
    file: impl Fn(&Path) -> PathBuf,
) -> Result<(), InterpreterError> {
    let exists = |path: &Path| file(&directory.join(path)).exists();
    // A program that cannot be read can still be executed.
    let head = head(program).unwrap_or_default();
    if let Some(loader) = loader(&head) {
        return match exists(&loader) {
            true => Ok(()),
            false => Err(InterpreterError::Loader(loader)),
        };
    }
    if head.starts_with(b"\xef\xbb\xbf#!") {
        return Err(InterpreterError::ByteOrderMark);
    }
    let Some(line) = first_line(&head) else {
        return Ok(());
    };
    if line.ends_with(b"\r") {
        return Err(InterpreterError::CarriageReturn);
    }
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| Path::new(OsStr::from_bytes(word)));
    let Some(interpreter) = words.next() else {
        return Ok(());
    };
    if !exists(interpreter) {
        return Err(InterpreterError::Missing(interpreter.to_owned()));
    }
    if interpreter.file_name() != Some(OsStr::new("env")) {
        return Ok(());
    }
    // `env -S program argument`, `env NAME=value program`.
    let program = words.find(|word| {
        let word = word.as_os_str().as_bytes();
        !word.starts_with(b"-") && !word.contains(&b'=')
    });
    let Some(program) = program else {
        return Ok(());
    };
    let mut folders = path.map(std::env::split_paths).into_iter().flatten();
    let is_found = match program.components().count() {
        1 => folders.any(|folder| exists(&folder.join(program))),
        _ => exists(program),
    };
    match is_found {
        true => Ok(()),
        false => Err(InterpreterError::Missing(program.to_owned())),
    }
}

fn head(program: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(program)?
        .take(PAGE_BYTES)
        .read_to_end(&mut head)?;
    Ok(head)
}

/// Returns the first line of a script, after `#!`.
fn first_line(head: &[u8]) -> Option<&[u8]> {
    let line = head.strip_prefix(b"#!")?;
    let line = line.get(..FIRST_LINE_BYTES).unwrap_or(line);
    line.split(|&byte| byte == b'\n').next()
}

/// Returns the dynamic loader that an ELF program of 64 bits and little-endian byte order names.
///
/// Source: "Executable and Linking Format", "Program header".
fn loader(head: &[u8]) -> Option<PathBuf> {
    const INTERPRETER: u64 = 3;
    let number = |at: u64, bytes: usize| {
        let at = usize::try_from(at).ok()?;
        let field = head.get(at..at.checked_add(bytes)?)?;
        let digits = field.iter().rev();
        Some(digits.fold(0_u64, |number, &digit| number << 8 | u64::from(digit)))
    };
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let mut headers = (0..count).map(|index| table.saturating_add(index * size));
    let header = headers.find(|&header| number(header, 4) == Some(INTERPRETER))?;
    let at = usize::try_from(number(header.checked_add(8)?, 8)?).ok()?;
    let name = head.get(at..)?.split(|&byte| byte == 0).next()?;
    Some(PathBuf::from(OsStr::from_bytes(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(program: &Path) -> Option<String> {
        let path = Some(OsStr::new("/nowhere:/bin"));
        let checked = check(program, Path::new("/"), path, Path::to_owned);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn a_script_without_its_interpreter_says_which_one_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("bootstrap");
        let cases = [
            (
                "#!/bin/sh\r\necho\r\n",
                Some("its first line ends in CR LF"),
            ),
            (
                "#!/usr/bin/env sh\r\n",
                Some("its first line ends in CR LF"),
            ),
            (
                "\u{feff}#!/bin/sh\n",
                Some("it begins with a byte order mark"),
            ),
            ("#!/bin/nowhere -x\n", Some("asks for /bin/nowhere, which")),
            ("#!/bin/nowhere", Some("asks for /bin/nowhere, which")),
            (
                "#!/usr/bin/env absent-program\n",
                Some("asks for absent-program, which"),
            ),
            (
                "#!/usr/bin/env -S A=1 absent-program -x\n",
                Some("asks for absent-program, which"),
            ),
            ("#!/usr/bin/env sh\n", None),
            ("#! /bin/sh -e\n", None),
            ("#!bin/sh\n", None),
            ("#!\n", None),
            ("echo\r\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            std::fs::write(&script, text).unwrap();
            let found = error(&script);
            assert_eq!(found.is_some(), expected.is_some(), "{text:?}: {found:?}");
            let (found, expected) = (found.unwrap_or_default(), expected.unwrap_or_default());
            assert!(found.contains(expected), "{text:?}: {found}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_of_another_system_says_which_loader_is_missing() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(error(&own), None);
        let mut program = head(&own).unwrap();
        let name = loader(&program).unwrap();
        let name = name.as_os_str().as_bytes();
        let at = program.windows(name.len()).position(|part| part == name);
        let at = at.unwrap();
        program[at..at + 4].copy_from_slice(b"/not");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bootstrap");
        std::fs::write(&file, program).unwrap();
        let found = error(&file).unwrap();
        assert!(
            found.starts_with("it is built for a system with /not"),
            "{found}"
        );
    }
}
