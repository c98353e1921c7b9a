//! Local functions. The invoker runs their processes, and serves a Runtime API to each environment.
//!
//! ```text
//! LocalFunction ──▶ pool and queue ──▶ Environment ──▶ Lifecycle (pure state machine)
//!                                       ▲       ▲
//!            supervisor (the processes) ┘       └ Runtime API (HTTP)
//! ```

mod api;
mod attach;
mod build;
mod environment;
mod function;
mod generation;
mod log;
mod pool;
pub(crate) mod process;
mod sandbox;
mod spec;
mod supervisor;
mod watch;

pub(crate) use attach::AttachPoints;
pub(crate) use function::LocalFunction;
pub(crate) use log::writer::{Flushed, Output};
pub(crate) use process::cgroup::Cgroups;
pub(crate) use process::isolation::{FORK_SERVER, Isolation, WITHOUT_NAMESPACES, run_fork_server};
pub(crate) use process::open_files::raise as raise_open_files;
pub(crate) use process::orphan_reaper::{OrphanReaper, reap_orphans};
pub(crate) use spec::{LocalContext, UnusableCommand};
