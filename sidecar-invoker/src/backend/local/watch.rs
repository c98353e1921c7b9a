//! Notices that a function's files have changed.
//!
//! It looks, four times a second, rather than being told: that works on every file system, also on
//! those that containers and virtual machines share with their host, whose changes no kernel tells.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::pool::Pool;
use super::spec::FunctionSpec;

/// How often the files are looked at, unless that takes long.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long files may go on changing, as they do while something is built, before that counts.
const LONGEST_CHANGE: Duration = Duration::from_secs(10);
/// Most files of a function that are looked at.
const MAX_FILES: usize = 20_000;
/// How many changes in a row, each soon after the start that the one before it caused, look like the
/// function's own doing.
const RESTARTS_BEFORE_WARNING: usize = 5;
/// Folders in which tools keep things of their own.
const IGNORED_FOLDERS: [&str; 12] = [
    ".git",
    ".hg",
    ".idea",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".svn",
    ".venv",
    ".vscode",
    "__pycache__",
    "node_modules",
    "target",
];

/// What tells one state of a file from another: time of change in nanoseconds, length, inode.
type Stamp = (i64, i64, u64, u64);
type Files = BTreeMap<PathBuf, Stamp>;

/// Has the environments of `pool` start anew whenever the function's files have changed, for ever.
pub(super) async fn watch(spec: Arc<FunctionSpec>, pool: Arc<Pool>) {
    let mut known = look(&spec).await;
    if known.len() >= MAX_FILES {
        tracing::warn!(
            function = %spec.name,
            "not all files are watched, as there are more than {MAX_FILES}: list those that matter in `watch`"
        );
    }
    let mut pause = INTERVAL;
    let mut restarts = Restarts::default();
    loop {
        sleep(pause).await;
        let began = Instant::now();
        let mut files = look(&spec).await;
        // A twentieth of the time at most.
        pause = INTERVAL.max(began.elapsed() * 20);
        let Some(changed) = difference(&known, &files) else {
            continue;
        };
        while began.elapsed() < LONGEST_CHANGE {
            sleep(INTERVAL).await;
            let before = std::mem::replace(&mut files, look(&spec).await);
            if before == files {
                break;
            }
        }
        known = files;
        // One of the starts has to be let alone, or none would ever be ready.
        let in_turn = restarts.run >= RESTARTS_BEFORE_WARNING;
        if !pool.reload(&changed, in_turn) {
            restarts.run = 0;
        } else if restarts.add(Instant::now(), spec.config.init_timeout) {
            tracing::warn!(
                function = %spec.name,
                "{} has changed, and so files did soon after each of the last {RESTARTS_BEFORE_WARNING} starts: if the function writes there itself, it starts anew for ever; have it write elsewhere, or list in `watch` only what is to be watched",
                changed.display()
            );
        }
    }
}

/// Starts that changes have caused.
#[derive(Default)]
struct Restarts {
    last: Option<Instant>,
    /// How many came soon after another without a break.
    run: usize,
    has_warned: bool,
}

impl Restarts {
    /// Counts one more, and returns whether a warning is due: once, if many came within `soon` of the
    /// one before.
    fn add(&mut self, now: Instant, soon: Duration) -> bool {
        let is_soon = self.last.is_some_and(|last| now - last <= soon);
        self.run = if is_soon { self.run + 1 } else { 0 };
        self.last = Some(now);
        let is_due = self.run >= RESTARTS_BEFORE_WARNING && !self.has_warned;
        self.has_warned |= is_due;
        is_due
    }
}

async fn look(spec: &Arc<FunctionSpec>) -> Files {
    let spec = Arc::clone(spec);
    let looked = tokio::task::spawn_blocking(move || {
        let mut files = Files::new();
        let program = spec.program().ok();
        for path in spec.config.watch.iter().chain(&program) {
            // What is named is meant, whatever its name is.
            if let Ok(metadata) = fs::metadata(path) {
                take(path, &metadata, &mut files);
            }
        }
        files
    });
    // Fails only if it panicked.
    looked.await.unwrap_or_default()
}

