//! `cargo xtask dist` makes the files of a release.
//!
//! | file in `target/dist/` | content |
//! |---|---|
//! | `lambda_filter.wasm` | the filter |
//! | `lambda_filter.oci.tar` | the filter as an OCI image, in the form that Istio and Envoy Gateway pull |
//! | `liblambda_filter.so` | the filter as a native module, for this machine's platform; on Linux |
//! | `sidecar-invoker` | the invoker, for this machine's platform |
//! | `lambda_mesh-*.whl` | the program and the filter as a Python wheel, for this machine's platform |
//! | `lambda-mesh-*.tar.gz` | the same, with completions of shells and a manual page |
//! | `*.cdx.json` | the bill of materials of the filter, the native module and the invoker, as CycloneDX |
//! | `SHA256SUMS` | the checksums, for `sha256sum --check` |
//!
//! The same source and compiler make the same bytes, in any folder.

mod archive;
mod built;
mod files;
mod homebrew;
mod image;
mod reproduce;
mod sbom;
mod wheel;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

use self::built::Built;
use self::files::{read, sha256, write};
pub use self::homebrew::{HomebrewOptions, homebrew};
use crate::{build, native, target_dir, wasm};

const INVOKER_SBOM: sbom::Program = sbom::Program {
    package: build::INVOKER,
    target: None,
};
const MODULE_SBOM: sbom::Program = sbom::Program {
    package: native::PACKAGE,
    target: None,
};
const FILTER_SBOM: sbom::Program = sbom::Program {
    package: "lambda-filter",
    target: Some(wasm::TARGET),
};

/// Makes the Python wheel in a folder, and returns its path.
///
/// # Errors
/// A file cannot be built or written.
pub fn wheel(folder: &Path) -> Result<PathBuf> {
    wheel::write(folder, &Built::new()?)
}

/// Options of `cargo xtask dist`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Build the filter again from a copy of the source in another folder, and fail if a byte differs
    #[arg(long)]
    reproduce: bool,
}

/// Makes the files in `target/dist/` and prints their sizes in bytes.
///
/// # Errors
/// A file cannot be built or written, or `--reproduce` found a difference.
pub fn run(options: &Options) -> Result<()> {
    let folder = target_dir().join("dist");
    let mut built = Built::new()?;
    let invoker = folder.join(build::INVOKER);
    wasm::install(&built.invoker, &invoker)?;
    built.invoker.clone_from(&invoker);
    let Built { filter, module, .. } = &built;
    let mut files = vec![
        write(
            &folder,
            "lambda_filter.oci.tar",
            &image::archive(&read(filter)?)?,
        )?,
        write(
            &folder,
            "lambda_filter.cdx.json",
            &FILTER_SBOM.write(&read(filter)?)?,
        )?,
        write(
            &folder,
            "sidecar-invoker.cdx.json",
            &INVOKER_SBOM.write(&read(&invoker)?)?,
        )?,
        filter.clone(),
        invoker,
    ];
    if let Some(module) = module {
        files.push(write(
            &folder,
            "liblambda_filter.cdx.json",
            &MODULE_SBOM.write(&read(module)?)?,
        )?);
        files.push(module.clone());
    }
    files.push(archive::write(&folder, &built)?);
    files.push(wheel::write(&folder, &built)?);
    files.sort();
    let mut sums = String::new();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // The format of sha256sum(1).
        writeln!(sums, "{}  {name}", sha256(&read(file)?))?;
    }
    files.push(write(&folder, "SHA256SUMS", sums.as_bytes())?);
    for file in files {
        println!("{:>10} {}", read(&file)?.len(), crate::display(&file));
    }
    if options.reproduce {
        reproduce::compare(filter, module.as_deref())?;
    }
    Ok(())
}
