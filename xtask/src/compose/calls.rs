//! The HTTP requests to the containers of a Compose file, and what has to come of them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

/// The time limit for a response.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request and its response.
pub(super) struct Call {
    method: &'static str,
    host: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    /// A part of the response.
    part: &'static str,
}

impl Call {
    /// Returns a GET whose response has the status 200 and this part.
    pub(super) const fn get(host: &'static str, target: &'static str, part: &'static str) -> Self {
        Self {
            method: "GET",
            host,
            target,
            headers: &[],
            body: "",
            status: 200,
            part,
        }
    }

    /// Returns a POST whose response has this status.
    pub(super) const fn post(
        host: &'static str,
        target: &'static str,
        body: &'static str,
        status: u16,
    ) -> Self {
        Self {
            method: "POST",
            body,
            ..Self::get(host, target, "").with_status(status)
        }
    }

    pub(super) const fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) const fn with_headers(
        self,
        headers: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { headers, ..self }
    }

    /// Sends the request to a port of this machine, and checks the response.
    ///
    /// # Errors
    /// There is no response, or another one.
    pub(super) fn check(&self, port: u16) -> Result<()> {
        let response = self.send(port)?;
        let status = format!("HTTP/1.1 {} ", self.status);
        ensure!(
            response.starts_with(&status) && response.contains(self.part),
            "{} {}{} has to get {} with `{}`, and got: {response}",
            self.method,
            self.host,
            self.target,
            self.status,
            self.part
        );
        Ok(())
    }

    fn send(&self, port: u16) -> Result<String> {
        let Self {
            method,
            host,
            target,
            body,
            ..
        } = self;
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        ensure!(
            !response.is_empty(),
            "{host}{target}: the connection was closed without a response"
        );
        Ok(String::from_utf8_lossy(&response).into_owned())
    }
}
