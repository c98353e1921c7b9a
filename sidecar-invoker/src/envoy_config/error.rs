//! The errors of making and checking a configuration of Envoy.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::config::Listen;

/// The filter's file, as it is released.
pub(super) const FILTER: &str = "lambda_filter.wasm";

/// There is no configuration. The text is for the user: what is wrong, and the cure.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyConfigError {
    /// The invoker's configuration file has no routes.
    #[error(
        "{file}: has no `routes`; add one such as {{ host: orders.localhost, function: orders }}"
    )]
    NoRoutes {
        /// The file, as the user named it.
        file: String,
    },
    /// Envoy itself answers the paths of these routes.
    #[error("{}", taken(.source_file, .paths))]
    HealthPaths {
        /// The name of the configuration file.
        source_file: String,
        /// The routes' paths.
        paths: Vec<String>,
    },
    /// The invoker listens on a port that the operating system chooses.
    #[error("the invoker's address {0} has no fixed port; say with --invoker where it listens")]
    NoFixedPort(Listen),
    /// The program that the user named is none.
    #[error("--envoy {}: not an executable file", .0.display())]
    NotExecutable(PathBuf),
    /// There is no Envoy on this machine.
    #[error(
        "there is no `envoy` on PATH; install Envoy 1.36 or newer, or name one with --envoy PATH"
    )]
    NoEnvoy,
    /// Envoy cannot be run.
    #[error("{} cannot be asked: {error}", .envoy.display())]
    NotAsked {
        /// The program.
        envoy: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
    /// Envoy itself finds mistakes.
    #[error("{} refuses the configuration: {message}", .envoy.display())]
    Refused {
        /// The program.
        envoy: PathBuf,
        /// What it says.
        message: String,
    },
    /// The variable `LAMBDA_MESH_FILTER` is not text.
    #[error("LAMBDA_MESH_FILTER: {} is not UTF-8", .0.display())]
    FilterName(OsString),
    /// There is no file of the filter.
    #[error(
        "the filter, {FILTER}, is not beside this program; name it with --filter PATH or the \
         variable LAMBDA_MESH_FILTER"
    )]
    NoFilter,
}

/// One line for each path. The lines of the routes are not known, as a route may be one of a template
/// that was imported.
fn taken(source_file: &str, paths: &[String]) -> String {
    let line = |path: &String| {
        format!(
            "{source_file}: routes: Envoy itself answers {path}; give the route a `host`, or Envoy's \
             own paths a prefix with --health-prefix"
        )
    };
    paths.iter().map(line).collect::<Vec<_>>().join("\n")
}
