//! Starting, supervising and ending the processes of execution environments.

pub(crate) mod cgroup;
pub(crate) mod command;
pub(crate) mod file_view;
pub(crate) mod groups;
pub(crate) mod interpreter;
pub(crate) mod isolation;
mod locale;
pub(crate) mod memory;
pub(crate) mod open_files;
pub(crate) mod orphan_reaper;
pub(crate) mod peer;
pub(crate) mod procfs;
pub(crate) mod python_module;
pub(crate) mod unreserved;
pub(crate) mod wrapper;
