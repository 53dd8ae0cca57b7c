//! Missions and attempts as rows, and back: the cache may forget any mission and find the same one again.

use serde::Serialize;
use serde::de::DeserializeOwned;
use vp_shared::api::{AttemptStatus, AttemptView};
use vp_shared::event::{Source, WorkerRef};
use vp_shared::failure::{Failure, FailureClass};
use vp_shared::ids::{MissionId, SessionId, VpId, WorkerId};
use vp_shared::mission::{CancelRequest, Mission, MissionSpec, Owner, ReplyMode, Status};
use vp_shared::tier::Tier;
use vp_shared::time::UtcTime;

use super::entity::{attempt, mission};
use super::error::LedgerError;
use super::place::Place;

/// A stored number of ours; what no column can hold becomes the largest it can.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// JSON of one of our own types.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    // Our types have text keys and finite numbers, so writing to memory cannot fail.
    serde_json::to_string(value)
        .unwrap_or_else(|error| unreachable!("a stored value has no JSON form: {error}"))
}

/// The row of a mission that was born at `born`.
pub(crate) fn mission_row(mission: &Mission, born: Place) -> mission::Model {
    let owner = mission.owner.as_ref();
    let worker = owner.map(|owner| &owner.worker);
    let cancel = mission.cancel.as_ref();
    let failure = mission.failure.as_ref();
    let micros = |time: Option<UtcTime>| time.map(UtcTime::as_micros);
    mission::Model {
        born_pos: born.pos(),
        mission_id: mission.mission_id.as_str().to_owned(),
        vp_id: mission.vp_id.as_str().to_owned(),
        status: mission.status.name().to_owned(),
        tier: mission.tier.name().to_owned(),
        session_id: mission.source.session_id.as_ref().map(|id| id.as_str().to_owned()),
        turn_id: mission.source.turn_id.clone(),
        reply_mode: mission.source.reply_mode.name().to_owned(),
        attempt: i64::from(mission.attempt),
        released: i64::from(mission.released),
        last_seq: number(mission.last_seq),
        queue_seq: mission.queue_seq.map(number),
        worker_id: worker.map(|worker| worker.worker_id.as_str().to_owned()),
        incarnation: worker.map(|worker| worker.incarnation.clone()),
        host: worker.map(|worker| worker.host.clone()),
        worker_version: worker.map(|worker| worker.version.clone()),
        lease: owner.map(|owner| owner.lease.clone()),
        retry_at_us: micros(mission.retry_at),
        cancel_reason: cancel.map(|cancel| cancel.reason.clone()),
        cancel_by: cancel.map(|cancel| cancel.by.clone()),
        outcome: mission.outcome.as_ref().map(json),
        failure_class: failure.map(|failure| failure.class.name().to_owned()),
        failure_message: failure.map(|failure| failure.message.clone()),
        summary: mission.summary.clone(),
        result: mission.result.as_ref().map(json),
        usage: json(&mission.usage),
        created_at_us: mission.created_at.as_micros(),
        queued_at_us: micros(mission.queued_at),
        started_at_us: micros(mission.started_at),
        finished_at_us: micros(mission.finished_at),
        updated_at_us: mission.updated_at.as_micros(),
    }
}

