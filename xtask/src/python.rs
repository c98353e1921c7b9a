//! Python. Packages are installed to a virtual environment in `target/tools`, and nothing to the
//! machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::lock::Lock;
use crate::{run, say, target_dir, workspace_root};

/// The oldest Python that `awslambdaric` supports.
const OLDEST: (u32, u32) = (3, 10);

/// Returns the folder of a virtual environment with AWS's Runtime Interface Client for Python
/// (`awslambdaric`), as pinned in `xtask/requirements/python.txt`. Functions find the client if the `bin`
/// folder is the first in `PATH`. The first call makes the environment.
///
/// # Errors
/// `PATH` has no Python 3.10 or newer with `venv`, or the packages could not be fetched.
pub fn environment() -> Result<PathBuf> {
    let environment = venv()?;
    install(
        "python",
        "the Lambda runtime client for Python",
        &[],
        &environment,
    )?;
    Ok(environment)
}

/// Returns a Python with boto3, the AWS CLI (`-m awscli`) and the parts of moto that its Security Token
/// Service needs, as pinned in `xtask/requirements/aws-clients.txt`. The packages are in a folder of their
/// own, where no function finds them. The first call fetches them.
///
/// # Errors
/// `PATH` has no Python 3.10 or newer with `venv`, or the packages could not be fetched.
pub fn with_aws_clients() -> Result<Command> {
    with_packages("aws-clients", "AWS's clients for Python", &[])
}

/// Returns the folder of OpenTelemetry's SDK for Python, as pinned in `xtask/requirements/opentelemetry.txt`, for
/// `PYTHONPATH`. The first call fetches it.
///
/// # Errors
/// `PATH` has no Python 3.10 or newer with `venv`, or the packages could not be fetched.
pub fn opentelemetry() -> Result<PathBuf> {
    const NAME: &str = "opentelemetry";
    with_packages(NAME, "OpenTelemetry's SDK for Python", &[])?;
    Ok(target_dir().join("tools").join(NAME))
}

/// Returns a Python with the schemas of Kubernetes' own resources (`kubernetes_validate`), as pinned in
/// `xtask/requirements/kubernetes-schemas.txt`. The first call fetches them.
///
/// # Errors
/// `PATH` has no Python 3.10 or newer with `venv`, or the packages could not be fetched.
pub fn with_kubernetes_schemas() -> Result<Command> {
    with_packages("kubernetes-schemas", "Kubernetes' schemas", &[])
}

/// Returns a Python with `jsonschema` and the packages that have published schemas, as pinned in
/// `xtask/requirements/schemas.txt`. The first call fetches them.
///
/// # Errors
/// `PATH` has no Python 3.10 or newer with `venv`, or the packages could not be fetched.
pub(crate) fn with_schemas() -> Result<Command> {
    // Only the files of the schemas are read, so their packages need no dependencies.
    with_packages("schemas", "published schemas", &["--no-deps"])
}

/// Returns a Python with Playwright, which drives a browser, and axe, which checks the accessibility of a
/// page, as pinned in `xtask/requirements/browser.txt`. The first call fetches them.
///
/// # Errors
/// `PATH` has no Python 3.10 or newer with `venv`, or the packages could not be fetched.
pub(crate) fn with_playwright() -> Result<Command> {
    with_packages("browser", "Playwright and axe", &[])
}

/// Returns a Python with the packages that `xtask/requirements/NAME.txt` pins, in a folder of their own.
fn with_packages(name: &str, what: &str, options: &[&str]) -> Result<Command> {
    let folder = target_dir().join("tools").join(name);
    let target = folder.to_string_lossy();
    let options = [options, &["--target", &target, "--upgrade"]].concat();
    install(name, what, &options, &folder)?;
    let mut python = Command::new(venv()?.join("bin/python3"));
    python.env("PYTHONPATH", folder);
    Ok(python)
}

/// Installs the packages that `xtask/requirements/NAME.txt` pins to `folder`, unless they are there.
fn install(name: &str, what: &str, options: &[&str], folder: &Path) -> Result<()> {
    let environment = venv()?;
    let requirements = requirements(name);
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", crate::display(&requirements)))?;
    let installed = folder.join("installed.txt");
    let _lock = Lock::acquire(&format!("{name}-packages"))?;
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    say(format_args!("installing {what}"));
    pip(&environment, what, &requirements, options)?;
    fs::write(&installed, wanted)
        .with_context(|| format!("cannot write {}", crate::display(&installed)))
}

/// Installs the packages that the file `requirements` pins, with the pip of `environment`, which checks
/// their hashes. `what` names the packages in an error.
///
/// # Errors
/// The cause that pip names, and the cure.
pub(crate) fn pip(
    environment: &Path,
    what: &str,
    requirements: &Path,
    options: &[&str],
) -> Result<()> {
    // A cache would store Envoy (100 MB) a second time.
    run::captured(
        Command::new(environment.join("bin/python3"))
            .args(["-m", "pip", "install", "--quiet", "--no-cache-dir"])
            .args([
                "--disable-pip-version-check",
                "--require-hashes",
                "--retries=2",
            ])
            .args(options)
            .arg("--requirement")
            .arg(requirements),
    )
    .map(drop)
    .with_context(|| {
        format!(
            "{what} could not be fetched from the Python package index; check the network, and \
             that {} names a file for {}-{}",
            crate::display(requirements),
            std::env::consts::OS,
            std::env::consts::ARCH,
        )
    })
}

/// Returns the path of `xtask/requirements/NAME.txt`.
pub(crate) fn requirements(name: &str) -> PathBuf {
    workspace_root().join(format!("xtask/requirements/{name}.txt"))
}

/// Returns the folder of the virtual environment, which has pip alone. The first call makes it.
pub(crate) fn venv() -> Result<PathBuf> {
    let environment = target_dir().join("tools/python");
    let _lock = Lock::acquire("python")?;
    // The environment's python3 is a link. It breaks when the Python behind it is removed.
    if environment.join("complete").is_file()
        && run::is_executable(&environment.join("bin/python3"))
    {
        return Ok(environment);
    }
    check_interpreter()?;
    run::captured(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )
    .context(
        "python3 cannot make a virtual environment; on Debian and Ubuntu run \
         `apt-get install python3-venv`",
    )?;
    fs::write(environment.join("complete"), "").context("cannot write target/tools/python")?;
    Ok(environment)
}

fn check_interpreter() -> Result<()> {
    let version = run::captured(Command::new("python3").args([
        "-c",
        "import sys; print(sys.version_info[0], sys.version_info[1])",
    ]))
    .context("Python 3 is needed; on Debian and Ubuntu run `apt-get install python3-venv`")?;
    if parse_version(&version).is_none_or(|found| found < OLDEST) {
        let found = version.replace(' ', ".");
        let (major, minor) = OLDEST;
        bail!(
            "Python {major}.{minor} or newer is needed, but `python3` on PATH is {found}; \
             put a newer one first in PATH"
        );
    }
    Ok(())
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("3 9").unwrap() < OLDEST);
        assert!(parse_version("3 10").unwrap() >= OLDEST);
        assert_eq!(parse_version("three"), None);
    }
}
