//! Control groups (cgroup v2, Linux 5.14 or newer), one for each environment where the invoker may
//! create them. No process leaves its control group. All processes that a function starts therefore
//! end with the group, and the kernel itself enforces the memory limit.
//!
//! Source: "Control Group v2" in the Linux kernel's documentation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;
use uuid::Uuid;

/// The control group that contains the groups of all environments of an invoker.
#[derive(Debug)]
pub(crate) struct Cgroups {
    folder: PathBuf,
    /// The kernel counts and limits the memory in the group.
    memory: bool,
}

/// The control group of one environment.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
    memory: bool,
}

impl Cgroups {
    /// Creates the group beside the invoker's own control group or, if that fails, below it.
    ///
    /// A user's session and a systemd service with `DelegateSubgroup` allow the first, in which the
    /// memory can be limited. Returns `None` if the system allows neither.
    pub(crate) fn make() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let (mount, own) = locate(&mounts, &own)?;
        let beside = own.parent().filter(|parent| parent.starts_with(&mount));
        let mut found = None;
        for parent in beside.into_iter().chain([own.as_path()]) {
            let made = Self::below(parent).ok();
            if made.as_ref().is_some_and(|made| made.memory) {
                return made;
            }
            found = found.or(made);
        }
        found
    }

    fn below(parent: &Path) -> io::Result<Self> {
        // Moving a process requires write access to this file.
        fs::OpenOptions::new()
            .write(true)
            .open(parent.join("cgroup.procs"))?;
        let name = format!("lambda-mesh-{}-{}", std::process::id(), Uuid::new_v4());
        let folder = parent.join(name);
        // Fails if `parent` itself contains processes. The memory is then not limited.
        let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory");
        fs::create_dir(&folder)?;
        let mut made = Self {
            folder,
            memory: false,
        };
        made.memory = fs::write(made.folder.join("cgroup.subtree_control"), "+memory").is_ok();
        match made.folder.join("cgroup.kill").exists() {
            true => Ok(made),
            false => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Returns the path of the group.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns true if the kernel limits the memory in the groups.
    pub(crate) fn limit_memory(&self) -> bool {
        self.memory
    }

    /// Creates a control group for an environment whose processes may use `limit_bytes` of memory.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn environment(&self, limit_bytes: u64) -> io::Result<Cgroup> {
        let folder = self.folder.join(Uuid::new_v4().to_string());
        fs::create_dir(&folder)?;
        let cgroup = Cgroup {
            folder,
            memory: self.memory,
        };
        match cgroup.limit(limit_bytes) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                cgroup.remove();
                Err(error)
            }
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // Fails while an environment's group is left. The orphan reaper then removes both.
        let _ = fs::remove_dir(&self.folder);
    }
}

impl Cgroup {
    fn limit(&self, limit_bytes: u64) -> io::Result<()> {
        if self.memory {
            self.write("memory.max", &limit_bytes.to_string())?;
            self.write("memory.oom.group", "1")?;
            // The file does not exist if the kernel does not count swap.
            let _ = self.write("memory.swap.max", "0");
        }
        Ok(())
    }

    /// Moves a process into the group. The processes that it starts from now on belong to the group
    /// too.
    ///
    /// # Errors
    /// The operating system refuses, or the process has ended.
    pub(crate) fn add(&self, process: Pid) -> io::Result<()> {
        self.write("cgroup.procs", &process.to_string())
    }

    /// Returns the peak memory in bytes, if the kernel counts it.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        // `memory.peak` is new in Linux 5.19.
        let read = |file| fs::read_to_string(self.folder.join(file)).ok();
        let peak = self
            .memory
            .then(|| read("memory.peak").or_else(|| read("memory.current")));
        peak??.trim().parse().ok()
    }

    /// Returns true if the kernel limits the memory.
    pub(crate) fn limits_memory(&self) -> bool {
        self.memory
    }

    /// Returns true if the kernel has killed processes of the group for their memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|kills| kills != "0")
    }

    /// Kills the processes that are left and removes the group. Blocks until they have ended, for a
    /// second at most.
    pub(crate) fn remove(self) {
        remove(&self.folder);
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.folder.join(file), text)
    }
}

/// Kills all processes in the control group `folder` and below, and removes the groups. Blocks until
/// the processes have ended, for a second at most.
pub(crate) fn remove(folder: &Path) {
    // Fails only if the group is already removed.
    let _ = fs::write(folder.join("cgroup.kill"), "1");
    for _ in 0..500 {
        let below = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in below.filter(|entry| entry.path().is_dir()) {
            let _ = fs::remove_dir(entry.path());
        }
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                std::thread::sleep(Duration::from_millis(2));
            }
            _ => return,
        }
    }
}

/// Finds the mount point of cgroup v2, and the folder in it of the process with this
/// `/proc/self/cgroup`.
///
/// Reading three fields of a line here saves the crate `procfs`, see [`procfs`](super::procfs).
fn locate(mountinfo: &str, cgroup: &str) -> Option<(PathBuf, PathBuf)> {
    let own = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    mountinfo.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (root, mount) = (fields.next()?, fields.next()?);
        if !kind.starts_with("cgroup2 ") {
            return None;
        }
        // A container may see only a part of the tree.
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some((mount.into(), Path::new(mount).join(below)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_control_group_is_found_in_whole_and_partial_trees() {
        let mounts = "\
31 24 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw
35 24 0:30 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        let own = "4:memory:/a\n0::/user.slice/app.scope\n";
        let found = locate(mounts, own).unwrap();
        let expected = "/sys/fs/cgroup/unified/user.slice/app.scope";
        assert_eq!(found, ("/sys/fs/cgroup/unified".into(), expected.into()));

        let part = "35 24 0:30 /box /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let found = locate(part, "0::/box\n").unwrap();
        assert_eq!(found, ("/sys/fs/cgroup".into(), "/sys/fs/cgroup".into()));
        assert_eq!(locate(part, "0::/other\n"), None);
        assert_eq!(locate(part, "4:memory:/box\n"), None);
    }
}
