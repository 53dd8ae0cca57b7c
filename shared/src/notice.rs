//! Notices: what a session is told, worded once, as text and as JSON.

mod fit;

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{Artifact, Category, MissionResult};
use crate::event::{Event, EventBody};
use crate::failure::Failure;
use crate::ids::{Attempt, MissionId, NoticeId, SessionId, VpId};
use crate::mission::{EventKind, Mission, ReplyMode, Status};
use crate::text::one_line;
use crate::time::UtcTime;

/// One thing a session is told, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// By which a reader recognises one it has seen.
    pub notice_id: NoticeId,
    /// The session it is for.
    pub session_id: SessionId,
    /// The turn in which the mission was delegated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// The event it tells of, as `vp.mission.<event>`.
    pub event: String,
    /// The mission.
    pub mission_id: MissionId,
    /// Its lane.
    pub vp_id: VpId,
    /// What the lane is called.
    pub vp_name: String,
    /// What the mission was doing after the event.
    pub status: Status,
    /// True when this is the last notice of the mission.
    pub terminal: bool,
    /// The attempt the event belongs to.
    pub attempt: Attempt,
    /// When the event was made.
    pub time: UtcTime,
    /// The objective's first line.
    pub objective: String,
    /// What the executor says it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why it was cancelled, or is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<MissionResult>,
    /// All of the above for people.
    pub text: String,
}

/// How many paths of a category a notice's text lists.
const PATHS_SHOWN: usize = 10;

/// The notice that `event` is worth, when the mission's session wants it: at most one of each kind a mission,
/// so retries are silent. `mission` is the state after the event; `vp_name` what the lane is called.
pub fn notice(mission: &Mission, event: &Event, vp_name: &str) -> Option<Notice> {
    let session_id = mission.source.session_id.clone()?;
    let what = what(mission, event)?;
    let terminal = event.kind().is_terminal();
    match mission.source.reply_mode {
        ReplyMode::Async => {}
        ReplyMode::Final if terminal => {}
        ReplyMode::Final | ReplyMode::Silent => return None,
    }
    let (summary, failure, reason, result) = match &event.body {
        EventBody::Completed { summary, result, .. } => {
            (Some(summary.clone()), None, None, Some(result.clone()))
        }
        EventBody::Failed { failure, result, .. } => {
            (None, Some(failure.clone()), None, Some(result.clone()))
        }
        EventBody::Cancelled { reason, result, .. } => {
            (None, None, Some(reason.clone()), Some(result.clone()))
        }
        EventBody::CancelRequested { reason, .. } => (None, None, Some(reason.clone()), None),
        _ => (None, None, None, None),
    };
    let mut notice = Notice {
        notice_id: NoticeId::of(&mission.mission_id, what),
        session_id,
        turn_id: mission.source.turn_id.clone(),
        event: event.kind().type_name().to_owned(),
        mission_id: mission.mission_id.clone(),
        vp_id: mission.vp_id.clone(),
        vp_name: vp_name.to_owned(),
        status: mission.status,
        terminal,
        attempt: event.attempt,
        time: event.time,
        objective: one_line(&mission.spec.objective, 200),
        summary: summary.filter(|text| !text.is_empty()),
        failure,
        reason,
        result,
        text: String::new(),
    };
    notice.text = text(&notice, mission.spec.not_before);
    Some(notice)
}

/// What is told, which is the notice's part of its id. `None` for what is only an event.
fn what(mission: &Mission, event: &Event) -> Option<&'static str> {
    match event.kind() {
        EventKind::Scheduled => Some("scheduled"),
        // A re-tier is not told, nor a queue entry that came late.
        EventKind::Dispatched if mission.queued_at == Some(event.time) && mission.attempt == 0 => {
            Some("dispatched")
        }
        EventKind::Started if event.attempt == 1 => Some("started"),
        EventKind::CancelRequested => Some("cancel_requested"),
        EventKind::Completed | EventKind::Failed | EventKind::Cancelled => Some("terminal"),
        _ => None,
    }
}

fn text(notice: &Notice, not_before: Option<UtcTime>) -> String {
    let mut out = String::new();
    let _ = match &notice.status {
        _ if notice.event == EventKind::CancelRequested.type_name() => {
            let reason = notice.reason.as_deref().unwrap_or_default();
            write!(out, "{} was asked to stop mission {}: {reason}", notice.vp_name, notice.mission_id)
        }
        Status::Scheduled => {
            let when = not_before.unwrap_or(notice.time);
            write!(out, "{} has mission {} scheduled for {when}", notice.vp_name, notice.mission_id)
        }
        Status::Queued => write!(out, "{} has mission {} queued", notice.vp_name, notice.mission_id),
        Status::Completed => write!(out, "{} completed mission {}", notice.vp_name, notice.mission_id),
        Status::Failed => write!(out, "{} failed mission {}", notice.vp_name, notice.mission_id),
        Status::Cancelled => write!(out, "{} cancelled mission {}", notice.vp_name, notice.mission_id),
        _ => write!(out, "{} started mission {}", notice.vp_name, notice.mission_id),
    };
    let _ = write!(out, "\nObjective: {}", notice.objective);
    if !notice.terminal {
        return out;
    }
    if let Some(summary) = &notice.summary {
        let _ = write!(out, "\nSummary: {}", summary.trim());
    }
    if let Some(failure) = &notice.failure {
        let _ = write!(out, "\nFailure: {}: {}", failure.class, failure.message.trim());
    }
    if let Some(reason) = &notice.reason {
        let _ = write!(out, "\nReason: {}", reason.trim());
    }
    if let Some(result) = &notice.result {
        result_lines(&mut out, result);
    }
    out
}

fn result_lines(out: &mut String, result: &MissionResult) {
    let supporting = result.artifacts_total.saturating_sub(result.primary_total);
    category_lines(out, &result.artifacts, Category::PrimaryWorkProduct, result.primary_total);
    category_lines(out, &result.artifacts, Category::SupportingArtifact, supporting);
    if let Some(receipt) = &result.receipt {
        let _ = write!(out, "\n{}: {receipt}", Category::Receipt.label());
    }
    if let Some(marker) = &result.sync_marker {
        let _ = write!(out, "\n{}: {marker}", Category::SyncMarker.label());
    }
    if let Some(result_ref) = &result.result_ref {
        let _ = write!(out, "\nWorkspace: {result_ref}");
    }
    if result.partial {
        out.push_str("\nNote: the worker that ran it stayed away; this is what is known of it.");
    }
}

fn category_lines(out: &mut String, artifacts: &[Artifact], category: Category, total: u64) {
    let mut shown = 0;
    for artifact in artifacts.iter().filter(|artifact| artifact.category == category).take(PATHS_SHOWN) {
        let _ = write!(out, "\n{}: {} ({} bytes)", category.label(), artifact.path, artifact.bytes);
        shown += 1;
    }
    if shown == 0 && total > 0 {
        let _ = write!(out, "\n{}: {total}, not listed here", category.label());
    } else if total > shown {
        let _ = write!(out, "\n{}: and {} more", category.label(), total - shown);
    }
}

#[cfg(test)]
#[path = "notice_tests.rs"]
#[expect(clippy::needless_pass_by_value, reason = "json! values read better as arguments")]
mod tests;
