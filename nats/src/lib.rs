//! Everything that speaks to nats-server. Contents:
//!
//! - [`subject`]: subjects as types. [`topology`]: streams and consumers, created and verified.
//! - [`connect`], [`context`]: connections. [`server`]: a nats-server as a managed child.
//! - [`mission_log`]: the one place of compare-and-set; a mission read from the stream's leader.
//! - [`delivery`]: queue entries, pulled, renewed, acked. [`watch`]: hints that something was published.
//! - [`reader`]: ordered reading from a place. [`notices`], [`progress`]: the other two streams.
//! - [`presence`]: who is alive, and the proof that one is not. [`service`]: request and reply.
//! - [`lane_modes`]: whether lanes start missions: set, looked up, followed.
//! - [`health`]: what the server tells of itself. [`bridges`]: what bridges tell of themselves.
//! - [`retry`], [`clock`]: delays and time for who acts. [`crash`]: where a test can make a process die.
//! - [`raw`]: plain JetStream, to be measured against.

mod ack;
mod api;
pub mod bridges;
pub mod clock;
pub mod connect;
pub mod context;
pub mod crash;
pub mod delivery;
#[cfg(any(test, feature = "harness"))]
pub mod harness;
mod headers;
pub mod health;
pub mod lane_modes;
pub mod mission_log;
pub mod notices;
pub mod presence;
pub mod progress;
mod publish;
mod pulls;
pub mod raw;
pub mod reader;
pub mod retry;
pub mod server;
pub mod service;
pub mod subject;
pub mod topology;
pub mod watch;
