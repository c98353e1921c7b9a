//! The limit of open files: high for the invoker, and for functions as it was.

use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

/// The limit with which the invoker was started, if it has been raised.
static ORIGINAL: OnceLock<Rlimit> = OnceLock::new();

/// Raises the invoker's limit of open files to its maximum. Each caller holds a connection, and an
/// invocation on AWS one more.
///
/// Most systems start programs with a limit of 1,024 files, for the sake of programs that use `select`, but
/// allow programs to raise it.
pub(crate) fn raise() {
    let original = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: original.maximum,
        maximum: original.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => _ = ORIGINAL.set(original),
        Err(error) => tracing::debug!("the limit of open files cannot be raised: {error}"),
    }
}

/// Gives a new process of a function the limit that the invoker was started with. Programs may rely on it,
/// and some look at every number up to the limit.
#[cfg_attr(
    not(target_os = "linux"),
    expect(unused_variables, reason = "only Linux sets limits of other processes")
)]
pub(crate) fn restore(process: Pid) {
    #[cfg(target_os = "linux")]
    if let Some(original) = ORIGINAL.get() {
        let original = Rlimit {
            current: original.current,
            maximum: original.maximum,
        };
        // Fails if the process has ended already.
        let _ = rustix::process::prlimit(Some(process), Resource::Nofile, original);
    }
}
