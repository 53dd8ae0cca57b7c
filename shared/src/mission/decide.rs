//! Every decision about a mission: `(state, command, now) -> effects`, with nothing done here.
//!
//! The shell carries the effects out in order. When an [`Effect::Append`] is refused because somebody wrote
//! in between, it drops the rest, reads the log again and asks again: nothing was decided on a stale state.

use std::time::Duration;

use crate::artifact::MissionResult;
use crate::event::{EventBody, Outcome, OutcomeStatus, WorkerRef};
use crate::failure::{Failure, FailureClass};
use crate::ids::Attempt;
use crate::mission::{Mission, Status};
use crate::retry::RetryPolicy;
use crate::tier::Tier;
use crate::time::UtcTime;

/// What somebody wants of a mission.
#[derive(Debug, Clone)]
pub enum Command<'a> {
    /// A caller delegates it, perhaps again.
    Dispatch {
        /// The digest of what it asks for.
        content_sha256: &'a str,
        /// The queue it wants.
        tier: Tier,
    },
    /// A caller wants it to stop.
    Cancel {
        /// Why.
        reason: &'a str,
        /// Who asks.
        by: &'a str,
    },
    /// A queue entry has reached a worker.
    Deliver {
        /// The entry's stream sequence.
        seq: u64,
        /// Who would run it.
        claimant: &'a Claimant,
        /// True when this very process runs it at this moment.
        holding: bool,
        /// What is known of the worker that `started` names.
        owner: Liveness,
        /// The lane's policy.
        policy: &'a RetryPolicy,
    },
    /// The executor of an attempt has ended.
    Finish {
        /// Which attempt.
        attempt: Attempt,
        /// Whose.
        worker: &'a WorkerRef,
        /// How.
        outcome: Outcome,
        /// The lane's policy.
        policy: &'a RetryPolicy,
        /// How long to wait before another attempt, if there is one.
        delay: Duration,
    },
    /// The outcome is recorded and everything is laid down: end it.
    Conclude {
        /// Which attempt.
        attempt: Attempt,
        /// What it left behind.
        result: MissionResult,
        /// The lane wants a primary work product of a completed attempt.
        requires_deliverable: bool,
    },
    /// The worker shuts down and gives the attempt back.
    Release {
        /// Which attempt.
        attempt: Attempt,
        /// Whose.
        worker: &'a WorkerRef,
        /// Why.
        reason: &'a str,
    },
    /// Something was written to a mission while this worker runs an attempt of it.
    Observe {
        /// Which attempt.
        attempt: Attempt,
        /// Whose.
        worker: &'a WorkerRef,
    },
}

/// Who would run a mission, and by which delivery.
#[derive(Debug, Clone)]
pub struct Claimant {
    /// The worker.
    pub worker: WorkerRef,
    /// The delivery's ack subject.
    pub lease: String,
}

/// What is known of the owner of a mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// Not asked yet.
    Unknown,
    /// It answers that it holds the mission, or nothing proves that it is gone.
    Alive,
    /// Proven gone: by a word (it, its next life or its keepers say that it does not hold the mission), or because its
    /// presence has been absent for longer than its executor can run on.
    Gone,
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Nothing is known of the mission: make it.
    Create,
    /// Append this event, expecting `expected` as the mission's last sequence.
    Append {
        /// The attempt the event belongs to.
        attempt: Attempt,
        /// The sequence the mission must still end with.
        expected: u64,
        /// The event.
        body: EventBody,
    },
    /// Run this attempt; it is claimed.
    Run {
        /// Which attempt.
        attempt: Attempt,
    },
    /// Find out about the owner, then ask again.
    Probe,
    /// Do nothing with the delivery: no ack, no nak. Its lease runs out or its owner acks it.
    Leave,
    /// Ack the delivery: nothing is left to do by it.
    Ack,
    /// Hand the delivery back, to come again after `delay`.
    Nak {
        /// How long after.
        delay: Duration,
    },
    /// The executor has ended in an earlier life: lay down what is known and conclude, without running it.
    Finalize {
        /// The attempt that ended.
        attempt: Attempt,
    },
    /// Stop the executor of the attempt.
    Stop(StopReason),
    /// Tell the caller.
    Answer(Reply),
}