fn take(path: &Path, metadata: &Metadata, files: &mut Files) {
    if !metadata.is_dir() {
        let stamp = (
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.len(),
            metadata.ino(),
        );
        files.insert(path.to_owned(), stamp);
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if files.len() >= MAX_FILES {
            return;
        }
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A link to a folder may lead in a circle; one to a file counts as the file.
        let Ok(own) = entry.metadata() else { continue };
        let is_link = own.is_symlink();
        let metadata = match is_link {
            true => fs::metadata(entry.path()),
            false => Ok(own),
        };
        let Ok(metadata) = metadata else { continue };
        let ignored = match metadata.is_dir() {
            true => is_link || IGNORED_FOLDERS.contains(&&*name),
            false => is_temporary(&name),
        };
        if !ignored {
            take(&entry.path(), &metadata, files);
        }
    }
}

/// Whether an editor or an interpreter has made the file for its own use.
fn is_temporary(name: &str) -> bool {
    const ENDS: [&str; 8] = [
        "~",
        ".swp",
        ".swx",
        ".tmp",
        ".pyc",
        "___jb_tmp___",
        "___jb_old___",
        ".DS_Store",
    ];
    // 4913 is how vim tries whether it may write.
    ENDS.iter().any(|end| name.ends_with(end)) || name.starts_with(".#") || name == "4913"
}

/// A file that is new, gone or different.
fn difference(before: &Files, after: &Files) -> Option<PathBuf> {
    let changed = after
        .iter()
        .find(|(path, stamp)| before.get(*path) != Some(stamp));
    let gone = || before.iter().find(|(path, _)| !after.contains_key(*path));
    changed.or_else(gone).map(|(path, _)| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Files {
        let mut files = Files::new();
        take(folder, &fs::metadata(folder).unwrap(), &mut files);
        files
    }

    #[test]
    fn changes_after_each_start_are_told_once_and_rare_ones_never() {
        let (begin, soon) = (Instant::now(), Duration::from_secs(10));
        let warned = |pause: u64| {
            let mut restarts = Restarts::default();
            let times = (0..20).map(|count| begin + Duration::from_secs(pause * count));
            let warned: Vec<_> = times.map(|at| restarts.add(at, soon)).collect();
            (0..warned.len())
                .filter(|&at| warned[at])
                .collect::<Vec<_>>()
        };
        assert_eq!(warned(9), [RESTARTS_BEFORE_WARNING]);
        assert!(warned(11).is_empty());
    }

    #[test]
    fn what_is_written_anew_added_or_removed_differs_and_what_tools_keep_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["src", "node_modules", "src/__pycache__"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("src/app.py"), "1").unwrap();
        std::os::unix::fs::symlink(folder.path(), path("src/circle")).unwrap();
        let known = files(folder.path());
        assert_eq!(known.keys().collect::<Vec<_>>(), [&path("src/app.py")]);

        let own = [
            "node_modules/a.js",
            "src/__pycache__/app.pyc",
            "src/.app.py.swp",
            "src/4913",
        ];
        for name in own {
            fs::write(path(name), "").unwrap();
        }
        assert_eq!(difference(&known, &files(folder.path())), None);

        fs::write(path("src/new.py"), "").unwrap();
        assert_eq!(
            difference(&known, &files(folder.path())),
            Some(path("src/new.py"))
        );
        fs::remove_file(path("src/new.py")).unwrap();
        // As editors save: another file takes the name, even if its text is as long.
        fs::write(path("src/app.py.tmp"), "2").unwrap();
        fs::rename(path("src/app.py.tmp"), path("src/app.py")).unwrap();
        assert_eq!(
            difference(&known, &files(folder.path())),
            Some(path("src/app.py"))
        );
        fs::remove_file(path("src/app.py")).unwrap();
        assert_eq!(
            difference(&known, &files(folder.path())),
            Some(path("src/app.py"))
        );
    }
}
