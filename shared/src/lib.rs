//! The words, rules and decisions of the mission queue.
//!
//! No async, no NATS, no database, no clock: time is an argument, and what is to be done is returned as a
//! value. Contents:
//!
//! - [`ids`], [`time`], [`tier`]: the nouns, validated where they enter.
//! - [`mission`]: what is asked, the transition table, the fold of a mission's events, and
//!   [`mission::decide`], the one place where anything is decided.
//! - [`event`]: the envelope and the lifecycle events. [`failure`]: the classes that policy acts on.
//! - [`artifact`]: what an attempt left behind, in four categories. [`notice`]: what a session is told.
//! - [`lane`], [`retry`]: profiles and policies as validated values.
//! - [`routing`]: what the user's own words ask for, and of which lane. [`turn`]: what an agent may do in such a turn.
//! - [`workspace`]: the records of attempts' directories, and which of these may be removed.
//! - [`door`]: who may come in over HTTP.
//! - [`api`]: the six tools' inputs, outputs and error codes, and the ledger's questions and answers.

pub mod api;
pub mod artifact;
pub mod door;
pub mod error;
pub mod event;
pub mod failure;
pub mod ids;
pub mod lane;
pub mod mission;
pub mod notice;
pub mod retry;
pub mod routing;
pub mod text;
pub mod tier;
pub mod time;
pub mod turn;
pub mod workspace;
