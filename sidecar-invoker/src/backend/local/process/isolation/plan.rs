//! The plan of an execution environment: the files, processes and IPC that it has of its own.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::message::{Decoder, Encoder, malformed};

/// The mount point of the function's directory, as on AWS.
pub(crate) const TASK: &str = "/var/task";
/// The mount point of its layers, as on AWS.
pub(crate) const OPT: &str = "/opt";
/// The folders over which each environment has a tmpfs.
pub(crate) const COVERED: [&str; 2] = ["/tmp", "/dev/shm"];

/// The separation of environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Mount, PID and IPC namespaces.
    Namespaces,
    /// Mount and IPC namespaces. Many containers do not allow a new `/proc`.
    Mounts,
    /// No namespaces. Processes end with their environment nevertheless.
    Processes,
}

impl Level {
    pub(crate) const ALL: [Self; 3] = [Self::Namespaces, Self::Mounts, Self::Processes];

    pub(super) fn encode(self) -> u64 {
        match self {
            Self::Namespaces => 0,
            Self::Mounts => 1,
            Self::Processes => 2,
        }
    }

    pub(super) fn decode(number: u64) -> io::Result<Self> {
        let level = Self::ALL.into_iter().find(|level| level.encode() == number);
        level.ok_or_else(malformed)
    }

    /// Returns true if `/tmp`, `/var/task` and `/opt` are the environment's own.
    pub(crate) fn has_mounts(self) -> bool {
        self != Self::Processes
    }
}

/// The plan of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) level: Level,
    /// The folder for temporary files of an environment without a `/tmp` of its own. Without this
    /// folder, such an environment is refused.
    pub(crate) scratch: Option<PathBuf>,
    /// The folder that is mounted at `/var/task`.
    pub(crate) directory: PathBuf,
    /// The folders that are mounted at `/opt`, a later one over an earlier one. If there are none,
    /// `/opt` is the system's.
    pub(crate) layers: Vec<PathBuf>,
    /// The files and folders that stay visible in the [`COVERED`] folders.
    pub(crate) kept: Vec<PathBuf>,
    /// Makes `directory` read-only, under both of its paths.
    pub(crate) read_only: bool,
    /// The size of `/tmp`.
    pub(crate) tmp_bytes: u64,
    /// The size of `/dev/shm`.
    pub(crate) shm_bytes: u64,
}

impl Plan {
    pub(super) fn encode(&self, message: Encoder) -> Encoder {
        let optional = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        message
            .number(self.level.encode())
            .text(optional(&self.scratch))
            .text(&self.directory)
            .texts(&self.layers)
            .texts(&self.kept)
            .number(self.read_only.into())
            .number(self.tmp_bytes)
            .number(self.shm_bytes)
    }

    pub(super) fn decode(fields: &mut Decoder<'_>) -> io::Result<Self> {
        let level = Level::decode(fields.number()?)?;
        let optional = |path: PathBuf| (!path.as_os_str().is_empty()).then_some(path);
        let paths = |texts: Vec<_>| texts.into_iter().map(PathBuf::from).collect();
        Ok(Self {
            level,
            scratch: optional(fields.path()?),
            directory: fields.path()?,
            layers: paths(fields.texts()?),
            kept: paths(fields.texts()?),
            read_only: fields.number()? != 0,
            tmp_bytes: fields.number()?,
            shm_bytes: fields.number()?,
        })
    }
}

/// Returns the entries of the [`COVERED`] folders that have to stay visible so that each of `paths`
/// can be found. These are the topmost folders, because a neighbour of the path may belong to it.
pub(crate) fn kept<'p>(paths: impl Iterator<Item = &'p Path>) -> Vec<PathBuf> {
    let topmost = |path: &Path| {
        let covered = COVERED.iter().map(Path::new);
        let mut inside = covered.filter_map(|covered| {
            let name = path.strip_prefix(covered).ok()?.components().next()?;
            Some(covered.join(name))
        });
        inside.next().filter(|path| path.exists())
    };
    let mut kept: Vec<_> = paths.filter_map(topmost).collect();
    kept.sort();
    kept.dedup();
    kept
}

/// An error in setting up an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetUpError {
    /// The step that failed.
    pub(crate) step: String,
    /// The operating system's error number.
    pub(crate) errno: i32,
}

impl SetUpError {
    /// Returns true if the system allows no namespaces, so that every environment has this error.
    pub(super) fn is_of_the_system(&self) -> bool {
        self.step.ends_with("namespaces")
    }
}

impl fmt::Display for SetUpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = io::Error::from_raw_os_error(self.errno);
        write!(out, "{}: {reason}", self.step)
    }
}

/// Adds the name of the failed step to an error.
pub(super) fn step<T>(
    name: impl FnOnce() -> String,
    result: Result<T, impl Into<io::Error>>,
) -> Result<T, SetUpError> {
    result.map_err(|error| SetUpError {
        step: name(),
        errno: error.into().raw_os_error().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_arrives_as_it_was_sent() {
        let mut plan = Plan {
            level: Level::Mounts,
            scratch: Some("/tmp/x".into()),
            directory: "/srv/f".into(),
            layers: vec!["/a".into(), "/b".into()],
            kept: Vec::new(),
            read_only: true,
            tmp_bytes: 1 << 29,
            shm_bytes: 0,
        };
        for level in Level::ALL {
            plan.level = level;
            let message = plan.encode(Encoder::new(0)).finish();
            let mut fields = Decoder::new(&message[4..]).unwrap().1;
            assert_eq!(Plan::decode(&mut fields).unwrap(), plan);
        }
    }

    #[test]
    fn what_is_kept_below_tmp_is_the_topmost_folder_once() {
        let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let file = folder.path().join("a/app.py");
        let absent = Path::new("/tmp/absent-lambda-mesh/x");
        let paths = [
            file.as_path(),
            folder.path(),
            absent,
            "/tmp".as_ref(),
            "/usr".as_ref(),
        ];
        assert_eq!(kept(paths.into_iter()), [folder.path()]);
    }
}
