//! Pause, drain and resume a lane: asked of the dispatcher, as everything that the console changes. A page asks first.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::{Html, Redirect};
use vp_nats::lane_modes::{self, LaneModeError};
use vp_nats::subject;
use vp_shared::api::{LaneModeSet, SetLaneMode};
use vp_shared::error::Chain;
use vp_shared::ids::VpId;
use vp_shared::lane::{LaneMode, LaneModeRecord};

use super::actions::{CONSOLE, Sent, call, ours};
use super::desk::{Desk, nonce};
use super::refused::{Refused, written};

/// What can be done with a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Pause,
    Drain,
    Resume,
}

impl Act {
    fn of(name: &str) -> Result<Self, Refused> {
        let known = [Self::Pause, Self::Drain, Self::Resume].into_iter().find(|act| act.name() == name);
        known.ok_or_else(|| Refused::NotFound("page".to_owned()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Drain => "drain",
            Self::Resume => "resume",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Pause => "Pause",
            Self::Drain => "Drain",
            Self::Resume => "Resume",
        }
    }

    fn is_drain(self) -> bool {
        self == Self::Drain
    }

    fn mode(self) -> LaneMode {
        match self {
            Self::Pause => LaneMode::Paused,
            Self::Drain => LaneMode::Draining,
            Self::Resume => LaneMode::Open,
        }
    }
}

/// A lane's mode, as far as it is known.
pub(super) struct ModeShown {
    /// `None`: nobody knows.
    mode: Option<LaneMode>,
    pub(super) record: Option<LaneModeRecord>,
    /// Why nobody knows, or why the lane cannot be paused.
    pub(super) trouble: Option<String>,
}

impl ModeShown {
    pub(super) fn of(looked: Result<Option<LaneModeRecord>, LaneModeError>) -> Self {
        match looked {
            Ok(record) => {
                let mode = record.as_ref().map_or(LaneMode::Open, |record| record.mode);
                Self { mode: Some(mode), record, trouble: None }
            }
            Err(error) => {
                let mode = (error == LaneModeError::NoBucket).then_some(LaneMode::Open);
                Self { mode, record: None, trouble: Some(Chain(&error).to_string()) }
            }
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.mode.map_or("unknown", LaneMode::name)
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.mode.is_none()
    }

    pub(super) fn is_open(&self) -> bool {
        self.mode == Some(LaneMode::Open)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.mode == Some(LaneMode::Paused)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.mode == Some(LaneMode::Draining)
    }
}

#[derive(Template)]
#[template(path = "confirm_lane.html")]
struct Page {
    here: &'static str,
    act: Act,
    vp_id: VpId,
    name: String,
    shown: ModeShown,
    nonce: String,
    token: String,
}

impl Page {
    /// There is nothing to resume.
    fn is_idle(&self) -> bool {
        self.act == Act::Resume && self.shown.is_open()
    }
}

/// Asks whether to do it.
pub(super) async fn ask(
    State(desk): State<Desk>,
    Path((lane, act)): Path<(String, String)>,
) -> Result<Html<String>, Refused> {
    let (vp_id, act, nonce) = (lane_of(&desk, &lane)?, Act::of(&act)?, nonce());
    let shown = ModeShown::of(lane_modes::lookup(&desk.conn, &vp_id).await);
    written(&Page {
        here: "lanes",
        act,
        name: desk.lane_name(&vp_id),
        shown,
        token: desk.form_token(act.name(), vp_id.as_str(), &nonce),
        nonce,
        vp_id,
    })
}

/// Does it.
pub(super) async fn set(
    State(desk): State<Desk>,
    Path((lane, act)): Path<(String, String)>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Refused> {
    let (vp_id, act) = (lane_of(&desk, &lane)?, Act::of(&act)?);
    ours(&desk, act.name(), vp_id.as_str(), &sent)?;
    let reason = Some(sent.reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    let wanted = SetLaneMode { vp_id, mode: act.mode(), by: CONSOLE.to_owned(), reason };
    let done: LaneModeSet = call(&desk, &subject::lane_mode(), &wanted, None).await?;
    tracing::info!(vp_id = %done.vp_id, mode = %act.mode(), changed = done.changed, "a lane's mode was set in the console");
    Ok(Redirect::to(&format!("/lanes?said={}", act.mode())))
}

fn lane_of(desk: &Desk, text: &str) -> Result<VpId, Refused> {
    let known = VpId::new(text).ok().filter(|vp_id| desk.lanes.contains_key(vp_id));
    known.ok_or_else(|| Refused::NotFound("lane".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_could_not_be_looked_up_is_unknown_and_not_open() {
        let failed = LaneModeError::Failed { what: "look up a lane's mode", why: "no answer".to_owned() };
        let shown = ModeShown::of(Err(failed));
        assert_eq!(shown.name(), "unknown");
        assert!(shown.is_unknown() && !shown.is_open() && !shown.is_paused() && !shown.is_draining());
        assert!(shown.trouble.is_some_and(|why| why.contains("no answer")));
    }

    #[test]
    fn without_a_bucket_and_without_a_record_a_lane_is_open() {
        assert!(ModeShown::of(Err(LaneModeError::NoBucket)).is_open());
        assert!(ModeShown::of(Ok(None)).is_open());
    }
}
