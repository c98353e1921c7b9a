//! `sidecar-invoker event`: makes the event of a function, from a request, a sample, or a text.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use hyper::Method;
use hyper::http::uri::PathAndQuery;
use lambda_filter_core::config::Problems;

use super::error::CommandError;
use super::setup::{self, ImportArgs};
use crate::client::call::Mode;
use crate::client::event::{ClientHeader, ClientRequest, FilterKeys};
use crate::client::output::Output;
use crate::client::route;
use crate::client::samples::{self, Origin, SampleError, Setting, Values};
use crate::config::Config;
use crate::config::yaml::scalar::printable;
use crate::invoke_api::json::{self, JsonError};
use lambda_api::FunctionReference;

/// The arguments of `event`.
#[derive(clap::Args)]
pub(super) struct EventCommand {
    /// The function, whose region some events name
    #[arg(default_value = "function")]
    function: FunctionReference,
    #[command(flatten)]
    event: EventArgs,
}

/// The options for an event. Without any of them, the event is `{}`.
#[derive(clap::Args)]
#[command(next_help_heading = "Event")]
pub(super) struct EventArgs {
    /// The event: JSON, the name of a file, or - for standard input
    #[arg(long, value_name = "JSON|FILE|-")]
    event: Option<String>,
    /// A sample event of an AWS service; --list-samples lists them
    #[arg(long, value_name = "NAME", conflicts_with = "event")]
    sample: Option<String>,
    /// The value of a field of the sample; can be repeated
    #[arg(long, value_name = "FIELD=VALUE", requires = "sample")]
    set: Vec<Setting>,
    /// List the samples with their fields
    #[arg(long, visible_alias = "list", exclusive = true)]
    list_samples: bool,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// The configuration file, if there is one.
#[derive(clap::Args)]
#[command(next_help_heading = "Configuration")]
struct ConfigArgs {
    /// The invoker.yaml, whose invoker is called, and whose routes have the formats of events
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    config: Option<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
}

/// The request that the event is made from, with the options of curl.
#[derive(clap::Args)]
#[command(next_help_heading = "Event of a request")]
#[group(multiple = true, conflicts_with_all = ["event", "sample"])]
struct RequestArgs {
    /// The body of the request: a text, @FILE, or @- for standard input. Several are joined by &
    #[arg(short, long, value_name = "DATA")]
    data: Vec<String>,
    /// A header of the request, `Name: value`; can be repeated
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<ClientHeader>,
    /// The method of the request [default: GET, or POST with --data]
    #[arg(short = 'X', long, value_name = "METHOD")]
    request: Option<Method>,
    /// The path of the request, with its query [default: /]
    #[arg(long, value_name = "PATH", value_parser = path)]
    path: Option<PathAndQuery>,
    /// The host that the request names [default: that of the route, or localhost]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The format of the event, as the filter's key `payload` [default: that of the route, or
    /// apigateway-v2]
    #[arg(long, value_name = "FORMAT")]
    payload: Option<String>,
    /// Another key of the filter's configuration, such as stage=dev; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<Setting>,
}

/// The error for an event that cannot be made. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
enum EventError {
    /// A file or the standard input cannot be read.
    #[error("{option} {name}: cannot be read: {error}; {cure}")]
    Unreadable {
        option: &'static str,
        name: String,
        error: io::Error,
        cure: &'static str,
    },
    /// The event is not JSON.
    #[error("--event {name}: the event is not JSON: {error}")]
    NotJson { name: String, error: JsonError },
    /// The sample does not exist or has other fields.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A field of a request sample is not valid.
    #[error("--set {0}: expected {1}")]
    RequestField(&'static str, &'static str),
    /// The filter does not know a key or its value.
    #[error("--payload, --filter: {0}")]
    Filter(Problems),
    /// The key has an option of its own.
    #[error("--filter {0}: the key is set by the command itself; leave it out")]
    ReservedKey(String),
    /// The filter refuses the request.
    #[error("no event can be made of the request: {0}")]
    Request(lambda_filter_core::Error),
}

/// The error for a path that is not one.
#[derive(Debug, thiserror::Error)]
#[error("expected a path such as /orders?page=2, percent-encoded")]
struct NotPath;

fn path(text: &str) -> Result<PathAndQuery, NotPath> {
    let path = Some(text).filter(|text| text.starts_with('/') && !text.contains('#'));
    path.and_then(|text| text.parse().ok()).ok_or(NotPath)
}

/// The event of an invocation.
pub(super) struct Event {
    /// The event, which is JSON.
    pub(super) bytes: Vec<u8>,
    /// The filter's keys, if the event was made from a request.
    pub(super) keys: Option<FilterKeys>,
    /// The request has the method HEAD.
    pub(super) is_head: bool,
}

impl Event {
    fn of_text(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            keys: None,
            is_head: false,
        }
    }
}

