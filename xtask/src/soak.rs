//! `cargo xtask soak` runs the tests that can be as long as the user likes.

use anyhow::Result;

use crate::test::{self, CHAOS_SECONDS, HOST, Run};

/// The options of `cargo xtask soak`.
#[derive(clap::Args)]
pub struct Options {
    /// Minutes of hostile load on each host of the filter
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// Random inputs for each property of the parsers and writers; 20,000 take about five minutes
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    cases: u32,
}

/// Gives the filter's core random inputs, and then sends hostile requests to each host of the filter, with a
/// chaotic upstream behind it.
///
/// # Errors
/// A build fails, or a test.
pub fn run(options: &Options) -> Result<()> {
    let seconds = (u64::from(options.minutes) * 60).to_string();
    let properties = Run {
        arguments: vec!["-p", "lambda-api", "-p", "lambda-filter-core"],
        variables: Vec::new(),
    };
    let hostile = |host| {
        Run::end_to_end(&["chaos::", "--nocapture"])
            .with(HOST, host)
            .with(CHAOS_SECONDS, &seconds)
    };
    let mut runs = vec![
        properties.with("PROPTEST_CASES", options.cases.to_string()),
        hostile("wasm"),
    ];
    // Elsewhere, there is no native module.
    if cfg!(target_os = "linux") {
        runs.push(hostile("native"));
    }
    test::run_each(&runs)
}
