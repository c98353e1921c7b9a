//! `cargo xtask test-compose` runs the shipped `docker-compose.yaml` as a user does.

mod docker;
mod project;
mod shipped;
mod stand_ins;

use anyhow::Result;

use self::project::Project;
pub use self::shipped::{compose_file, images};
use self::stand_ins::StandIns;
use crate::say;

/// Builds and starts `docker-compose.yaml` under a project name and a port of its own. Calls both
/// functions from this machine, and concurrently from a container; then stops everything and checks
/// that nothing is left. Prints `1 passed, ...`, or why the test was skipped.
///
/// # Errors
/// An image cannot be built or pulled, or a check fails. The output of the containers is shown.
pub fn run() -> Result<()> {
    if let Err(reason) = docker::check_engine() {
        println!("skipped: test-compose: {reason:#}");
        println!("0 passed, 0 failed, 1 skipped");
        return Ok(());
    }
    let _stand_ins = StandIns::provide(&images()?)?;
    let project = Project::new()?;
    say("building the images");
    project.compose(&["build"])?;
    say("starting the containers");
    project.compose(&["up", "--detach"])?;
    project.wait_until_healthy()?;
    project.call_from_this_machine()?;
    project.call_from_a_container()?;
    project.check_containers()?;
    project.down()?;
    println!("1 passed, 0 failed, 0 skipped");
    Ok(())
}
