//! The files of a function: their paths on this machine, and the paths at which the function sees
//! them.
//!
//! The directory of a function keeps its path in each environment, and is `/var/task` besides. Other
//! files are found relative to it: modules beside the directory, break points, and paths in the
//! configuration. The layers are `/opt`.
//!
//! Source: "Packaging your layer content" in the AWS Lambda developer guide.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::isolation::{COVERED, Level, OPT, TASK};
use crate::config::LocalConfig;

/// The variables by which runtimes find the folders of layers.
const LAYER_FOLDERS: [(&str, &str); 6] = [
    ("PATH", "bin"),
    ("LD_LIBRARY_PATH", "lib"),
    ("PYTHONPATH", "python"),
    ("NODE_PATH", "nodejs/node_modules"),
    ("RUBYLIB", "ruby/lib"),
    ("CLASSPATH", "java/lib"),
];

/// The files of a function at a level of isolation.
#[derive(Clone, Copy)]
pub(crate) struct FileView<'c> {
    directory: &'c Path,
    layers: &'c [PathBuf],
    level: Level,
}

impl<'c> FileView<'c> {
    pub(crate) fn new(config: &'c LocalConfig, level: Level) -> Self {
        Self {
            directory: &config.directory,
            layers: &config.layers,
            level,
        }
    }

    /// Returns the working directory of the function.
    pub(crate) fn directory(&self) -> PathBuf {
        self.in_environment(self.directory)
    }

    /// Returns the path at which the function sees a `file` of its directory or of a layer.
    pub(crate) fn in_environment(&self, file: &Path) -> PathBuf {
        if !self.level.has_mounts() {
            return file.to_owned();
        }
        if let Ok(inside) = file.strip_prefix(self.directory) {
            let is_covered = COVERED.iter().any(|path| self.directory == Path::new(path));
            return match is_covered || self.directory.starts_with(TASK) {
                // Joining an empty path would leave a slash at the end.
                true => Path::new(TASK).join(inside).components().collect(),
                false => file.to_owned(),
            };
        }
        let layers = self.layers.iter();
        let mut inside = layers.filter_map(|layer| file.strip_prefix(layer).ok());
        inside
            .next()
            .map_or_else(|| file.to_owned(), |inside| Path::new(OPT).join(inside))
    }

    /// Returns the path on this machine of a file that the function sees at `path`.
    pub(crate) fn on_machine(&self, path: &Path) -> PathBuf {
        let found = match (path.strip_prefix(TASK), path.strip_prefix(OPT)) {
            (Ok(inside), _) => Some(self.directory.join(inside)).filter(|file| file.exists()),
            (_, Ok(inside)) => {
                let mut files = self.layers.iter().rev().map(|layer| layer.join(inside));
                files.find(|file| file.exists())
            }
            _ => None,
        };
        found.unwrap_or_else(|| path.to_owned())
    }

    /// Returns true if `path` is in the machine's `/opt`, and the function sees its layers there.
    pub(crate) fn is_hidden(&self, path: &Path) -> bool {
        self.level.has_mounts()
            && !self.layers.is_empty()
            && path.starts_with(OPT)
            && self.on_machine(path) == path
    }

    /// Returns the files in `extensions/` of the function's directory and of its layers, at the paths
    /// at which the function sees them, with their names and in the order of the names.
    pub(crate) fn extensions(&self) -> Vec<(String, PathBuf)> {
        let folders = self.layers.iter().map(PathBuf::as_path);
        let files = folders.chain([self.directory]).flat_map(|folder| {
            let files = std::fs::read_dir(folder.join("extensions"));
            files.into_iter().flatten().flatten()
        });
        let extensions: BTreeMap<_, _> = files
            .filter_map(|file| {
                let path = file.path();
                let name = file.file_name().into_string().ok()?;
                path.is_file().then(|| (name, self.in_environment(&path)))
            })
            .collect();
        extensions.into_iter().collect()
    }

