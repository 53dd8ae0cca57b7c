//! The keeper as a program of its own, for this crate's tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    vp_worker::keeper::main()
}
