//! `cargo xtask test-compose` runs the shipped Compose files as a user does.

mod calls;
mod docker;
mod list;
mod project;
mod shipped;
mod stand_ins;

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use self::docker::OwnImages;
use self::list::{COMPOSE_TESTS, ComposeTest};
use self::project::Project;
pub use self::shipped::compose_file;
use self::stand_ins::StandIns;
use crate::say;

/// Builds and starts each Compose file under a project name and a port of its own. Calls its functions from
/// this machine, then stops everything and checks that nothing is left. `names` selects files; without names,
/// all of them run. Prints `N passed, N failed, N skipped`, or why everything was skipped.
///
/// # Errors
/// A name is unknown, an image cannot be built or pulled, or a check fails. The output of the containers is
/// shown.
pub fn run(names: &[String]) -> Result<()> {
    let tests = selected(names)?;
    if let Err(reason) = docker::check_engine() {
        println!("skipped: test-compose: {reason:#}");
        println!("0 passed, 0 failed, {} skipped", tests.len());
        return Ok(());
    }
    let images = shipped::images(tests.iter().map(|test| test.file))?;
    let _stand_ins = StandIns::provide(&images)?;
    let own: BTreeSet<&str> = tests
        .iter()
        .flat_map(|test| test.own_images)
        .copied()
        .collect();
    let _own_images = OwnImages::build(&own)?;
    let mut failed = Vec::new();
    for test in &tests {
        match run_test(test) {
            Ok(()) => say(format_args!("{} passed", test.name)),
            Err(error) => {
                say(format_args!("{} failed: {error:#}", test.name));
                failed.push(test.name);
            }
        }
    }
    let passed = tests.len().saturating_sub(failed.len());
    println!("{passed} passed, {} failed, 0 skipped", failed.len());
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Returns the shipped Compose files, relative to the workspace.
pub fn files() -> impl Iterator<Item = &'static str> {
    COMPOSE_TESTS.iter().map(|test| test.file)
}

fn selected(names: &[String]) -> Result<Vec<&'static ComposeTest>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| COMPOSE_TESTS.iter().all(|test| test.name != **name))
    {
        let known: Vec<_> = COMPOSE_TESTS.iter().map(|test| test.name).collect();
        bail!(
            "there is no Compose file {unknown}; there are {}",
            known.join(", ")
        );
    }
    let is_selected =
        |test: &&ComposeTest| names.is_empty() || names.iter().any(|name| name == test.name);
    Ok(COMPOSE_TESTS.iter().filter(is_selected).collect())
}

fn run_test(test: &'static ComposeTest) -> Result<()> {
    let project = Project::new(test)?;
    say(format_args!("{}: building the images", test.name));
    project.compose(&["build"])?;
    say(format_args!("{}: starting the containers", test.name));
    project.compose(&["up", "--detach"])?;
    project.wait_until_healthy()?;
    project.call_from_this_machine()?;
    if test.file == "docker-compose.yaml" {
        project.call_from_a_container()?;
    }
    project.check_module()?;
    project.wait_for_logs()?;
    project.check_containers()?;
    project.down()
}
