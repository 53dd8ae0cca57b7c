//! The six tools against a real nats-server, with no bridge and no worker: what they do by the log alone.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cancel;
mod dispatch;
mod get;
mod hostile;
mod lane_mode;
mod service;
mod trouble;
mod wait;
mod world;
