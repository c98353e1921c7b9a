//! A DNS server, from this machine or from Debian's packages.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{build, debian, run};

/// Debian's package. It does not have to be installed.
const PACKAGE: &str = "dnsmasq-base";

/// A DNS server that is not installed, with its libraries.
#[derive(Debug)]
pub struct Dnsmasq {
    /// The program.
    pub program: PathBuf,
    /// The folder of libraries, if the program is not installed.
    pub libraries: Option<PathBuf>,
}

impl Dnsmasq {
    /// Returns the DNS server. The first call fetches it where this machine does not have it.
    ///
    /// # Errors
    /// Debian's package cannot be fetched. The error names the cure.
    pub fn find() -> Result<Self> {
        // Debian does not put it on everyone's `PATH`.
        let installed = PathBuf::from("/usr/sbin/dnsmasq");
        if let Some(program) =
            run::find("dnsmasq").or_else(|| installed.is_file().then_some(installed))
        {
            return Ok(Self {
                program,
                libraries: None,
            });
        }
        // `cargo xtask test` has tried it before its tests.
        let packages = || debian::missing(&[PACKAGE]);
        let root =
            debian::unpacked("dnsmasq", packages, !build::prepared()).with_context(|| {
                format!("dnsmasq is missing; install it with `apt-get install {PACKAGE}`")
            })?;
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        Ok(Self {
            program: root.join("usr/sbin/dnsmasq"),
            libraries: Some(root.join(libraries)),
        })
    }
}
