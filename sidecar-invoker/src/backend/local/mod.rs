//! Functions as processes of the invoker's own, each behind a Runtime API of its own.
//!
//! ```text
//! Function ─ pool (and queue) ──▶ Environment ──▶ Lifecycle (pure: which step may follow)
//!                                  ▲       ▲
//!       supervisor (the processes) ┘       └ Runtime API (HTTP)
//! ```

mod cgroup;
mod command;
mod environment;
mod extensions;
mod extensions_api;
mod failure;
mod function;
mod generation;
mod lifecycle;
mod log;
mod memory;
mod outcome;
mod output;
mod pool;
mod process;
mod report;
mod runtime_api;
mod step;
mod supervisor;
mod watch;

pub(crate) use cgroup::{Cgroups, remove as remove_cgroups};
pub(crate) use command::Inherited;
pub(crate) use function::{Context, Function};
pub(crate) use output::{Flushed, Output, timestamp};

use crate::lock::lock;
