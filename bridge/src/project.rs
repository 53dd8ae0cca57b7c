//! The projection, pure: what one message of the log changes in the ledger.

mod decode;

use std::collections::HashMap;

use vp_nats::reader::Record;
use vp_shared::api::{AttemptView, apply_attempt};
use vp_shared::event::{Event, EventBody};
use vp_shared::ids::VpId;
use vp_shared::lane::Lanes;
use vp_shared::mission::{Applied, EventKind, Mission};
use vp_shared::notice::{Notice, notice};
use vp_shared::time::UtcTime;

pub(crate) use decode::{Decoded, decode};

use crate::ledger::{Place, anomaly, artifact, attempt, attempt_row, event, json, notice as notices, number};

/// What lanes are called, as far as the configuration knows them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(HashMap<VpId, String>);

impl Names {
    pub(crate) fn of(lanes: &Lanes) -> Self {
        Self(lanes.iter().map(|(vp_id, lane)| (vp_id.clone(), lane.display_name.clone())).collect())
    }

    pub(crate) fn of_lane<'a>(&'a self, vp_id: &'a VpId) -> &'a str {
        self.0.get(vp_id).map_or(vp_id.as_str(), String::as_str)
    }
}

/// A mission as the projection holds it between two events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Live {
    /// It.
    pub(crate) mission: Mission,
    /// The place of its first event.
    pub(crate) born: Place,
    /// Its last attempt.
    pub(crate) attempt: Option<AttemptView>,
}

/// What one message changes, beside the mission itself.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Change {
    /// The mission's row is another one now.
    pub(crate) mission: bool,
    /// The mission is new.
    pub(crate) born: bool,
    /// Another mission of its id had ended, and the log has forgotten that one.
    pub(crate) again: bool,
    /// A lawful event.
    pub(crate) event: Option<event::Model>,
    /// Rows of attempts that are new or other ones now.
    pub(crate) attempts: Vec<attempt::Model>,
    /// What the mission left behind.
    pub(crate) artifacts: Vec<artifact::Model>,
    /// What its session is told.
    pub(crate) notice: Option<notices::Model>,
    /// Why the message is no lawful event.
    pub(crate) anomaly: Option<anomaly::Model>,
}

impl Change {
    fn anomaly(at: Place, subject: &str, what: String) -> Self {
        Self { anomaly: Some(anomaly_row(at, subject, what)), ..Self::default() }
    }
}

/// The row of an anomaly, its texts cut.
pub(crate) fn anomaly_row(at: Place, subject: &str, what: String) -> anomaly::Model {
    anomaly::Model {
        pos: at.pos(),
        subject: vp_shared::text::cut(subject.to_owned(), 200),
        what: vp_shared::text::cut(what, 500),
    }
}

/// Projects one message, stored at `at`, onto the mission it is about. Never fails: what is not lawful is an anomaly.
pub(crate) fn project(
    live: &mut Option<Live>,
    at: Place,
    record: &Record,
    event: &Event,
    names: &Names,
) -> Change {
    if let Some(held) = live.as_ref().filter(|held| held.mission.vp_id != event.vp_id) {
        let what = format!("the mission belongs to {}, not to {}", held.mission.vp_id, event.vp_id);
        return Change::anomaly(at, &record.subject, what);
    }
    let again = begins_again(live.as_ref(), record, event);
    if again {
        *live = None;
    }
    let born = live.is_none();
    let asked_to_stop = live.as_ref().is_some_and(|held| held.mission.cancel.is_some());
    let applied = apply(live, event, at);
    let Some(live) = live else {
        let what = format!("a `{}` event may not be a mission's first", event.kind());
        return Change::anomaly(at, &record.subject, what);
    };
    if let Applied::Illegal { status } = applied {
        let status = status.map_or("new", |status| status.name());
        let what = format!("a `{}` event may not follow the state `{status}`", event.kind());
        // The mission's last sequence has moved all the same: it is what its next writer must expect.
        return Change { mission: true, ..Change::anomaly(at, &record.subject, what) };
    }
    let mut change = Change {
        mission: true,
        born,
        again,
        event: Some(event_row(at, live.born, record, event)),
        ..Change::default()
    };
    if applied == Applied::Changed {
        change.attempts = attempt_rows(live, event);
        change.artifacts = artifact_rows(live.born, event);
        // Only the first wish to stop is told: each kind of notice exists once a mission.
        if !(asked_to_stop && event.kind() == EventKind::CancelRequested) {
            change.notice = notice_row(at, record.stored_at, &live.mission, event, names);
        }
    }
    change
}

