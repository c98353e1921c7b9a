//! The archive of all that a machine needs besides Envoy, with the names of a Unix file system.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::built::Built;
use super::files::{self, read};
use crate::{run, workspace_root};

/// The shells that complete the program's arguments, with the file of each.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "sidecar-invoker.bash"),
    ("fish", "sidecar-invoker.fish"),
    ("zsh", "_sidecar-invoker"),
];

/// Returns the name of the archive for a platform, without its ending.
pub(super) fn name(os: &str, architecture: &str) -> String {
    format!(
        "lambda-mesh-{}-{os}-{architecture}",
        env!("CARGO_PKG_VERSION")
    )
}

/// Writes the archive for this machine's platform into `folder`, and returns its path.
///
/// # Errors
/// A file cannot be read or written, or the invoker does not run.
pub(super) fn write(folder: &Path, built: &Built) -> Result<PathBuf> {
    let name = name(std::env::consts::OS, std::env::consts::ARCH);
    let mut archive = Archive {
        root: name.clone(),
        tar: tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best())),
    };
    let printed = |arguments: &[&str]| run::captured(Command::new(&built.invoker).args(arguments));
    archive.add("LICENSE", &read(&workspace_root().join("LICENSE"))?, 0o644)?;
    for (shell, file) in SHELLS {
        let script = printed(&["completions", shell])?;
        archive.add(&format!("completions/{file}"), script.as_bytes(), 0o644)?;
    }
    archive.link("lambda-mesh", "sidecar-invoker")?;
    for module in built.modules() {
        let file = module.file_name().unwrap_or_default().to_string_lossy();
        archive.add(&file, &read(module)?, 0o644)?;
    }
    let page = printed(&["man"])?;
    archive.add("man/sidecar-invoker.1", page.as_bytes(), 0o644)?;
    archive.add("sidecar-invoker", &read(&built.invoker)?, 0o755)?;
    let gzip = archive
        .tar
        .into_inner()
        .context("cannot write the archive")?;
    files::write(folder, &format!("{name}.tar.gz"), &gzip.finish()?)
}

/// An archive whose entries have no owner and no time, below one folder.
struct Archive {
    root: String,
    tar: tar::Builder<GzEncoder<Vec<u8>>>,
}

impl Archive {
    fn add(&mut self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let mut header = header(mode);
        header.set_size(content.len() as u64);
        let path = format!("{}/{path}", self.root);
        let added = self.tar.append_data(&mut header, &path, content);
        added.with_context(|| format!("cannot add {path}"))
    }

    fn link(&mut self, path: &str, target: &str) -> Result<()> {
        let mut header = header(0o777);
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        let path = format!("{}/{path}", self.root);
        let added = self.tar.append_link(&mut header, &path, target);
        added.with_context(|| format!("cannot add {path}"))
    }
}

fn header(mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_mtime(0);
    header
}
