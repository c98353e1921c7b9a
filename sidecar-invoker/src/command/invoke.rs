//! `sidecar-invoker invoke`: invokes a function once.

use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::header::HeaderValue;
use serde_json::{Map, Value};

use super::error::CommandError;
use super::event::{Event, EventArgs, make};
use super::log;
use super::setup;
use super::signals::Signals;
use crate::client::answer::Decoder;
use crate::client::call::{Call, Mode};
use crate::client::event::FilterKeys;
use crate::client::output::Output;
use crate::client::place::Place;
use crate::config::Config;
use crate::server::{FunctionOutput, Options};
use lambda_api::{AddressError, FunctionReference, Qualifier};

/// The arguments of `invoke`.
#[derive(clap::Args)]
pub(super) struct InvokeArgs {
    /// The name or ARN of the function
    #[arg(required_unless_present = "list_samples")]
    function: Option<FunctionReference>,
    #[command(flatten)]
    event: EventArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    mode: ModeArgs,
    /// The alias or version to invoke
    #[arg(long, value_name = "QUALIFIER")]
    qualifier: Option<Qualifier>,
    /// The client context, a JSON object
    #[arg(long, value_name = "JSON", value_parser = client_context)]
    client_context: Option<HeaderValue>,
    /// The tenant, for a function that isolates tenants
    #[arg(long, value_name = "ID", value_parser = tenant)]
    tenant: Option<HeaderValue>,
    /// Print the function's payload, and not the response that a client of Envoy would get
    #[arg(long)]
    raw: bool,
}

/// The options for the place of the invocation.
#[derive(clap::Args)]
#[command(next_help_heading = "Place")]
struct PlaceArgs {
    /// The running invoker, http://HOST:PORT or unix:///PATH [default: that of --config, which is started
    /// for this call if it does not run, or http://127.0.0.1:9090]; with --remote, the endpoint
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Start the function for this call even if an invoker runs
    #[arg(long, requires = "config", conflicts_with_all = ["url", "remote"])]
    start: bool,
    /// Invoke the function on AWS, with the credentials of the AWS SDK
    #[arg(long)]
    remote: bool,
    /// The region on AWS [default: that of the AWS SDK]
    #[arg(long, value_name = "REGION", requires = "remote")]
    region: Option<String>,
    /// The role to assume on AWS
    #[arg(long, value_name = "ARN", requires = "remote")]
    role_arn: Option<String>,
}

/// The options for the way of the invocation.
#[derive(clap::Args)]
#[command(next_help_heading = "Invocation")]
#[group(multiple = false)]
struct ModeArgs {
    /// Print the response as it comes
    #[arg(long)]
    stream: bool,
    /// Queue the event, and do not wait for the function
    #[arg(long)]
    r#async: bool,
    /// Ask whether the function could be invoked, and do not run it
    #[arg(long)]
    dry_run: bool,
}

