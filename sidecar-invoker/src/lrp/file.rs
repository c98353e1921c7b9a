//! The keys, the defaults and the mistakes of `lrp.yaml`.
//!
//! Source of the keys and defaults: the structures and tags of `server.go` and `main.go` of
//! gabrielelana/lambda-reverse-proxy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::yaml::decode::Value;
use crate::config::yaml::scalar;
use crate::config::{Host, HostPort};
use lambda_api::{FunctionName, FunctionReference};

/// The content of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct File {
    /// The address of `host` and `port`, by default `0.0.0.0` and 8080.
    pub(super) listen: SocketAddr,
    /// The `internal_route_prefix` with a leading slash. Empty without a prefix.
    pub(super) prefix: String,
    /// The entries of `local` and `aws` that count, in their order.
    pub(super) functions: Vec<FunctionEntry>,
    /// A sentence with its line for each part of the file that has no effect.
    pub(super) warnings: Vec<(usize, String)>,
}

impl File {
    /// Returns the file that lrp takes if it gets none.
    pub(super) fn empty() -> Self {
        Self {
            listen: SocketAddr::new(HOST, PORT),
            prefix: String::new(),
            functions: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// The default of `host`.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// The default of `port`.
const PORT: u16 = 8080;

/// An entry of `local` or `aws`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FunctionEntry {
    pub(super) hostname: Host,
    /// The name that the invoker gives the function, made of the hostname.
    pub(super) name: FunctionName,
    pub(super) destination: Destination,
    pub(super) line: usize,
}

/// The place where a function runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Destination {
    /// An emulator: `endpoint`.
    Emulator(HostPort),
    /// A function on AWS: `function_name`, in `region`.
    Aws { function: String, region: String },
}

/// Decodes a file. Mistakes are recorded in `root`.
pub(super) fn file(root: &Value<'_>) -> Option<File> {
    const NO_FUNCTION: &str = "names no function; Envoy answers only health checks";
    if root.is_null() {
        return Some(File {
            warnings: vec![(root.line(), NO_FUNCTION.to_owned())],
            ..File::empty()
        });
    }
    let mut keys = root.mapping(
        "the keys of lrp.yaml: region, host, port, internal_route_prefix, local and aws",
    )?;
    // As in Go, a key without a value counts as absent.
    let mut optional = |key| keys.optional(key).filter(|value| !value.is_null());
    let region = optional("region").map_or(Some("eu-central-1".to_owned()), |value| {
        value.parse("a region such as eu-central-1", |text| {
            let letter =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (!text.is_empty() && text.bytes().all(letter)).then(|| text.to_owned())
        })
    });
    let host = optional("host").map_or(Some(HOST), |value| {
        value.parse("an IP address to listen on such as 0.0.0.0", ip)
    });
    let port = optional("port").map_or(Some(PORT), |value| {
        value.parse("a port from 0 to 65535", |text| text.parse::<u16>().ok())
    });
    let prefix = optional("internal_route_prefix").map_or(Some(String::new()), |value| {
        value.parse(
            "a path without slashes at its ends such as internal",
            prefix,
        )
    });
    let local = optional("local");
    let aws = optional("aws");
    keys.finish();

    let mut entries = Entries::default();
    if let Some(local) = local {
        entries.read("local", &local, |value| {
            let expected = "the emulator's URL without a path such as http://lambda-1:8080";
            let address = value.parse(expected, scalar::emulator_url)?;
            Some(Destination::Emulator(address))
        });
    }
    if let Some(aws) = aws {
        entries.read("aws", &aws, |value| {
            let function = value.text("a function's name or ARN")?;
            if let Err(error) = function.parse::<FunctionReference>() {
                value.problem(error.to_string());
                return None;
            }
            Some(Destination::Aws {
                function: function.to_owned(),
                region: region.clone()?,
            })
        });
    }
    if !entries.is_written {
        entries.warnings.push((root.line(), NO_FUNCTION.to_owned()));
    }
    Some(File {
        listen: SocketAddr::new(host?, port?),
        prefix: prefix?,
        functions: entries.functions,
        warnings: entries.warnings,
    })
}

/// The entries of both lists. Of several with one hostname, the last counts, and `aws` comes after
/// `local`.
#[derive(Default)]
struct Entries {
    /// Set once a list has an entry, right or wrong.
    is_written: bool,
    functions: Vec<FunctionEntry>,
    warnings: Vec<(usize, String)>,
}

impl Entries {
    fn read(
        &mut self,
        list: &'static str,
        value: &Value<'_>,
        mut destination: impl FnMut(&Value<'_>) -> Option<Destination>,
    ) {
        let key = if list == "local" {
            "endpoint"
        } else {
            "function_name"
        };
        let items = value.list("a list of hostnames and where they lead");
        self.is_written |= items.as_ref().is_none_or(|items| !items.is_empty());
        for item in items.into_iter().flatten() {
            let Some(mut keys) = item.mapping(&format!("the keys hostname and {key}")) else {
                continue;
            };
            let hostname = keys.required("hostname");
            let destination = keys.required(key).and_then(|value| destination(&value));
            keys.finish();
            let Some(hostname) = hostname else { continue };
            let line = hostname.line();
            let Some(host) = hostname.read::<Host>("a host name") else {
                continue;
            };
            if let Some(earlier) = self
                .functions
                .iter()
                .position(|known| known.hostname == host)
            {
                let earlier = self.functions.remove(earlier);
                let message = format!(
                    "{host} stands in line {line} too, in `{list}`, which counts; this entry has no effect"
                );
                self.warnings.push((earlier.line, message));
            }
            if let Some((destination, name)) = destination.zip(self.name(&host)) {
                self.functions.push(FunctionEntry {
                    hostname: host,
                    name,
                    destination,
                    line,
                });
            }
        }
    }

    /// Returns the name of the function for a host. `foo.domain.lb` becomes `foo_domain_lb`. The name is
    /// cut to the length that names may have, and gets a number if it is taken.
    fn name(&self, host: &Host) -> Option<FunctionName> {
        let letter = |letter: char| match letter {
            '.' | '*' => '_',
            other => other,
        };
        let base: String = host.as_str().chars().map(letter).take(56).collect();
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        let mut names = std::iter::once(base.clone()).chain(numbered);
        let free = |name: &FunctionName| self.functions.iter().all(|other| other.name != *name);
        names.find_map(|name| name.parse().ok().filter(free))
    }
}

fn ip(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        // As in Go, an empty host means all addresses.
        "" => Some(Ipv4Addr::UNSPECIFIED.into()),
        text => text.parse().ok(),
    }
}

fn prefix(text: &str) -> Option<String> {
    // The characters of a segment in RFC 3986. Percent-encoded ones would need a rule for their case.
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
    let is_segment = |segment: &str| {
        !segment.is_empty() && segment.bytes().all(letter) && segment != "." && segment != ".."
    };
    match text {
        "" => Some(String::new()),
        text => text.split('/').all(is_segment).then(|| format!("/{text}")),
    }
}
