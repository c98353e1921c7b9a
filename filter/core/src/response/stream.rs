//! A streamed response as it arrives: its status, its headers, and the bytes of its body.
//!
//! A function that sends an HTTP response sends a prelude of JSON, eight NULs, and the body. The content type
//! of its payload says so. Some upstreams send that type as the type of their own response, as in botocore's
//! model. Others send the type of the event stream; in that case the beginning of the payload decides.
//!
//! A payload without a prelude is the body of a 200, as behind a Function URL. A payload that is a single
//! JSON value is not a stream: it is decoded by the contract of the format.

use lambda_api::event_stream::{
    self, End, HTTP_PRELUDE_DELIMITER, HTTP_RESPONSE_CONTENT_TYPE, Reader,
};
use lambda_api::headers::FUNCTION_CONTENT_TYPE;
use lambda_api::limits::MAX_PAYLOAD_BYTES;

use super::contract::{self, BYTES};
use super::decode::decode;
use super::http_response::{HttpResponse, has_content};
use super::invoke_complete;
use super::invoke_response::InvokeResponse;
use super::payload::FunctionPayload;
use super::prelude::{PreludeMatch, PreludeScanner};
use crate::config::Config;
use crate::config::values::Response;
use crate::error::Error;
use crate::request::HeaderMap;
use crate::request::header_map::{essence, first, text};

/// The longest prelude, with room for all headers that a response may have. API Gateway takes 16 KB.
const MAX_PRELUDE_BYTES: usize = 64 * 1024;

/// The form of a payload, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    WithPrelude,
    /// A payload that is the body.
    Bytes,
    /// A single JSON value, unless its beginning shows otherwise.
    Json,
    /// A form that is decided by the beginning of the payload.
    Unknown,
}

/// A streamed response that the client does not have yet, or has only in part.
#[derive(Debug)]
pub struct StreamedResponse {
    reader: Reader,
    /// True if the upstream's response is known to be an event stream.
    is_framed: bool,
    form: Form,
    /// The content type of a body without a prelude.
    media_type: String,
    scanner: PreludeScanner,
    /// The payload so far, until the client gets its first part.
    held: Vec<u8>,
    /// The response if it is sent as a whole, and whether it includes a body.
    whole: Option<(HttpResponse, bool)>,
}

impl StreamedResponse {
    /// Returns a response of which only the upstream's headers have arrived.
    #[must_use]
    pub fn new(headers: &HeaderMap, config: &Config) -> Self {
        let own = text(first(headers, "content-type").unwrap_or_default());
        let is_framed = essence(&own) == event_stream::CONTENT_TYPE;
        let given = first(headers, FUNCTION_CONTENT_TYPE).map_or(own, text);
        let kind = essence(&given);
        let form = match kind.as_str() {
            _ if config.response == Response::Raw => Form::Bytes,
            HTTP_RESPONSE_CONTENT_TYPE => Form::WithPrelude,
            "" | event_stream::CONTENT_TYPE => Form::Unknown,
            "application/json" => Form::Json,
            _ => Form::Bytes,
        };
        let media_type = match kind.as_str() {
            "" | event_stream::CONTENT_TYPE | HTTP_RESPONSE_CONTENT_TYPE => BYTES.to_owned(),
            _ => given.into_owned(),
        };
        Self {
            reader: Reader::new(),
            is_framed,
            form,
            media_type,
            scanner: PreludeScanner::new(),
            held: Vec::new(),
            whole: None,
        }
    }

    /// Returns whether the upstream's response is an event stream, judging by its first bytes. Returns `None`
    /// if there are too few. Emulators do not stream.
    pub fn is_framed(&mut self, bytes: &[u8]) -> Option<bool> {
        if !self.is_framed {
            self.is_framed = event_stream::begins_message(bytes)?;
        }
        Some(self.is_framed)
    }

    /// Takes the next bytes and leaves only those of the body.
    ///
    /// # Errors
    /// The function has failed, or the stream is broken.
    pub fn next(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let end = self.reader.read(bytes);
        match end.map_err(|error| Error::Stream(error.to_string()))? {
            None => Ok(()),
            Some(End::Complete(payload)) => match invoke_complete::function_error(&payload)? {
                None => Ok(()),
                Some(payload) => Err(Error::Function { payload }),
            },
            Some(End::Exception(kind)) => Err(Error::Service {
                status: 500,
                kind,
                retry_after: None,
            }),
        }
    }

    /// Checks that the function has sent everything. Only then may the response end.
    ///
    /// # Errors
    /// [`Error::Stream`].
    pub fn complete(&self) -> Result<(), Error> {
        if self.reader.has_ended() {
            Ok(())
        } else {
            Err(Error::Stream("it ends without InvokeComplete".to_owned()))
        }
    }

