//! The command line of [`lambda_mesh_compat`].

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use lambda_mesh_compat::format::Format;
use lambda_mesh_compat::report::Report;
use lambda_mesh_compat::{manifest, output_folder, prepare, run};

/// Call real functions of many web frameworks through Envoy, in every payload format, and print
/// which responses are right.
#[derive(Parser)]
#[command(name = "compat")]
struct Options {
    /// Only this row of tests/compat/matrix.yaml; can be given more than once
    #[arg(long, value_name = "FRAMEWORK")]
    only: Vec<String>,
    /// Only this payload format; can be given more than once
    #[arg(long, value_name = "FORMAT")]
    format: Vec<Format>,
    /// Put the table into docs/compatibility.md; needs all rows and formats
    #[arg(long, conflicts_with_all = ["only", "format"])]
    write_docs: bool,
}

fn main() -> ExitCode {
    match matrix(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compat: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn matrix(options: &Options) -> Result<()> {
    let frameworks = manifest::load()?;
    let known: Vec<_> = frameworks
        .iter()
        .map(|framework| framework.id.as_str())
        .collect();
    if let Some(name) = options
        .only
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        bail!(
            "--only {name}: no such row; the rows are {}",
            known.join(", ")
        );
    }
    let mut report = Report::default();
    for framework in &frameworks {
        let id = &framework.id;
        if !options.only.is_empty() && !options.only.contains(id) {
            continue;
        }
        if let Some(program) = framework.toolchain.missing() {
            eprintln!("compat: {id}: skipped: `{program}` is not on PATH");
            report.skipped(framework, format!("`{program}` is not on PATH"));
            continue;
        }
        let wanted = |format: &Format| options.format.is_empty() || options.format.contains(format);
        let formats: Vec<_> = framework.formats().filter(wanted).collect();
        if formats.is_empty() {
            continue;
        }
        let prepared = prepare::prepare(framework)?;
        eprintln!("compat: {id}: calling");
        report.ran(framework, run::row(framework, &prepared, &formats));
    }
    report.write(&output_folder())?;
    println!("{}", report.markdown());
    let wrong = report.wrong();
    for line in &wrong {
        println!("wrong: {line}");
    }
    println!("{}", report.counts());
    if !wrong.is_empty() {
        bail!(
            "{} responses were wrong; they are listed above",
            wrong.len()
        );
    }
    if options.write_docs {
        report.write_docs(&xtask::workspace_root().join("docs/compatibility.md"))?;
    }
    Ok(())
}
