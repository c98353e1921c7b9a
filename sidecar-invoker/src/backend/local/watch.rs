//! Watching the files of a function for changes.
//!
//! The files are scanned four times a second. Unlike the kernel's notifications, this also works on
//! file systems that containers and virtual machines share with their host.
//!
//! A `.gitignore` is not read, because programs that a build creates are usually listed there. Without
//! that, the crate `ignore` would only replace the two lists of names below. It takes 44 ms of processor
//! time for a scan of 10,000 files instead of 36 ms, and brings seven more crates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wildmatch::WildMatch;

use super::build::Build;
use super::pool::Pool;
use super::spec::FunctionSpec;
use crate::util::FileStamp;

/// The interval between scans, unless a scan takes long.
const INTERVAL: Duration = Duration::from_millis(250);
/// The maximum time to wait for files to stop changing. During a build they change repeatedly.
const MAX_SETTLING_TIME: Duration = Duration::from_secs(10);
/// The maximum number of files of a function that are watched.
const MAX_FILES: usize = 20_000;
/// The number of restarts in quick succession after which the function itself probably writes the
/// files.
const RESTARTS_BEFORE_WARNING: usize = 5;
/// The maximum number of builds for one change. A user may save again while one runs.
const MAX_BUILDS: usize = 3;
/// Folders in which tools keep files of their own.
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

type Files = BTreeMap<PathBuf, FileStamp>;

/// The files of a function over time.
#[derive(Default)]
pub(super) struct Watch {
    known: Files,
    outputs: Outputs,
}

impl Watch {
    /// Builds the function for the first time.
    pub(super) async fn begin(&mut self, spec: &Arc<FunctionSpec>, build: &Build) {
        (_, self.known) = self.outputs.build(spec, build).await;
        if self.known.len() >= MAX_FILES {
            tracing::warn!(
                function = %spec.name,
                "not all files are watched, as there are more than {MAX_FILES}: list those that matter in `watch`"
            );
        }
    }

    /// Builds the function, and restarts the environments of `pool`, whenever its files have changed. Never
    /// returns.
    pub(super) async fn restart(
        &mut self,
        spec: &Arc<FunctionSpec>,
        pool: &Arc<Pool>,
        build: &Build,
    ) {
        let Self { known, outputs } = self;
        let mut pause = INTERVAL;
        let mut restarts = Restarts::default();
        loop {
            sleep(pause).await;
            let began = Instant::now();
            let mut files = scan(spec).await;
            // Scans take a twentieth of the time at most.
            pause = INTERVAL.max(began.elapsed() * 20);
            let Some(changed) = difference(known, &files) else {
                continue;
            };
            while began.elapsed() < MAX_SETTLING_TIME {
                sleep(INTERVAL).await;
                let before = std::mem::replace(&mut files, scan(spec).await);
                if before == files {
                    break;
                }
            }
            outputs.0.retain(|path| files.get(path) == known.get(path));
            let (is_built, built) = match spec.config.build.is_empty() {
                true => (true, files),
                false => outputs.build(spec, build).await,
            };
            *known = built;
            if !is_built {
                tracing::warn!(function = %spec.name, "the environments from before the change continue to serve");
                continue;
            }
            // If each restart were abandoned for the next, no environment would ever be ready.
            let in_turn = restarts.in_succession >= RESTARTS_BEFORE_WARNING;
            if !pool.reload(&changed, in_turn) {
                restarts.in_succession = 0;
            } else if restarts.add(Instant::now(), spec.config.init_timeout) {
                tracing::warn!(
                    function = %spec.name,
                    "{} has changed, as files did soon after each of the last {RESTARTS_BEFORE_WARNING} starts: a function that writes there restarts forever; have it write elsewhere, or list only the files that matter in `watch`",
                    changed.display()
                );
            }
        }
    }
}

/// The files that builds write among those that are watched. Another file that changes during a build was
/// changed by the user, and has to be built.
#[derive(Default)]
struct Outputs(BTreeSet<PathBuf>);

impl Outputs {
    /// Builds the function until its files no longer change. Returns whether the last build succeeded, and the
    /// files after it.
    async fn build(&mut self, spec: &Arc<FunctionSpec>, build: &Build) -> (bool, Files) {
        let mut before = scan(spec).await;
        let mut written: Option<BTreeSet<PathBuf>> = None;
        let mut is_built = false;
        for _ in 0..MAX_BUILDS {
            is_built = build.run().await;
            let after = scan(spec).await;
            let program = spec.program_file();
            let mut changed = differences(&before, &after);
            changed.retain(|path| !self.0.contains(path) && Some(path) != program.as_ref());
            if changed.is_empty() || spec.config.build.is_empty() {
                return (is_built, after);
            }
            written = Some(match written {
                Some(earlier) => earlier.intersection(&changed).cloned().collect(),
                None => changed,
            });
            before = after;
        }
        // What changes in each of several builds is written by them.
        let written = written.unwrap_or_default();
        match written.first() {
            Some(_) => self.0.extend(written),
            None => tracing::warn!(
                function = %spec.name,
                "each build writes other files into what is watched; list the sources alone in `watch`"
            ),
        }
        (is_built, before)
    }
}

