//! The `vp` binary's parts. Contents:
//!
//! - [`cli`]: the command line. [`config`]: layers of configuration, checked before anything connects.
//! - [`system`]: the whole system in one process. [`link`]: from the configuration to a connection and the tools.
//! - [`demo`], [`bench`]: the main job to look at, and measured.
//! - [`exit`]: exit codes. [`shutdown`]: signals. [`logging`]: logs, on stderr.

pub mod bench;
pub mod cli;
pub mod config;
pub mod demo;
pub mod exit;
mod lane_files;
pub mod link;
pub mod logging;
pub mod shutdown;
pub mod system;
