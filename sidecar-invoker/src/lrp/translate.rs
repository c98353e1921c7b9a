//! The translation of an `lrp.yaml` into the configurations of the invoker and of Envoy.

use std::path::Path;

use serde_json::json;

use super::file::{self, Destination, File};
use crate::config::{self, Config, ConfigError, Listen, Route};
use crate::envoy_config::{Filter, Gateway, HeadLimit, Health, NotFound, file_name, yaml};

/// An `lrp.yaml`.
#[derive(Debug, Clone)]
pub struct Lrp {
    name: String,
    file: File,
}

impl Lrp {
    /// Reads a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or with all mistakes in it by line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = config::read_text(path, "as the argument")?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Returns what lrp serves without a file: health checks on its default port.
    #[must_use]
    pub fn without_file() -> Self {
        Self {
            name: "lrp.yaml".to_owned(),
            file: File::empty(),
        }
    }

    /// Returns a sentence for each part of the file that has no effect, with file and line.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let warning =
            |(line, message): &(usize, String)| format!("{}:{line}: {message}", self.name);
        self.file.warnings.iter().map(warning)
    }

    /// Reads the text of a file called `name`.
    ///
    /// # Errors
    /// Returns an error with all mistakes in the text by line and key.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let file = config::decode_text(name, text, file::file)?;
        Ok(Self {
            name: name.to_owned(),
            file,
        })
    }

    /// Returns the `functions` for an `invoker.yaml`.
    #[must_use]
    pub fn functions_yaml(&self) -> String {
        let mut yaml = "functions:\n".to_owned();
        for function in &self.file.functions {
            let backend = match &function.destination {
                Destination::Emulator(address) => json!({ "rie": format!("http://{address}") }),
                // A full ARN has a region of its own.
                Destination::Aws { function, .. } if function.starts_with("arn:") => {
                    json!({ "aws": { "function": function } })
                }
                Destination::Aws { function, region } => {
                    json!({ "aws": { "function": function, "region": region } })
                }
            };
            let name = yaml::text(function.name.as_str());
            yaml.push_str(&format!("  {name}: {}\n", yaml::flow(&backend)));
        }
        yaml
    }

    /// Returns the configuration of the invoker.
    ///
    /// # Errors
    /// Returns an error if the file asks for something that the invoker does not support.
    pub fn invoker(&self) -> Result<Config, ConfigError> {
        if self.file.functions.is_empty() {
            // A configuration has functions, or a block for all others. No route leads to the latter.
            let config = Config::parse(&self.name, "aws: {}", Path::new("."))?;
            return Ok(Config {
                aws: None,
                ..config
            });
        }
        Config::parse(&self.name, &self.functions_yaml(), Path::new("."))
    }

    /// Returns an Envoy in front of an invoker with [`functions_yaml`](Self::functions_yaml).
    #[must_use]
    pub fn gateway(&self, filter: Filter, invoker: Listen, admin: Listen) -> Gateway {
        let mut notes = Vec::new();
        if !self.file.functions.is_empty() {
            let heading = "Its functions in invoker.yaml:".to_owned();
            notes.extend([String::new(), heading, String::new()]);
            let functions = self.functions_yaml();
            notes.extend(functions.lines().map(|line| format!("  {line}")));
        }
        let plugin = json!({
            "payload": "apigateway-v2",
            // The value that functions behind lrp get.
            "api_id": "api-id",
            "header_case": "train",
            "binary_media_types": ["multipart/form-data"],
        });
        Gateway {
            source: file_name(&self.name),
            notes,
            listen: self.file.listen,
            admin,
            invoker,
            filter,
            plugin: plugin.as_object().cloned().unwrap_or_default(),
            routes: self.file.functions.iter().map(route).collect(),
            health: Health {
                prefix: self.file.prefix.clone(),
                every_host: true,
            },
            not_found: NotFound {
                content_type: "text/plain; charset=utf-8",
                format: "Cannot route hostname: %REQ(:AUTHORITY)%",
            },
            // A request head in Go has at most 1 MiB. Envoy's filters in WebAssembly cannot handle more
            // than 1,000 headers.
            head_limit: Some(HeadLimit {
                kib: 1024,
                headers: 1000,
            }),
            secret_variable: None,
            tls: None,
            tracing: None,
            is_exclusive: false,
            http_10: true,
        }
    }
}

