//! The six tools: a library and a NATS micro service. Contents:
//!
//! - [`Dispatcher`]: the tools as methods, and [`Dispatcher::call`] for doors that pass JSON through.
//!   [`tools`] has one file per tool.
//! - [`service`]: the same tools on NATS. [`schemas`]: the JSON Schemas of their inputs and outputs.
//! - [`mcp`]: the same tools for MCP hosts. [`http`]: the door over HTTP, with MCP mounted in it.
//! - [`provider`]: the tools behind a connection that may not be there yet. [`words`]: answers as text for people.
//! - [`config`]: options, and who is asking.
//! - Beside the tools, for operators: `lane_mode` pauses and resumes lanes.
//! - Inside: `find` (a mission from its log or the ledger), `ledger` (asking it), `lookups` (who is alive, how
//!   long a queue is, at most a second old), `schedule` and `waiting` (pure), `workspace` (files below a folder,
//!   and no other), `failure` (what NATS said, as a tool's error).
//!
//! Invariants: a mission exists once the log has stored it and not before; nothing is published for an input
//! that is refused; a publish without an answer is never reported as "not done".

pub mod config;
mod dispatcher;
mod failure;
mod find;
pub mod http;
mod lane_mode;
mod ledger;
mod lookups;
pub mod mcp;
pub mod provider;
mod schedule;
pub mod schemas;
pub mod service;
pub mod tools;
mod waiting;
pub mod words;
mod workspace;

pub use config::{Caller, DispatcherConfig};
pub use dispatcher::Dispatcher;
