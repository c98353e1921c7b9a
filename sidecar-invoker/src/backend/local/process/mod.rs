//! The processes of execution environments: starting, watching and ending them.

pub(crate) mod cgroup;
pub(crate) mod command;
pub(crate) mod groups;
pub(crate) mod memory;
pub(crate) mod orphan_reaper;
pub(crate) mod procfs;
