//! Functions for the modules that make release files.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::display;

/// Returns the SHA-256 of `bytes` in lower-case hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Sets `key` of a JSON object.
pub(super) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", display(file)))
}

pub(super) fn write(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, content).with_context(|| format!("cannot write {}", display(&file)))?;
    Ok(file)
}
