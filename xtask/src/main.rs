//! The command line of [`xtask`].

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Tasks of the lambda-mesh workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Build everything, and run `sidecar-invoker up` on the examples or another project. Ctrl-C stops it
    Up(xtask::up::Options),
    /// Fetch and build what the tests need, and run them
    Test {
        /// Arguments for `cargo test`: a filter, `-p PACKAGE`, `-- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Make a site of the documents in target/book/html, and check its links
    Docs,
    /// Run the commands in the documents, compare their output, and check all links; a part of `test`
    TestDocs,
    /// Run random inputs and hostile load, as long as you like
    Soak(xtask::soak::Options),
    /// Run the Compose files and call their functions; needs a Docker engine
    TestCompose {
        /// `docker-compose`, or folders of examples, such as `private-api` [default: all]
        names: Vec<String>,
    },
    /// Run end-to-end tests with the native module on 64-bit ARM, emulated by QEMU; takes minutes
    TestArm64 {
        /// Names of end-to-end tests [default: events, responses, bodies, retries and streams]
        names: Vec<String>,
    },
    /// Call functions of many web frameworks in every payload format, and print what works
    Compat {
        /// `--only FRAMEWORK`, `--format FORMAT`, `--write-docs`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measure lambda-mesh beside its peers, and write target/bench/report.md
    Bench {
        /// `--only EXPERIMENT`, `--rounds N`, `--seconds N`, `--write-docs`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Count the instructions of the filter's core, and compare them with the baseline
    BenchCore(xtask::bench_core::Options),
    /// Make the release files in target/dist
    Dist(xtask::dist::Options),
    /// Write the Homebrew formula of the archives in a folder
    Homebrew(xtask::dist::HomebrewOptions),
    /// Run every check that a change must pass
    Ci,
    /// Check that modules import only from the layers below them in ARCHITECTURE.md
    Layers,
    /// Look for dependencies with known vulnerabilities; fetches the advisory database
    Advisories,
    /// Print the path of the Envoy binary, and fetch it if it is missing
    EnvoyPath {
        /// Envoy version
        #[arg(long, default_value = xtask::envoy::NEWEST)]
        version: String,
    },
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            xtask::say(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Up(options) => xtask::up::run(&options),
        Task::Test { arguments } => xtask::test::run(&arguments),
        Task::Docs => xtask::docs::run(),
        Task::TestDocs => xtask::test::documents(),
        Task::Soak(options) => xtask::soak::run(&options),
        Task::TestCompose { names } => xtask::compose::run(&names),
        Task::TestArm64 { names } => xtask::arm64::run(&names),
        Task::Compat { arguments } => xtask::compat::run(&arguments),
        Task::Dist(options) => xtask::dist::run(&options),
        Task::Homebrew(options) => xtask::dist::homebrew(&options),
        Task::Bench { arguments } => xtask::bench::run(&arguments),
        Task::BenchCore(options) => xtask::bench_core::run(&options),
        Task::Ci => xtask::ci::run(),
        Task::Layers => xtask::layers::run(),
        Task::Advisories => xtask::ci::advisories(),
        Task::EnvoyPath { version } => {
            println!("{}", xtask::envoy::binary(&version)?.display());
            Ok(())
        }
    }
}
