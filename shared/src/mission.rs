//! A mission: what is asked, what has happened, what may happen next.

mod decide;
mod fold;
mod repair;
mod spec;
mod state;

pub use decide::{Claimant, Command, Effect, Liveness, Reply, StopReason, decide};
pub use fold::{Applied, CancelRequest, Mission, Owner};
pub use repair::{Place, Plan, Repair, Standing, Timer, plan};
pub use spec::{
    Budget, Input, InputSource, MAX_DEADLINE, MAX_OBJECTIVE_BYTES, MIN_LOG_RETENTION, MissionSpec, ReplyMode,
    content_digest,
};
pub use state::{EventKind, Status, Step, step};
