//! Values that are text in a configuration: durations, addresses, URLs.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::http::uri::Authority;
use lambda_filter_core::config::ValueError;

/// A host name or IP address, and a TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an IP address; an IPv6 address is without its brackets.
    pub host: String,
    /// The TCP port; 0 lets the operating system choose one to listen on.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = ValueError;

    /// Reads `127.0.0.1:9090`, `localhost:9090` or `[::1]:9090`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let parsed = text.rsplit_once(':').and_then(|(host, port)| {
            let bracketed = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            let plain = |host: &&str| {
                !host.is_empty() && !host.contains([':', '/', '?', '#', '@', '[', ']', ' '])
            };
            let host = bracketed.or(Some(host).filter(plain))?.to_owned();
            Some(Self {
                host,
                port: port.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| ValueError::of_text("HOST:PORT such as 127.0.0.1:9090", text))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

/// Returns the text with its control characters escaped, for a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => shown.extend(character.escape_debug()),
            false => shown.push(character),
        }
    }
    shown
}

/// The address on which the Invoke API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address.
    Tcp(HostPort),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = ValueError;

    /// Reads `HOST:PORT` or `unix:///absolute/path`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(ValueError::of_text("unix:///ABSOLUTE/PATH", text)),
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => write!(out, "unix://{}", path.display()),
        }
    }
}

/// The name of a stack: `AWS::StackName`.
///
/// Source of the form: `CreateStack` in the AWS CloudFormation API reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackName(String);

impl StackName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StackName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_name = text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.len() <= 128
            && text.bytes().all(letter);
        match is_name {
            true => Ok(Self(text.to_owned())),
            false => Err(ValueError::of_text(
                "a letter, then up to 127 letters, digits and -",
                text,
            )),
        }
    }
}

/// The permissions of a Unix domain socket's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(pub(crate) u32);

impl FromStr for SocketMode {
    type Err = ValueError;

    /// Reads three octal digits such as `660`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let digits = text.len() == 3 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let mode = u32::from_str_radix(text, 8).ok().filter(|_| digits);
        mode.map(Self)
            .ok_or_else(|| ValueError::of_text("three octal digits such as 660", text))
    }
}

/// Reads `500ms`, `30s`, `15m`, or a whole number of seconds; at least 1 ms, at most 15 minutes,
/// which is the longest that a Lambda function runs.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let limits = Duration::from_millis(1)..=Duration::from_secs(900);
    span(text).filter(|duration| limits.contains(duration))
}

/// Reads `30s`, `15m`, `6h`, or a whole number of seconds; at least 1 s, at most 6 hours, which is
/// as long as Lambda keeps an event.
pub(crate) fn age(text: &str) -> Option<Duration> {
    let limits = Duration::from_secs(1)..=Duration::from_secs(6 * 3_600);
    span(text).filter(|age| limits.contains(age))
}

fn span(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let milliseconds = match text.strip_prefix(digits)? {
        "ms" => number,
        "s" | "" => number.checked_mul(1_000)?,
        "m" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        _ => return None,
    };
    Some(Duration::from_millis(milliseconds))
}

/// Reads a region's name.
pub(crate) fn region(text: &str) -> Option<String> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let valid = (1..=64).contains(&text.len()) && text.bytes().all(letter);
    valid.then(|| text.to_owned())
}

/// A server to call instead of AWS's own: `http://` or `https://`, and a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The connection is encrypted.
    pub tls: bool,
    /// The host, and the port if it is not the scheme's own, as they stand in a URL.
    pub authority: String,
}

/// Reads an endpoint: a URL without a path.
pub(crate) fn endpoint(text: &str) -> Option<Endpoint> {
    let (tls, rest, port) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest, 443),
        None => (false, text.strip_prefix("http://")?, 80),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let address: HostPort = authority
        .parse()
        .or_else(|_| format!("{authority}:{port}").parse())
        .ok()?;
    let authority = address.to_string();
    let authority = match authority.strip_suffix(&format!(":{port}")) {
        Some(host) => host.to_owned(),
        None => authority,
    };
    // Otherwise every call would find the mistake.
    authority.parse::<Authority>().ok()?;
    Some(Endpoint { tls, authority })
}

/// Reads an emulator's address: `http://HOST[:PORT]` and no more.
pub(crate) fn emulator_url(text: &str) -> Option<HostPort> {
    let rest = text.strip_prefix("http://")?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    authority
        .parse()
        .or_else(|_| format!("{authority}:80").parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("15m"), Some(Duration::from_secs(900)));
        assert_eq!(duration("3"), Some(Duration::from_secs(3)));
        for wrong in [
            "",
            "abc",
            "0",
            "0ms",
            "16m",
            "1h",
            "-1s",
            "1.5s",
            "s",
            "18446744073709551615m",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ages() {
        assert_eq!(age("6h"), Some(Duration::from_secs(21_600)));
        assert_eq!(age("1"), Some(Duration::from_secs(1)));
        for wrong in ["999ms", "7h", "361m", "h"] {
            assert_eq!(age(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(
            "[::1]:80".parse::<HostPort>().unwrap().to_string(),
            "[::1]:80"
        );
        assert_eq!("localhost:0".parse::<HostPort>().unwrap().port, 0);
        for wrong in [
            "",
            ":80",
            "host",
            "host:",
            "host:65536",
            "::1:80",
            "http://host:80",
        ] {
            assert!(wrong.parse::<HostPort>().is_err(), "{wrong}");
        }
        assert_eq!(
            "unix:///run/a.sock".parse(),
            Ok(Listen::Unix("/run/a.sock".into()))
        );
        assert!("unix://run/a.sock".parse::<Listen>().is_err());
    }

    #[test]
    fn endpoints() {
        let read = |text| endpoint(text).map(|found| (found.tls, found.authority));
        let plain = |text: &str| Some((false, text.to_owned()));
        assert_eq!(read("https://a.b:443/"), Some((true, "a.b".to_owned())));
        assert_eq!(read("http://127.0.0.1:4566"), plain("127.0.0.1:4566"));
        assert_eq!(read("http://[::1]"), plain("[::1]"));
        for wrong in [
            "a.b",
            "ftp://a",
            "https://",
            "http://a/b",
            "http://a:99999",
            "http://ü",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn emulator_urls() {
        let billing = HostPort {
            host: "billing".to_owned(),
            port: 8080,
        };
        assert_eq!(emulator_url("http://billing:8080"), Some(billing.clone()));
        assert_eq!(emulator_url("http://billing:8080/"), Some(billing));
        assert_eq!(emulator_url("http://[::1]").unwrap().port, 80);
        for wrong in [
            "billing:8080",
            "https://billing",
            "http://billing/x",
            "http://u@billing",
            "http://",
            "http://billing:99999",
        ] {
            assert_eq!(emulator_url(wrong), None, "{wrong}");
        }
    }
}
