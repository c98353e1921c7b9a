//! Packages of Debian: its own Rust compiler, which comes with the source of the standard library. It
//! compiles to WebAssembly on machines where rustup cannot download.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::lock::Lock;
use crate::{run, say, target_dir};

/// The oldest compiler for this workspace: `rust-version` of its `Cargo.toml`.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// The command that does by hand what [`install`] does. The linker's number is the LLVM version that
/// `/usr/bin/rustc -vV` prints.
pub(crate) const INSTALL: &str = "apt-get install rustc-web cargo-web rust-web-src \
                                  rust-web-clippy lld-22";

/// The two sets of packages, newest first. Debian's stable releases have a current compiler, `rustc-web`,
/// for their browsers.
const PACKAGES: [[&str; 4]; 2] = [
    ["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"],
    ["rustc", "cargo", "rust-src", "rust-clippy"],
];

/// An installed compiler with everything that a WebAssembly build needs.
pub(crate) struct Compiler {
    version: String,
    linker: PathBuf,
}

impl Compiler {
    /// Returns the machine's compiler, if it is complete and new enough.
    pub(crate) fn find() -> Option<Self> {
        let parts = [
            "/usr/bin/rustc",
            "/usr/bin/cargo",
            "/usr/bin/cargo-clippy",
            "/usr/lib/rustlib/src/rust/library/core",
        ];
        if !parts.iter().all(|part| Path::new(part).exists()) {
            return None;
        }
        let about = about()?;
        let linker = run::find(format!("wasm-ld-{}", about.llvm)).or_else(|| run::find("wasm-ld"));
        is_new_enough(about.release).then_some(())?;
        Some(Self {
            version: about.name,
            linker: linker?,
        })
    }

    /// Returns `cargo SUBCOMMAND` with this compiler, for WebAssembly. Every program is named by its path,
    /// so that a rustup on `PATH` has no effect.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = if subcommand == "clippy" {
            Command::new("/usr/bin/cargo-clippy")
        } else {
            Command::new("/usr/bin/cargo")
        };
        command
            .arg(subcommand)
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO", "/usr/bin/cargo")
            .env("RUSTC", "/usr/bin/rustc")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker);
        command
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Debian's {}", self.version)
    }
}

/// Returns `apt-get` with the right to install: as root, or through a sudo that asks no password.
pub(crate) fn apt() -> Option<Command> {
    let apt = run::find("apt-get")?;
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new(run::find("sudo")?);
        sudo.args(["-n", "env"]);
        sudo
    };
    command.arg("DEBIAN_FRONTEND=noninteractive").arg(apt);
    Some(command)
}

/// Installs the compiler and its parts.
///
/// # Errors
/// The machine's Debian or Ubuntu has no compiler that is new enough, or `apt-get` fails.
pub(crate) fn install() -> Result<()> {
    let _lock = Lock::acquire("debian")?;
    say("apt-get update");
    apt_get(&["update"])?;
    let Some(packages) = PACKAGES
        .iter()
        .find(|[compiler, ..]| candidate(compiler).is_some_and(is_new_enough))
    else {
        bail!("its packages have no Rust {OLDEST} or newer");
    };
    install_packages(packages)?;
    let linker = format!(
        "lld-{}",
        about().context("/usr/bin/rustc does not run")?.llvm
    );
    install_packages(&[&linker])
}

/// Installs one package, from the current lists of the machine's Debian or Ubuntu.
///
/// # Errors
/// The distribution has no such package, or `apt-get` fails.
pub(crate) fn install_package(package: &str) -> Result<()> {
    let _lock = Lock::acquire("debian")?;
    say("apt-get update");
    apt_get(&["update"])?;
    install_packages(&[package])
}

fn install_packages(packages: &[&str]) -> Result<()> {
    say(format_args!("apt-get install {}", packages.join(" ")));
    apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = apt().context("apt-get cannot be used")?;
    run::captured(command.args(["-qq"]).args(arguments))
        .map(drop)
        .with_context(|| format!("apt-get {} failed", arguments.join(" ")))
}

