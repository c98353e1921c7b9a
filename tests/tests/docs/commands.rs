//! Every command in a document runs, and prints what the document says.

use std::net::TcpListener;
use std::process::Command;

use lambda_mesh_tests::documents::{Block, Session, all, read};

/// The ports that documents name.
const PORTS: [u16; 6] = [8080, 9001, 9090, 9091, 9095, 9901];

/// The environment variable with a part of the paths of the documents to follow, while one is written.
const ONLY: &str = "LAMBDA_MESH_DOCUMENT";

#[test]
fn each_command_prints_what_its_document_says() {
    let taken = PORTS
        .iter()
        .find(|port| TcpListener::bind(("127.0.0.1", **port)).is_err());
    if let Some(port) = taken {
        return xtask::skip(
            "the commands in documents",
            &format!("port {port} is in use"),
        );
    }
    let missing = ["bash", "curl"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        let reason = format!("`{program}` is not on PATH");
        return xtask::skip("the commands in documents", &reason);
    }
    let xtask = xtask::build::xtask().expect("cargo xtask is built");
    let (mut count, mut all_mistakes) = (0, Vec::new());
    let only = std::env::var(ONLY).unwrap_or_default();
    for path in all() {
        let page = read(&path);
        if page.has_commands() && path.to_string_lossy().contains(&only) {
            let (commands, mistakes) = Session::new(&xtask).follow(&page);
            count += commands;
            all_mistakes.extend(mistakes);
        }
    }
    assert!(all_mistakes.is_empty(), "{}", all_mistakes.join("\n"));
    assert!(count >= 50 || !only.is_empty(), "only {count} commands");
}

#[test]
fn commands_that_are_not_run_have_a_reason() {
    let pages: Vec<_> = all().iter().map(|path| read(path)).collect();
    let blocks = pages.iter().flat_map(|page| &page.blocks);
    let reasons: Vec<_> = blocks
        .filter_map(|(_, block)| match block {
            Block::NotRun(reason) => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    for reason in reasons {
        let begins = ["needs ", "takes ", "is "]
            .iter()
            .any(|word| reason.starts_with(word));
        assert!(
            begins,
            "\"not run: {reason}\" does not say what keeps the block from being run"
        );
    }
}
