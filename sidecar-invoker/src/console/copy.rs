//! An invocation as a command to paste.

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine};
use lambda_api::{InvocationType, Operation};
use lambda_filter_core::ReportedRequest;

use crate::recorder::Record;

/// The largest body or event in a command. A shell takes no longer argument (Linux: 128 KiB).
const MAX_ARGUMENT_BYTES: usize = 100 << 10;

/// The headers that curl or Envoy sets itself.
const IMPLIED: [&str; 6] = [
    "content-length",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-request-id",
    "x-amzn-trace-id",
];

/// Returns the request as a command of curl, if its body is not too large for one.
pub(super) fn curl(request: &ReportedRequest, body: &[u8]) -> Option<String> {
    if body.len() > MAX_ARGUMENT_BYTES {
        return None;
    }
    let method = request.header(":method")?;
    let scheme = request
        .header(":scheme")
        .unwrap_or_else(|| "http".to_owned());
    let authority = request.header(":authority")?;
    let path = request.header(":path")?;
    let mut command = String::from("curl -i");
    match method.as_str() {
        "HEAD" => command.push_str(" --head"),
        "GET" if body.is_empty() => {}
        method => command.push_str(&format!(" -X {}", quoted(method))),
    }
    let url = format!("{scheme}://{authority}{path}");
    // Writing to a string cannot fail.
    let _ = write!(command, " {}", quoted(&url));
    for (name, value) in &request.headers {
        if name.starts_with(':') || IMPLIED.contains(&name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value);
        let header = match value.as_ref() {
            "" => format!("{name};"),
            value => format!("{name}: {value}"),
        };
        let _ = write!(command, " \\\n  -H {}", quoted(&header));
    }
    if body.is_empty() {
        return Some(command);
    }
    match std::str::from_utf8(body) {
        Ok(text) if !text.contains('\0') => {
            let text = match text.starts_with('@') {
                // curl would read a file.
                true => return Some(piped(&command, body)),
                false => quoted(text),
            };
            let _ = write!(command, " \\\n  --data-binary {text}");
            Some(command)
        }
        _ => Some(piped(&command, body)),
    }
}

fn piped(command: &str, body: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(body);
    format!("echo {body} | base64 -d | {command} \\\n  --data-binary @-")
}

/// Returns the invocation as a command of this program.
pub(super) fn command(record: &Record, event: &[u8]) -> Option<String> {
    let event = std::str::from_utf8(event).ok()?;
    if event.len() > MAX_ARGUMENT_BYTES {
        return None;
    }
    let mut command = format!(
        "sidecar-invoker invoke {}",
        quoted(record.address.function.as_str())
    );
    if let Some(qualifier) = &record.address.qualifier {
        let _ = write!(command, " --qualifier {}", quoted(qualifier.as_str()));
    }
    let mode = match (record.operation, record.invocation_type) {
        (Operation::InvokeWithResponseStream, _) => " --stream",
        (_, InvocationType::Event) => " --async",
        (_, InvocationType::DryRun) => " --dry-run",
        _ => "",
    };
    let _ = write!(command, "{mode} --raw \\\n  --event {}", quoted(event));
    Some(command)
}

/// Returns a text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> ReportedRequest {
        let line = [
            (":method", method),
            (":scheme", "https"),
            (":authority", "api.test:8443"),
            (":path", "/a?b=1&c='x'"),
        ];
        let headers = line.iter().chain(headers);
        let headers = headers.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        ReportedRequest::unknown("f", "request-response").with_headers(headers.collect(), 0)
    }

    #[test]
    fn a_request_is_a_command_of_curl() {
        let get = request(
            "GET",
            &[("accept", "*/*"), ("x-request-id", "1"), ("x-empty", "")],
        );
        assert_eq!(
            curl(&get, b"").unwrap(),
            "curl -i 'https://api.test:8443/a?b=1&c='\\''x'\\''' \\\n  -H 'accept: */*' \\\n  -H 'x-empty;'"
        );
        let post = request("POST", &[("content-length", "3")]);
        assert!(
            curl(&post, b"a'b")
                .unwrap()
                .ends_with(" \\\n  --data-binary 'a'\\''b'")
        );
        assert!(
            curl(&post, b"@file")
                .unwrap()
                .starts_with("echo QGZpbGU= | base64 -d | curl -i -X POST ")
        );
        assert!(curl(&post, b"\xff").unwrap().starts_with("echo /w== | "));
        assert_eq!(curl(&post, &vec![b'a'; MAX_ARGUMENT_BYTES + 1]), None);
        assert!(
            curl(&request("HEAD", &[]), b"")
                .unwrap()
                .starts_with("curl -i --head ")
        );
    }
}