fn route(function: &file::FunctionEntry) -> Route {
    Route {
        host: function.hostname.clone(),
        ..Route::to(function.name.clone(), function.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        Lrp::parse("lrp.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_those_of_the_go_proxy() {
        let text = "local: [{ hostname: foo.domain.lb, endpoint: http://lambda-1:8080 }]\naws:\n";
        let lrp = Lrp::parse("lrp.yaml", text).unwrap();
        assert_eq!(lrp.file.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(lrp.file.prefix, "");
        assert_eq!(
            lrp.functions_yaml(),
            "functions:\n  foo_domain_lb: { rie: \"http://lambda-1:8080\" }\n"
        );
        assert_eq!(lrp.invoker().unwrap().functions.len(), 1);
    }

    #[test]
    fn hosts_that_would_get_the_same_name_are_numbered() {
        let text = "aws:
- { hostname: a.b, function_name: one }
- { hostname: a_b, function_name: 'two:live' }
- { hostname: c, function_name: 'arn:aws:lambda:us-east-1:123456789012:function:three' }
";
        let lrp = Lrp::parse("lrp.yaml", text).unwrap();
        assert_eq!(lrp.invoker().unwrap().functions.len(), 3);
        assert_eq!(
            lrp.functions_yaml(),
            "functions:
  a_b: { aws: { function: one, region: eu-central-1 } }
  a_b_2: { aws: { function: \"two:live\", region: eu-central-1 } }
  c: { aws: { function: \"arn:aws:lambda:us-east-1:123456789012:function:three\" } }
"
        );
    }

    #[test]
    fn every_mistake_is_reported_at_once_by_line_and_key() {
        let text = r#"regoin: eu-west-1
region: EU
host: example.com
port: 99999
internal_route_prefix: /internal
local:
- { hostname: a.lb, endpoint: http://lambda-1:8080/x }
- { hostname: "a b", endpoint: http://lambda-1:8080 }
- hostname: b.lb
  endpoint: https://lambda-1
- { hostname: c.lb, endpoint: lambda-1:8080 }
- { hostname: A.lb, endpoint: http://lambda-2:8080 }
- { hostname: d.lb }
aws:
- { hostname: b.lb, function_name: orders }
- { hostname: e.lb, function: orders }
- { hostname: f.lb, function_name: "a/b" }
"#;
        let expected = r#"lrp.yaml:1: regoin: unknown key; did you mean `region`?
lrp.yaml:2: region: expected a region such as eu-central-1, found "EU"
lrp.yaml:3: host: expected an IP address to listen on such as 0.0.0.0, found "example.com"
lrp.yaml:4: port: expected a port from 0 to 65535, found "99999"
lrp.yaml:5: internal_route_prefix: expected a path without slashes at its ends such as internal, found "/internal"
lrp.yaml:7: local[0].endpoint: expected the emulator's URL without a path such as http://lambda-1:8080, found "http://lambda-1:8080/x"
lrp.yaml:8: local[1].hostname: expected a host name without a port such as orders.example.com, *.example.com or *, found "a b"
lrp.yaml:10: local[2].endpoint: expected the emulator's URL without a path such as http://lambda-1:8080, found "https://lambda-1"
lrp.yaml:11: local[3].endpoint: expected the emulator's URL without a path such as http://lambda-1:8080, found "lambda-1:8080"
lrp.yaml:13: local[5]: the key `endpoint` is missing
lrp.yaml:16: aws[1]: the key `function_name` is missing
lrp.yaml:16: aws[1].function: unknown key; the keys here are hostname, function_name
lrp.yaml:17: aws[2].function_name: expected a function's name of 1 to 64 letters, digits, - and _, found "a/b""#;
        let found = problems(text);
        for (found, expected) in found.lines().zip(expected.lines()) {
            assert_eq!(found, expected);
        }
        assert_eq!(found.lines().count(), expected.lines().count());
    }

    #[test]
    fn a_file_without_functions_serves_health_checks() {
        let none = "lrp.yaml:1: names no function; Envoy answers only health checks";
        for text in ["", "# nothing\n", "region: eu-west-1\nlocal: []\n"] {
            let lrp = Lrp::parse("lrp.yaml", text).unwrap();
            assert_eq!(lrp.warnings().collect::<Vec<_>>(), [none], "{text:?}");
            let config = lrp.invoker().unwrap();
            assert!(config.functions.is_empty() && config.aws.is_none());
        }
        let lrp = Lrp::without_file();
        assert_eq!(lrp.file.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(lrp.warnings().count(), 0);
        // A file whose functions have mistakes is not called empty.
        assert_eq!(
            problems("local: { a.lb: http://a }\naws: [{ hostname: b.lb }]\n"),
            "lrp.yaml:1: local: expected a list of hostnames and where they lead, found a mapping\n\
             lrp.yaml:2: aws[0]: the key `function_name` is missing"
        );
    }

    #[test]
    fn of_several_entries_for_a_host_the_last_counts_and_aws_before_local() {
        let text = "aws:
- { hostname: A.lb, function_name: orders }
local:
- { hostname: a.lb, endpoint: http://one }
- { hostname: b.lb, endpoint: http://two }
- { hostname: b.lb, endpoint: http://three }
";
        let lrp = Lrp::parse("lrp.yaml", text).unwrap();
        assert_eq!(
            lrp.functions_yaml(),
            "functions:
  b_lb: { rie: \"http://three:80\" }
  a_lb: { aws: { function: orders, region: eu-central-1 } }
"
        );
        assert_eq!(
            lrp.warnings().collect::<Vec<_>>(),
            [
                "lrp.yaml:5: b.lb stands in line 6 too, in `local`, which counts; this entry has no effect",
                "lrp.yaml:4: a.lb stands in line 2 too, in `aws`, which counts; this entry has no effect",
            ]
        );
        assert_eq!(lrp.invoker().unwrap().functions.len(), 2);
    }

    #[test]
    fn a_prefix_may_have_every_character_of_a_path() {
        for prefix in [
            "__@@__",
            "__@@@__",
            "internal",
            "a/b",
            "a:b",
            "!$&'()*+,;=~",
        ] {
            let text = format!("internal_route_prefix: \"{prefix}\"");
            let lrp = Lrp::parse("lrp.yaml", &text).unwrap();
            assert_eq!(lrp.file.prefix, format!("/{prefix}"));
        }
        for prefix in [
            "/a", "a/", "a//b", "a b", "a?b", "a#b", "..", "{a}", "%41", "a\\n",
        ] {
            let text = format!("internal_route_prefix: \"{prefix}\"");
            assert!(Lrp::parse("lrp.yaml", &text).is_err(), "{prefix}");
        }
    }
}
