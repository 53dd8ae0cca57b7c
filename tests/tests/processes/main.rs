//! Sentences about the whole that only processes of their own can show: `kill -9`, frozen, restarted, exit codes.
//! They need the `vp` binary of this build: `cargo build --bin vp` (`make test` does that).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crash;
mod deliver;
mod doctor;
mod doors;
mod hook;
mod hosts;
mod http;
mod ledger;
mod mcp;
mod poison;
mod readme;
mod rolling;
mod standby;
mod start;
mod torture;
mod up;
mod webhook_tls;
