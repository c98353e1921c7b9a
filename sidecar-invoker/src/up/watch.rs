//! Watching the files of a project.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use crate::util::FileStamp;

/// The interval between two looks at the files.
const INTERVAL: Duration = Duration::from_millis(250);

/// The files of a project.
#[derive(Debug, Default)]
pub struct ProjectFiles {
    stamps: BTreeMap<PathBuf, Option<FileStamp>>,
}

impl ProjectFiles {
    /// Watches other files from now on.
    pub fn watch(&mut self, files: Vec<PathBuf>) {
        let stamp = |path: PathBuf| {
            let known = self.stamps.get(&path).copied();
            (path.clone(), known.unwrap_or_else(|| stamp(&path)))
        };
        self.stamps = files.into_iter().map(stamp).collect();
    }

    /// Watches further files from now on.
    pub fn watch_too(&mut self, files: Vec<PathBuf>) {
        let known = self.stamps.keys().cloned();
        self.watch(known.chain(files).collect());
    }

    /// Waits until a file has changed, and has stopped changing. A file that is missing for a moment, as while
    /// an editor saves it, has not changed.
    pub async fn changed(&mut self) {
        loop {
            sleep(INTERVAL).await;
            if !self.differ() {
                continue;
            }
            loop {
                self.look();
                sleep(INTERVAL).await;
                if !self.differ() {
                    return;
                }
            }
        }
    }

    fn differ(&self) -> bool {
        let mut stamps = self.stamps.iter();
        stamps.any(|(path, known)| {
            let now = stamp(path);
            now.is_some() && now != *known
        })
    }

    fn look(&mut self) {
        for (path, known) in &mut self.stamps {
            *known = stamp(path).or(*known);
        }
    }
}

fn stamp(path: &PathBuf) -> Option<FileStamp> {
    Some(FileStamp::of(&fs::metadata(path).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_seen_once_and_a_missing_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("invoker.yaml");
        fs::write(&file, "1").unwrap();
        let mut files = ProjectFiles::default();
        files.watch(vec![file.clone()]);
        fs::remove_file(&file).unwrap();
        let limit = INTERVAL * 4;
        let seen = async |files: &mut ProjectFiles| {
            tokio::time::timeout(limit, files.changed()).await.is_ok()
        };
        assert!(!seen(&mut files).await);
        fs::write(&file, "22").unwrap();
        assert!(seen(&mut files).await);
        assert!(!seen(&mut files).await);
    }
}