/// Why an executor is stopped from outside its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It was asked to stop; the worker concludes it as cancelled.
    Cancel,
    /// It is no longer this worker's: nothing more is written, acked or renewed.
    Fenced,
}

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It is the mission that exists already.
    Duplicate,
    /// Its key names a mission with other content.
    Conflict,
    /// It is cancelled, or will be.
    Cancelled,
    /// It was asked to stop and will be told so.
    CancelRequested,
    /// Its executor has ended and how is recorded; only its end is still to be told.
    OutcomeRecorded,
    /// It had ended before.
    AlreadyTerminal,
}

/// Decides. `None` is a mission without events.
pub fn decide(mission: Option<&Mission>, command: Command<'_>, now: UtcTime) -> Vec<Effect> {
    let Some(mission) = mission else {
        return vec![match command {
            Command::Dispatch { .. } => Effect::Create,
            Command::Observe { .. } => Effect::Stop(StopReason::Fenced),
            _ => Effect::Leave,
        }];
    };
    match command {
        Command::Dispatch { content_sha256, tier } => dispatch(mission, content_sha256, tier),
        Command::Cancel { reason, by } => cancel(mission, reason, by),
        Command::Deliver { seq, claimant, holding, owner, policy } => {
            deliver(mission, seq, claimant, Holder { holding, owner }, policy, now)
        }
        Command::Finish { attempt, worker, outcome, policy, delay } => {
            if mission.is_held_by(worker, attempt) {
                finish(mission, outcome, policy, delay, now)
            } else {
                vec![Effect::Stop(StopReason::Fenced)]
            }
        }
        Command::Conclude { attempt, result, requires_deliverable } => {
            conclude(mission, attempt, result, requires_deliverable)
        }
        Command::Release { attempt, worker, reason } => release(mission, attempt, worker, reason),
        Command::Observe { attempt, worker } => observe(mission, attempt, worker),
    }
}

fn append(mission: &Mission, body: EventBody) -> Effect {
    let attempt = match body {
        EventBody::Started { .. } => mission.attempt + 1,
        _ => mission.attempt,
    };
    Effect::Append { attempt, expected: mission.last_seq, body }
}

fn dispatch(mission: &Mission, content_sha256: &str, tier: Tier) -> Vec<Effect> {
    if mission.spec.content_sha256 != content_sha256 {
        return vec![Effect::Answer(Reply::Conflict)];
    }
    let mut effects = Vec::new();
    if mission.status == Status::Queued && mission.tier != tier {
        effects.push(append(mission, EventBody::Dispatched { mission: mission.spec.clone(), tier }));
    }
    effects.push(Effect::Answer(Reply::Duplicate));
    effects
}

fn cancel(mission: &Mission, reason: &str, by: &str) -> Vec<Effect> {
    match mission.status {
        Status::Scheduled | Status::Queued | Status::Retrying => vec![
            append(mission, cancelled(reason, MissionResult::default(), mission)),
            Effect::Answer(Reply::Cancelled),
        ],
        Status::Running => {
            let body = EventBody::CancelRequested { reason: reason.into(), by: by.into() };
            vec![append(mission, body), Effect::Answer(Reply::CancelRequested)]
        }
        Status::Cancelling => vec![Effect::Answer(Reply::CancelRequested)],
        // The executor has ended: because it was asked to, or the wish comes too late to change the end.
        Status::Finalizing => {
            let outcome = mission.outcome.as_ref().map(|outcome| outcome.status);
            let heeded = outcome == Some(OutcomeStatus::Cancelled);
            vec![Effect::Answer(if heeded { Reply::CancelRequested } else { Reply::OutcomeRecorded })]
        }
        Status::Cancelled => vec![Effect::Answer(Reply::Cancelled)],
        Status::Completed | Status::Failed => vec![Effect::Answer(Reply::AlreadyTerminal)],
    }
}

#[derive(Clone, Copy)]
struct Holder {
    holding: bool,
    owner: Liveness,
}

