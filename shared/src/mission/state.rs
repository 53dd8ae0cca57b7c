//! The transition table: which event may follow which state.
//!
//! ```text
//!            scheduled ──(timer fires)──┐
//!                                       v
//!   (new) ─────── dispatched ───────> queued <──── released ────┐
//!                                       │ started               │
//!                                       v                       │
//!   retrying <──── attempt_failed ── running ───────────────────┤
//!      │ started       ^                │ cancel_requested      │
//!      └───────────────┼──> running     v                       │
//!                      │            cancelling                  │
//!                      │                │ outcome_recorded      │
//!                      │                v                       │
//!                      └──────────  finalizing ──> completed | failed | cancelled
//! ```
//!
//! A queued, scheduled or retrying mission may be cancelled or failed without an attempt. Terminal states
//! are absorbing. A `dispatched` never changes the state of a mission that has one: it only adds a queue
//! entry (a re-tier, or a timer that fired late).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a mission is doing, as every door shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for its time.
    Scheduled,
    /// Waits for a free slot.
    Queued,
    /// An attempt runs.
    Running,
    /// The last attempt failed; the next one is due at a known time.
    Retrying,
    /// An attempt runs and has been asked to stop.
    Cancelling,
    /// The executor has ended; artifacts, receipt and terminal event are being made.
    Finalizing,
    /// Done, with its work product.
    Completed,
    /// Ended without; the failure says why.
    Failed,
    /// Ended on request.
    Cancelled,
}

impl Status {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Retrying,
        Self::Cancelling,
        Self::Finalizing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// True when nothing can follow.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The state's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Cancelling => "cancelling",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The lifecycle events; their names are the subjects' tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// To be queued at a later time.
    Scheduled,
    /// Queued: the one event that is work for a worker.
    Dispatched,
    /// A worker has claimed it.
    Started,
    /// The attempt failed and another one will follow.
    AttemptFailed,
    /// The worker gave it back unharmed; the attempt does not count.
    Released,
    /// A running mission is asked to stop.
    CancelRequested,
    /// The executor has ended; it is never run again.
    OutcomeRecorded,
    /// Terminal: done.
    Completed,
    /// Terminal: failed.
    Failed,
    /// Terminal: cancelled.
    Cancelled,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Scheduled,
        Self::Dispatched,
        Self::Started,
        Self::AttemptFailed,
        Self::Released,
        Self::CancelRequested,
        Self::OutcomeRecorded,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The kind's name, as in subjects.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Dispatched => "dispatched",
            Self::Started => "started",
            Self::AttemptFailed => "attempt_failed",
            Self::Released => "released",
            Self::CancelRequested => "cancel_requested",
            Self::OutcomeRecorded => "outcome_recorded",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The kind's name in payloads and notices.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Scheduled => "vp.mission.scheduled",
            Self::Dispatched => "vp.mission.dispatched",
            Self::Started => "vp.mission.started",
            Self::AttemptFailed => "vp.mission.attempt_failed",
            Self::Released => "vp.mission.released",
            Self::CancelRequested => "vp.mission.cancel_requested",
            Self::OutcomeRecorded => "vp.mission.outcome_recorded",
            Self::Completed => "vp.mission.completed",
            Self::Failed => "vp.mission.failed",
            Self::Cancelled => "vp.mission.cancelled",
        }
    }

    /// The kind of that name, with or without `vp.mission.` before it.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("vp.mission.").unwrap_or(name);
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// True when nothing may follow it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an event does to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The mission is in this state now, which may be the one it was in.
    To(Status),
    /// A queue entry that changes nothing: a re-tier, or a timer that fired late.
    QueueEntry,
    /// It may not happen here. Recorded as an anomaly; the state stays.
    Illegal,
}

/// The transition table. `None` is a mission without events.
pub const fn step(status: Option<Status>, event: EventKind) -> Step {
    use EventKind as E;
    use Status as S;
    match (status, event) {
        (None, E::Scheduled) => Step::To(S::Scheduled),
        (None | Some(S::Scheduled), E::Dispatched) => Step::To(S::Queued),
        (Some(_), E::Dispatched) => Step::QueueEntry,

        (Some(S::Queued | S::Retrying | S::Running), E::Started) => Step::To(S::Running),
        (Some(S::Running), E::AttemptFailed) => Step::To(S::Retrying),
        (Some(S::Running), E::Released) => Step::To(S::Queued),
        (Some(S::Running | S::Cancelling), E::CancelRequested) => Step::To(S::Cancelling),
        (Some(S::Finalizing), E::CancelRequested) => Step::To(S::Finalizing),
        (Some(S::Running | S::Cancelling), E::OutcomeRecorded) => Step::To(S::Finalizing),

        (Some(S::Finalizing), E::Completed) => Step::To(S::Completed),
        (
            Some(S::Scheduled | S::Queued | S::Retrying | S::Running | S::Cancelling | S::Finalizing),
            E::Failed,
        ) => Step::To(S::Failed),
        (Some(S::Scheduled | S::Queued | S::Retrying | S::Cancelling | S::Finalizing), E::Cancelled) => {
            Step::To(S::Cancelled)
        }
        _ => Step::Illegal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of state and event, by name. Columns are states, rows are events; `.` is illegal, `+` a
    /// queue entry.
    const TABLE: &str = "
                         none        scheduled  queued     running     retrying   cancelling  finalizing  completed failed cancelled
        scheduled        scheduled   .          .          .           .          .           .           .         .      .
        dispatched       queued      queued     +          +           +          +           +           +         +      +
        started          .           .          running    running     running    .           .           .         .      .
        attempt_failed   .           .          .          retrying    .          .           .           .         .      .
        released         .           .          .          queued      .          .           .           .         .      .
        cancel_requested .           .          .          cancelling  .          cancelling  finalizing  .         .      .
        outcome_recorded .           .          .          finalizing  .          finalizing  .           .         .      .
        completed        .           .          .          .           .          .           completed   .         .      .
        failed           .           failed     failed     failed      failed     failed      failed      .         .      .
        cancelled        .           cancelled  cancelled  .           cancelled  cancelled   cancelled   .         .      .
    ";

    #[test]
    fn the_transition_table_holds_for_every_pair() {
        let mut lines = TABLE.lines().filter(|line| !line.trim().is_empty());
        let states: Vec<_> = lines.next().unwrap().split_whitespace().map(Status::from_name).collect();
        assert_eq!(states.len(), Status::ALL.len() + 1);
        let mut pairs = 0;
        for line in lines {
            let mut words = line.split_whitespace();
            let event = EventKind::from_name(words.next().unwrap()).unwrap();
            for (state, want) in states.iter().zip(words) {
                let want = match want {
                    "." => Step::Illegal,
                    "+" => Step::QueueEntry,
                    name => Step::To(Status::from_name(name).unwrap()),
                };
                assert_eq!(step(*state, event), want, "{state:?} + {event}");
                pairs += 1;
            }
        }
        assert_eq!(pairs, states.len() * EventKind::ALL.len());
    }

    #[test]
    fn names_are_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.name()), Some(status));
        }
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(kind));
            assert_eq!(EventKind::from_name(kind.type_name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
