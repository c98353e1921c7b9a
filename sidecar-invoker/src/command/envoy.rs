//! The options of subcommands that start Envoy.

use std::ffi::OsString;
use std::path::PathBuf;

use super::error::CommandError;
use crate::envoy_config::{Envoy, Filter, Host};

/// The Envoy to start, and its filter.
#[derive(clap::Args)]
pub(super) struct EnvoyArgs {
    /// The Envoy to start [default: the one that is installed with this program, or `envoy` on PATH]
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// The host of the filter: the native module needs Envoy 1.40
    #[arg(long, default_value = "auto")]
    host: Host,
    /// The file of the filter [default: $LAMBDA_MESH_FILTER, or the one that is installed with this program]
    #[arg(long, value_name = "PATH")]
    filter: Option<String>,
    /// Arguments for Envoy, such as `--concurrency 2`
    #[arg(last = true, value_name = "ENVOY_ARGUMENTS")]
    pub(super) arguments: Vec<OsString>,
}

impl EnvoyArgs {
    /// Finds Envoy and the filter that it can run.
    pub(super) fn find(&self) -> Result<(Envoy, Filter), CommandError> {
        let envoy = Envoy::find(self.envoy.as_deref()).map_err(CommandError::failed)?;
        // An Envoy of one's own may have no number; then the user chooses the host.
        if self.host == Host::Auto {
            envoy.check_version().map_err(CommandError::failed)?;
        }
        let filter = Filter::find(self.filter.clone(), Some(self.host), Some(&envoy));
        Ok((envoy, filter.map_err(CommandError::failed)?))
    }
}