    /// Adds the folders of the layers to the variables by which runtimes find them.
    pub(crate) fn add_layer_folders(&self, variables: &mut BTreeMap<OsString, OsString>) {
        for (name, folder) in LAYER_FOLDERS {
            let found = self.layers.iter().rev().map(|layer| layer.join(folder));
            let mut found: Vec<_> = found.filter(|folder| folder.is_dir()).collect();
            if self.level.has_mounts() && !found.is_empty() {
                found = vec![Path::new(OPT).join(folder)];
            }
            for folder in found {
                let value = variables.entry(name.into()).or_default();
                if std::env::split_paths(value).any(|other| other == folder) {
                    continue;
                }
                if !value.is_empty() {
                    value.push(OsStr::new(":"));
                }
                value.push(folder);
                if name == "CLASSPATH" {
                    value.push("/*");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view<'c>(directory: &'c Path, layers: &'c [PathBuf], level: Level) -> FileView<'c> {
        FileView {
            directory,
            layers,
            level,
        }
    }

    #[test]
    fn a_directory_keeps_its_path_unless_that_is_covered() {
        let seen = |directory: &str, level| {
            let directory = Path::new(directory);
            let view = view(directory, &[], level);
            let seen = [directory.to_owned(), directory.join("run")];
            seen.map(|file| view.in_environment(&file).display().to_string())
        };
        let own = Level::Namespaces;
        assert_eq!(seen("/srv/f", own), ["/srv/f", "/srv/f/run"]);
        assert_eq!(seen("/tmp/f", own), ["/tmp/f", "/tmp/f/run"], "it is kept");
        for covered in ["/tmp", "/dev/shm", "/var/task", "/var/task/f"] {
            assert_eq!(seen(covered, own), ["/var/task", "/var/task/run"]);
        }
        assert_eq!(seen("/tmp", Level::Processes), ["/tmp", "/tmp/run"]);
    }

    #[test]
    fn a_later_layer_lies_over_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let layers = ["one", "two"].map(|name| folder.path().join(name));
        for (index, layer) in layers.iter().enumerate() {
            std::fs::create_dir_all(layer.join("extensions")).unwrap();
            std::fs::create_dir_all(layer.join("bin")).unwrap();
            std::fs::write(layer.join("extensions/both"), "").unwrap();
            std::fs::write(layer.join(format!("extensions/{index}")), "").unwrap();
        }
        let [one, two] = &layers;
        let absent = Path::new("/absent");
        let expected = |paths: [PathBuf; 3]| {
            let names = ["0", "1", "both"].map(str::to_owned);
            names.into_iter().zip(paths).collect::<Vec<_>>()
        };
        let on_machine = [
            one.join("extensions/0"),
            two.join("extensions/1"),
            two.join("extensions/both"),
        ];
        let shared = view(absent, &layers, Level::Processes);
        assert_eq!(shared.extensions(), expected(on_machine));
        let own = view(absent, &layers, Level::Namespaces);
        let in_opt = ["0", "1", "both"].map(|name| Path::new("/opt/extensions").join(name));
        assert_eq!(own.extensions(), expected(in_opt));

        let own = view(folder.path(), &layers, Level::Namespaces);
        let found = |path| own.on_machine(Path::new(path));
        assert_eq!(found("/opt/extensions/both"), two.join("extensions/both"));
        assert_eq!(found("/opt/extensions/0"), one.join("extensions/0"));
        assert_eq!(found("/opt/absent"), Path::new("/opt/absent"));
        assert_eq!(found("/var/task/one"), *one);
        assert_eq!(found("/bin/sh"), Path::new("/bin/sh"));
        assert!(own.is_hidden(Path::new("/opt/absent")));
        assert!(!own.is_hidden(Path::new("/opt/extensions/0")));
        assert!(!shared.is_hidden(Path::new("/opt/absent")));

        let path = |view: FileView<'_>| {
            let mut variables = BTreeMap::from([("PATH".into(), "/bin".into())]);
            view.add_layer_folders(&mut variables);
            assert_eq!(variables.len(), 1, "only folders that exist");
            variables.remove(OsStr::new("PATH")).unwrap()
        };
        assert_eq!(path(own), "/bin:/opt/bin");
        let both = format!("/bin:{}/bin:{}/bin", two.display(), one.display());
        assert_eq!(path(shared), OsString::from(both));
    }
}
