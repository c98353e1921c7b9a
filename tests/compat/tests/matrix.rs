//! Three rows of the matrix, in the languages that most machines have. `cargo xtask compat` runs all rows.
#![expect(clippy::expect_used, clippy::panic, reason = "a failed test panics")]

use lambda_mesh_compat::manifest;
use lambda_mesh_compat::report::Report;
use lambda_mesh_compat::{prepare, run};

#[test]
fn mangum_works_in_every_format() {
    row("mangum");
}

#[test]
fn hono_works_in_every_format() {
    row("hono");
}

#[test]
fn lambda_http_works_in_every_format() {
    row("lambda_http");
}

fn row(id: &str) {
    let frameworks = manifest::load().unwrap_or_else(|error| panic!("{error:#}"));
    let framework = frameworks.iter().find(|framework| framework.id == id);
    let framework = framework.expect("a row of matrix.yaml");
    if let Some(program) = framework.toolchain.missing() {
        xtask::skip(
            &format!("compat: {id}"),
            &format!("`{program}` is not on PATH"),
        );
        return;
    }
    let prepared = prepare::prepare(framework).unwrap_or_else(|error| panic!("{error:#}"));
    let formats: Vec<_> = framework.formats().collect();
    let mut report = Report::default();
    report.ran(framework, run::row(framework, &prepared, &formats));
    let wrong = report.wrong();
    assert!(wrong.is_empty(), "wrong responses:\n{}", wrong.join("\n"));
    assert_eq!(
        report.counts(),
        format!("{} passed, 0 failed, 0 skipped", formats.len())
    );
}
