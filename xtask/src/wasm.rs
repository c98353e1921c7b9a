//! The filter as WebAssembly (`wasm32-unknown-unknown`).
//!
//! The standard library for that target is not part of a Rust installation. Its source depends on the
//! machine: what is installed comes before what must be fetched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::build::{cargo, prepared, rustflags};
use crate::{debian, run, say, target_dir, workspace_root};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The properties of this machine that determine the source of the standard library.
#[derive(Clone, Copy)]
struct Machine {
    /// The cargo in use has the target's standard library.
    has_target: bool,
    /// Debian's compiler with its source and a linker is installed.
    has_debian: bool,
    /// `rustup` is on `PATH`.
    has_rustup: bool,
    /// `apt-get` can be used, as root or with `sudo`.
    has_apt: bool,
}

/// A source of the standard library.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Source {
    /// The cargo in use.
    Plain,
    /// Debian's compiler, which builds it from source (`-Zbuild-std`).
    Debian,
    /// `rustup target add`.
    Rustup,
    /// Debian's packages, which must be installed first.
    Apt,
}

impl Source {
    /// Returns the first source that this machine allows and that is not in `failed`.
    fn choose(machine: Machine, failed: &[Self]) -> Option<Self> {
        [
            (machine.has_target, Self::Plain),
            (machine.has_debian, Self::Debian),
            (machine.has_rustup, Self::Rustup),
            (machine.has_apt, Self::Apt),
        ]
        .into_iter()
        .find_map(|(possible, source)| (possible && !failed.contains(&source)).then_some(source))
    }
}

/// The largest size of the filter in bytes. Each worker of an Envoy compiles the whole filter before its first
/// request. The standard library of rustup is a little larger than Debian's, which is compiled for size.
const MAX_BYTES: u64 = 410_000;

/// Builds the filter and returns its path, `target/dist/lambda_filter.wasm`. The same
/// compiler makes the same bytes in any folder.
///
/// # Errors
/// The target's standard library cannot be found (the error names the cures), the filter does not compile, or
/// it is too large.
pub fn build() -> Result<PathBuf> {
    let path = target_dir().join("dist/lambda_filter.wasm");
    if prepared() && path.is_file() {
        return Ok(path);
    }
    let toolchain = Toolchain::find()?;
    let built = compile(&toolchain, workspace_root(), &toolchain.target_dir())?;
    let bytes = fs::metadata(&built).map_or(0, |file| file.len());
    say(format_args!("the filter has {bytes} bytes"));
    within(bytes)?;
    install(&built, &path)?;
    Ok(path)
}

fn within(bytes: u64) -> Result<()> {
    if bytes > MAX_BYTES {
        bail!(
            "the filter has {bytes} bytes, more than {MAX_BYTES}; most often, the cause is a new \
             dependency or a new type that serde reads; if the size is justified, raise MAX_BYTES in \
             xtask/src/wasm.rs"
        );
    }
    Ok(())
}

/// Builds the filter of the checkout `root` into the folder `target`, and returns its path.
pub(crate) fn compile(toolchain: &Toolchain, root: &Path, target: &Path) -> Result<PathBuf> {
    run::shown(
        toolchain
            .command_in("build", root, target)?
            .args(["--profile", "wasm"]),
        "building the filter",
    )?;
    Ok(target.join(TARGET).join("wasm/lambda_filter.wasm"))
}

/// Copies `built` to `path`, which appears whole, because an Envoy may be loading it.
pub(crate) fn install(built: &Path, path: &Path) -> Result<()> {
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    fs::create_dir_all(path.parent().unwrap_or(path))
        .and_then(|()| fs::copy(built, &partial))
        .and_then(|_| fs::rename(&partial, path))
        .with_context(|| {
            format!(
                "cannot copy {} to {}",
                crate::display(built),
                crate::display(path)
            )
        })
}

/// A compiler that can build the filter.
pub(crate) enum Toolchain {
    /// The cargo in use.
    Plain,
    /// Debian's compiler, which builds the standard library too.
    Debian(debian::Compiler),
}

