//! `cargo xtask dist`: what a release holds.

use anyhow::{Context, Result};

use crate::{build, target_dir, wasm};

/// Makes `target/dist/lambda_filter.wasm` and `target/dist/sidecar-invoker`, and prints their
/// sizes in bytes.
///
/// # Errors
/// One of them cannot be built.
pub fn run() -> Result<()> {
    let filter = wasm::build()?;
    let invoker = target_dir().join("dist").join(build::INVOKER);
    wasm::install(&build::invoker()?, &invoker)?;
    for file in [filter, invoker] {
        let name = crate::display(&file);
        let size = file
            .metadata()
            .with_context(|| format!("cannot read {name}"))?
            .len();
        println!("{size:>10} {name}");
    }
    Ok(())
}
