//! The mounts of one execution environment.

use std::ffi::CString;
use std::fs::{self, File, FileType};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change,
    mount_remount, move_mount, open_tree,
};

use super::plan::{COVERED, OPT, Plan, SetUpError, TASK, step};

/// The mounts of this process, in a namespace of its own.
pub(super) struct Mounts {
    /// Opened before `/proc` shows another PID namespace, in which this process is not.
    info: File,
}

impl Mounts {
    /// Keeps the mounts of this namespace from appearing elsewhere. Later mounts of the system still
    /// appear here.
    pub(super) fn detach() -> Result<Self, SetUpError> {
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        step(|| "mount /".to_owned(), mount_change("/", slave))?;
        let path = "/proc/self/mountinfo";
        let info = step(|| format!("open {path}"), File::open(path))?;
        Ok(Self { info })
    }
}

/// Creates the mount point of the function's directory.
pub(super) fn prepare() -> Result<(), SetUpError> {
    mount_point(Path::new(TASK))
}

/// Mounts the files of `plan`.
pub(super) fn set_up(plan: &Plan, mut mounts: Mounts) -> Result<(), SetUpError> {
    // Files that stay visible are opened before a mount covers them.
    let task = Tree::open(&plan.directory)?;
    let is_own = !COVERED
        .iter()
        .any(|&path| plan.directory == Path::new(path));
    let own = (plan.read_only && is_own && plan.directory != Path::new("/"))
        .then(|| Tree::open(&plan.directory))
        .transpose()?;
    let kept: Vec<_> = plan
        .kept
        .iter()
        .map(|path| Tree::open(path))
        .collect::<Result<_, _>>()?;
    layers(&plan.layers, &mut mounts)?;
    task.place_at(Path::new(TASK))?;
    let [tmp, shm] = COVERED;
    tmpfs(Path::new(tmp), plan.tmp_bytes)?;
    if Path::new(shm).is_dir() {
        tmpfs(Path::new(shm), plan.shm_bytes)?;
    }
    for tree in kept {
        let path = tree.path.clone();
        tree.make_mount_point(&path)?;
        tree.place_at(&path)?;
    }
    if plan.read_only {
        mounts.make_read_only(Path::new(TASK))?;
    }
    if let Some(own) = own {
        own.place_at(&plan.directory)?;
        mounts.make_read_only(&plan.directory)?;
    }
    Ok(())
}

/// A folder or file with all mounts in it, which can be mounted elsewhere.
struct Tree {
    path: PathBuf,
    kind: FileType,
    tree: OwnedFd,
}

impl Tree {
    fn open(path: &Path) -> Result<Self, SetUpError> {
        let named = || format!("open {}", path.display());
        let kind = step(named, fs::metadata(path))?.file_type();
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        Ok(Self {
            path: path.to_owned(),
            kind,
            tree: step(named, open_tree(CWD, path, flags))?,
        })
    }

    /// Creates a mount point for the tree.
    fn make_mount_point(&self, at: &Path) -> Result<(), SetUpError> {
        let made = match self.kind.is_dir() {
            true => fs::create_dir_all(at),
            false => File::create(at).map(drop),
        };
        step(|| format!("make {}", at.display()), made)
    }

    fn place_at(self, at: &Path) -> Result<(), SetUpError> {
        let from_fd = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        let placed = move_mount(self.tree.as_fd(), "", CWD, at, from_fd);
        step(|| format!("mount {}", at.display()), placed)
    }
}

/// Mounts the layers at `/opt`, always read-only, as on AWS.
fn layers(layers: &[PathBuf], mounts: &mut Mounts) -> Result<(), SetUpError> {
    let at = Path::new(OPT);
    match layers {
        [] => Ok(()),
        [layer] => {
            mount_point(at)?;
            Tree::open(layer)?.place_at(at)?;
            mounts.make_read_only(at)
        }
        layers => {
            mount_point(at)?;
            let mut options = b"lowerdir=".to_vec();
            // The topmost layer comes first.
            for (index, layer) in layers.iter().rev().enumerate() {
                if index > 0 {
                    options.push(b':');
                }
                for &byte in layer.as_os_str().as_bytes() {
                    if matches!(byte, b':' | b',' | b'\\') {
                        options.push(b'\\');
                    }
                    options.push(byte);
                }
            }
            let options = CString::new(options).map_err(io::Error::other);
            let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID;
            let mounted = options.and_then(|options| {
                Ok(mount("overlay", at, "overlay", flags, options.as_c_str())?)
            });
            step(
                || "mount the layers at /opt, one over the other".to_owned(),
                mounted,
            )
        }
    }
}