impl Toolchain {
    /// Finds or installs a compiler, and prints which.
    pub(crate) fn find() -> Result<Self> {
        let mut failed = Vec::new();
        let mut reasons = String::new();
        loop {
            let debian = debian::Compiler::find();
            let machine = Machine {
                has_target: has_target(),
                has_debian: debian.is_some(),
                has_rustup: run::find("rustup").is_some(),
                has_apt: debian::apt().is_some(),
            };
            let Some(source) = Source::choose(machine, &failed) else {
                bail!(
                    "no compiler for {TARGET}: run `rustup target add {TARGET}`, or on Debian \
                     and Ubuntu, as root, `{}`{reasons}",
                    debian::INSTALL
                );
            };
            let outcome = match (source, debian) {
                (Source::Plain, _) => {
                    say(format_args!(
                        "building the filter with the cargo in use, for {TARGET}"
                    ));
                    return Ok(Self::Plain);
                }
                (Source::Debian, Some(compiler)) => {
                    say(format_args!("building the filter with {compiler}"));
                    return Ok(Self::Debian(compiler));
                }
                (Source::Apt, _) => debian::install(),
                _ => rustup_target_add(),
            };
            if let Err(error) = outcome {
                reasons.push_str(&format!(" ({error:#})"));
            }
            // The next iteration examines the machine again. No source is used twice.
            failed.push(source);
        }
    }

    /// Returns `cargo SUBCOMMAND` for the filter's crate, this target and this compiler.
    pub(crate) fn command(&self, subcommand: &str) -> Result<Command> {
        self.command_in(subcommand, workspace_root(), &self.target_dir())
    }

    fn command_in(&self, subcommand: &str, root: &Path, target: &Path) -> Result<Command> {
        let mut command = match self {
            Self::Plain => {
                let mut command = cargo();
                command.arg(subcommand);
                command
            }
            Self::Debian(compiler) => compiler.cargo(subcommand),
        };
        command
            .args(["--locked", "--package", "lambda-filter"])
            .args(["--target", TARGET, "--target-dir"])
            .arg(target)
            .current_dir(root)
            .env("CARGO_ENCODED_RUSTFLAGS", rustflags(root, &SIZE_FLAGS)?);
        Ok(command)
    }

    /// Returns the target folder. Debian's cargo has its own, since the two cargos would overwrite each other's
    /// output.
    fn target_dir(&self) -> PathBuf {
        match self {
            Self::Plain => target_dir(),
            Self::Debian(_) => target_dir().join("debian"),
        }
    }
}

/// The flags that make the filter smaller, and according to measurements not slower.
const SIZE_FLAGS: [&str; 3] = [
    // Without it, each reference to a function or to static data takes five bytes.
    "-Clink-arg=--compress-relocations",
    // The default is 225. With fewer copies of each function, V8 runs the filter as fast.
    "-Cllvm-args=-inline-threshold=50",
    // A loop instead of 64 unrolled rounds. Only certificates are hashed, and few requests have one.
    "--cfg=sha2_backend_soft=\"compact\"",
];

/// Returns whether the cargo in use has the target's `core`.
fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = run::captured(
        Command::new(rustc)
            .args(["--print", "target-libdir", "--target", TARGET])
            .current_dir(workspace_root()),
    );
    libraries
        .ok()
        .and_then(|folder| fs::read_dir(folder).ok())
        .is_some_and(|mut files| {
            files.any(|file| {
                file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
            })
        })
}

fn rustup_target_add() -> Result<()> {
    say(format_args!("rustup target add {TARGET}"));
    run::quiet_within(
        Command::new("rustup").args(["target", "add", TARGET]),
        Duration::from_secs(120),
    )
    .context("rustup could not add the target")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Machine = Machine {
        has_target: false,
        has_debian: false,
        has_rustup: false,
        has_apt: false,
    };
    const ALL: Machine = Machine {
        has_target: true,
        has_debian: true,
        has_rustup: true,
        has_apt: true,
    };

    #[test]
    fn an_installed_source_comes_before_one_that_must_be_fetched() {
        assert_eq!(Source::choose(ALL, &[]), Some(Source::Plain));
        let machine = Machine {
            has_target: false,
            ..ALL
        };
        assert_eq!(Source::choose(machine, &[]), Some(Source::Debian));
        let machine = Machine {
            has_rustup: true,
            has_apt: true,
            ..NOTHING
        };
        assert_eq!(Source::choose(machine, &[]), Some(Source::Rustup));
    }

    #[test]
    fn a_filter_that_has_grown_is_refused() {
        assert!(within(MAX_BYTES).is_ok());
        let error = within(MAX_BYTES + 1).unwrap_err().to_string();
        assert!(error.contains("410001 bytes, more than 410000"), "{error}");
    }

    #[test]
    fn a_failed_source_is_not_retried() {
        let machine = Machine {
            has_rustup: true,
            has_apt: true,
            ..NOTHING
        };
        assert_eq!(
            Source::choose(machine, &[Source::Rustup]),
            Some(Source::Apt)
        );
        assert_eq!(
            Source::choose(machine, &[Source::Rustup, Source::Apt]),
            None
        );
        assert_eq!(Source::choose(NOTHING, &[]), None);
    }
}