/// True when the same key was used once more after the log had forgotten the ended mission: the server stored this only
/// because it held nothing of it any more.
fn begins_again(live: Option<&Live>, record: &Record, event: &Event) -> bool {
    let first = matches!(event.kind(), EventKind::Scheduled | EventKind::Dispatched);
    first && record.begins && live.is_some_and(|held| held.mission.status.is_terminal())
}

fn apply(live: &mut Option<Live>, event: &Event, at: Place) -> Applied {
    let (mut mission, born, attempt) = match live.take() {
        Some(held) => (Some(held.mission), held.born, held.attempt),
        None => (None, at, None),
    };
    let applied = Mission::apply(&mut mission, event, at.seq);
    *live = mission.map(|mission| Live { mission, born, attempt });
    applied
}

/// Moves the last attempt on, or begins another one, and returns the rows of those that changed.
fn attempt_rows(live: &mut Live, event: &Event) -> Vec<attempt::Model> {
    let mut last: Vec<AttemptView> = live.attempt.take().into_iter().collect();
    let changed = apply_attempt(&mut last, event);
    let rows =
        changed.into_iter().map(|place| attempt_row(&event.mission_id, live.born, &last[place])).collect();
    live.attempt = last.pop();
    rows
}

fn event_row(at: Place, born: Place, record: &Record, event: &Event) -> event::Model {
    event::Model {
        pos: at.pos(),
        born_pos: born.pos(),
        event_id: event.id.to_string(),
        mission_id: event.mission_id.as_str().to_owned(),
        kind: event.kind().name().to_owned(),
        attempt: i64::from(event.attempt),
        time_us: event.time.as_micros(),
        // Checked when it was decoded.
        payload: std::str::from_utf8(&record.payload).unwrap_or_default().to_owned(),
    }
}

fn artifact_rows(born: Place, event: &Event) -> Vec<artifact::Model> {
    let (EventBody::Completed { result, .. }
    | EventBody::Failed { result, .. }
    | EventBody::Cancelled { result, .. }) = &event.body
    else {
        return Vec::new();
    };
    let row = |artifact: &vp_shared::artifact::Artifact| artifact::Model {
        born_pos: born.pos(),
        mission_id: event.mission_id.as_str().to_owned(),
        path: artifact.path.clone(),
        category: artifact.category.name().to_owned(),
        bytes: number(artifact.bytes),
        media_type: artifact.media_type.clone(),
        sha256: artifact.sha256.clone(),
        stored: artifact.stored,
    };
    result.artifacts.iter().map(row).collect()
}

fn notice_row(
    at: Place,
    stored_at: UtcTime,
    mission: &Mission,
    event: &Event,
    names: &Names,
) -> Option<notices::Model> {
    notice(mission, event, names.of_lane(&mission.vp_id)).map(|notice| row_of_notice(at, stored_at, &notice))
}

/// A notice's row, at the place of its event.
pub(crate) fn row_of_notice(at: Place, stored_at: UtcTime, notice: &Notice) -> notices::Model {
    notices::Model {
        pos: at.pos(),
        notice_id: notice.notice_id.as_str().to_owned(),
        session_id: notice.session_id.as_str().to_owned(),
        mission_id: notice.mission_id.as_str().to_owned(),
        created_us: stored_at.as_micros(),
        body: json(notice),
    }
}

#[cfg(test)]
mod tests;
