//! Sentences about the whole, in one process: server, bridge, dispatcher, workers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bridge;
mod cluster;
mod console;
mod endings;
mod journey;
mod network;
mod notices;
mod once;
mod queue;
mod stranded;
