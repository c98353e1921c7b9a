//! Envoy and the invoker in one command: started, watched and ended together.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::envoy::EnvoyProcess;
use super::error::RunError;
use super::files::EnvoyFiles;
use super::mesh::{Addresses, Mesh};
use super::replace::Running;
use crate::backend::local::OrphanReaper;
use crate::config::{HostPort, Listen};
use crate::envoy_config::{Envoy, Gateway};
use crate::server::{Options, Server};

/// The longest time for which requests may finish at the shutdown. lrp has the same limit.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The Envoy of a mesh, and its surroundings.
pub struct Settings<'a> {
    /// The program.
    pub envoy: &'a Envoy,
    /// The arguments of Envoy after its own.
    pub arguments: &'a [OsString],
    /// Only Envoy reaches the invoker, at a socket in a temporary folder. The addresses in the configuration
    /// are not used.
    pub is_private: bool,
}

/// The next thing to do for a mesh that serves.
pub enum Request {
    /// Finish the running requests, and end.
    Shutdown,
    /// Serve this from now on.
    Replace(Box<Mesh>),
}

/// The reason why [`run`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// A signal asked for the shutdown.
    Signal,
    /// Envoy ended by itself with this exit code, which is 128 + N if signal N ended it.
    Envoy(u8),
}

/// Serves a mesh until `next` asks for the shutdown, or until Envoy ends.
///
/// `served` is called once Envoy serves requests, and after each replacement. During the shutdown, `next` is awaited once more: a second
/// request for it cuts off the requests that still run.
///
/// # Errors
/// Returns an error if Envoy or the invoker cannot be started.
pub async fn run(
    Mesh {
        mut config,
        gateway,
    }: Mesh,
    settings: &Settings<'_>,
    options: Options,
    served: impl Fn(&Gateway, &Addresses),
    mut next: impl AsyncFnMut() -> Request,
) -> Result<ExitReason, RunError> {
    // Envoy's configuration may have secrets.
    let folder = tempfile::Builder::new()
        .prefix("lambda-mesh-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir();
    let folder = folder.map_err(RunError::Folder)?;
    let files = EnvoyFiles::new(folder.path());
    if settings.is_private {
        config.listen = Listen::Unix(folder.path().join("invoker.sock"));
        // Unused, because Envoy itself responds to health checks. The system chooses a free port.
        config.admin = HostPort {
            host: "127.0.0.1".to_owned(),
            port: 0,
        };
    }
    let orphan_reaper = options.orphan_reaper.as_deref().map(OrphanReaper::start);
    let orphan_reaper = orphan_reaper.transpose()?;
    let server = Server::bind(config.clone(), options).await?;
    let invoker = server.address()?;
    let invoker_admin = server.admin_address()?;
    let reloader = server.reloader();
    let yaml = files.write(&gateway, &invoker)?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let server = tokio::spawn(server.run(async move { stopped.cancelled().await }));

    // By this variable the orphan reaper knows Envoy, even before Envoy has a process group.
    let mark = folder.path().file_name().unwrap_or_default();
    let mark = ("LAMBDA_MESH_RUN", mark.to_string_lossy());
    let entry = format!("{}={}", mark.0, mark.1);
    if let Some(orphan_reaper) = &orphan_reaper {
        orphan_reaper.watch(&entry, None).await;
    }
    let mut command = Command::new(settings.envoy.path());
    command.env(mark.0, &*mark.1).arg("--config-path").arg(yaml);
    if let (Some(name), Some(file)) = (&gateway.secret_variable, config.filter_secret_file()) {
        // The invoker reads the file itself. Envoy knows only its environment.
        command.env(name, std::fs::read_to_string(file)?.trim_end());
    }
    let mut envoy = EnvoyProcess::start(command, settings.arguments, files.admin())?;
    if let Some(orphan_reaper) = &orphan_reaper {
        orphan_reaper.watch(&entry, envoy.group).await;
    }
    let mut running = Running {
        served: config.clone(),
        end: None,
        config,
        gateway,
        invoker: invoker.clone(),
        reloader,
        program: settings.envoy.clone(),
        files,
    };
    let has_console = running.config.has_console();
    let admin = envoy.admin.clone();
    let addresses = OnceCell::new();
    let first = running.gateway.clone();
    let announced = admin.announce(|gateway| {
        let addresses = addresses.get_or_init(|| Addresses {
            gateway,
            invoker: invoker.clone(),
            admin: invoker_admin.clone(),
            has_console,
        });
        served(&first, addresses);
    });
    let mut announced = pin!(announced);
    let mut upcoming = None;
    let reason = 'serving: loop {
        let request = match upcoming.take() {
            Some(request) => request,
            None => tokio::select! {
                status = envoy.child.wait() => break Ok(ExitReason::Envoy(code(status?))),
                rejected = &mut announced => break Err(rejected),
                () = running.end_is_due() => {
                    running.end_removed().await;
                    continue;
                }
                request = next() => request,
            },
        };
        let Request::Replace(mesh) = request else {
            break Ok(ExitReason::Signal);
        };
        let is_replaced = {
            let mut replaced = pin!(running.replace(*mesh, &envoy.admin));
            loop {
                tokio::select! {
                    is_replaced = &mut replaced => break is_replaced,
                    request = next() => match request {
                        Request::Shutdown => break 'serving Ok(ExitReason::Signal),
                        newer @ Request::Replace(_) => upcoming = Some(newer),
                    },
                }
            }
        };
        if let Some(addresses) = addresses.get().filter(|_| is_replaced) {
            served(&running.gateway, addresses);
        }
    };
    if matches!(reason, Ok(ExitReason::Signal)) {
        tracing::info!("ending: running requests have {DRAIN_TIMEOUT:?} to finish");
        let cut_off = async { while !matches!(next().await, Request::Shutdown) {} };
        tokio::select! {
            _ = envoy.child.wait() => {}
            _ = timeout(DRAIN_TIMEOUT, envoy.admin.drain()) => {}
            () = cut_off => tracing::warn!("requests that still run are given up"),
        }
    }
    envoy.end().await;
    if let Some(orphan_reaper) = orphan_reaper {
        orphan_reaper.forget(&entry).await;
        orphan_reaper.end().await;
    }
    stop.cancel();
    server.await?;
    reason
}

/// Returns the exit code that a shell gives for this exit status.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
