//! Functions as processes of the invoker's own, each behind a Runtime API of its own.
//!
//! ```text
//! Function ─ pool (and queue) ──▶ Environment ──▶ Lifecycle (pure: which step may follow)
//!                                  ▲       ▲
//!       supervisor (the processes) ┘       └ Runtime API (HTTP)
//! ```

mod api;
mod environment;
mod function;
mod generation;
mod log;
mod pool;
pub(crate) mod process;
mod spec;
mod supervisor;
mod watch;

pub(crate) use function::Function;
pub(crate) use log::writer::{Flushed, Output};
pub(crate) use process::cgroup::Cgroups;
pub(crate) use process::orphan_reaper::{OrphanReaper, reap_orphans};
pub(crate) use spec::Context;
