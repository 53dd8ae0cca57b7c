//! The `vp` binary's parts: configuration, supervision and the command line.

pub mod config;
pub mod logging;
