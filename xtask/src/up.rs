//! `cargo xtask up` runs Envoy, the invoker and the example functions.

mod config;
mod functions;
mod processes;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::value_parser;

use crate::up::processes::{Processes, State};
use crate::{build, envoy, ports, python, say, target_dir, wasm, workspace_root};

/// The time limit for a process to become ready. Envoy compiles the filter in that time.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// The path on which the invoker reports whether it is ready.
const INVOKER_READY: &str = "/readyz";
/// The time after which `up` prints what it is waiting for.
const WAIT_NOTICE_DELAY: Duration = Duration::from_secs(3);

/// Options of `cargo xtask up`.
///
/// A port without an option is the one in the configuration file.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Port of Envoy's first listener (8080 in envoy/local.yaml)
    #[arg(long, value_parser = value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Port of the invoker's Lambda API (9090 in examples/invoker.yaml)
    #[arg(long, value_parser = value_parser!(u16).range(1..))]
    invoker_port: Option<u16>,
    /// Port of the invoker's admin interface, such as /readyz (9091 in examples/invoker.yaml)
    #[arg(long, value_parser = value_parser!(u16).range(1..))]
    invoker_admin_port: Option<u16>,
    /// Port of Envoy's admin interface (9901 in envoy/local.yaml)
    #[arg(long, value_parser = value_parser!(u16).range(1..))]
    envoy_admin_port: Option<u16>,
    /// Invoker configuration [default: examples/invoker.yaml]
    #[arg(long, value_name = "FILE")]
    invoker_config: Option<PathBuf>,
    /// Envoy configuration [default: made from the routes of --invoker-config, else envoy/local.yaml]
    #[arg(long, value_name = "FILE")]
    envoy_config: Option<PathBuf>,
    /// Envoy version
    #[arg(long, value_name = "VERSION", default_value = envoy::NEWEST)]
    envoy_version: String,
}

/// Builds what is missing, starts everything, prints commands to try, and shows the output of the
/// processes. Stops all of them on Ctrl-C, SIGTERM or SIGHUP, which is a success, and when one of them
/// ends.
///
/// # Errors
/// A configuration is wrong, a port is taken, a build fails, or a process ends. Nothing is left running.
pub fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let set_up = SetUp::resolve(options)?;
    let envoy_binary = envoy::binary(&options.envoy_version)?;
    let filter = wasm::build()?;
    let invoker = build::invoker()?;
    if set_up.shipped_invoker {
        build::example(build::EXAMPLE)?;
    }
    let path = if set_up.needs_python {
        let bin = python::environment()?.join("bin");
        say(format_args!(
            "functions run with {}, which has awslambdaric",
            crate::display(&bin.join("python3"))
        ));
        path_with(&bin)?
    } else {
        std::env::var_os("PATH").unwrap_or_default()
    };
    say(format_args!(
        "starting {} and {}",
        crate::display(&envoy_binary),
        crate::display(&filter)
    ));

    let mut processes = Processes::new()?;
    processes.start(
        "invoker",
        Command::new(invoker)
            .args(["serve", "--config"])
            .arg(&set_up.invoker_file)
            .args(&set_up.overrides)
            .env("PATH", path),
    )?;
    let ready = wait_until_ready(
        &mut processes,
        "the invoker",
        set_up.invoker_admin,
        INVOKER_READY,
    )
    .with_context(|| not_ready_with(&set_up.invoker_file))?;
    if ready == State::Interrupted {
        return Ok(());
    }
    processes.start(
        "envoy",
        Command::new(envoy_binary)
            .args(["--disable-hot-restart", "--log-level", "warn"])
            // Its warnings are about servers on the internet, and about being stopped.
            .args(["--component-log-level", "main:error"])
            // The default shows a line of the access log after up to 10 s.
            .args(["--file-flush-interval-msec", "200", "-c"])
            .arg(&set_up.envoy_file)
            .current_dir(workspace_root()),
    )?;
    let ready = wait_until_ready(&mut processes, "Envoy", set_up.envoy_admin, "/ready")
        .with_context(|| not_ready_with(&set_up.envoy_file))?;
    if ready == State::Interrupted {
        return Ok(());
    }
    say(format_args!(
        "ready in {:.1} s",
        started.elapsed().as_secs_f32()
    ));
    say(set_up.commands_to_try());
    while processes.watch()? == State::Running {}
    say("stopping");
    Ok(())
}