impl ModeArgs {
    /// Returns the mode that the user names, if any.
    fn mode(&self) -> Option<Mode> {
        let modes = [
            (self.stream, Mode::Stream),
            (self.r#async, Mode::Async),
            (self.dry_run, Mode::DryRun),
        ];
        let mut modes = modes.into_iter();
        modes.find_map(|(is_set, mode)| is_set.then_some(mode))
    }
}

/// The error for an option that is not valid.
#[derive(Debug, thiserror::Error)]
enum OptionError {
    #[error("expected a JSON object: {0}")]
    ClientContext(serde_json::Error),
    #[error("expected visible characters")]
    Tenant,
    /// A signal ended the invocation.
    #[error("interrupted")]
    Interrupted,
}

/// Reads a client context, and returns it in base64.
fn client_context(text: &str) -> Result<HeaderValue, OptionError> {
    serde_json::from_str::<Map<String, Value>>(text).map_err(OptionError::ClientContext)?;
    // Base64 is a valid header.
    HeaderValue::try_from(BASE64_STANDARD.encode(text)).map_err(|_| OptionError::Tenant)
}

fn tenant(text: &str) -> Result<HeaderValue, OptionError> {
    let value = HeaderValue::try_from(text).ok();
    value
        .filter(|value| value.to_str().is_ok())
        .ok_or(OptionError::Tenant)
}

/// Invokes the function, prints its response, and reports about the invocation on standard error.
pub(super) fn run(args: InvokeArgs) -> Result<ExitCode, CommandError> {
    let mut output = Output::open().map_err(CommandError::stdout)?;
    let Some(reference) = &args.function else {
        let list = args.event.list().unwrap_or_default();
        output
            .piece(list.as_bytes())
            .map_err(CommandError::stdout)?;
        return Ok(ExitCode::SUCCESS);
    };
    let (function, qualifier) = qualified(reference, args.qualifier.clone())?;
    let mode = args.mode.mode();
    let config = args.event.load()?;
    let Event {
        bytes,
        keys,
        is_head,
    } = make(
        (&args.event, &function),
        mode,
        config.as_ref(),
        SystemTime::now,
    )?;
    let own_mode = keys.as_ref().and_then(FilterKeys::mode);
    let mode = mode.or(own_mode).unwrap_or_default();
    let keys = keys.filter(|_| !args.raw);
    let is_http = keys.as_ref().is_some_and(FilterKeys::is_http);
    let keys = keys
        .filter(|_| is_http)
        .unwrap_or_else(|| FilterKeys::raw(mode));
    let decoder = Decoder {
        config: keys
            .config(&function, Some(mode))
            .map_err(CommandError::usage)?,
        is_http,
        is_head,
        mode,
    };
    let call = Call {
        mode,
        function,
        qualifier,
        client_context: args.client_context,
        tenant_id: args.tenant,
        event: bytes.into(),
    };
    let _log = log::to_stderr_from("warn");
    setup::runtime()?.block_on(invoke((args.place, config), call, decoder, output))
}

/// Returns the function without its qualifier, and the qualifier.
fn qualified(
    reference: &FunctionReference,
    option: Option<Qualifier>,
) -> Result<(FunctionReference, Option<Qualifier>), CommandError> {
    let (function, qualifier) = reference.clone().split_qualifier();
    match (&qualifier, &option) {
        (Some(one), Some(other)) if one != other => {
            Err(CommandError::usage(AddressError::QualifierMismatch))
        }
        _ => Ok((function, option.or(qualifier))),
    }
}

async fn invoke(
    (place, config): (PlaceArgs, Option<Config>),
    call: Call,
    decoder: Decoder,
    mut output: Output,
) -> Result<ExitCode, CommandError> {
    let mut signals = Signals::new().map_err(CommandError::failed)?;
    let place = place.choose(config, &call.function).await?;
    eprintln!("invoking {} on {place}", call.function);
    let logs_itself = matches!(place, Place::OneCall(_));
    if logs_itself {
        // The lines of the function come first. A streamed response does not wait for them.
        if call.mode != Mode::Stream {
            output.hold();
        }
    }
    let options = Options {
        // The standard output is for the payload.
        output: FunctionOutput::Stderr,
        ..setup::server_options()?
    };
    let connection = tokio::select! {
        opened = place.open(options) => opened.map_err(CommandError::failed)?,
        _ = signals.recv() => return Err(CommandError::failed(OptionError::Interrupted)),
    };
    let begin = Instant::now();
    let shown = async {
        let response = connection.invoke(call).await;
        let response = response.map_err(CommandError::failed)?;
        let shown = decoder.show(response, &mut output).await;
        shown.map_err(CommandError::failed)
    };
    let shown = tokio::select! {
        shown = shown => shown,
        _ = signals.recv() => Err(CommandError::failed(OptionError::Interrupted)),
    };
    let total = begin.elapsed();
    connection.close().await;
    output.release().map_err(CommandError::stdout)?;
    let report = shown?;
    // The invoker in this process has logged the lines already.
    if !logs_itself {
        eprint!("{}", report.log_text());
    }
    eprint!("{}", report.lines(total));
    match report.failure {
        Some(failure) => Err(CommandError::failed(failure)),
        None => Ok(ExitCode::SUCCESS),
    }
}

impl PlaceArgs {
    /// Returns the place of the invocation: AWS with --remote, the invoker at --url, that of --config or one
    /// for this call, and otherwise the invoker at the default address.
    async fn choose(
        self,
        config: Option<Config>,
        function: &FunctionReference,
    ) -> Result<Place, CommandError> {
        let url = self.url.as_deref();
        if self.remote {
            let (region, role_arn) = (self.region.as_deref(), self.role_arn.as_deref());
            return Place::remote(region, url, role_arn).map_err(CommandError::usage);
        }
        match (url, config) {
            (Some(url), _) => Place::at(url).map_err(CommandError::usage),
            (None, None) => Place::default_invoker().await.map_err(CommandError::failed),
            (None, Some(config)) => {
                let place = Place::of_config(config, function, self.start).await;
                place.map_err(CommandError::usage)
            }
        }
    }
}
