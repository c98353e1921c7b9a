//! The filter in a configuration: a proxy-wasm module or a native module.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::envoy::Envoy;
use super::error::{EnvoyConfigError, NATIVE, WASM};
use super::installed;
use super::template::fill_in;
use super::yaml;

/// The first Envoy that runs the native module, as major and minor version.
const FIRST_NATIVE: (u32, u32) = (1, 40);

/// The environment variable with the file of the filter.
const VARIABLE: &str = "LAMBDA_MESH_FILTER";

/// The filter's file, as Envoy finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// `lambda_filter.wasm`, for Envoy 1.36 and newer.
    Wasm(String),
    /// `liblambda_filter.so`, for Envoy 1.40 and newer.
    Native(String),
}

/// The host of the filter in Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Host {
    /// The native module, if it is there and fits the Envoy; otherwise the proxy-wasm module.
    Auto,
    /// The native module.
    Native,
    /// The proxy-wasm module.
    Wasm,
}

impl Filter {
    /// Returns the filter in a file. A name that ends in `.so` is that of a native module.
    #[must_use]
    pub fn of_file(file: String) -> Self {
        if Path::new(&file).extension().is_some_and(|end| end == "so") {
            Self::Native(file)
        } else {
            Self::Wasm(file)
        }
    }

    /// Returns the filter in the file `named`, in that of the variable `LAMBDA_MESH_FILTER`, or in the file
    /// beside this program that `host` and `envoy` take.
    ///
    /// # Errors
    /// There is no such file, it is of another host, or the Envoy is too old for it.
    pub fn find(
        named: Option<String>,
        host: Option<Host>,
        envoy: Option<&Envoy>,
    ) -> Result<Self, EnvoyConfigError> {
        let variable = || std::env::var_os(VARIABLE).map(OsString::into_string);
        let named = match named {
            Some(file) => Some(file),
            None => variable()
                .transpose()
                .map_err(EnvoyConfigError::FilterName)?,
        };
        let filter = match named {
            Some(file) => Self::of_file(file),
            None => match host {
                Some(Host::Native) => Self::Native(beside(NATIVE)?),
                None | Some(Host::Wasm) => Self::Wasm(beside(WASM)?),
                Some(Host::Auto) => match beside(NATIVE) {
                    Ok(file) if is_new(envoy)? => return Ok(Self::Native(file)),
                    _ => Self::Wasm(beside(WASM)?),
                },
            },
        };
        match (&filter, host) {
            (Self::Wasm(file), Some(Host::Native)) | (Self::Native(file), Some(Host::Wasm)) => {
                Err(EnvoyConfigError::OtherHost(file.clone()))
            }
            (Self::Native(file), _) if envoy.is_some() && !is_new(envoy)? => {
                Err(EnvoyConfigError::TooOldForNative(file.clone()))
            }
            _ => Ok(filter),
        }
    }

    /// Returns the filter in the cluster's chain, with its configuration.
    pub(super) fn in_cluster(&self, plugin: Map<String, Value>) -> String {
        let plugin = yaml::flow(&Value::from(plugin));
        match self {
            Self::Wasm(file) => fill_in(include_str!("wasm.yaml.template"), |name| match name {
                "file" => yaml::text(file),
                _ => plugin.clone(),
            }),
            Self::Native(file) => {
                fill_in(include_str!("native.yaml.template"), |name| match name {
                    "module" => yaml::flow(&module(file)),
                    _ => plugin.clone(),
                })
            }
        }
    }

    /// Returns the filter that hands the claims of tokens over, which a native module cannot read.
    pub(super) fn claims(&self) -> &'static str {
        match self {
            Self::Wasm(_) => "",
            Self::Native(_) => {
                "          # Hands the claims of the token over to the filter.
          - name: lambda.claims
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config
              on_request_headers:
              - object_key: wasm.lambda.claims
                factory_key: envoy.string
                format_string:
                  text_format_source: { inline_string: \"%DYNAMIC_METADATA(envoy.filters.http.jwt_authn)%\" }
"
            }
        }
    }

    /// Returns the rules by which Envoy makes labels of the names of statistics. The native module has labels.
    pub(super) fn statistics(&self) -> &'static str {
        match self {
            Self::Wasm(_) => include_str!("statistics.yaml.template"),
            Self::Native(_) => "",
        }
    }

    /// Returns the filter in the listener's chain that lets logs and traces have the client's request, and has
    /// the statistics. The proxy-wasm module does without.
    pub(super) fn in_listener(&self) -> String {
        let Self::Native(file) = self else {
            return String::new();
        };
        let mut module = module(file);
        if let Value::Object(fields) = &mut module {
            fields.insert("metrics_namespace".to_owned(), json!("lambda"));
        }
        format!(
            "          # Puts the client's method and path back after the last attempt, for logs and traces, and has the\n          \
             # filter's statistics: envoy_lambda_invocations{{function=\"orders\"}}.\n          \
             - name: lambda.restore_headers\n            typed_config:\n              \
             \"@type\": type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter\n              \
             dynamic_module_config: {}\n              filter_name: lambda.restore_headers\n",
            yaml::flow(&module)
        )
    }

    /// Returns the lines with which a route has these keys, and `others`: configurations of other filters.
    pub(super) fn in_route(&self, keys: Map<String, Value>, others: &[(&str, Value)]) -> String {
        const BLOCK: &str = "                typed_per_filter_config:\n";
        let other = |(name, config): &(&str, Value)| {
            format!("                  {name}: {}\n", yaml::flow(config))
        };
        let others: String = others.iter().map(other).collect();
        match self {
            Self::Wasm(_) => {
                let metadata = json!({ "filter_metadata": { "lambda": keys } });
                let block = if others.is_empty() { "" } else { BLOCK };
                format!(
                    "                metadata: {}\n{block}{others}",
                    yaml::flow(&metadata)
                )
            }
            Self::Native(file) => format!(
                "{BLOCK}                  lambda:\n                    \
                 \"@type\": type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute\n                    \
                 dynamic_module_config: {}\n                    filter_config:\n                      \
                 \"@type\": type.googleapis.com/google.protobuf.Struct\n                      value: {}\n{others}",
                yaml::flow(&module(file)),
                yaml::flow(&Value::from(keys))
            ),
        }
    }

    /// Returns the format of the function's name in the access log.
    pub(super) fn function_in_log(&self) -> &'static str {
        match self {
            Self::Wasm(_) => "%METADATA(ROUTE:lambda:function)%",
            Self::Native(_) => "%FILTER_STATE(wasm.lambda.function:PLAIN)%",
        }
    }

    /// Returns whether the filter can make a body for a request without one.
    pub(super) fn makes_bodies(&self) -> bool {
        matches!(self, Self::Native(_))
    }
}

/// Returns the configuration that loads a module. It stays loaded, because its threads have state in it.
fn module(file: &str) -> Value {
    json!({ "module": { "local": { "filename": file } }, "do_not_close": true })
}

fn is_new(envoy: Option<&Envoy>) -> Result<bool, EnvoyConfigError> {
    let version = envoy.map(Envoy::version).transpose()?;
    Ok(version.is_some_and(|version| version >= FIRST_NATIVE))
}

/// Returns a file that is installed with this program.
fn beside(name: &'static str) -> Result<String, EnvoyConfigError> {
    installed::file(name)
        .and_then(|path| path.into_os_string().into_string().ok())
        .ok_or(EnvoyConfigError::NoFilter(name))
}
