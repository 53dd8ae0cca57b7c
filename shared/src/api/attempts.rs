//! The attempts of a mission, as its events tell them: one function for ledger and log.

use super::views::{AttemptStatus, AttemptView};
use crate::event::{Event, EventBody};
use crate::failure::Failure;

/// Folds one event into the attempts of its mission, and returns the place of each attempt it changed, in order.
/// For lawful events only: what [`crate::mission::Mission::apply`] calls `Illegal` must not come here.
pub fn apply_attempt(attempts: &mut Vec<AttemptView>, event: &Event) -> Vec<usize> {
    if let EventBody::Started { worker, took_over, .. } = &event.body {
        let mut changed = end_last(attempts, event, AttemptStatus::Lost, took_over.as_ref());
        attempts.push(AttemptView {
            attempt: event.attempt,
            status: AttemptStatus::Running,
            worker_id: worker.worker_id.clone(),
            host: worker.host.clone(),
            version: worker.version.clone(),
            started_at: event.time,
            ended_at: None,
            failure: None,
            usage: crate::event::Usage::default(),
        });
        changed.push(attempts.len() - 1);
        return changed;
    }
    match &event.body {
        EventBody::AttemptFailed { failure, .. } => {
            end_last(attempts, event, AttemptStatus::Failed, Some(failure))
        }
        EventBody::Released { .. } => end_last(attempts, event, AttemptStatus::Released, None),
        EventBody::OutcomeRecorded { outcome } => finalizing(attempts, outcome),
        EventBody::Completed { usage, .. } => {
            ended_with(attempts, event, AttemptStatus::Completed, None, *usage)
        }
        EventBody::Failed { failure, usage, .. } => {
            let lost = failure.class == crate::failure::FailureClass::WorkerLost;
            let status = if lost { AttemptStatus::Lost } else { AttemptStatus::Failed };
            ended_with(attempts, event, status, Some(failure), *usage)
        }
        EventBody::Cancelled { usage, .. } => {
            ended_with(attempts, event, AttemptStatus::Cancelled, None, *usage)
        }
        EventBody::Scheduled { .. }
        | EventBody::Dispatched { .. }
        | EventBody::Started { .. }
        | EventBody::CancelRequested { .. } => Vec::new(),
    }
}

/// Ends the last attempt, if it has not ended.
fn end_last(
    attempts: &mut [AttemptView],
    event: &Event,
    status: AttemptStatus,
    failure: Option<&Failure>,
) -> Vec<usize> {
    let last = attempts.len().checked_sub(1);
    let Some((place, attempt)) = last.zip(attempts.last_mut().filter(|attempt| attempt.ended_at.is_none()))
    else {
        return Vec::new();
    };
    attempt.status = status;
    attempt.ended_at = Some(event.time);
    attempt.failure = failure.cloned();
    vec![place]
}

fn ended_with(
    attempts: &mut [AttemptView],
    event: &Event,
    status: AttemptStatus,
    failure: Option<&Failure>,
    usage: crate::event::Usage,
) -> Vec<usize> {
    let changed = end_last(attempts, event, status, failure);
    for place in &changed {
        attempts[*place].usage = usage;
    }
    changed
}

