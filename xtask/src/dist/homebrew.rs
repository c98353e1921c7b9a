//! The Homebrew formula of the archives of a release.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::archive;
use super::files::{self, read, sha256};

/// The platforms with an archive: the words of the formula, and of the archive's name.
const PLATFORMS: [[&str; 4]; 4] = [
    ["linux", "intel", "linux", "x86_64"],
    ["linux", "arm", "linux", "aarch64"],
    ["macos", "intel", "macos", "x86_64"],
    ["macos", "arm", "macos", "aarch64"],
];

/// Options of `cargo xtask homebrew`.
#[derive(clap::Args, Debug)]
pub struct HomebrewOptions {
    /// The folder with the archives, lambda-mesh-VERSION-PLATFORM.tar.gz
    folder: PathBuf,
    /// The URL of the folder from which users download the archives
    #[arg(long)]
    url: String,
    /// The URL of the project
    #[arg(long)]
    homepage: String,
}

/// Writes the formula `lambda-mesh.rb` beside the archives, for the platforms that have one.
///
/// # Errors
/// The folder has no archive, or the formula cannot be written.
pub fn homebrew(options: &HomebrewOptions) -> Result<()> {
    let HomebrewOptions {
        folder,
        url,
        homepage,
    } = options;
    let mut platforms = String::new();
    for [system, processor, os, architecture] in PLATFORMS {
        let name = format!("{}.tar.gz", archive::name(os, architecture));
        let file = folder.join(&name);
        if !file.exists() {
            continue;
        }
        let url = format!("{}/{name}", url.trim_end_matches('/'));
        let digest = sha256(&read(&file)?);
        writeln!(
            platforms,
            "\n  on_{system} do\n    on_{processor} do\n      url \"{url}\"\n      sha256 \"{digest}\"\n    end\n  end"
        )?;
    }
    if platforms.is_empty() {
        bail!(
            "{} has no archive lambda-mesh-{}-PLATFORM.tar.gz; `cargo xtask dist` makes one in target/dist",
            crate::display(folder),
            env!("CARGO_PKG_VERSION")
        );
    }
    let formula = FORMULA
        .replace("HOMEPAGE", homepage)
        .replace("VERSION", env!("CARGO_PKG_VERSION"))
        .replace("\nPLATFORMS", &platforms);
    let file = files::write(folder, "lambda-mesh.rb", formula.as_bytes())?;
    println!("{}", crate::display(&file));
    Ok(())
}

/// The formula. The program looks for the filter beside itself, so that all files are in one folder.
const FORMULA: &str = r##"class LambdaMesh < Formula
  desc "Calls AWS Lambda functions as plain HTTP services, locally and on AWS"
  homepage "HOMEPAGE"
  version "VERSION"
  license "Apache-2.0"

PLATFORMS
  def install
    libexec.install Dir["*.wasm"], Dir["*.so"], "sidecar-invoker"
    bin.install_symlink libexec/"sidecar-invoker"
    bin.install_symlink libexec/"sidecar-invoker" => "lambda-mesh"
    bash_completion.install "completions/sidecar-invoker.bash" => "sidecar-invoker"
    fish_completion.install "completions/sidecar-invoker.fish"
    zsh_completion.install "completions/_sidecar-invoker"
    man1.install "man/sidecar-invoker.1"
  end

  def caveats
    <<~TEXT
      `lambda-mesh up` needs Envoy on PATH: brew install envoy
    TEXT
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/lambda-mesh --version")
  end
end
"##;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_has_the_archives_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let options = HomebrewOptions {
            folder: folder.path().to_owned(),
            url: "https://example.com/v1/".to_owned(),
            homepage: "https://example.com".to_owned(),
        };
        let error = homebrew(&options).unwrap_err().to_string();
        assert!(error.contains("has no archive lambda-mesh-"), "{error}");
        let name = format!("{}.tar.gz", archive::name("linux", "aarch64"));
        std::fs::write(folder.path().join(&name), "archive").unwrap();
        homebrew(&options).unwrap();
        let formula = std::fs::read_to_string(folder.path().join("lambda-mesh.rb")).unwrap();
        let platform = format!(
            "\n  on_linux do\n    on_arm do\n      url \"https://example.com/v1/{name}\"\n      sha256 \"{}\"\n",
            sha256(b"archive")
        );
        assert!(formula.contains(&platform), "{formula}");
        assert!(!formula.contains("on_macos") && !formula.contains("PLATFORMS"));
    }

    #[test]
    fn cargo_binstall_looks_for_the_archives_that_a_release_has() {
        let manifest = crate::workspace_root().join("sidecar-invoker/Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).unwrap();
        let expected = archive::name("{ target-family }", "{ target-arch }")
            .replace(env!("CARGO_PKG_VERSION"), "{ version }")
            .replace("{ target-family }", "linux");
        assert!(
            manifest.contains(&format!("/{expected}.tar.gz\"")),
            "{expected}"
        );
        assert!(
            manifest.contains(&format!("\"{expected}/{{ bin }}\"")),
            "{expected}"
        );
    }
}
