//! Helpers for tests of isolation: functions in folders of their own, daemons, and the search for
//! processes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Invoker, eventually, fixture_function};

/// The modes of isolation.
pub(crate) const MODES: [&str; 2] = ["auto", "none"];

/// A daemon that leaves its process group, its session, its parents, its name and its variables.
const DAEMON: &str = "setsid perl -e 'fork && exit; fork && exit; $0=\"x\"x5000; open F,\">\",\"lock\"; flock F,2; \
    open G,\">\",\"mark\"; %ENV=(); sleep 600' >/dev/null 2>&1 & while [ ! -e mark ]; do sleep 0.01; done";

/// Returns true if this machine lets the tests have namespaces. Otherwise reports that `test` is
/// skipped.
pub(crate) fn has_namespaces(test: &str) -> bool {
    let made = Command::new("unshare")
        .args([
            "--map-root-user",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "true",
        ])
        .status();
    let has = made.is_ok_and(|status| status.success());
    if !has {
        xtask::test::skip(test, "this machine allows no namespaces");
    }
    has
}

/// Runs a shell script in the function and returns its output.
pub(crate) async fn shell(invoker: &Invoker, script: &str) -> String {
    let response = invoker
        .invoke(json!({ "do": "shell", "script": script }))
        .await;
    assert_eq!(
        response.header("x-amz-function-error"),
        None,
        "{:?}",
        response.body
    );
    response.json()["out"].as_str().unwrap().to_owned()
}

/// Returns the number of processes of this machine that have `mark` in their environment, their
/// arguments or the path of their working directory.
pub(crate) fn processes_with(mark: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter(|entry| entry.file_name().to_str().unwrap().parse::<u32>().is_ok());
    pids.filter(|entry| {
        let files = ["environ", "cmdline"].map(|file| std::fs::read(entry.path().join(file)));
        let folder = std::fs::read_link(entry.path().join("cwd"));
        let in_files = files
            .iter()
            .flatten()
            .any(|text| text.windows(mark.len()).any(|part| part == mark.as_bytes()));
        in_files
            || folder.is_ok_and(|folder| folder.to_str().is_some_and(|path| path.contains(mark)))
    })
    .count()
}

/// A function in a folder of its own, whose name identifies the processes.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("isolated-")
                .tempdir()
                .unwrap(),
        )
    }

    pub(crate) fn name(&self) -> &str {
        self.0.path().file_name().unwrap().to_str().unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn function(&self, keys: &str) -> String {
        fixture_function(&format!("directory: {}, {keys}", self.path().display()))
    }

    /// Returns the event that leaves a daemon behind. The daemon holds a lock when the call returns.
    pub(crate) fn daemon() -> Value {
        json!({ "do": "shell", "script": DAEMON })
    }

    /// Returns true if a daemon holds the lock.
    pub(crate) fn has_daemon(&self) -> bool {
        let lock = std::fs::File::open(self.path().join("lock"));
        lock.is_ok_and(|lock| lock.try_lock().is_err())
    }

    /// Waits until no process of the function is left.
    pub(crate) async fn wait_until_deserted(&self) {
        let look = async || (processes_with(self.name()) == 0 && !self.has_daemon()).then_some(());
        eventually("the end of all processes", look).await;
    }
}
