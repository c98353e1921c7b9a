//! A real browser, and the program that drives it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, debian, python, run};

/// The names of Chromium and Chrome on `PATH`, the smallest first. The first can be installed by itself.
const PROGRAMS: [&str; 4] = [
    "chromium-headless-shell",
    "chromium",
    "google-chrome",
    "google-chrome-stable",
];

/// The variable with the path of the browser, for the driver.
const PATH: &str = "LAMBDA_MESH_BROWSER";

/// Returns a Python with Playwright and axe, and with the path of Chromium in `LAMBDA_MESH_BROWSER`.
/// The first call fetches what is missing.
///
/// # Errors
/// No browser is installed and Debian's cannot be, or the Python packages cannot be fetched. The error
/// names the cure.
pub fn driver() -> Result<Command> {
    let chromium = chromium()?;
    let mut python = python::with_playwright()?;
    python.env(PATH, chromium);
    Ok(python)
}

fn chromium() -> Result<PathBuf> {
    let installed = || PROGRAMS.iter().find_map(run::find);
    if let Some(path) = installed() {
        return Ok(path);
    }
    let [package, ..] = PROGRAMS;
    let cure = || format!("no Chromium on PATH; on Debian run `apt-get install {package}`");
    // `cargo xtask test` has tried it before its tests.
    if !build::prepared() {
        debian::install_package(package).with_context(cure)?;
    }
    installed().with_context(cure)
}
