//! `cargo xtask bench-core` counts the instructions with which the filter's core encodes and decodes,
//! and compares them with the counts in the repository.
//!
//! Valgrind counts them, so a busy machine does not change them. Another compiler does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::build::cargo;
use crate::lock::Lock;
use crate::{run, say, target_dir, workspace_root};

/// The file with the baseline, relative to the workspace.
const BASELINE: &str = "tests/bench-core/baseline.json";

/// A case that grows by more percent than this is an error.
const MAX_GROWTH_PERCENT: f64 = 25.0;

/// Options of `cargo xtask bench-core`.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// Write the counts to tests/bench-core/baseline.json
    #[arg(long)]
    write_baseline: bool,
}

/// Counts the instructions of all cases and prints them beside the baseline.
///
/// # Errors
/// Valgrind is missing, the benchmark does not build or run, or a case takes a quarter more
/// instructions than the baseline of the same compiler.
pub fn run(options: &Options) -> Result<()> {
    if run::find("valgrind").is_none() {
        bail!("valgrind is not installed, or not on PATH (Debian: apt-get install valgrind)");
    }
    let file = workspace_root().join(BASELINE);
    let now = Counts::measure()?;
    if options.write_baseline {
        let text = format!("{:#}\n", now.json());
        fs::write(&file, text).with_context(|| format!("cannot write {BASELINE}"))?;
        say(format_args!("{BASELINE} has {} cases", now.cases.len()));
        return Ok(());
    }
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {BASELINE}"))?;
    let baseline = Counts::parse(&text).with_context(|| format!("{BASELINE} is not usable"))?;
    print!("{}", table(&baseline, &now));
    if baseline.toolchain != now.toolchain {
        say(format_args!(
            "the baseline was counted with {}, and this run with {}; growth is not an error",
            baseline.toolchain, now.toolchain
        ));
        return Ok(());
    }
    match regressions(&baseline, &now).as_slice() {
        [] => Ok(()),
        cases => bail!(
            "{}: more than {MAX_GROWTH_PERCENT} % more instructions than the baseline; if the growth is \
             intended, run `cargo xtask bench-core --write-baseline`",
            cases.join(", ")
        ),
    }
}

/// The instructions of each case.
#[derive(Debug, PartialEq)]
struct Counts {
    /// The compiler, its host and valgrind.
    toolchain: String,
    cases: BTreeMap<String, u64>,
}

