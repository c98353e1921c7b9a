//! The standard output, for payloads and responses.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use hyper::StatusCode;
use lambda_filter_core::response::HttpResponse;

use super::pretty::pretty;

/// The standard output of the program as it was when the value was created.
pub(crate) struct Output {
    file: File,
    is_terminal: bool,
    /// The text to write once other code has written its lines.
    held: Option<Vec<u8>>,
}

impl Output {
    /// Opens the standard output. Nothing that is printed to it later by other code has an effect here.
    ///
    /// # Errors
    /// Returns an error if the program has no standard output.
    pub(crate) fn open() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let is_terminal = file.is_terminal();
        Ok(Self {
            file,
            is_terminal,
            held: None,
        })
    }

    /// Holds everything from now on, until [`release`](Self::release).
    pub(crate) fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Writes what was held.
    ///
    /// # Errors
    /// Returns an error if the output is closed.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(held) => self.file.write_all(&held),
            None => Ok(()),
        }
    }

    /// Writes JSON: indented on a terminal, and otherwise as it is.
    ///
    /// # Errors
    /// Returns an error if the output is closed.
    pub(crate) fn json(&mut self, json: &[u8]) -> io::Result<()> {
        match std::str::from_utf8(json) {
            Ok(text) if self.is_terminal && is_json(text) => {
                self.piece(pretty(text).as_bytes())?;
            }
            _ => self.piece(json)?,
        }
        self.end(json)
    }

    /// Writes a piece of a response at once.
    ///
    /// # Errors
    /// Returns an error if the output is closed.
    pub(crate) fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.held {
            Some(held) => {
                held.extend_from_slice(bytes);
                Ok(())
            }
            None => self.file.write_all(bytes),
        }
    }

    /// Writes the status and the headers of a response, as curl does.
    ///
    /// # Errors
    /// Returns an error if the output is closed.
    pub(crate) fn head(&mut self, response: &HttpResponse, length: Option<u64>) -> io::Result<()> {
        let status = StatusCode::from_u16(response.status).ok();
        let reason = status.and_then(|status| status.canonical_reason());
        let status = format!(
            "HTTP/1.1 {} {}",
            response.status,
            reason.unwrap_or_default()
        );
        let mut head = status.trim_end().to_owned();
        for (name, value) in &response.headers {
            head.push_str(&format!("\n{name}: {value}"));
        }
        if let Some(length) = length {
            head.push_str(&format!("\ncontent-length: {length}"));
        }
        head.push_str("\n\n");
        self.piece(head.as_bytes())
    }

    /// Ends the line on a terminal if `last` does not end it.
    ///
    /// # Errors
    /// Returns an error if the output is closed.
    pub(crate) fn end(&mut self, last: &[u8]) -> io::Result<()> {
        match self.is_terminal && last.last().is_some_and(|&byte| byte != b'\n') {
            true => self.piece(b"\n"),
            false => Ok(()),
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
