//! The program `sidecar-invoker`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// An invocation allocates some forty times, buffers of 8 KiB among them. glibc's allocator takes a tenth
/// of the time of an invocation for that. Without huge pages, an idle invoker has 3 MB of memory of its
/// own instead of 13.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    sidecar_invoker::command::run(std::env::args_os())
}