/// The mission of a row; `spec` is what its first event holds.
///
/// # Errors
/// [`LedgerError::Damaged`].
pub(crate) fn mission_of(row: mission::Model, spec: MissionSpec) -> Result<Mission, LedgerError> {
    let key = row.mission_id.clone();
    let bad = |column| damaged("missions", &key, column);
    let owner = match (row.worker_id, row.incarnation, row.host, row.worker_version, row.lease) {
        (None, None, None, None, None) => None,
        (Some(id), Some(incarnation), Some(host), Some(version), Some(lease)) => {
            let worker_id = WorkerId::new(id).map_err(|_| bad("worker_id"))?;
            Some(Owner { worker: WorkerRef { worker_id, incarnation, host, version }, lease })
        }
        _ => return Err(bad("worker_id")),
    };
    let cancel = match (row.cancel_reason, row.cancel_by) {
        (None, None) => None,
        (Some(reason), Some(by)) => Some(CancelRequest { reason, by }),
        _ => return Err(bad("cancel_by")),
    };
    let session_id = row.session_id.map(SessionId::new).transpose().map_err(|_| bad("session_id"))?;
    Ok(Mission {
        mission_id: MissionId::new(&row.mission_id).map_err(|_| bad("mission_id"))?,
        vp_id: VpId::new(&row.vp_id).map_err(|_| bad("vp_id"))?,
        spec,
        source: Source {
            session_id,
            turn_id: row.turn_id,
            reply_mode: ReplyMode::from_name(&row.reply_mode).ok_or_else(|| bad("reply_mode"))?,
        },
        tier: Tier::from_name(&row.tier).ok_or_else(|| bad("tier"))?,
        status: Status::from_name(&row.status).ok_or_else(|| bad("status"))?,
        attempt: u32::try_from(row.attempt).map_err(|_| bad("attempt"))?,
        released: u32::try_from(row.released).map_err(|_| bad("released"))?,
        last_seq: u64::try_from(row.last_seq).map_err(|_| bad("last_seq"))?,
        queue_seq: row.queue_seq.map(u64::try_from).transpose().map_err(|_| bad("queue_seq"))?,
        owner,
        retry_at: row.retry_at_us.map(UtcTime::from_micros),
        cancel,
        outcome: row.outcome.as_deref().map(|text| parsed(text, || bad("outcome"))).transpose()?,
        failure: failure_of(row.failure_class, row.failure_message, || bad("failure_class"))?,
        summary: row.summary,
        result: row.result.as_deref().map(|text| parsed(text, || bad("result"))).transpose()?,
        usage: parsed(&row.usage, || bad("usage"))?,
        created_at: UtcTime::from_micros(row.created_at_us),
        queued_at: row.queued_at_us.map(UtcTime::from_micros),
        started_at: row.started_at_us.map(UtcTime::from_micros),
        finished_at: row.finished_at_us.map(UtcTime::from_micros),
        updated_at: UtcTime::from_micros(row.updated_at_us),
    })
}

/// The row of an attempt of the mission that was born at `born`.
pub(crate) fn attempt_row(mission_id: &MissionId, born: Place, attempt: &AttemptView) -> attempt::Model {
    let failure = attempt.failure.as_ref();
    attempt::Model {
        born_pos: born.pos(),
        attempt: i64::from(attempt.attempt),
        mission_id: mission_id.as_str().to_owned(),
        status: attempt.status.name().to_owned(),
        worker_id: attempt.worker_id.as_str().to_owned(),
        host: attempt.host.clone(),
        version: attempt.version.clone(),
        started_at_us: attempt.started_at.as_micros(),
        ended_at_us: attempt.ended_at.map(UtcTime::as_micros),
        failure_class: failure.map(|failure| failure.class.name().to_owned()),
        failure_message: failure.map(|failure| failure.message.clone()),
        usage: json(&attempt.usage),
    }
}

/// An attempt as callers see it.
///
/// # Errors
/// [`LedgerError::Damaged`].
pub(crate) fn attempt_view(row: attempt::Model) -> Result<AttemptView, LedgerError> {
    let key = format!("{}, {}", row.mission_id, row.attempt);
    let bad = |column| damaged("attempts", &key, column);
    Ok(AttemptView {
        attempt: u32::try_from(row.attempt).map_err(|_| bad("attempt"))?,
        status: AttemptStatus::from_name(&row.status).ok_or_else(|| bad("status"))?,
        worker_id: WorkerId::new(&row.worker_id).map_err(|_| bad("worker_id"))?,
        host: row.host,
        version: row.version,
        started_at: UtcTime::from_micros(row.started_at_us),
        ended_at: row.ended_at_us.map(UtcTime::from_micros),
        failure: failure_of(row.failure_class, row.failure_message, || bad("failure_class"))?,
        usage: parsed(&row.usage, || bad("usage"))?,
    })
}

pub(crate) fn damaged(table: &'static str, key: &str, column: &'static str) -> LedgerError {
    LedgerError::Damaged { table, key: key.to_owned(), column }
}

fn parsed<T: DeserializeOwned>(text: &str, bad: impl FnOnce() -> LedgerError) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|_| bad())
}

fn failure_of(
    class: Option<String>,
    message: Option<String>,
    bad: impl FnOnce() -> LedgerError,
) -> Result<Option<Failure>, LedgerError> {
    match (class, message) {
        (None, None) => Ok(None),
        (Some(class), Some(message)) => match FailureClass::from_name(&class) {
            Some(class) => Ok(Some(Failure { class, message })),
            None => Err(bad()),
        },
        _ => Err(bad()),
    }
}
