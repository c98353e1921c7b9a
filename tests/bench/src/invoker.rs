//! The invoker as a program under measurement.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use bytes::Bytes;
use lambda_api::Operation;
use serde_json::{Map, Value, json};

use crate::process::{Placement, Process, free_address};

/// Returns an *Invoke* request.
pub fn invocation(function: &str, event: &[u8]) -> Bytes {
    let mut request = format!(
        "POST {} HTTP/1.1\r\nhost: lambda\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        Operation::Invoke.path(function),
        event.len()
    )
    .into_bytes();
    request.extend_from_slice(event);
    request.into()
}

/// Starts an invoker that signs, and forwards everything to `upstream`.
///
/// # Errors
/// The invoker does not start.
pub fn signing(
    program: &Path,
    name: &str,
    placement: Placement<'_>,
    upstream: SocketAddr,
) -> Result<(SocketAddr, Process)> {
    let aws = json!({ "region": "eu-central-1", "endpoint": format!("http://{upstream}") });
    start(
        program,
        name,
        placement,
        json!({ "aws": aws }),
        &[
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            (
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ),
        ],
    )
}

/// Starts an invoker with these keys in its configuration, on free ports unless they name others.
///
/// # Errors
/// The invoker does not start.
pub fn start(
    program: &Path,
    name: &str,
    placement: Placement<'_>,
    keys: Value,
    variables: &[(&str, &str)],
) -> Result<(SocketAddr, Process)> {
    let listen = free_address()?;
    let mut config = Map::from_iter([
        ("listen".to_owned(), Value::from(listen.to_string())),
        ("admin".to_owned(), free_address()?.to_string().into()),
    ]);
    if let Value::Object(keys) = keys {
        config.extend(keys);
    }
    let config = Value::Object(config);
    let file = placement.folder.join(format!("{name}.yaml"));
    // All JSON is YAML.
    std::fs::write(&file, config.to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(program);
    command
        .args(["serve", "--config"])
        .arg(&file)
        .envs(variables.iter().copied())
        .env("RUST_LOG", "warn");
    let mut process = Process::start(name, &mut command, placement)?;
    process.wait_until(|| TcpStream::connect(listen).is_ok())?;
    Ok((listen, process))
}
