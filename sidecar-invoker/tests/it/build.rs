//! `build`: a command that runs before environments start.

use std::path::Path;

use serde_json::json;

use crate::support::{Invoker, eventually, fixture, make_executable, wait_for_version};

/// Writes the source of a function, which `make.sh` turns into its `bootstrap`.
fn write_source(folder: &Path, text: &str) {
    let new = folder.join("source.tmp");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join("source")).unwrap();
}

async fn start(folder: &Path, make: &str) -> Invoker {
    let script = folder.join("make.sh");
    std::fs::write(&script, format!("#!/bin/sh\n{make}\n")).unwrap();
    make_executable(&script);
    let local = format!(
        "{{ command: [./bootstrap], directory: {}, build: [./make.sh], watch: [source], timeout: 10s }}",
        folder.display()
    );
    Invoker::start(&format!("functions: {{ f: {{ local: {local} }} }}")).await
}

/// Returns the script that builds a function whose variable VERSION is the text of the source.
fn make() -> String {
    format!(
        "version=$(cat source)\n[ \"$version\" != broken ] || {{ echo no such thing; exit 3; }}\n\
         printf '#!/bin/sh\\nVERSION=%s exec python3 {}\\n' \"$version\" > new\n\
         chmod +x new && mv new bootstrap",
        fixture()
    )
}

#[tokio::test]
async fn a_function_is_built_before_its_first_call_and_after_each_change() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path(), "1");
    let invoker = start(folder.path(), &make()).await;
    // The program does not exist until the build has run, and the caller waits.
    let response = invoker.invoke(json!({})).await;
    assert_eq!(response.json()["env"]["VERSION"], "1");
    write_source(folder.path(), "2");
    wait_for_version(&invoker, "2").await;
    // A build that fails changes nothing for callers.
    write_source(folder.path(), "broken");
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    assert_eq!(
        invoker.invoke(json!({})).await.json()["env"]["VERSION"],
        "2"
    );
    write_source(folder.path(), "3");
    wait_for_version(&invoker, "3").await;
}

#[tokio::test]
async fn a_function_that_cannot_be_built_says_so_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path(), "broken");
    let invoker = start(folder.path(), &make()).await;
    let response = invoker.invoke(json!({})).await;
    assert_eq!(response.function_error(), "Runtime.InvalidEntrypoint");
    let message = response.json()["errorMessage"].to_string();
    assert!(
        message.contains("the build `./make.sh` failed with exit status: 3"),
        "{message}"
    );
    write_source(folder.path(), "1");
    let look = async || {
        let response = invoker.invoke(json!({})).await;
        let has_failed = response.header("x-amz-function-error").is_some();
        (!has_failed).then_some(())
    };
    eventually("a build that succeeds", look).await;
}

#[tokio::test]
async fn a_build_that_leaves_a_server_behind_ends() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path(), "1");
    let make = format!("sleep 30 &\n{}", make());
    let invoker = start(folder.path(), &make).await;
    let response = tokio::time::timeout(
        std::time::Duration::from_secs(10),
        invoker.invoke(json!({})),
    );
    assert_eq!(response.await.unwrap().json()["env"]["VERSION"], "1");
}

#[tokio::test]
async fn builds_that_write_new_files_come_to_an_end() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path(), "1");
    let script = folder.path().join("make.sh");
    let text = format!(
        "#!/bin/sh\necho >> builds\ntouch out.$(date +%s%N)\n{}\n",
        make()
    );
    std::fs::write(&script, text).unwrap();
    make_executable(&script);
    let local = format!(
        "{{ command: [./bootstrap], directory: {}, build: [./make.sh], watch: true, timeout: 10s }}",
        folder.path().display()
    );
    let invoker = Invoker::start(&format!("functions: {{ f: {{ local: {local} }} }}")).await;
    wait_for_version(&invoker, "1").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let builds = std::fs::read_to_string(folder.path().join("builds")).unwrap();
    assert!(builds.len() <= 4, "{} builds", builds.len());
}