fn tmpfs(at: &Path, bytes: u64) -> Result<(), SetUpError> {
    let named = || format!("mount {}", at.display());
    mount_point(at)?;
    let options = CString::new(format!("size={bytes},mode=1777")).map_err(io::Error::other);
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    let options = step(named, options)?;
    step(
        named,
        mount("tmpfs", at, "tmpfs", flags, options.as_c_str()),
    )
}

/// Creates the folder `at` as a mount point, if it does not exist. Its parent then becomes a tmpfs of
/// the environment, in which the previous content is mounted too. Nothing is created on the machine.
fn mount_point(at: &Path) -> Result<(), SetUpError> {
    if at.is_dir() {
        return Ok(());
    }
    let named = || format!("make {}", at.display());
    let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
        return Ok(());
    };
    if parent == Path::new("/") || !parent.is_dir() {
        return step(named, fs::create_dir_all(at));
    }
    let mut entries = Vec::new();
    for entry in step(named, fs::read_dir(parent))? {
        let entry = step(named, entry)?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            entries.push((path.clone(), Err(step(named, fs::read_link(path))?)));
        } else if let Ok(tree) = Tree::open(&path) {
            // An entry that cannot be mounted elsewhere is left out.
            entries.push((path, Ok(tree)));
        }
    }
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    step(named, mount("tmpfs", parent, "tmpfs", flags, c"mode=755"))?;
    for (path, entry) in entries {
        match entry {
            Ok(tree) => {
                tree.make_mount_point(&path)?;
                tree.place_at(&path)?;
            }
            Err(target) => step(named, std::os::unix::fs::symlink(target, path))?,
        }
    }
    step(named, fs::create_dir(parent.join(name)))?;
    // A file that a function wrote here would be lost silently.
    read_only(parent, flags)
}

impl Mounts {
    /// Makes all mounts at `at` and below read-only.
    fn make_read_only(&mut self, at: &Path) -> Result<(), SetUpError> {
        let mut mounts = Vec::with_capacity(16 * 1024);
        let read = self
            .info
            .rewind()
            .and_then(|()| self.info.read_to_end(&mut mounts));
        step(|| "read /proc/self/mountinfo".to_owned(), read)?;
        for line in mounts.split(|&byte| byte == b'\n') {
            let mut fields = line.split(|&byte| byte == b' ').skip(4);
            if let (Some(point), Some(options)) = (fields.next(), fields.next()) {
                let point = unescape(point);
                if point.starts_with(at) {
                    read_only(&point, flags(options))?;
                }
            }
        }
        Ok(())
    }
}

fn read_only(at: impl AsRef<Path>, flags: MountFlags) -> Result<(), SetUpError> {
    let at = at.as_ref();
    let flags = flags | MountFlags::BIND | MountFlags::RDONLY;
    let named = || format!("make {} read-only", at.display());
    step(named, mount_remount(at, flags, ""))
}

/// Returns the flags of a mount from its options in `mountinfo`. A remount has to repeat them, because
/// an unprivileged process cannot remove one.
fn flags(options: &[u8]) -> MountFlags {
    let options = options.split(|&byte| byte == b',');
    let flag = |option: &[u8]| match option {
        b"nosuid" => MountFlags::NOSUID,
        b"nodev" => MountFlags::NODEV,
        b"noexec" => MountFlags::NOEXEC,
        b"noatime" => MountFlags::NOATIME,
        b"nodiratime" => MountFlags::NODIRATIME,
        b"relatime" => MountFlags::RELATIME,
        _ => MountFlags::empty(),
    };
    options.map(flag).collect()
}

/// Reads a path of `mountinfo`, in which a space is `\040`.
fn unescape(text: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| byte == b'\\');
        let code = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                path.push(byte);
                rest = after;
            }
        }
    }
    std::ffi::OsStr::from_bytes(&path).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_names_a_path_and_what_has_to_stay() {
        assert_eq!(unescape(br"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(unescape(br"/a\04"), Path::new(r"/a\04"));
        assert_eq!(
            flags(b"rw,nosuid,relatime"),
            MountFlags::NOSUID | MountFlags::RELATIME
        );
    }
}
