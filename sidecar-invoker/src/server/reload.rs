//! A new configuration for a running server.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::error::ServeError;
use super::processes::Means;
use crate::backend::{Backends, Changes};
use crate::config::Config;

/// The handle by which the configuration of a running server is replaced.
pub(crate) struct Reloader {
    backends: Arc<Backends>,
    means: Means,
    /// The configuration that the server was started with. `None` once the server ends.
    started_with: Mutex<Option<Config>>,
}

impl Reloader {
    pub(super) fn new(backends: Arc<Backends>, means: Means, config: &Config) -> Self {
        Self {
            backends,
            means,
            started_with: Mutex::new(Some(config.clone())),
        }
    }

    /// Serves the functions of `config` from now on. New functions appear, changed ones start anew, and
    /// removed ones finish. No invocation is lost. The other keys of the file keep their values, and a
    /// change of one is logged.
    ///
    /// # Errors
    /// Returns an error if local functions cannot be run, or TLS cannot be set up. Nothing has changed then.
    pub(crate) async fn reload(&self, config: &Config) -> Result<(), ServeError> {
        let started_with = self.started_with.lock().await;
        let Some(before) = &*started_with else {
            return Ok(());
        };
        let changes = self.replace(config).await?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        for problem in self.backends.missing_commands() {
            tracing::warn!("{problem}");
        }
        for key in unread(before, config) {
            tracing::warn!(
                "{}: `{key}` has changed, which takes effect when the invoker is started again",
                config.file
            );
        }
        tracing::info!("{} was read again: {changes}", config.file);
        Ok(())
    }

    /// Serves the functions of `config` from now on, without a word.
    ///
    /// # Errors
    /// Those of [`reload`](Self::reload).
    pub(crate) async fn restore(&self, config: &Config) -> Result<(), ServeError> {
        let started_with = self.started_with.lock().await;
        if started_with.is_some() {
            self.replace(config).await?;
        }
        Ok(())
    }

    async fn replace(&self, config: &Config) -> Result<Changes, ServeError> {
        let context = self.means.add_to(self.backends.context(), config).await?;
        self.backends.set_context(context);
        Ok(self.backends.reload(config)?)
    }

    /// Waits for a reload that is under way. None begins after it.
    pub(super) async fn close(&self) {
        *self.started_with.lock().await = None;
    }
}

/// Returns the keys whose values differ and are read at the start alone.
fn unread(before: &Config, after: &Config) -> Vec<&'static str> {
    let keys = [
        ("listen", before.listen != after.listen),
        ("socket_mode", before.socket_mode != after.socket_mode),
        ("admin", before.admin != after.admin),
        ("console", before.console != after.console),
        ("hosts", before.hosts != after.hosts),
        ("callers", before.callers != after.callers),
        ("drain_timeout", before.drain_timeout != after.drain_timeout),
        ("log_format", before.log_format != after.log_format),
        ("traces", before.traces != after.traces),
    ];
    let changed = keys.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_change_of_a_key_that_is_read_at_the_start_is_named() {
        let parse = |keys: &str| {
            let text = format!("functions: {{ f: {{ rie: 'http://f' }} }}\n{keys}");
            Config::parse("invoker.yaml", &text, Path::new("/")).unwrap()
        };
        let before = parse("");
        assert!(unread(&before, &parse("import: []")).is_empty());
        let after = parse(
            "listen: 127.0.0.1:1\nadmin: 127.0.0.1:2\nconsole: true\nhosts: [h]\ncallers: { anyone: true }\n\
             drain_timeout: 1s\nlog_format: json\ntraces: {}",
        );
        let keys = unread(&before, &after);
        let expected = [
            "listen",
            "admin",
            "console",
            "hosts",
            "callers",
            "drain_timeout",
            "log_format",
            "traces",
        ];
        assert_eq!(keys, expected);
    }
}
