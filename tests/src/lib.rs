//! What the tests of the whole share. Everything here panics instead of returning errors: a test whose world does
//! not stand has failed.
//!
//! - [`world`]: server, bridge, dispatcher and workers in one process, each part to be stopped, killed, restarted.
//! - [`lanes`]: lane profiles whose executor is a shell script.
//! - [`process`]: the real `vp` binary as processes of its own, for `kill -9`.
//! - [`proxy`]: a TCP link that can be cut, frozen and restored.
//! - [`torture`]: the torture program, which breaks everything and proves what is left.
//! - [`until`](mod@until): waiting for a fact, with a deadline, never for a time.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, clippy::expect_used)]

pub mod lanes;
pub mod process;
pub mod proxy;
pub mod torture;
pub mod until;
pub mod world;

/// Logs to the test's output by the filter in `VP_TEST_LOG`, if there is one.
pub fn log_if_wanted() {
    if let Ok(filter) = std::env::var("VP_TEST_LOG") {
        // Another world of the same test has done it already.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    }
}
