//! Keeps execution environments apart, and ends all processes of an environment with it.
//!
//! ```text
//! invoker ──▶ fork server ──forks──▶ init ──starts──▶ extensions, runtime
//!    │                                │ └──forks──▶ PID 1 of its namespace ◀── orphans
//!    └────────── socket ──────────────┘
//! ```
//!
//! The end of the invoker, even by SIGKILL, closes its ends of the sockets. Each init then ends its
//! environment, and the kernel ends all processes of a PID namespace with the namespace's PID 1.
//!
//! The design is that of container runtimes, without the parts that they need for untrusted
//! programs. An environment contains a function's mistakes. It is no defence against a hostile
//! function.

#![cfg_attr(
    not(target_os = "linux"),
    allow(
        dead_code,
        reason = "the processes at the other end of the connections exist on Linux only"
    )
)]

mod child;
mod client;
mod message;
mod plan;

#[cfg(target_os = "linux")]
mod fork_server;
#[cfg(target_os = "linux")]
mod init;
#[cfg(target_os = "linux")]
mod mounts;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) use child::{ChildProcess, start};
pub(crate) use client::{FORK_SERVER, ForkServer, Init, Ready};
pub(crate) use plan::{COVERED, Level, OPT, Plan, SetUpError, TASK, kept};

/// The consequences for environments that have no namespaces.
pub(crate) const WITHOUT_NAMESPACES: &str = "execution environments share /tmp, IPC and process numbers with this machine; each has a folder of its own in TMPDIR, but neither /var/task nor /opt, and `ephemeral_storage` and `read_only` have no effect";

/// Runs the fork server, which serves the invoker on standard input.
///
/// This has to be the first thing that the program does: no thread may have started.
pub(crate) fn run_fork_server() -> ExitCode {
    #[cfg(target_os = "linux")]
    return fork_server::run();
    #[cfg(not(target_os = "linux"))]
    ExitCode::FAILURE
}

/// The fork server, and the separation that this system allows.
pub(crate) struct Isolation {
    pub(crate) server: Arc<ForkServer>,
    /// The highest level that the system allows.
    pub(crate) level: Level,
    /// The error of the level above.
    obstacle: Option<SetUpError>,
}

impl Isolation {
    /// Starts the fork server, and tries each level with an environment without programs.
    ///
    /// # Errors
    /// The system allows no level. It may not be Linux.
    pub(crate) async fn start(program: &Path, cgroups: Option<&Path>) -> std::io::Result<Self> {
        let server = ForkServer::start(program, cgroups).await?;
        let mut obstacle = None;
        for level in Level::ALL {
            let plan = Plan {
                level,
                scratch: None,
                directory: "/usr".into(),
                layers: Vec::new(),
                kept: Vec::new(),
                read_only: true,
                tmp_bytes: 1 << 20,
                shm_bytes: 1 << 20,
            };
            let mut init = server.environment(&plan).await?;
            let refused = init.ready().await.err();
            init.end().await;
            match refused {
                Some(error) => _ = obstacle.get_or_insert(error),
                None => {
                    return Ok(Self {
                        server,
                        level,
                        obstacle,
                    });
                }
            }
        }
        server.end().await;
        Err(std::io::Error::other(obstacle.map_or_else(
            || "the fork server has ended".to_owned(),
            |error| error.to_string(),
        )))
    }

    /// Returns a sentence that says what environments share, and why. Returns `None` if they share
    /// the network only.
    pub(crate) fn shared(&self) -> Option<String> {
        let obstacle = self.obstacle.as_ref()?;
        let restricted =
            std::fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
        let cure = match restricted.is_ok_and(|text| text.trim() == "1") {
            true => "; AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns)",
            false => "",
        };
        match self.level {
            Level::Namespaces => None,
            Level::Mounts => Some(format!(
                "this system allows no PID namespaces ({obstacle}{cure}): execution environments share process numbers with this machine"
            )),
            Level::Processes => Some(format!(
                "this system allows no namespaces ({obstacle}{cure}): {WITHOUT_NAMESPACES}"
            )),
        }
    }
}
