//! PHP with php-fpm, from this machine or from Debian's packages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, debian, run};

/// Debian's packages of both programs. They do not have to be installed.
const PACKAGES: [&str; 2] = ["php-cli", "php-fpm"];
/// Debian's package of the framework, which brings an autoloader along.
const LARAVEL: &str = "php-laravel-framework";

/// Returns a folder for `PATH` with `php`, so that the runtime in `examples/serverless-lamp` finds php-fpm too. The
/// first call fetches both where this machine does not have them.
///
/// # Errors
/// Debian's packages cannot be fetched. The error names the cure.
pub fn folder() -> Result<PathBuf> {
    if let (Some(php), true) = (run::find("php"), has_fpm()) {
        return Ok(php.parent().unwrap_or(&php).to_owned());
    }
    // `cargo xtask test` has tried it before its tests.
    let packages = || debian::missing(&PACKAGES);
    let root = debian::unpacked("php", packages, !build::prepared()).with_context(|| {
        let packages = PACKAGES.join(" ");
        format!("`php` or php-fpm is missing; install them with `apt-get install {packages}`")
    })?;
    let folder = root.join("bin");
    for (name, found_in) in [("php", "usr/bin"), ("php-fpm", "usr/sbin")] {
        write_wrapper(
            &root,
            &folder.join(name),
            &program(&root.join(found_in), name)?,
        )?;
    }
    Ok(folder)
}

/// Returns the folder with the classes of Laravel, for PHP's `include_path`. The first call fetches Debian's packages
/// where this machine does not have them.
///
/// # Errors
/// Debian's packages cannot be fetched, or PHP lacks an extension that Laravel needs. The error names the cure.
pub fn laravel() -> Result<PathBuf> {
    const FOLDER: &str = "usr/share/php";
    let php = folder()?.join("php");
    let extensions = run::captured(Command::new(php).arg("-m"))?;
    if !extensions.lines().any(|name| name == "mbstring") {
        bail!("PHP has no mbstring; install it with `apt-get install php-mbstring`");
    }
    let installed = Path::new("/").join(FOLDER);
    if installed.join("Illuminate/autoload.php").exists() {
        return Ok(installed);
    }
    let packages = || debian::missing(&[LARAVEL]);
    let root = debian::unpacked("laravel", packages, !build::prepared()).with_context(|| {
        format!("Laravel is missing; install it with `apt-get install {LARAVEL}`")
    })?;
    Ok(root.join(FOLDER))
}

/// Returns whether php-fpm is where the runtime of the example looks for it. Debian has a version at the end of its
/// name, and does not put it on everyone's `PATH`.
fn has_fpm() -> bool {
    let mut folders = ["/usr/local/sbin", "/usr/sbin"].into_iter();
    folders.any(|folder| program(Path::new(folder), "php-fpm").is_ok())
        || run::find("php-fpm").is_some()
}

/// Returns the program in `folder` that has this name, with or without a version.
fn program(folder: &Path, name: &str) -> Result<PathBuf> {
    let is_version = |end: &str| end.chars().all(|c| c.is_ascii_digit() || c == '.');
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let found = names.find(|other| other.strip_prefix(name).is_some_and(is_version));
    let found = found.with_context(|| format!("{} has no {name}", folder.display()))?;
    Ok(folder.join(found))
}

/// Writes a script that runs a program with the libraries of the folder `root`.
fn write_wrapper(root: &Path, path: &Path, program: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n",
        root.join(libraries).display(),
        program.display()
    );
    // Tests that run side by side may write it at once.
    fs::create_dir_all(path.parent().unwrap_or(root))?;
    let partial = path.with_extension(std::process::id().to_string());
    fs::write(&partial, script)?;
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))?;
    fs::rename(partial, path).with_context(|| format!("cannot create {}", crate::display(path)))
}