/// The restarts after changes.
#[derive(Default)]
struct Restarts {
    last: Option<Instant>,
    /// The number of restarts since the last long pause.
    in_succession: usize,
    has_warned: bool,
}

impl Restarts {
    /// Counts a restart, and returns true if a warning is due.
    ///
    /// The warning is due once, after many restarts that each came within `soon` of the previous one.
    fn add(&mut self, now: Instant, soon: Duration) -> bool {
        let is_soon = self.last.is_some_and(|last| now - last <= soon);
        self.in_succession = if is_soon { self.in_succession + 1 } else { 0 };
        self.last = Some(now);
        let is_due = self.in_succession >= RESTARTS_BEFORE_WARNING && !self.has_warned;
        self.has_warned |= is_due;
        is_due
    }
}

async fn scan(spec: &Arc<FunctionSpec>) -> Files {
    let spec = Arc::clone(spec);
    let scanned = tokio::task::spawn_blocking(move || {
        let mut files = Files::new();
        let program = spec.program_file();
        for path in spec.config.watch.iter().flatten().chain(&program) {
            // A file that the configuration names is watched whatever its name is.
            if let Ok(metadata) = fs::metadata(path) {
                Scan {
                    ignored: &spec.config.watch_ignore,
                    directory: &spec.config.directory,
                    files: &mut files,
                }
                .collect(path, &metadata);
            }
        }
        files
    });
    // Fails only if the closure panicked.
    scanned.await.unwrap_or_default()
}

/// A look at the files of a function.
struct Scan<'s> {
    /// The patterns of files that are not watched.
    ignored: &'s [WildMatch],
    /// The function's directory, to which paths in patterns are relative.
    directory: &'s Path,
    files: &'s mut Files,
}

impl Scan<'_> {
    /// Adds the stamps of a file, or of all files below a folder.
    fn collect(&mut self, path: &Path, metadata: &Metadata) {
        if !metadata.is_dir() {
            self.files.insert(path.to_owned(), FileStamp::of(metadata));
            return;
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if self.files.len() >= MAX_FILES {
                return;
            }
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // A link to a file counts as the file. A link to a folder may lead in a circle.
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
            if !ignored && !self.is_ignored(&entry.path(), &name) {
                self.collect(&entry.path(), &metadata);
            }
        }
    }

    fn is_ignored(&self, path: &Path, name: &str) -> bool {
        let relative = path.strip_prefix(self.directory).unwrap_or(path);
        let relative = relative.to_string_lossy();
        let mut patterns = self.ignored.iter();
        // A pattern of a whole path stands for that path alone.
        let whole = path.to_string_lossy();
        patterns.any(|pattern| match pattern.pattern().starts_with('/') {
            true => pattern.matches(&whole),
            false => pattern.matches(name) || pattern.matches(&relative),
        })
    }
}

/// Returns true if the name is that of a temporary file of an editor or an interpreter.
fn is_temporary(name: &str) -> bool {
    const SUFFIXES: [&str; 8] = [
        "~",
        ".swp",
        ".swx",
        ".tmp",
        ".pyc",
        "___jb_tmp___",
        "___jb_old___",
        ".DS_Store",
    ];
    // Vim creates 4913 to find out whether it may write.
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) || name.starts_with(".#") || name == "4913"
}

/// Returns a file that was added, removed or modified.
fn difference(before: &Files, after: &Files) -> Option<PathBuf> {
    differences(before, after).pop_first()
}

/// Returns the files that were added, removed or modified.
fn differences(before: &Files, after: &Files) -> BTreeSet<PathBuf> {
    let changed = after
        .iter()
        .filter(|(path, stamp)| before.get(*path) != Some(*stamp));
    let removed = before.iter().filter(|(path, _)| !after.contains_key(*path));
    changed
        .chain(removed)
        .map(|(path, _)| path.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Files {
        let mut files = Files::new();
        let mut scan = Scan {
            ignored: &[
                WildMatch::new("*.log"),
                WildMatch::new("src/data"),
                WildMatch::new(&folder.join("template.yaml").to_string_lossy()),
            ],
            directory: folder,
            files: &mut files,
        };
        scan.collect(folder, &fs::metadata(folder).unwrap());
        files
    }

    #[test]
    fn frequent_restarts_are_warned_about_once_and_rare_ones_never() {
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
    fn every_change_is_noticed_except_in_files_of_tools() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["src", "node_modules", "src/__pycache__", "src/data"] {
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
            "src/a.log",
            "src/data/b.py",
            "template.yaml",
        ];
        for name in own {
            fs::write(path(name), "").unwrap();
        }
        assert_eq!(difference(&known, &files(folder.path())), None);

        fs::write(path("src/template.yaml"), "").unwrap();
        let other = difference(&known, &files(folder.path()));
        assert_eq!(
            other,
            Some(path("src/template.yaml")),
            "another file of the name"
        );
        fs::remove_file(path("src/template.yaml")).unwrap();

        fs::write(path("src/new.py"), "").unwrap();
        assert_eq!(
            difference(&known, &files(folder.path())),
            Some(path("src/new.py"))
        );
        fs::remove_file(path("src/new.py")).unwrap();
        // Editors save to another file, which then takes the name. Its length may be the same.
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
