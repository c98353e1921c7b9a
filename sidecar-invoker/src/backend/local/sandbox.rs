//! The isolation of a function's environments: the plan of each, and its folder for temporary files.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::process::isolation::{COVERED, Init, Plan, Ready, kept};
use super::spec::FunctionSpec;

/// The path of a folder for temporary files, for the user of the invoker alone. An environment without
/// a `/tmp` of its own has such a folder. Dropping the path removes the folder, if it exists.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("lambda-mesh-{}", Uuid::new_v4().simple());
        Self(std::env::temp_dir().join(name))
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // An init removes the folder itself, unless it was killed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The parts of an environment besides its processes.
#[derive(Default)]
pub(super) struct Sandbox {
    /// Starts the processes, and ends all of them.
    pub(super) init: Option<Init>,
    pub(super) scratch: Option<Scratch>,
}

impl FunctionSpec {
    /// Begins to set up a new environment.
    ///
    /// # Errors
    /// No init can be forked.
    pub(super) async fn sandbox(&self) -> io::Result<Sandbox> {
        let scratch = Scratch::new();
        let Some(isolation) = &self.context.isolation else {
            let made = DirBuilder::new().mode(0o700).create(scratch.path());
            if let Err(error) = &made {
                self.warn_once(&format!("make {}: {error}", scratch.path().display()));
            }
            return Ok(Sandbox {
                init: None,
                scratch: made.is_ok().then_some(scratch),
            });
        };
        let init = isolation.server.environment(&self.plan(&scratch)).await?;
        Ok(Sandbox {
            init: Some(init),
            scratch: Some(scratch),
        })
    }

    /// Warns, once, if an environment has less of its own than planned.
    pub(super) fn check_sandbox(&self, ready: &Ready) {
        if !ready.obstacle.is_empty() {
            self.warn_once(&ready.obstacle);
        }
    }

    fn warn_once(&self, obstacle: &str) {
        static HAS_WARNED: AtomicBool = AtomicBool::new(false);
        if !HAS_WARNED.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                function = %self.name,
                "an execution environment has less of its own than others: {obstacle}; it shares /tmp with this machine"
            );
        }
    }

    fn plan(&self, scratch: &Scratch) -> Plan {
        let config = &self.config;
        Plan {
            level: self.level,
            scratch: Some(scratch.path().to_owned()),
            directory: config.directory.clone(),
            layers: config.layers.clone(),
            kept: self.kept(),
            read_only: config.read_only,
            tmp_bytes: u64::from(config.ephemeral_storage_mib) << 20,
            shm_bytes: u64::from(config.memory_mib) << 20,
        }
    }

    /// Returns the entries of `/tmp` and `/dev/shm` that stay visible: those with the function, its
    /// programs and the files among its arguments, and those that variables name.
    fn kept(&self) -> Vec<PathBuf> {
        let config = &self.config;
        let programs = [self.program_file(), self.wrapper_file()];
        let programs: Vec<_> = programs.into_iter().flatten().collect();
        let arguments = config.arguments.iter().map(Path::new);
        let files = arguments.filter(|path| path.is_file());
        // `CACHE: /tmp/cache` is as on AWS, where `/tmp` is empty. `DATA: /tmp/project/data` names a
        // folder of this machine, if it exists.
        let is_own = |name: &OsStr| name.to_str().is_some_and(|it| config.env.contains_key(it));
        let is_deep = |path: &Path| {
            let parent = path.parent();
            parent.is_some_and(|parent| COVERED.iter().all(|covered| parent != Path::new(covered)))
        };
        let named = self.variables.iter().flat_map(|(name, value)| {
            let paths = value.as_bytes().split(|&byte| byte == b':');
            let paths = paths.map(|path| Path::new(OsStr::from_bytes(path)));
            paths.filter(move |path| !is_own(name) || is_deep(path))
        });
        kept(
            [config.directory.as_path()]
                .into_iter()
                .chain(config.layers.iter().map(PathBuf::as_path))
                .chain(programs.iter().map(PathBuf::as_path))
                .chain(files)
                .chain(named),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::backend::local::spec::tests::spec;

    #[test]
    fn folders_of_tmp_stay_visible_if_the_configuration_names_them() {
        let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let path = folder.path().display();
        let kept = |keys: &str| spec(&format!("inherit_env: false, {keys}")).kept();
        let without = kept("");
        assert!(!without.contains(&folder.path().to_owned()), "{without:?}");
        for keys in [
            format!("directory: {path}"),
            format!("layers: [{path}]"),
            format!("env: {{ DATA: {path}/data }}"),
            format!("env: {{ PATHS: '/usr:{path}/a:/tmp' }}"),
        ] {
            assert!(kept(&keys).contains(&folder.path().to_owned()), "{keys}");
        }
        assert_eq!(kept(&format!("env: {{ CACHE: {path} }}")), without);
    }
}
