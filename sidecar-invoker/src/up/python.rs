//! The Python that runs functions, for a user who has not installed AWS's client.

use std::process::{Command, Stdio};

use crate::config::{BackendConfig, Config};
use crate::envoy_config::installed_file;

/// The name of an interpreter, and AWS's client for the Runtime API.
const PYTHON: &str = "python3";
const CLIENT: &str = "awslambdaric";
/// A program that fails if the client is missing.
const PROBE: &str =
    "import importlib.util, sys; sys.exit(importlib.util.find_spec('awslambdaric') is None)";

/// Has functions run with the Python that is installed with this program, if that on `PATH` does not have
/// AWS's client.
pub(super) fn choose(config: &mut Config) {
    let Some(own) = installed_file(PYTHON) else {
        return;
    };
    let functions = config.functions.values_mut();
    let locals = functions.filter_map(|function| match &mut function.backend {
        BackendConfig::Local(local) => Some(local),
        _ => None,
    });
    let mut in_python: Vec<_> = locals
        .filter(|local| {
            let arguments = local.arguments.iter().map(String::as_str);
            local.program == PYTHON && arguments.take(2).eq(["-m", CLIENT])
        })
        .collect();
    if in_python.is_empty() || has_client(PYTHON.as_ref()) || !has_client(&own) {
        return;
    }
    tracing::info!(
        "{PYTHON} on PATH has no {CLIENT}, so functions in Python run with {}",
        own.display()
    );
    for local in &mut in_python {
        local.program = own.display().to_string();
    }
}

fn has_client(python: &std::path::Path) -> bool {
    let probe = Command::new(python)
        .args(["-c", PROBE])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}
