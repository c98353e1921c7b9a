//! The invoker's configuration file, `invoker.yaml`.

mod authorizer;
mod callers;
mod conditions;
mod cors;
mod filter_keys;
mod import;
mod keys;
mod model;
mod pattern;
pub mod reference;
mod routes;
mod schema;
pub(crate) mod traces;
mod versions;
pub(crate) mod yaml;

use std::io::ErrorKind;
use std::path::Path;

pub use authorizer::{JwksUrl, JwtAuthorizer, TokenSource};
pub use callers::{
    AccessKeyCaller, CallersConfig, FilterCaller, FunctionPatterns, IdentityCaller, KnownCallers,
    SecretSource, UriPattern,
};
pub use conditions::{AddressRange, Condition};
pub use cors::{Cors, CorsPolicy, Preflight};
pub(crate) use import::command_of_runtime;
pub use model::{
    AwsCall, AwsConfig, AwsFunction, BackendConfig, Config, ConsoleConfig, EventConfig, Exposed,
    FunctionConfig, ImportOverrides, InheritEnv, IsolationMode, LocalConfig, LogFormat, RieConfig,
    Role,
};
pub(crate) use pattern::Form;
pub use pattern::{Host, PathPattern};
pub use routes::Route;
pub use traces::{SampleRatio, TracesConfig, TracesEndpoint};
pub use versions::Versions;
pub use yaml::decode::{ConfigError, Problem};
pub use yaml::scalar::{Endpoint, HostPort, Listen, SocketMode, StackName};

use yaml::{decode, tree};

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// Every mistake in it, each with its line and key; or why the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, &ImportOverrides::default())
    }

    /// Reads and checks the file. `overrides` count in imported templates, whatever the file says.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn load_with(path: &Path, overrides: &ImportOverrides) -> Result<Self, ConfigError> {
        let text = read_text(path, "with --config")?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let file = path.display().to_string();
        decode_text(&file, &text, |value| {
            schema::config(value, &file, directory, overrides)
        })
    }

    /// Reads and checks the text of a file called `file` whose relative paths start at `directory`.
    ///
    /// # Errors
    /// Every mistake in it, each with its line and key.
    pub fn parse(file: &str, text: &str, directory: &Path) -> Result<Self, ConfigError> {
        Self::parse_with(file, text, directory, &ImportOverrides::default())
    }

    /// Reads and checks the text as [`parse`](Self::parse). `overrides` count as with
    /// [`load_with`](Self::load_with).
    ///
    /// # Errors
    /// Every mistake in it, each with its line and key.
    pub(crate) fn parse_with(
        file: &str,
        text: &str,
        directory: &Path,
        overrides: &ImportOverrides,
    ) -> Result<Self, ConfigError> {
        decode_text(file, text, |value| {
            schema::config(value, file, directory, overrides)
        })
    }
}

/// Reads the text of a configuration file. `how` says how a user names a file: `with --config`.
pub(crate) fn read_text(path: &Path, how: &str) -> Result<String, ConfigError> {
    let file = path.display().to_string();
    let whole = |message: String| ConfigError::file(&file, None, message);
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => whole(format!("there is no such file; name one {how}")),
        ErrorKind::IsADirectory => whole(format!("this is a directory; name the file in it {how}")),
        _ => whole(format!("cannot be read: {error}")),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(valid);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        ConfigError::file(&file, Some(line), "not UTF-8; save the file as UTF-8")
    })
}

/// Reads the text of a file called `file`.
pub(crate) fn decode_text<T>(
    file: &str,
    text: &str,
    read: impl FnOnce(&decode::Value<'_>) -> Option<T>,
) -> Result<T, ConfigError> {
    let root = tree::parse(text).map_err(|error| {
        ConfigError::file(
            file,
            Some(error.line),
            format!("not valid YAML: {}", error.message),
        )
    })?;
    decode::document(file, &root, read)
}
