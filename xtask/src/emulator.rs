//! AWS's Lambda Runtime Interface Emulator (RIE).

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::pypi;

/// Returns the path of the emulator that the AWS SAM CLI ships (package `aws-sam-cli`). The first call
/// fetches it. The emulator runs on Linux, on `x86_64` and `aarch64`.
///
/// # Errors
/// The platform is not supported, or the fetch failed.
pub fn binary() -> Result<PathBuf> {
    let machine = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "x86_64",
        ("linux", "aarch64") => "arm64",
        (os, architecture) => {
            bail!("AWS publishes no Lambda emulator for {os} on {architecture}")
        }
    };
    pypi::program(
        "aws-sam-cli",
        &format!("samcli/local/rapid/aws-lambda-rie-{machine}"),
        "aws-lambda-rie",
    )
}
