//! The variables that AWS sets but does not reserve, and those that only the runtime has.
//!
//! Source: "Defined runtime environment variables" in the AWS Lambda developer guide.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::locale;

/// The folders of programs on AWS.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The folders of the programs and of the libraries of layers.
const LAYER_PROGRAMS: &str = "/opt/bin";
const LAYER_LIBRARIES: &str = "/opt/lib";
/// The default address of the X-Ray daemon in AWS's SDKs. On AWS it is one of the service's own.
const XRAY_DAEMON: (&str, &str) = ("127.0.0.1", "2000");

/// Sets the variables that AWS calls unreserved, unless they are inherited.
pub(super) fn set_unreserved(variables: &mut BTreeMap<OsString, OsString>, directory: &Path) {
    let has = |variables: &BTreeMap<_, _>, name| variables.contains_key(OsStr::new(name));
    if !has(variables, "LANG") {
        variables.insert("LANG".into(), locale::default().into());
    }
    let path = variables.entry("PATH".into()).or_insert(PATH.into());
    let has_layers = std::env::split_paths(path).any(|folder| folder == Path::new(LAYER_PROGRAMS));
    if !has_layers {
        path.push(":");
        path.push(LAYER_PROGRAMS);
    }
    let libraries = [
        directory,
        &directory.join("lib"),
        Path::new(LAYER_LIBRARIES),
    ];
    if let (false, Ok(libraries)) = (
        has(variables, "LD_LIBRARY_PATH"),
        std::env::join_paths(libraries),
    ) {
        variables.insert("LD_LIBRARY_PATH".into(), libraries);
    }
    let mut set_default = |name: &str, value: String| {
        variables.entry(name.into()).or_insert(value.into());
    };
    set_default("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR".to_owned());
    let (host, port) = XRAY_DAEMON;
    set_default("AWS_XRAY_DAEMON_ADDRESS", format!("{host}:{port}"));
    let address = variables.get(OsStr::new("AWS_XRAY_DAEMON_ADDRESS"));
    let address = address.and_then(|address| address.to_str());
    // It may also name one address for TCP and one for UDP.
    let address = address.and_then(|address| address.rsplit_once(':'));
    if let Some((host, port)) = address.filter(|(host, _)| !host.contains([':', ' '])) {
        let (host, port) = (host.to_owned(), port.to_owned());
        for (name, value) in [
            ("_AWS_XRAY_DAEMON_ADDRESS", host),
            ("_AWS_XRAY_DAEMON_PORT", port),
        ] {
            variables.entry(name.into()).or_insert(value.into());
        }
    }
}

/// The variables of a function that its extensions do not have on AWS. They have
/// `AWS_LAMBDA_LOG_STREAM_NAME` here, by which all processes of an environment are found.
///
/// Source: "Using the Lambda Extensions API", the Runtime Interface Emulator.
const NOT_FOR_EXTENSIONS: [&str; 9] = [
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
];

/// Returns the variables of a function's extensions.
pub(crate) fn extension_variables(
    variables: &BTreeMap<OsString, OsString>,
) -> BTreeMap<OsString, OsString> {
    let mut variables = variables.clone();
    variables.retain(|name, _| NOT_FOR_EXTENSIONS.iter().all(|other| *other != name));
    variables
}
