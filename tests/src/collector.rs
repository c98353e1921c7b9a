//! A real OpenTelemetry collector, which writes the traces that it receives to a file.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::endpoint::free_address;
use crate::process::Process;
use crate::shared::Component;

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    /// The address of OTLP/HTTP.
    pub address: SocketAddr,
    process: Process,
    folder: TempDir,
}

/// A span that a collector has received.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The program.
    pub service: String,
    /// The name.
    pub name: String,
    /// The id of the trace, in hexadecimal digits.
    pub trace_id: String,
    /// The id.
    pub id: String,
    /// The id of the span above, or an empty text.
    pub parent: String,
    /// The `tracestate`.
    pub state: String,
    /// The times of its beginning and end, in nanoseconds since 1970.
    pub time: (u64, u64),
    /// The attributes whose values are texts.
    pub attributes: Vec<(String, String)>,
}

impl Collector {
    /// Starts a collector. If it cannot be built on this machine, it records that the test `name` is skipped, and
    /// returns `None`.
    pub fn start(name: &str) -> Option<Self> {
        Self::with(name, &json!({}))
    }

    /// Starts a collector that speaks TLS, with a certificate of [`certificates`](crate::aws::certificates).
    pub fn start_with_tls(name: &str) -> Option<Self> {
        let folder = xtask::workspace_root().join("tests/fixtures/tls");
        let tls = json!({
            "cert_file": folder.join("server.pem"),
            "key_file": folder.join("server.key"),
        });
        Self::with(name, &json!({ "tls": tls }))
    }

    fn with(name: &str, http: &Value) -> Option<Self> {
        let binary = match xtask::collector::binary() {
            Ok(binary) => binary,
            Err(error) => {
                xtask::skip(name, &format!("{error:#}"));
                return None;
            }
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = free_address();
        let mut http = http.clone();
        http["endpoint"] = address.to_string().into();
        let config = json!({
            "receivers": { "otlp": { "protocols": { "http": http } } },
            "exporters": { "file": {
                "path": folder.path().join("traces.jsonl"),
                "flush_interval": "50ms",
            } },
            "service": {
                "telemetry": { "metrics": { "level": "none" } },
                "pipelines": { "traces": { "receivers": ["otlp"], "exporters": ["file"] } },
            },
        });
        let file = folder.path().join("collector.yaml");
        // JSON is YAML.
        fs::write(&file, config.to_string()).expect("a file in a temporary folder");
        let mut command = Command::new(binary);
        command.arg(format!("--config=file:{}", file.display()));
        let process = Process::start("the collector", &command);
        let ready = process.wait_until(|_| TcpStream::connect(address).ok());
        let (process, _) = ready.unwrap_or_else(|error| panic!("{error}"));
        Some(Self {
            address,
            process,
            folder,
        })
    }

    /// Returns the URL of OTLP/HTTP.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until a trace has this many spans, and returns them.
    pub fn wait_for(&self, trace_id: &str, count: usize) -> Vec<Span> {
        let mut last = Vec::new();
        crate::eventually("the trace is complete", || {
            let mut spans = self.spans();
            spans.retain(|span| span.trace_id == trace_id);
            if spans != last {
                // The output of a test is only shown if it fails.
                println!("{spans:#?}");
                last.clone_from(&spans);
            }
            (spans.len() >= count).then_some(spans)
        })
    }

    /// Returns the spans so far.
    pub fn spans(&self) -> Vec<Span> {
        let text = fs::read_to_string(self.folder.path().join("traces.jsonl"));
        let text = text.unwrap_or_default();
        // The last line may not be whole.
        let messages = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        messages
            .flat_map(|message: Value| spans(&message))
            .collect()
    }
}

/// Returns the spans of a message.
fn spans(message: &Value) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource in items(&message["resourceSpans"]) {
        let service = texts(&resource["resource"]["attributes"]);
        let service = service.into_iter().find(|(name, _)| name == "service.name");
        let service = service.map(|(_, name)| name).unwrap_or_default();
        for scope in items(&resource["scopeSpans"]) {
            spans.extend(
                items(&scope["spans"])
                    .iter()
                    .map(|span| span_of(span, &service)),
            );
        }
    }
    spans
}

fn span_of(span: &Value, service: &str) -> Span {
    let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
    let time = |name: &str| text(name).parse().expect("nanoseconds");
    Span {
        service: service.to_owned(),
        name: text("name"),
        trace_id: text("traceId"),
        id: text("spanId"),
        parent: text("parentSpanId"),
        state: text("traceState"),
        time: (time("startTimeUnixNano"), time("endTimeUnixNano")),
        attributes: texts(&span["attributes"]),
    }
}

/// Returns the attributes whose values are texts.
fn texts(attributes: &Value) -> Vec<(String, String)> {
    let text = |attribute: &Value| {
        let value = attribute["value"]["stringValue"].as_str()?;
        Some((attribute["key"].as_str()?.to_owned(), value.to_owned()))
    };
    items(attributes).iter().filter_map(text).collect()
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Component for Collector {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        self.process.alive()
    }
}