/// The files and addresses of a run.
struct SetUp {
    invoker_file: PathBuf,
    shipped_invoker: bool,
    /// A function uses AWS's client for Python, and the user has no virtual environment active.
    needs_python: bool,
    invoker_admin: SocketAddr,
    envoy_file: PathBuf,
    shipped_envoy: bool,
    listener: Option<SocketAddr>,
    envoy_admin: SocketAddr,
    overrides: Vec<OsString>,
}

impl SetUp {
    /// Reads both configurations, changes the ports that the options set, and checks that every port is
    /// free.
    fn resolve(options: &Options) -> Result<Self> {
        let (invoker_file, shipped_invoker) = configuration(
            options.invoker_config.as_deref(),
            "examples/invoker.yaml",
            "--invoker-config",
        )?;
        let mut invoker = config::Invoker::read(&invoker_file)?;
        let given = options.envoy_config.as_deref();
        let (mut envoy, envoy_file, shipped_envoy) = if given.is_none() && invoker.has_routes {
            (envoy_of_routes(&invoker_file)?, invoker_file.clone(), false)
        } else {
            let (file, shipped) = configuration(given, "envoy/local.yaml", "--envoy-config")?;
            (config::Envoy::read(&file)?, file, shipped)
        };
        functions::check(&envoy.document, &envoy_file, &invoker, &invoker_file)?;
        let has_own_python = std::env::var_os("VIRTUAL_ENV").is_some();
        let mut overrides: Vec<OsString> = Vec::new();
        if let Some(port) = options.invoker_port {
            let Some(listen) = &mut invoker.listen else {
                bail!(
                    "--invoker-port: {} listens on a Unix socket, which has no port",
                    crate::display(&invoker_file)
                );
            };
            envoy.move_endpoints(*listen, port)?;
            listen.set_port(port);
            overrides.extend(["--listen".into(), listen.to_string().into()]);
        }
        if let Some(port) = options.invoker_admin_port {
            invoker.admin.set_port(port);
            overrides.extend(["--admin".into(), invoker.admin.to_string().into()]);
        }
        if let Some(port) = options.port {
            envoy.move_listener(port)?;
        }
        if let Some(port) = options.envoy_admin_port {
            envoy.move_admin(port)?;
        }
        let listener = envoy.listener();
        let envoy_admin = envoy.admin()?;
        check_ports([
            (listener, "--port"),
            (Some(envoy_admin), "--envoy-admin-port"),
            (invoker.listen, "--invoker-port"),
            (Some(invoker.admin), "--invoker-admin-port"),
        ])?;
        Ok(Self {
            invoker_file,
            shipped_invoker,
            needs_python: shipped_invoker || (invoker.runs_awslambdaric && !has_own_python),
            invoker_admin: invoker.admin,
            envoy_file: envoy.file(&target_dir().join("up"))?,
            shipped_envoy,
            listener,
            envoy_admin,
            overrides,
        })
    }

    fn commands_to_try(&self) -> String {
        let Some(listener) = self.listener else {
            return "Ctrl-C stops it".to_owned();
        };
        let at = reachable(listener);
        if !(self.shipped_envoy && self.shipped_invoker) {
            return format!("Envoy listens on http://{at}; Ctrl-C stops it");
        }
        format!(
            "try, in another terminal (Ctrl-C stops it):\n\n  \
             curl -i -H 'Host: hello.localhost' 'http://{at}/hi?x=1' -d '{{\"a\":1}}'\n  \
             curl -i -H 'Host: py.localhost' 'http://{at}/hi?x=1'\n  \
             curl -i http://{at}/py/hi\n"
        )
    }
}