fn deliver(
    mission: &Mission,
    seq: u64,
    claimant: &Claimant,
    holder: Holder,
    policy: &RetryPolicy,
    now: UtcTime,
) -> Vec<Effect> {
    if mission.status.is_terminal() {
        return vec![Effect::Ack];
    }
    // The newest queue entry brings the mission back whatever happens; older ones are only in the way.
    if mission.queue_seq.is_some_and(|newest| seq < newest) && !holder.holding {
        return vec![Effect::Ack];
    }
    match mission.status {
        Status::Queued | Status::Retrying => claim(mission, claimant, policy, now),
        Status::Running | Status::Cancelling | Status::Finalizing => {
            match liveness(mission, claimant, holder) {
                Liveness::Alive => vec![Effect::Leave],
                Liveness::Unknown => vec![Effect::Probe],
                Liveness::Gone => take_over(mission, claimant, policy, now),
            }
        }
        // No entry exists before the timer fires; one that is here early is looked at again later.
        Status::Scheduled | Status::Completed | Status::Failed | Status::Cancelled => vec![Effect::Leave],
    }
}

/// How soon an early retry is handed out again at least, when the clocks do not agree on how early it is.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

fn claim(mission: &Mission, claimant: &Claimant, policy: &RetryPolicy, now: UtcTime) -> Vec<Effect> {
    if now >= mission.spec.deadline {
        return vec![append(mission, failed(deadline_passed(mission), mission)), Effect::Ack];
    }
    if let Some(retry_at) = mission.retry_at
        && now < retry_at
    {
        // By a clock that is behind, the rest would be longer than anybody meant to wait: the next may know better.
        let meant = retry_at.since(mission.updated_at).max(LOOK_AGAIN);
        return vec![Effect::Nak { delay: retry_at.since(now).min(meant) }];
    }
    let limit = mission.spec.max_attempts.unwrap_or(policy.max_attempts);
    if mission.counted_attempts() >= limit {
        let failure = mission.failure.clone().unwrap_or_else(|| attempts_used_up(mission, limit));
        return vec![append(mission, failed(failure, mission)), Effect::Ack];
    }
    start(mission, claimant, None)
}

fn start(mission: &Mission, claimant: &Claimant, took_over: Option<Failure>) -> Vec<Effect> {
    let body =
        EventBody::Started { worker: claimant.worker.clone(), lease: claimant.lease.clone(), took_over };
    vec![append(mission, body), Effect::Run { attempt: mission.attempt + 1 }]
}

fn liveness(mission: &Mission, claimant: &Claimant, holder: Holder) -> Liveness {
    if holder.holding {
        return Liveness::Alive;
    }
    match &mission.owner {
        // An identity is never in two processes at once, and this one does not run it.
        Some(owner) if owner.worker.worker_id == claimant.worker.worker_id => Liveness::Gone,
        Some(_) => holder.owner,
        None => Liveness::Gone,
    }
}

fn take_over(mission: &Mission, claimant: &Claimant, policy: &RetryPolicy, now: UtcTime) -> Vec<Effect> {
    if mission.status == Status::Finalizing {
        return vec![Effect::Finalize { attempt: mission.attempt }];
    }
    if let (Status::Cancelling, Some(cancel)) = (mission.status, &mission.cancel) {
        let body = cancelled(&cancel.reason, MissionResult::default(), mission);
        return vec![append(mission, body), Effect::Ack];
    }
    if now >= mission.spec.deadline {
        return vec![append(mission, failed(deadline_passed(mission), mission)), Effect::Ack];
    }
    let lost = worker_lost(mission);
    if policy.allows(FailureClass::WorkerLost, mission.counted_attempts(), mission.spec.max_attempts) {
        start(mission, claimant, Some(lost))
    } else {
        vec![append(mission, failed(lost, mission)), Effect::Ack]
    }
}

fn finish(
    mission: &Mission,
    outcome: Outcome,
    policy: &RetryPolicy,
    delay: Duration,
    now: UtcTime,
) -> Vec<Effect> {
    match mission.status {
        Status::Cancelling => {
            let outcome = Outcome { status: OutcomeStatus::Cancelled, failure: None, ..outcome };
            vec![append(mission, EventBody::OutcomeRecorded { outcome })]
        }
        Status::Running => {
            if let Some(failure) = &outcome.failure {
                let retry_at = now.plus(delay);
                let another =
                    policy.allows(failure.class, mission.counted_attempts(), mission.spec.max_attempts)
                        && retry_at < mission.spec.deadline;
                if another {
                    let body = EventBody::AttemptFailed { failure: failure.clone(), retry_at };
                    return vec![append(mission, body), Effect::Nak { delay }];
                }
            }
            vec![append(mission, EventBody::OutcomeRecorded { outcome })]
        }
        // Recorded by an earlier try of the same append.
        Status::Finalizing => vec![],
        _ => vec![Effect::Stop(StopReason::Fenced)],
    }
}

