//! The `vp` binary's parts. Contents:
//!
//! - [`cli`]: the command line. [`config`]: layers of configuration, checked before anything connects.
//! - [`system`]: the whole system in one process. [`link`]: from the configuration to a connection and the tools.
//! - [`demo`], [`bench`]: the main job to look at, and measured.
//! - [`deliver`]: notices into places outside.
//! - [`patience`]: a start that waits for what is not there yet.
//! - [`exit`]: exit codes. [`shutdown`]: signals. [`logging`]: logs, on stderr. [`trim`]: memory that only the start needed.
#![allow(unreachable_pub, reason = "a binary's library: its modules are its interface to itself")]

mod bench;
pub mod cli;
pub mod config;
mod deliver;
mod demo;
mod exit;
mod lane_files;
mod link;
pub mod logging;
mod patience;
mod shutdown;
mod system;
mod trim;