/// Makes Envoy's configuration from the routes of the invoker's.
fn envoy_of_routes(invoker_file: &Path) -> Result<config::Envoy> {
    let filter = wasm::build()?;
    let output = Command::new(build::invoker()?)
        .args(["envoy-config", "--config"])
        .arg(invoker_file)
        .arg("--filter")
        .arg(filter)
        .stderr(Stdio::inherit())
        .output()
        .context("the invoker could not be started")?;
    if !output.status.success() {
        bail!(not_ready_with(invoker_file));
    }
    config::Envoy::generated(invoker_file, &String::from_utf8(output.stdout)?)
}

/// Checks that the ports are free. The error lists all that are not.
fn check_ports(wanted: [(Option<SocketAddr>, &str); 4]) -> Result<()> {
    let mut seen: Vec<(SocketAddr, &str)> = Vec::new();
    let mut problems = Vec::new();
    for (address, option) in wanted {
        let Some(address) = address else { continue };
        let port = address.port();
        if let Some((_, other)) = seen.iter().find(|(seen, _)| seen.port() == port) {
            problems.push(format!(
                "port {port} is used twice; choose another with {other} or {option}"
            ));
        } else if let Err(error) = ports::check(address, option) {
            problems.push(error.to_string());
        }
        seen.push((address, option));
    }
    if !problems.is_empty() {
        bail!(problems.join("\n       "));
    }
    Ok(())
}

/// Returns the file that `option` names, or the shipped file, and whether it is the shipped file.
fn configuration(given: Option<&Path>, shipped: &str, option: &str) -> Result<(PathBuf, bool)> {
    let shipped = workspace_root().join(shipped);
    let Some(given) = given else {
        return Ok((shipped, true));
    };
    let path = given
        .canonicalize()
        .with_context(|| format!("{option}: cannot read {}", given.display()))?;
    let same = shipped.canonicalize().is_ok_and(|shipped| shipped == path);
    Ok((path, same))
}

/// Shows the output of the processes until `address` responds with 200 to `path`.
fn wait_until_ready(
    processes: &mut Processes,
    name: &str,
    address: SocketAddr,
    path: &str,
) -> Result<State> {
    let started = Instant::now();
    let mut said = false;
    loop {
        if processes.watch()? == State::Interrupted {
            return Ok(State::Interrupted);
        }
        let reason = match check_status_200(address, path) {
            Ok(()) => return Ok(State::Running),
            Err(NotReady::Mistake(reason)) => bail!("{name}: {reason}"),
            Err(NotReady::NotYet(reason)) => reason,
        };
        let waited = started.elapsed();
        if waited > READY_TIMEOUT {
            bail!("{name} was not ready within {READY_TIMEOUT:?}: {reason:#}");
        }
        if waited > WAIT_NOTICE_DELAY && !said {
            say(format_args!("{name} is not ready yet: {reason:#}"));
            said = true;
        }
    }
}

fn not_ready_with(file: &Path) -> String {
    format!("not started with {}", crate::display(file))
}

/// The reason why a process is not ready.
enum NotReady {
    /// The process may become ready.
    NotYet(anyhow::Error),
    /// The process reports a mistake that the user has to correct.
    Mistake(String),
}

/// Checks that a server that `up` has started responds with 200 to `path`.
fn check_status_200(address: SocketAddr, path: &str) -> Result<(), NotReady> {
    let (status, body) = ask(address, path).map_err(NotReady::NotYet)?;
    match status.as_str() {
        "HTTP/1.1 200 OK" => Ok(()),
        // The invoker is ready as soon as it listens, so waiting does not help.
        "HTTP/1.1 503 Service Unavailable" if path == INVOKER_READY => Err(NotReady::Mistake(body)),
        status => Err(NotReady::NotYet(anyhow!(
            "http://{address}{path}: {status}: {body}"
        ))),
    }
}

/// Returns the status line and the body of a response.
fn ask(address: SocketAddr, path: &str) -> Result<(String, String)> {
    let timeout = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&reachable(address), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.take(4096).read_to_string(&mut response)?;
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let status = response.lines().next().unwrap_or("an empty response");
    Ok((status.to_owned(), body.trim().to_owned()))
}

/// Returns the address on which to reach a server that listens on `address`. An unspecified address
/// becomes loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Returns `PATH` with `folder` as its first entry.
fn path_with(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders)
        .context("the path of the workspace's folder is not possible in PATH")
}
