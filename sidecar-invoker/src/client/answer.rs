//! The response to an invocation, decoded by the filter's code.

use std::io;

use http_body_util::BodyExt;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use lambda_filter_core::Error;
use lambda_filter_core::config::Config;
use lambda_filter_core::response::{
    HttpResponse, InvokeResponse, StreamedResponse, decode, error_response,
};
use serde_json::Value;

use super::call::Mode;
use super::output::Output;
use super::report::{Report, decoded_log};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::failure::{function_failure, service_message};
use lambda_api::event_stream::{End, LOG_RESULT, Reader};

/// The way in which a response is shown.
pub(crate) struct Decoder {
    /// The configuration of the filter for this function.
    pub(crate) config: Config,
    /// Shows status, headers and body, as the filter's client would get them.
    pub(crate) is_http: bool,
    /// The request that the event was made from has the method HEAD, whose response has no body.
    pub(crate) is_head: bool,
    pub(crate) mode: Mode,
}

/// The error if a response cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The connection broke off.
    #[error("the response broke off: {0}")]
    BrokenOff(io::Error),
    /// The output is closed.
    #[error("standard output: {0}")]
    Output(io::Error),
}

/// The headers as the filter's code takes them.
type FilterHeaders = Vec<(String, Vec<u8>)>;

impl Decoder {
    /// Writes the response to `output` as it comes, and returns the report about it.
    ///
    /// # Errors
    /// Returns an error if the connection breaks off, or if the output is closed. Errors of the function and
    /// of Lambda are in the report.
    pub(crate) async fn show(
        &self,
        response: Response<ResponseBody>,
        output: &mut Output,
    ) -> Result<Report, AnswerError> {
        let (parts, body) = response.into_parts();
        let mut answer = Answer {
            decoder: self,
            headers: filter_headers(parts.status, &parts.headers),
            report: Report::of(parts.status, &parts.headers),
            output,
        };
        if self.mode == Mode::DryRun && parts.status == StatusCode::NO_CONTENT {
            return Ok(answer.report);
        }
        if self.mode == Mode::Stream && parts.status == StatusCode::OK {
            answer.stream(body).await?;
        } else {
            let body = body.collect().await.map_err(AnswerError::BrokenOff)?;
            answer.whole(&body.to_bytes())?;
        }
        Ok(answer.report)
    }
}

fn filter_headers(status: StatusCode, headers: &HeaderMap) -> FilterHeaders {
    let status = (":status".to_owned(), status.as_str().as_bytes().to_vec());
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    std::iter::once(status).chain(headers).collect()
}

/// A response on its way to the output.
struct Answer<'a> {
    decoder: &'a Decoder,
    headers: FilterHeaders,
    report: Report,
    output: &'a mut Output,
}

impl Answer<'_> {
    /// Shows a response that is whole.
    fn whole(&mut self, body: &[u8]) -> Result<(), AnswerError> {
        let response = InvokeResponse {
            headers: &self.headers,
            body,
        };
        match decode(&response, &self.decoder.config) {
            Ok(response) => self.show(&response),
            // Without a contract, a payload need not be JSON.
            Err(Error::InvalidResponse(_)) if !self.decoder.is_http => {
                self.output.json(body).map_err(AnswerError::Output)
            }
            Err(error) => self.fail(&error, body),
        }
    }

    /// Shows a response as it comes.
    async fn stream(&mut self, mut body: ResponseBody) -> Result<(), AnswerError> {
        let config = &self.decoder.config;
        let mut streamed = StreamedResponse::new(&self.headers, config);
        let mut end = Reader::new();
        let mut is_framed = false;
        let mut has_started = false;
        let mut bytes = Vec::new();
        let mut last = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(AnswerError::BrokenOff)?;
            bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
            if !is_framed {
                match streamed.is_framed(&bytes) {
                    None => continue,
                    Some(true) => is_framed = true,
                    // Emulators do not stream.
                    Some(false) => {
                        let rest = body.collect().await.map_err(AnswerError::BrokenOff)?;
                        bytes.extend_from_slice(&rest.to_bytes());
                        return self.whole(&bytes);
                    }
                }
            }
            if let Ok(Some(End::Complete(complete))) = end.read(&mut bytes.clone()) {
                self.report.log = log_result(&complete);
            }
            let mut piece = std::mem::take(&mut bytes);
            if has_started {
                match streamed.next(&mut piece) {
                    Ok(()) => self.output.piece(&piece).map_err(AnswerError::Output)?,
                    Err(error) => {
                        self.output.end(&last).map_err(AnswerError::Output)?;
                        self.report.failure = Some(error.to_string());
                        return Ok(());
                    }
                }
                last = piece;
                continue;
            }
            match streamed.start(piece) {
                Ok(None) => {}
                Ok(Some(response)) => {
                    has_started = true;
                    self.begin(&response)?;
                    last = response.body;
                }
                Err(error) => return self.fail(&error, &[]),
            }
        }
        if !is_framed {
            return self.whole(&bytes);
        }
        if !has_started {
            return match streamed.finish(Vec::new(), &self.headers, config) {
                Ok(response) => self.show(&response),
                Err(error) => self.fail(&error, &[]),
            };
        }
        self.output.end(&last).map_err(AnswerError::Output)?;
        self.report.failure = streamed.complete().err().map(|error| error.to_string());
        Ok(())
    }

    /// Shows a whole response.
    fn show(&mut self, response: &HttpResponse) -> Result<(), AnswerError> {
        let output = &mut *self.output;
        let shown = if self.decoder.is_http {
            let length = response.body.len() as u64;
            let length = match self.decoder.is_head {
                true => response.declared_length.unwrap_or(length),
                false => length,
            };
            let body: &[u8] = if self.decoder.is_head {
                &[]
            } else {
                &response.body
            };
            output
                .head(response, Some(length))
                .and_then(|()| output.piece(body))
                .and_then(|()| output.end(body))
        } else {
            output.json(&response.body)
        };
        shown.map_err(AnswerError::Output)
    }

    /// Shows the beginning of a streamed response.
    fn begin(&mut self, response: &HttpResponse) -> Result<(), AnswerError> {
        let head = match self.decoder.is_http {
            true => self.output.head(response, None),
            false => Ok(()),
        };
        head.and_then(|()| self.output.piece(&response.body))
            .map_err(AnswerError::Output)
    }

    /// Shows the response to an error before anything else was shown. `body` is what the upstream sent.
    fn fail(&mut self, error: &Error, body: &[u8]) -> Result<(), AnswerError> {
        let mut failure = error.to_string();
        if let Error::Service { .. } = error
            && let Some(message) = service_message(body)
        {
            failure.push_str(&format!(": {message}"));
        }
        let shown = match error {
            _ if self.decoder.is_http => {
                self.show(&error_response(error, Some(&self.decoder.config)))
            }
            Error::Function { payload } => {
                failure = function_failure(payload);
                self.output.json(payload).map_err(AnswerError::Output)
            }
            _ => Ok(()),
        };
        self.report.failure = Some(failure);
        shown
    }
}

/// Returns the log in the payload of `InvokeComplete`.
fn log_result(complete: &[u8]) -> Option<String> {
    let complete: Value = serde_json::from_slice(complete).ok()?;
    decoded_log(complete.get(LOG_RESULT)?.as_str()?.as_bytes())
}
