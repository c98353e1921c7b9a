//! Local images under official names, for machines without access to an image registry.
//!
//! A stand-in has the real Envoy, the real emulator and AWS's runtime client. All other files are
//! Debian's. When the test ends, the official names are removed, so that nothing else runs on a
//! stand-in by mistake.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::docker::docker;
use crate::{emulator, envoy, python, run, say, target_dir, workspace_root};

/// Official repositories, each with the stage of `xtask/stand-ins/Dockerfile` that replaces it.
const STAND_INS: [(&str, &str); 6] = [
    ("rust", "rust"),
    ("gcr.io/distroless/cc-debian12", "distroless-cc"),
    ("envoyproxy/envoy", "envoy"),
    ("public.ecr.aws/lambda/python", "lambda-python"),
    ("public.ecr.aws/lambda/nodejs", "lambda-nodejs"),
    ("curlimages/curl", "curl"),
];
/// The prefix of the names that stay, so that the next test can reuse the images.
const PREFIX: &str = "lambda-mesh-stand-in";
/// The release of Debian, which is also the release of the official images.
const RELEASE: &str = "bookworm";

/// The official names that this process has given to stand-ins. `Drop` removes them.
pub(super) struct StandIns(Vec<String>);

impl StandIns {
    /// Makes each image available: it exists, is pulled, or gets a stand-in.
    pub(super) fn provide(images: &BTreeSet<String>) -> Result<Self> {
        let mut named = Self(Vec::new());
        for image in images {
            if run::captured(docker().args(["image", "inspect", image])).is_ok() {
                continue;
            }
            say(format_args!("pulling {image}"));
            let Err(error) = run::captured(docker().args(["pull", "--quiet", image])) else {
                continue;
            };
            say(format_args!(
                "{image} cannot be pulled ({error:#}); making a stand-in"
            ));
            let stand_in = make(image).with_context(|| {
                format!("{image} cannot be pulled, and a stand-in cannot be made")
            })?;
            run::captured(docker().args(["tag", &stand_in, image]))?;
            named.0.push(image.clone());
        }
        Ok(named)
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        for image in &self.0 {
            if let Err(error) = run::captured(docker().args(["image", "rm", image])) {
                say(format_args!(
                    "the stand-in {image} could not be removed: {error:#}"
                ));
            }
        }
    }
}

fn make(image: &str) -> Result<String> {
    let repository = image.rsplit_once(':').map_or(image, |(name, _)| name);
    let Some((_, stage)) = STAND_INS.iter().find(|(name, _)| *name == repository) else {
        bail!("xtask/src/compose/stand_ins.rs has no stand-in for it");
    };
    debian()?;
    let context = target_dir().join("compose");
    fs::create_dir_all(&context).context("cannot make target/compose")?;
    let runtime = workspace_root().join("tests/compat/apps/node_runtime.mjs");
    for (file, name) in [
        (envoy::binary(envoy::NEWEST)?, "envoy"),
        (emulator::binary()?, "aws-lambda-rie"),
        (python::requirements("python"), "python.txt"),
        (runtime, "node_runtime.mjs"),
    ] {
        fs::copy(&file, context.join(name))
            .with_context(|| format!("cannot copy {} to target/compose", crate::display(&file)))?;
    }
    let stand_in = format!("{PREFIX}/{stage}");
    let mut build = docker();
    build
        .args(["build", "--target", stage, "--tag", &stand_in, "--file"])
        .arg(workspace_root().join("xtask/stand-ins/Dockerfile"))
        .arg(&context);
    run::shown(&mut build, &format!("the stand-in for {image}"))?;
    Ok(stand_in)
}

/// Makes the base of the stand-ins: the smallest Debian, with this machine's certificates, since a proxy
/// in front of the registries may have its own.
fn debian() -> Result<()> {
    let image = format!("{PREFIX}/debian");
    if run::captured(docker().args(["image", "inspect", &image])).is_ok() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() || run::find("debootstrap").is_none() {
        bail!("this needs root and debootstrap (`apt-get install debootstrap`)");
    }
    say(format_args!("making Debian {RELEASE} with debootstrap"));
    let root = target_dir().join("compose/debian");
    if root.exists() {
        fs::remove_dir_all(&root).context("cannot empty target/compose/debian")?;
    }
    run::captured(
        Command::new("debootstrap")
            .args(["--variant=minbase", "--include=ca-certificates", RELEASE])
            .arg(&root),
    )
    .context("debootstrap failed")?;
    let certificates = Path::new("etc/ssl/certs/ca-certificates.crt");
    let own = Path::new("/").join(certificates);
    if own.is_file() {
        fs::copy(own, root.join(certificates)).context("cannot copy the certificates")?;
    }
    let archive = target_dir().join("compose/debian.tar");
    run::captured(
        Command::new("tar")
            .arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(&root)
            .arg("."),
    )
    .context("tar failed")?;
    run::captured(docker().arg("import").arg(&archive).arg(&image))?;
    fs::remove_dir_all(&root)
        .and_then(|()| fs::remove_file(&archive))
        .context("cannot empty target/compose")
}