fn finalizing(attempts: &mut [AttemptView], outcome: &crate::event::Outcome) -> Vec<usize> {
    let last = attempts.len().checked_sub(1);
    let Some((place, attempt)) = last.zip(attempts.last_mut().filter(|attempt| attempt.ended_at.is_none()))
    else {
        return Vec::new();
    };
    attempt.status = AttemptStatus::Finalizing;
    attempt.failure.clone_from(&outcome.failure);
    attempt.usage = outcome.usage;
    vec![place]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::MissionResult;
    use crate::event::{Actor, ActorKind, Outcome, OutcomeStatus, Source, Usage, WorkerRef};
    use crate::failure::FailureClass;
    use crate::ids::{EventId, MissionId, VpId, WorkerId};
    use crate::time::UtcTime;

    fn event(attempt: u32, at: i64, body: EventBody) -> Event {
        let vp_id = VpId::new("vp.coder.primary").unwrap();
        Event {
            id: EventId(uuid::Uuid::from_u128(u128::from(attempt) << 64 | u128::try_from(at).unwrap())),
            mission_id: MissionId::of_key(&vp_id, "k"),
            vp_id,
            attempt,
            time: UtcTime::from_micros(at),
            actor: Actor { kind: ActorKind::Worker, id: "w".into() },
            source: Source::default(),
            body,
        }
    }

    fn started(attempt: u32, at: i64, took_over: Option<Failure>) -> Event {
        let worker = WorkerRef {
            worker_id: WorkerId::new(format!("w{attempt}")).unwrap(),
            incarnation: "i".into(),
            host: "h".into(),
            version: "1".into(),
        };
        event(attempt, at, EventBody::Started { worker, lease: "l".into(), took_over })
    }

    fn statuses(events: &[Event]) -> Vec<&'static str> {
        let mut attempts = Vec::new();
        for event in events {
            apply_attempt(&mut attempts, event);
        }
        attempts.iter().map(|attempt| attempt.status.name()).collect()
    }

    fn failure(class: FailureClass) -> Failure {
        Failure::new(class, "because")
    }

    fn usage() -> Usage {
        Usage { wall_ms: 7, ..Usage::default() }
    }

    #[test]
    fn a_lost_attempt_is_followed_by_the_one_that_took_over() {
        let lost = failure(FailureClass::WorkerLost);
        let mut attempts = Vec::new();
        assert_eq!(apply_attempt(&mut attempts, &started(1, 10, None)), [0]);
        assert_eq!(apply_attempt(&mut attempts, &started(2, 20, Some(lost.clone()))), [0, 1]);
        assert_eq!(attempts[0].status, AttemptStatus::Lost);
        assert_eq!(attempts[0].ended_at, Some(UtcTime::from_micros(20)));
        assert_eq!(attempts[0].failure, Some(lost));
        assert_eq!((attempts[1].status, attempts[1].ended_at), (AttemptStatus::Running, None));
    }

    #[test]
    fn each_ending_has_its_status() {
        let result = MissionResult::default;
        let outcome = Outcome {
            status: OutcomeStatus::Completed,
            failure: None,
            summary: String::new(),
            usage: usage(),
        };
        let recorded = || event(1, 20, EventBody::OutcomeRecorded { outcome: outcome.clone() });
        assert_eq!(statuses(&[started(1, 10, None)]), ["running"]);
        assert_eq!(statuses(&[started(1, 10, None), recorded()]), ["finalizing"]);
        let completed = EventBody::Completed { summary: String::new(), result: result(), usage: usage() };
        assert_eq!(statuses(&[started(1, 10, None), recorded(), event(1, 30, completed)]), ["completed"]);
        let cancelled = EventBody::Cancelled { reason: "r".into(), result: result(), usage: usage() };
        assert_eq!(statuses(&[started(1, 10, None), recorded(), event(1, 30, cancelled)]), ["cancelled"]);
        for (class, want) in [(FailureClass::ExecutorError, "failed"), (FailureClass::WorkerLost, "lost")] {
            let failed = EventBody::Failed { failure: failure(class), result: result(), usage: usage() };
            assert_eq!(statuses(&[started(1, 10, None), event(1, 30, failed)]), [want]);
        }
        let released = EventBody::Released { reason: "drain".into() };
        assert_eq!(
            statuses(&[started(1, 10, None), event(1, 20, released), started(2, 30, None)]),
            ["released", "running"]
        );
    }

    #[test]
    fn a_mission_that_ends_between_attempts_changes_none() {
        let failed = EventBody::AttemptFailed {
            failure: failure(FailureClass::Timeout),
            retry_at: UtcTime::from_micros(99),
        };
        let cancelled =
            EventBody::Cancelled { reason: "r".into(), result: MissionResult::default(), usage: usage() };
        let mut attempts = Vec::new();
        for event in [started(1, 10, None), event(1, 20, failed)] {
            apply_attempt(&mut attempts, &event);
        }
        assert_eq!(apply_attempt(&mut attempts, &event(1, 30, cancelled)), [0_usize; 0]);
        assert_eq!(attempts[0].status, AttemptStatus::Failed);
        assert_eq!(attempts[0].usage, Usage::default());
    }
}
