//! Writes the core's messages to Envoy's log.

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::abi::envoy::{self, LogLevel};

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        envoy::is_log_enabled(level(metadata.level()))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            envoy::log(level(record.level()), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::Error => LogLevel::Error,
        Level::Warn => LogLevel::Warn,
        Level::Info => LogLevel::Info,
        Level::Debug | Level::Trace => LogLevel::Debug,
    }
}

/// Installs the logger. A second filter of the process finds it installed.
pub(crate) fn install() {
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}