fn conclude(
    mission: &Mission,
    attempt: Attempt,
    result: MissionResult,
    requires_deliverable: bool,
) -> Vec<Effect> {
    if mission.status.is_terminal() {
        return vec![Effect::Ack];
    }
    let (Status::Finalizing, Some(outcome)) = (mission.status, &mission.outcome) else {
        return vec![Effect::Stop(StopReason::Fenced)];
    };
    if mission.attempt != attempt {
        return vec![Effect::Stop(StopReason::Fenced)];
    }
    let usage = outcome.usage;
    let body = match outcome.status {
        OutcomeStatus::Completed if requires_deliverable && result.primary_total == 0 => {
            EventBody::Failed { failure: nothing_delivered(&result), result, usage }
        }
        OutcomeStatus::Completed => EventBody::Completed { summary: outcome.summary.clone(), result, usage },
        OutcomeStatus::Failed => {
            let failure = outcome.failure.clone().unwrap_or_else(|| {
                Failure::new(FailureClass::ExecutorError, "the executor failed and did not say why")
            });
            EventBody::Failed { failure, result, usage }
        }
        OutcomeStatus::Cancelled => {
            let reason = mission.cancel.as_ref().map_or("cancelled", |cancel| cancel.reason.as_str());
            EventBody::Cancelled { reason: reason.into(), result, usage }
        }
    };
    vec![append(mission, body), Effect::Ack]
}

fn release(mission: &Mission, attempt: Attempt, worker: &WorkerRef, reason: &str) -> Vec<Effect> {
    if !mission.is_held_by(worker, attempt) {
        return vec![Effect::Stop(StopReason::Fenced)];
    }
    match mission.status {
        Status::Running => vec![
            append(mission, EventBody::Released { reason: reason.into() }),
            Effect::Nak { delay: Duration::ZERO },
        ],
        Status::Cancelling => vec![Effect::Stop(StopReason::Cancel)],
        _ => vec![],
    }
}

fn observe(mission: &Mission, attempt: Attempt, worker: &WorkerRef) -> Vec<Effect> {
    if mission.status.is_terminal() || !mission.is_held_by(worker, attempt) {
        return vec![Effect::Stop(StopReason::Fenced)];
    }
    match mission.status {
        Status::Cancelling => vec![Effect::Stop(StopReason::Cancel)],
        _ => vec![],
    }
}

pub(super) fn cancelled(reason: &str, result: MissionResult, mission: &Mission) -> EventBody {
    EventBody::Cancelled { reason: reason.into(), result, usage: mission.usage }
}

pub(super) fn failed(failure: Failure, mission: &Mission) -> EventBody {
    EventBody::Failed { failure, result: MissionResult::default(), usage: mission.usage }
}

pub(super) fn deadline_passed(mission: &Mission) -> Failure {
    let message = format!("the deadline {} passed before the mission ended", mission.spec.deadline);
    Failure::new(FailureClass::DeadlineExceeded, message)
}

fn worker_lost(mission: &Mission) -> Failure {
    let worker = mission.owner.as_ref().map_or("unknown", |owner| owner.worker.worker_id.as_str());
    let message = format!("worker `{worker}` was lost during attempt {}", mission.attempt);
    Failure::new(FailureClass::WorkerLost, message)
}

fn attempts_used_up(mission: &Mission, limit: u32) -> Failure {
    let message = format!("all {limit} attempts are used up; the last one was attempt {}", mission.attempt);
    Failure::new(FailureClass::WorkerLost, message)
}

fn nothing_delivered(result: &MissionResult) -> Failure {
    let message = format!(
        "the executor said it completed and left no primary work product behind ({} supporting artifacts)",
        result.artifacts_total
    );
    Failure::new(FailureClass::MissingDeliverable, message)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
#[expect(clippy::format_push_string, reason = "a table for people")]
mod tests;
