//! The torture program. It is also every process of its world: `vp`, its keepers, the parent-bound nats-server.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to who runs it")]

use std::process::ExitCode;

use clap::Parser as _;
use vp_tests::torture::{Options, actor, run};

fn main() -> ExitCode {
    if let Some(code) = actor::become_what_was_asked() {
        return code;
    }
    let options = Options::parse();
    if let Err(why) = options.check() {
        eprintln!("error: {why}");
        return ExitCode::from(2);
    }
    vp_tests::log_if_wanted();
    let dir = match tempfile::Builder::new().prefix("vp-torture-").tempdir() {
        Ok(dir) => dir,
        Err(error) => {
            eprintln!("error: could not make a directory for the round: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let report = runtime.block_on(run(&options, dir.path(), |line| eprintln!("{line}")));
    // Servers and readers end with the runtime, before their directory goes.
    drop(runtime);
    print!("{}", report.text);
    if report.violations > 0 || options.keep {
        println!("the round's directory: {}", dir.keep().display());
    }
    if report.violations > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
