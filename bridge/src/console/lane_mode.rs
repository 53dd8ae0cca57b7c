//! Pause, drain and resume a lane: asked of the dispatcher, as everything that the console changes. A page asks first.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::{Html, Redirect};
use vp_nats::lane_modes;
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

#[derive(Template)]
#[template(path = "confirm_lane.html")]
struct Page {
    here: &'static str,
    act: Act,
    vp_id: VpId,
    name: String,
    record: Option<LaneModeRecord>,
    nonce: String,
    token: String,
}

impl Page {
    /// There is nothing to resume.
    fn is_idle(&self) -> bool {
        self.act == Act::Resume && self.record.as_ref().is_none_or(|record| record.mode.is_open())
    }
}

/// Asks whether to do it.
pub(super) async fn ask(
    State(desk): State<Desk>,
    Path((lane, act)): Path<(String, String)>,
) -> Result<Html<String>, Refused> {
    let (vp_id, act, nonce) = (lane_of(&desk, &lane)?, Act::of(&act)?, nonce());
    let record = lane_modes::lookup(&desk.conn, &vp_id).await.unwrap_or_else(|error| {
        tracing::debug!(%vp_id, error = %Chain(&error), "a lane's mode could not be looked up");
        None
    });
    written(&Page {
        here: "lanes",
        act,
        name: desk.lane_name(&vp_id),
        record,
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
