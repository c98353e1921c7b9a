//! `cargo xtask dist`: what a release holds.
//!
//! | file in `target/dist/` | what it is |
//! |---|---|
//! | `lambda_filter.wasm` | the filter |
//! | `lambda_filter.oci.tar` | the filter as an OCI image, in the form that Istio and Envoy Gateway pull |
//! | `sidecar-invoker` | the invoker, for this machine's platform |
//! | `*.cdx.json` | what each of the two is made of, as CycloneDX |
//! | `SHA256SUMS` | for `sha256sum --check` |
//!
//! The same source and compiler make the same bytes, in any folder.

mod image;
mod reproduce;
mod sbom;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{build, target_dir, wasm};

const INVOKER_SBOM: sbom::Program = sbom::Program {
    package: build::INVOKER,
    target: None,
};
const FILTER_SBOM: sbom::Program = sbom::Program {
    package: "lambda-filter",
    target: Some(wasm::TARGET),
};

/// Options of `cargo xtask dist`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Build the filter a second time, from a copy of the source in another folder, and fail if
    /// one byte differs
    #[arg(long)]
    reproduce: bool,
}

/// Makes the files in `target/dist/` and prints their sizes in bytes.
///
/// # Errors
/// One of them cannot be built or written, or `--reproduce` found a difference.
pub fn run(options: &Options) -> Result<()> {
    let folder = target_dir().join("dist");
    let filter = wasm::build()?;
    let invoker = folder.join(build::INVOKER);
    wasm::install(&build::invoker()?, &invoker)?;

    let mut files = vec![
        write(
            &folder,
            "lambda_filter.oci.tar",
            &image::archive(&read(&filter)?)?,
        )?,
        write(
            &folder,
            "lambda_filter.cdx.json",
            &FILTER_SBOM.write(&read(&filter)?)?,
        )?,
        write(
            &folder,
            "sidecar-invoker.cdx.json",
            &INVOKER_SBOM.write(&read(&invoker)?)?,
        )?,
        filter.clone(),
        invoker,
    ];
    files.sort();
    let mut sums = String::new();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // The form of sha256sum(1).
        writeln!(sums, "{}  {name}", sha256(&read(file)?))?;
    }
    files.push(write(&folder, "SHA256SUMS", sums.as_bytes())?);
    for file in files {
        println!("{:>10} {}", read(&file)?.len(), crate::display(&file));
    }
    if options.reproduce {
        reproduce::compare(&filter)?;
    }
    Ok(())
}

/// The SHA-256 of `bytes`, in lower-case hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Sets `key` of a JSON object.
fn add(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", crate::display(file)))
}

fn write(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, content).with_context(|| format!("cannot write {}", crate::display(&file)))?;
    Ok(file)
}
