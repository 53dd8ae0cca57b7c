//! The lane worker: pulls missions, runs executors, finalises attempts.
//!
//! A thin shell around [`vp_shared::mission::decide`]: it brings deliveries and ends of executors there, and
//! carries out what comes back. Contents:
//!
//! - [`Worker`], [`WorkerConfig`]: start, drain, stop.
//! - `run`, `queues`, `turns`: a free slot asks the tiers in turn. `mode`: whether a lane starts missions at all.
//! - `claim`: a delivery, decided. `owner`: a mission that may be written to, with compare-and-set.
//! - `attempt`: prepare, execute, finish, lay down, conclude, ack. `executor`: what runs it.
//! - `workspace`, `artifacts`, `receipt`: the attempt's directory and what is left in it.
//! - `held`, `lease`, `watch`, `presence`: what is in hand, renewed, watched; that this worker lives.
//! - `answers`: what it says on its own subject: whether it holds a mission, and the end of its log.
//! - `retain`: workspaces of missions that ended long ago, removed by policy.
//! - `ledger`: questions to it. `starved`: the alarm when entries wait, slots are free, and none comes.
//! - [`keeper`]: the helper process that owns an executor's tree.

mod answers;
mod artifacts;
mod attempt;
mod claim;
mod config;
mod error;
mod executor;
mod held;
pub mod keeper;
mod lease;
mod ledger;
mod mode;
mod name;
mod owner;
mod presence;
mod process;
mod queues;
mod receipt;
mod retain;
mod run;
mod starved;
mod turns;
mod watch;
mod worker;
mod workspace;

pub use config::{KeeperCommand, WorkerConfig};
pub use error::WorkerError;
pub use retain::{PruneError, PruneReport, PruneRequest, PrunedWorkspace, prune};
pub use worker::Worker;