/// Returns the folder with the files of `packages`, which are not installed: `target/tools/debian/NAME`. With
/// `may_fetch`, the first call fetches them.
///
/// # Errors
/// `apt-get` does not know a package or cannot fetch it, or the packages were not fetched before.
pub(crate) fn unpacked(
    name: &str,
    packages: impl Fn() -> Result<Vec<String>>,
    may_fetch: bool,
) -> Result<PathBuf> {
    let tools = target_dir().join("tools/debian");
    let folder = tools.join(name);
    if folder.exists() {
        return Ok(folder);
    }
    if !may_fetch {
        bail!("Debian's package {name} could not be fetched");
    }
    let _lock = Lock::acquire("debian")?;
    if folder.exists() {
        return Ok(folder);
    }
    say(format_args!("fetching Debian's package {name}"));
    let partial = tools.join(format!("{name}.partial"));
    // An interrupted fetch may have left it. If it cannot be removed, the next line says so.
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)
        .with_context(|| format!("cannot create {}", crate::display(&partial)))?;
    let download = || {
        let mut command = Command::new("apt-get");
        command.args(["-qq", "download"]).args(packages()?);
        run::captured(command.current_dir(&partial))
    };
    // A machine that has never installed anything may have no lists yet.
    if download().is_err() {
        if let Some(mut apt) = apt() {
            say("apt-get update");
            run::captured(apt.args(["-qq", "update"])).context("apt-get update failed")?;
        }
        download().with_context(|| format!("apt-get download {name} failed"))?;
    }
    let contents = partial.join("contents");
    fs::create_dir(&contents)?;
    let files = fs::read_dir(&partial)?.filter_map(Result::ok);
    let archives = files.map(|file| file.path());
    for archive in archives.filter(|path| path.extension().is_some_and(|end| end == "deb")) {
        let mut unpack = Command::new("dpkg-deb");
        run::captured(unpack.arg("-x").arg(archive).arg(&contents))?;
    }
    fs::rename(&contents, &folder)
        .with_context(|| format!("cannot create {}", crate::display(&folder)))?;
    let _ = fs::remove_dir_all(&partial);
    Ok(folder)
}

/// Returns `packages` and those that they depend on, but for what is installed.
///
/// # Errors
/// `apt-get` does not know a package.
pub(crate) fn missing(packages: &[&str]) -> Result<Vec<String>> {
    let mut simulation = Command::new("apt-get");
    simulation.args(["-qq", "--simulate", "--no-install-recommends", "install"]);
    let output = run::captured(simulation.args(packages))?;
    let installs = output.lines().filter_map(|line| line.strip_prefix("Inst "));
    let names = installs.filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

/// Returns the version of `package` that `apt-get install` would install.
fn candidate(package: &str) -> Option<(u32, u32)> {
    let policy = run::captured(Command::new("apt-cache").args(["policy", package])).ok()?;
    let candidate = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    version(candidate)
}

struct About {
    name: String,
    release: (u32, u32),
    llvm: u32,
}

fn about() -> Option<About> {
    let text = run::captured(Command::new("/usr/bin/rustc").arg("-vV")).ok()?;
    parse_about(&text)
}

fn parse_about(text: &str) -> Option<About> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    Some(About {
        name: text.lines().next()?.split(" (").next()?.to_owned(),
        release: version(field("release: ")?)?,
        llvm: version(field("LLVM version: ")?)?.0,
    })
}

/// Returns whether this version compiles the workspace.
fn is_new_enough(release: (u32, u32)) -> bool {
    version(OLDEST).is_some_and(|oldest| release >= oldest)
}

/// Returns the first two numbers of a version such as `1.96.0+dfsg1-1~deb12u2`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_and_the_llvm_version_are_read_from_rustc() {
        let about = parse_about(
            "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
             binary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8",
        )
        .unwrap();
        assert_eq!(about.name, "rustc 1.96.0");
        assert_eq!(about.release, (1, 96));
        assert_eq!(about.llvm, 22);
    }

    #[test]
    fn package_versions_compare_as_numbers() {
        assert_eq!(version("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert_eq!(version("(none)"), None);
        assert!(!is_new_enough(version("1.63.0+dfsg1-2").unwrap()));
        assert!(is_new_enough(version("1.196.0").unwrap()));
    }
}
