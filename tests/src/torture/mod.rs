//! The torture program: a world of real processes, a mixed load, faults of all kinds, then a verdict.
//!
//! - [`options`]: the command line. [`seeded`]: the numbers everything is drawn from.
//! - Load: [`missions`] (pure: what is delegated, cancelled, sent again), [`caller`], [`executor`], [`sessions`].
//! - World: [`brokers`], [`actor`] (one process, kept running), [`stage`] (all of them).
//! - Faults: [`chaos`].
//! - Verdict: [`evidence`] (what is left to look at), [`gather`], [`check`] (pure), [`speed`], [`report`].

pub mod actor;
pub mod brokers;
pub mod caller;
pub mod chaos;
pub mod check;
pub mod evidence;
pub mod executor;
pub mod gather;
pub mod missions;
pub mod options;
pub mod report;
pub mod round;
pub mod seeded;
pub mod sessions;
pub mod speed;
pub mod stage;

pub use options::Options;
pub use round::run;