/// Prints the event.
pub(super) fn run(args: &EventCommand) -> Result<ExitCode, CommandError> {
    let mut output = Output::open().map_err(CommandError::stdout)?;
    let mut bytes = match args.event.list() {
        Some(list) => list.into_bytes(),
        None => {
            let config = args.event.load()?;
            let event = (&args.event, &args.function);
            make(event, None, config.as_ref(), SystemTime::now)?.bytes
        }
    };
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    output.json(&bytes).map_err(CommandError::stdout)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the event that the options describe. `mode` is the mode of the options, if they name one.
///
/// # Errors
/// Returns an error for a mistake in the options, and if a file cannot be read.
pub(super) fn make(
    (args, function): (&EventArgs, &FunctionReference),
    mode: Option<Mode>,
    config: Option<&Config>,
    clock: fn() -> SystemTime,
) -> Result<Event, CommandError> {
    let made = if let Some(event) = &args.event {
        given(event).map(Event::of_text)
    } else if let Some(name) = &args.sample {
        args.of_sample(name, function, mode, clock)
    } else if args.request.is_given() {
        let request = args.request.request(function, config);
        request.and_then(|(request, keys)| of_request(&request, keys, function, mode, clock))
    } else {
        Ok(Event::of_text(b"{}".to_vec()))
    };
    made.map_err(CommandError::usage)
}

impl EventArgs {
    /// Returns the list of samples, if the user asks for it.
    pub(super) fn list(&self) -> Option<String> {
        self.list_samples.then(samples::list)
    }

    /// Returns the configuration, if the user names a file.
    ///
    /// # Errors
    /// Every mistake in the file.
    pub(super) fn load(&self) -> Result<Option<Config>, CommandError> {
        let ConfigArgs { config, import } = &self.config;
        let config = config.as_ref().map(|file| import.load(file)).transpose()?;
        if let Some(config) = &config {
            setup::print_warnings(config);
        }
        Ok(config)
    }

    fn of_sample(
        &self,
        name: &str,
        function: &FunctionReference,
        mode: Option<Mode>,
        clock: fn() -> SystemTime,
    ) -> Result<Event, EventError> {
        let sample = samples::find(name)?;
        let values = sample.values(&self.set)?;
        match sample.origin {
            Origin::Template(template) => {
                let event = samples::fill(template, &values);
                Ok(Event::of_text(event.into_bytes()))
            }
            Origin::Request(format) => {
                let mut keys = FilterKeys::default();
                keys.set("payload", format);
                of_request(&sample_request(&values)?, keys, function, mode, clock)
            }
        }
    }
}

impl RequestArgs {
    fn is_given(&self) -> bool {
        let texts = [&self.host, &self.payload];
        !self.data.is_empty()
            || !self.header.is_empty()
            || self.request.is_some()
            || self.path.is_some()
            || texts.iter().any(|text| text.is_some())
            || !self.filter.is_empty()
    }

    /// Returns the request and the filter's keys. Without keys in the options, they are those of the route
    /// that takes the request.
    fn request(
        &self,
        function: &FunctionReference,
        config: Option<&Config>,
    ) -> Result<(ClientRequest, FilterKeys), EventError> {
        let parts: Result<Vec<_>, _> = self.data.iter().map(|data| body(data)).collect();
        let default = match self.data.is_empty() {
            true => Method::GET,
            false => Method::POST,
        };
        let method = self.request.clone().unwrap_or(default);
        let path = self.path.clone().unwrap_or(PathAndQuery::from_static("/"));
        let config = config.filter(|_| self.payload.is_none() && self.filter.is_empty());
        let route = config.and_then(|config| {
            let host = self.host.as_deref();
            let route = route::find(config, function.name(), (&method, &path), host);
            let file = printable(&config.file);
            match route {
                Some(route) => eprintln!("the event is that of the route in {file}:{}", route.line),
                None => eprintln!("no route in {file} takes {method} {path} to {function}"),
            }
            route
        });
        let host = route.map(|route| route.host.as_str());
        let host = host
            .filter(|host| !host.contains('*'))
            .unwrap_or("localhost");
        let request = ClientRequest {
            method,
            path,
            host: self.host.clone().unwrap_or_else(|| host.to_owned()),
            headers: self.header.clone(),
            body: parts?.join(&b'&'),
        };
        let mut keys = route.map(FilterKeys::of_route).unwrap_or_default();
        for Setting { name, value } in &self.filter {
            if matches!(name.as_str(), "function" | "qualifier" | "invocation") {
                return Err(EventError::ReservedKey(name.clone()));
            }
            keys.set(name, value);
        }
        if let Some(format) = &self.payload {
            keys.set("payload", format);
        }
        Ok((request, keys))
    }
}

/// Returns the request of a sample.
fn sample_request(values: &Values) -> Result<ClientRequest, EventError> {
    let method = values.get("method").parse();
    let method = method.map_err(|_| EventError::RequestField("method", "a method such as GET"))?;
    let path = path(values.get("path"));
    let path =
        path.map_err(|_| EventError::RequestField("path", "a path such as /orders?page=2"))?;
    Ok(ClientRequest {
        method,
        path,
        host: values.get("host").to_owned(),
        headers: Vec::new(),
        body: values.get("body").as_bytes().to_vec(),
    })
}

fn of_request(
    request: &ClientRequest,
    keys: FilterKeys,
    function: &FunctionReference,
    mode: Option<Mode>,
    clock: fn() -> SystemTime,
) -> Result<Event, EventError> {
    let config = keys.config(function, mode).map_err(EventError::Filter)?;
    let bytes = request
        .encode(&keys, &config, clock())
        .map_err(EventError::Request)?;
    Ok(Event {
        bytes,
        keys: Some(keys),
        is_head: request.method == Method::HEAD,
    })
}

/// Returns the value of `--data`.
fn body(data: &str) -> Result<Vec<u8>, EventError> {
    match data.strip_prefix('@') {
        Some(name) => read(
            "--data",
            name,
            "give a text, @FILE, or @- for standard input",
        ),
        None => Ok(data.as_bytes().to_vec()),
    }
}

/// Returns the event that `--event` gives. A text that is JSON is the event itself.
fn given(text: &str) -> Result<Vec<u8>, EventError> {
    let not_json = |error| EventError::NotJson {
        name: text.to_owned(),
        error,
    };
    match json::check(text.as_bytes()) {
        Ok(()) => return Ok(text.as_bytes().to_vec()),
        Err(error) if text.starts_with(['{', '[', '"']) => return Err(not_json(error)),
        Err(_) => {}
    }
    let cure = "give JSON, the name of a file, or - for standard input";
    let bytes = read("--event", text, cure)?;
    json::check(&bytes).map_err(not_json)?;
    Ok(bytes)
}

/// Reads a file, or the standard input if the name is `-`.
fn read(option: &'static str, name: &str, cure: &'static str) -> Result<Vec<u8>, EventError> {
    let bytes = if name == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(Path::new(name))
    };
    bytes.map_err(|error| EventError::Unreadable {
        option,
        name: name.to_owned(),
        error,
        cure,
    })
}
