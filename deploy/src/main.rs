//! The `vp` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    vp::cli::main()
}
