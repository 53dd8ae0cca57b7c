//! Missions run by a real worker, on a real nats-server, by real processes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alarm;
mod drain;
mod endings;
mod leases;
mod limits;
mod log;
mod mode;
mod queue;
mod results;
mod retention;
mod world;
