//! How a mission's attempts stand after an event.

use vp_shared::api::AttemptStatus;
use vp_shared::event::{Event, EventBody, Usage};
use vp_shared::failure::{Failure, FailureClass};

use super::Live;
use crate::ledger::{attempt, attempt_row, json};

/// Moves the last attempt on, or begins another one; every row that is another one now goes to `changed`.
pub(super) fn advance(live: &mut Live, event: &Event, changed: &mut Vec<attempt::Model>) {
    match &event.body {
        EventBody::Started { worker, took_over, .. } => {
            if let Some(mut before) = live.attempt.take().filter(is_open) {
                end(&mut before, event, AttemptStatus::Lost, took_over.as_ref(), None);
                changed.push(before);
            }
            let row = attempt_row(&event.mission_id, event.attempt, worker, event.time);
            changed.push(row.clone());
            live.attempt = Some(row);
        }
        EventBody::Scheduled { .. } | EventBody::Dispatched { .. } | EventBody::CancelRequested { .. } => {}
        _ => {
            // What ends without having been started has no attempt, and an ended one stays as it is.
            if let Some(row) = live.attempt.as_mut().filter(|row| is_open(row)) {
                close(row, event);
                changed.push(row.clone());
            }
        }
    }
}

fn close(row: &mut attempt::Model, event: &Event) {
    use AttemptStatus as S;
    match &event.body {
        EventBody::AttemptFailed { failure, .. } => end(row, event, S::Failed, Some(failure), None),
        EventBody::Released { .. } => end(row, event, S::Released, None, None),
        EventBody::OutcomeRecorded { outcome } => {
            S::Finalizing.name().clone_into(&mut row.status);
            set_failure(row, outcome.failure.as_ref());
            row.usage = json(&outcome.usage);
        }
        EventBody::Completed { usage, .. } => end(row, event, S::Completed, None, Some(usage)),
        EventBody::Failed { failure, usage, .. } => {
            let lost = failure.class == FailureClass::WorkerLost;
            end(row, event, if lost { S::Lost } else { S::Failed }, Some(failure), Some(usage));
        }
        EventBody::Cancelled { usage, .. } => end(row, event, S::Cancelled, None, Some(usage)),
        EventBody::Scheduled { .. }
        | EventBody::Dispatched { .. }
        | EventBody::Started { .. }
        | EventBody::CancelRequested { .. } => {}
    }
}

fn is_open(row: &attempt::Model) -> bool {
    row.ended_at_us.is_none()
}

fn end(
    row: &mut attempt::Model,
    event: &Event,
    status: AttemptStatus,
    failure: Option<&Failure>,
    usage: Option<&Usage>,
) {
    status.name().clone_into(&mut row.status);
    row.ended_at_us = Some(event.time.as_micros());
    set_failure(row, failure);
    if let Some(usage) = usage {
        row.usage = json(usage);
    }
}

fn set_failure(row: &mut attempt::Model, failure: Option<&Failure>) {
    row.failure_class = failure.map(|failure| failure.class.name().to_owned());
    row.failure_message = failure.map(|failure| failure.message.clone());
}
