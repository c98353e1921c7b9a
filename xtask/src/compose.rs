//! `cargo xtask test-compose` runs the shipped Compose files as a user does.

mod calls;
mod docker;
mod project;
mod shipped;
mod stand_ins;
mod stories;

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use self::docker::OwnImages;
use self::project::Project;
pub use self::shipped::compose_file;
use self::stand_ins::StandIns;
use self::stories::{STORIES, Story};
use crate::say;

/// Builds and starts each Compose file under a project name and a port of its own. Calls its functions from
/// this machine, then stops everything and checks that nothing is left. `names` selects files; without names,
/// all of them run. Prints `N passed, N failed, N skipped`, or why everything was skipped.
///
/// # Errors
/// A name is unknown, an image cannot be built or pulled, or a check fails. The output of the containers is
/// shown.
pub fn run(names: &[String]) -> Result<()> {
    let stories = selected(names)?;
    if let Err(reason) = docker::check_engine() {
        println!("skipped: test-compose: {reason:#}");
        println!("0 passed, 0 failed, {} skipped", stories.len());
        return Ok(());
    }
    let images = shipped::images(stories.iter().map(|story| story.file))?;
    let _stand_ins = StandIns::provide(&images)?;
    let own: BTreeSet<&str> = stories
        .iter()
        .flat_map(|story| story.own_images)
        .copied()
        .collect();
    let _own_images = OwnImages::build(&own)?;
    let mut failed = Vec::new();
    for story in &stories {
        match test(story) {
            Ok(()) => say(format_args!("{} passed", story.name)),
            Err(error) => {
                say(format_args!("{} failed: {error:#}", story.name));
                failed.push(story.name);
            }
        }
    }
    let passed = stories.len().saturating_sub(failed.len());
    println!("{passed} passed, {} failed, 0 skipped", failed.len());
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Returns the shipped Compose files, relative to the workspace.
pub fn files() -> impl Iterator<Item = &'static str> {
    STORIES.iter().map(|story| story.file)
}

fn selected(names: &[String]) -> Result<Vec<&'static Story>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| STORIES.iter().all(|story| story.name != **name))
    {
        let known: Vec<_> = STORIES.iter().map(|story| story.name).collect();
        bail!(
            "there is no Compose file {unknown}; there are {}",
            known.join(", ")
        );
    }
    let is_selected =
        |story: &&Story| names.is_empty() || names.iter().any(|name| name == story.name);
    Ok(STORIES.iter().filter(is_selected).collect())
}

fn test(story: &'static Story) -> Result<()> {
    let project = Project::new(story)?;
    say(format_args!("{}: building the images", story.name));
    project.compose(&["build"])?;
    say(format_args!("{}: starting the containers", story.name));
    project.compose(&["up", "--detach"])?;
    project.wait_until_healthy()?;
    project.call_from_this_machine()?;
    if story.file == "docker-compose.yaml" {
        project.call_from_a_container()?;
    }
    project.check_module()?;
    project.wait_for_logs()?;
    project.check_containers()?;
    project.down()
}
