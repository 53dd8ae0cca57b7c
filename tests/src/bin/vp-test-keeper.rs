//! The keeper of executors for workers that run inside a test, which have no `vp` binary of their own.

use std::process::ExitCode;

fn main() -> ExitCode {
    vp_worker::keeper::main()
}