    /// Takes the next bytes while nothing has been sent to the client. Returns the response, with the body so
    /// far, as soon as status and headers are known.
    ///
    /// # Errors
    /// Those of [`Self::next`], and [`Error::InvalidResponse`].
    pub fn start(&mut self, mut bytes: Vec<u8>) -> Result<Option<HttpResponse>, Error> {
        self.next(&mut bytes)?;
        if let Some((response, has_body)) = &mut self.whole {
            if *has_body {
                response.body.append(&mut bytes);
            }
            if response.body.len() > MAX_PAYLOAD_BYTES {
                let what = format!("it is larger than {MAX_PAYLOAD_BYTES} bytes");
                return Err(Error::InvalidResponse(what));
            }
            return Ok(None);
        }
        if self.held.is_empty() {
            self.held = bytes;
        } else {
            self.held.append(&mut bytes);
        }
        if self.held.is_empty() {
            return Ok(None);
        }
        if self.form == Form::Bytes {
            return Ok(Some(self.bytes()));
        }
        let is_required = self.form == Form::WithPrelude;
        match self.scanner.scan(&self.held) {
            PreludeMatch::Prelude(end) => self.prelude(end).map(Some),
            PreludeMatch::Undecided if is_required && self.held.len() > MAX_PRELUDE_BYTES => {
                Err(Error::InvalidResponse(format!(
                    "its prelude is longer than {MAX_PRELUDE_BYTES} bytes"
                )))
            }
            PreludeMatch::Undecided if self.held.len() <= MAX_PAYLOAD_BYTES => Ok(None),
            _ if is_required => Err(Error::InvalidResponse(
                "it does not begin with a prelude of JSON and eight NULs".to_owned(),
            )),
            _ => Ok(Some(self.bytes())),
        }
    }

    /// Holds the response until the stream has ended. Without `has_body` the body is dropped.
    pub(crate) fn hold(&mut self, mut response: HttpResponse, has_body: bool) {
        if !has_body {
            response.body = Vec::new();
        }
        self.whole = Some((response, has_body));
    }

    /// Returns the whole response of a stream that ended before anything was sent to the client. `last` holds
    /// the bytes that came with the end, `headers` the upstream's headers.
    ///
    /// # Errors
    /// Those of [`Self::start`] and of [`decode`].
    pub fn finish(
        &mut self,
        last: Vec<u8>,
        headers: &HeaderMap,
        config: &Config,
    ) -> Result<HttpResponse, Error> {
        let started = self.start(last)?;
        self.complete()?;
        let whole = || self.whole.take().map(|(response, _)| response);
        if let Some(response) = started.or_else(whole) {
            return Ok(response);
        }
        let is_object = self.held.trim_ascii_start().starts_with(b"{");
        match self.form {
            // The status of the response is in the prelude: without the prelude, a refusal would become a
            // success.
            Form::WithPrelude if self.held.is_empty() => Err(Error::InvalidResponse(
                "it ends without its prelude, which has the status and the headers".to_owned(),
            )),
            Form::WithPrelude => Err(Error::InvalidResponse(
                "it ends within its prelude".to_owned(),
            )),
            _ if self.held.is_empty() => Ok(HttpResponse {
                status: 200,
                headers: Vec::new(),
                body: Vec::new(),
                declared_length: None,
            }),
            Form::Unknown if !is_object && FunctionPayload::parse(&self.held).is_err() => {
                Ok(self.bytes())
            }
            _ => {
                let body = &self.held;
                decode(&InvokeResponse { headers, body }, config)
            }
        }
    }

    /// Returns the response that a prelude describes. The prelude ends, with its delimiter, at `end`.
    fn prelude(&mut self, end: usize) -> Result<HttpResponse, Error> {
        let body = self.held.split_off(end);
        let json = self
            .held
            .get(..end - HTTP_PRELUDE_DELIMITER.len())
            .unwrap_or_default();
        let prelude = FunctionPayload::parse(json);
        let prelude =
            prelude.map_err(|error| Error::InvalidResponse(format!("its prelude: {error}")))?;
        let mut response = contract::prelude(prelude)?;
        if has_content(response.status) {
            response.body = body;
        }
        self.held = Vec::new();
        Ok(response)
    }

    /// Returns the response whose body is the payload.
    fn bytes(&mut self) -> HttpResponse {
        HttpResponse {
            status: 200,
            headers: vec![("content-type".to_owned(), self.media_type.clone())],
            body: std::mem::take(&mut self.held),
            declared_length: None,
        }
    }
}