impl Counts {
    fn measure() -> Result<Self> {
        let runner = runner()?;
        let mut command = cargo();
        command
            .args(["bench", "--locked", "--package", "lambda-mesh-bench-core"])
            .args(["--bench", "instructions", "--"])
            .args(["--output-format=json", "--parallel=auto"])
            .env("GUNGRAUN_RUNNER", runner)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = command.output().context("cargo could not be started")?;
        if !output.status.success() {
            bail!(
                "the benchmark failed ({}); the cause is shown above",
                output.status
            );
        }
        let output = String::from_utf8(output.stdout).context("gungraun did not print text")?;
        let cases: Option<BTreeMap<_, _>> = output.lines().map(case).collect();
        let cases = cases.filter(|cases| !cases.is_empty());
        Ok(Self {
            toolchain: toolchain()?,
            cases: cases.context("gungraun did not print instruction counts")?,
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let cases = value.get("instructions").and_then(Value::as_object);
        let cases = cases.context("`instructions` is missing")?.iter();
        let cases = cases.map(|(name, count)| Some((name.clone(), count.as_u64()?)));
        let toolchain = value.get("toolchain").and_then(Value::as_str);
        Ok(Self {
            toolchain: toolchain.context("`toolchain` is missing")?.to_owned(),
            cases: cases
                .collect::<Option<_>>()
                .context("a count is not a number")?,
        })
    }

    fn json(&self) -> Value {
        json!({ "toolchain": self.toolchain, "instructions": self.cases })
    }
}

/// Returns the name and the instructions of a case in gungraun's output. Returns `None` if nothing was
/// counted, which happens to a program without symbols.
fn case(line: &str) -> Option<(String, u64)> {
    let summary: Value = serde_json::from_str(line).ok()?;
    let function = summary.get("function_name")?.as_str()?;
    let id = summary.get("id")?.as_str()?;
    let count = summary.pointer("/profiles/0/data/total/metrics/Ir/values/new")?;
    let count = count.as_u64().filter(|count| *count > 0)?;
    Some((format!("{function}/{id}"), count))
}

fn toolchain() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let about = run::captured(Command::new(rustc).arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let valgrind = run::captured(Command::new("valgrind").arg("--version"))?;
    Ok(format!(
        "{}, {}, {valgrind}",
        about.lines().next().unwrap_or_default(),
        host.unwrap_or_default()
    ))
}

/// Returns the program that runs each case under valgrind, in the version that the benchmark is linked
/// with. The first call compiles it.
fn runner() -> Result<PathBuf> {
    let version = runner_version(&workspace_root().join("Cargo.lock"))?;
    let name = format!("gungraun-runner-{version}");
    let folder = target_dir().join("tools").join(&name);
    let program = folder.join("bin/gungraun-runner");
    let _lock = Lock::acquire(&name)?;
    if !run::is_executable(&program) {
        // It only starts other programs, so it does not need optimisation.
        let mut command = cargo();
        command
            .args(["install", "gungraun-runner", "--version", &version])
            .args(["--locked", "--debug", "--no-track", "--root"])
            .arg(&folder)
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        run::shown(&mut command, "installing gungraun-runner")?;
    }
    Ok(program)
}

fn runner_version(lock: &Path) -> Result<String> {
    let lock: toml::Table = toml::from_str(&fs::read_to_string(lock)?)?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let mut packages = packages.into_iter().flatten();
    let field = |package: &toml::Value, key| Some(package.get(key)?.as_str()?.to_owned());
    let runner =
        packages.find(|package| field(package, "name").as_deref() == Some("gungraun-runner"));
    runner
        .and_then(|package| field(package, "version"))
        .context("Cargo.lock has no gungraun-runner")
}

/// Returns the growth in percent.
fn change(before: u64, now: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}

fn table(baseline: &Counts, now: &Counts) -> String {
    let names: std::collections::BTreeSet<&String> =
        baseline.cases.keys().chain(now.cases.keys()).collect();
    let mut out = format!("{:<40} {:>12} {:>12}\n", "instructions", "baseline", "now");
    for name in names {
        let (before, now) = (baseline.cases.get(name), now.cases.get(name));
        let text = |count: Option<&u64>| count.map_or("–".to_owned(), u64::to_string);
        let change = match (before, now) {
            (Some(before), Some(now)) => format!("{:+.1} %", change(*before, *now)),
            (None, _) => "new".to_owned(),
            (_, None) => "gone".to_owned(),
        };
        let (before, now) = (text(before), text(now));
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<40} {before:>12} {now:>12} {change:>9}");
    }
    out
}

fn regressions(baseline: &Counts, now: &Counts) -> Vec<String> {
    let cases = now.cases.iter().filter_map(|(name, now)| {
        let change = change(*baseline.cases.get(name)?, *now);
        (change > MAX_GROWTH_PERCENT).then(|| name.clone())
    });
    cases.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(cases: &[(&str, u64)]) -> Counts {
        Counts {
            toolchain: "rustc 1.95.0".to_owned(),
            cases: cases
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }

    #[test]
    fn a_baseline_reads_back_as_written() {
        let written = counts(&[("encode/alb", 12), ("decode/alb", 3)]);
        assert_eq!(Counts::parse(&written.json().to_string()).unwrap(), written);
        for text in [
            "",
            "{}",
            r#"{"toolchain":"x"}"#,
            r#"{"toolchain":"x","instructions":{"a":"b"}}"#,
        ] {
            assert!(Counts::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_case_without_a_count_is_ignored() {
        let line = |count: u64| {
            let metrics = json!({ "Ir": { "values": { "new": count } } });
            let profile = json!({ "data": { "total": { "metrics": metrics } } });
            json!({ "function_name": "encode", "id": "alb", "profiles": [profile] }).to_string()
        };
        assert_eq!(case(&line(12)), Some(("encode/alb".to_owned(), 12)));
        assert_eq!(case(&line(0)), None);
        assert_eq!(case("a warning"), None);
    }

    #[test]
    fn growth_of_more_than_a_quarter_is_a_regression() {
        let before = counts(&[("a", 100), ("b", 100), ("c", 100), ("gone", 1)]);
        let now = counts(&[("a", 125), ("b", 126), ("c", 10), ("new", 1)]);
        assert_eq!(regressions(&before, &now), ["b"]);
        let table = table(&before, &now);
        for (name, change) in [
            ("a ", "+25.0 %"),
            ("c ", "-90.0 %"),
            ("gone", "gone"),
            ("new", "new"),
        ] {
            let line = table.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(line.ends_with(change), "{table}");
        }
    }

    #[test]
    fn the_runner_has_the_locked_version() {
        let version = runner_version(&workspace_root().join("Cargo.lock")).unwrap();
        assert!(
            version.split('.').all(|part| part.parse::<u32>().is_ok()),
            "{version}"
        );
    }
}
