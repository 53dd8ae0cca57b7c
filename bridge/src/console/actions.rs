//! Cancel, and dispatch again: asked of the dispatcher, as any caller would. A page asks first, a form that only this
//! console can have made does it.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::{Html, Redirect};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vp_nats::service::request;
use vp_nats::subject;
use vp_shared::api::{
    Answer, CancelMission, CancelStatus, Cancelled, DispatchMission, Dispatched, MissionView, Priority,
    ToolName,
};
use vp_shared::ids::{MissionId, SessionId};
use vp_shared::mission::Mission;
use vp_shared::text::one_line;

use super::desk::{Desk, nonce};
use super::mission::mission_of;
use super::refused::{Refused, written};

/// How long the dispatcher may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(12);
/// As whom the console cancels.
pub(super) const CONSOLE: &str = "console";

/// A page that asks.
#[derive(Template)]
#[template(path = "confirm.html")]
struct Page {
    here: &'static str,
    act: &'static str,
    mission: MissionView,
    objective: String,
    vp_name: String,
    nonce: String,
    token: String,
    possible: bool,
}

/// A form that is sent.
#[derive(Deserialize)]
pub(super) struct Sent {
    nonce: String,
    token: String,
    #[serde(default)]
    pub(super) reason: String,
}

/// Asks whether to cancel.
pub(super) async fn ask_cancel(
    State(desk): State<Desk>,
    Path(mission_id): Path<String>,
) -> Result<Html<String>, Refused> {
    ask(&desk, "cancel", &mission_id).await
}

/// Asks whether to dispatch again.
pub(super) async fn ask_again(
    State(desk): State<Desk>,
    Path(mission_id): Path<String>,
) -> Result<Html<String>, Refused> {
    ask(&desk, "again", &mission_id).await
}

async fn ask(desk: &Desk, act: &'static str, mission_id: &str) -> Result<Html<String>, Refused> {
    let mission = MissionView::from(&found(desk, &mission_of(mission_id)?).await?);
    let nonce = nonce();
    let possible = match act {
        "cancel" => !mission.status.is_terminal(),
        _ => mission.status.is_terminal() && mission.source.session_id.is_some(),
    };
    written(&Page {
        here: "missions",
        act,
        objective: one_line(&mission.objective, 300),
        vp_name: desk.lane_name(&mission.vp_id),
        token: desk.form_token(act, mission_id, &nonce),
        nonce,
        possible,
        mission,
    })
}

/// Cancels.
pub(super) async fn cancel(
    State(desk): State<Desk>,
    Path(mission_id): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Refused> {
    let id = mission_of(&mission_id)?;
    ours(&desk, "cancel", &mission_id, &sent)?;
    let reason = match sent.reason.trim() {
        "" => "cancelled in the console".to_owned(),
        reason => reason.to_owned(),
    };
    let by = SessionId::new(CONSOLE).map_err(|_| Refused::Fault)?;
    let cancel = CancelMission { mission_id: id, reason };
    let done: Cancelled = call(&desk, &subject::tool(ToolName::Cancel), &cancel, Some(&by)).await?;
    tracing::info!(%mission_id, "a mission was cancelled in the console");
    let said = match done.status {
        CancelStatus::Cancelled => "cancelled",
        CancelStatus::CancelRequested => "cancel_requested",
    };
    Ok(Redirect::to(&format!("/missions/{mission_id}?said={said}")))
}

/// Dispatches the same work again, as another mission of the same session. A form that is sent twice does it once.
pub(super) async fn again(
    State(desk): State<Desk>,
    Path(mission_id): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Refused> {
    let id = mission_of(&mission_id)?;
    ours(&desk, "again", &mission_id, &sent)?;
    let mission = found(&desk, &id).await?;
    let session_id = mission.source.session_id.clone();
    let dispatch = same_work(mission, &sent.nonce);
    let done: Dispatched =
        call(&desk, &subject::tool(ToolName::Dispatch), &dispatch, session_id.as_ref()).await?;
    tracing::info!(%mission_id, again = %done.mission_id, "a mission was dispatched again in the console");
    Ok(Redirect::to(&format!("/missions/{}?said=dispatched", done.mission_id)))
}

/// What the mission asks for, but when: what was scheduled is due now, and has as long as any.
fn same_work(mission: Mission, nonce: &str) -> DispatchMission {
    let spec = mission.spec;
    DispatchMission {
        vp_id: mission.vp_id,
        objective: spec.objective,
        mission_type: spec.mission_type,
        constraints: spec.constraints,
        budget: spec.budget,
        idempotency_key: Some(format!("console-again-{}-{nonce}", mission.mission_id)),
        priority: Priority(mission.tier),
        reply_mode: mission.source.reply_mode,
        not_before: None,
        deadline: None,
        max_attempts: spec.max_attempts,
        inputs: spec.inputs,
        require_live_worker: false,
        source_turn_id: mission.source.turn_id,
    }
}

/// Whether a form is one that this console has shown for this act on this thing.
pub(super) fn ours(desk: &Desk, act: &str, about: &str, sent: &Sent) -> Result<(), Refused> {
    let wanted = desk.form_token(act, about, &sent.nonce);
    // Compared in the same time wherever they differ.
    let differing = wanted.len() ^ sent.token.len();
    let differing =
        wanted.bytes().zip(sent.token.bytes()).fold(differing, |sum, (a, b)| sum | usize::from(a ^ b));
    if differing == 0 { Ok(()) } else { Err(Refused::ForeignForm) }
}

async fn found(desk: &Desk, mission_id: &MissionId) -> Result<Mission, Refused> {
    let found = desk.ledger().await?.whole(mission_id).await?;
    found.ok_or_else(|| Refused::NotFound("mission".to_owned()))
}

/// Asks the dispatcher.
pub(super) async fn call<Q: Serialize, A: DeserializeOwned>(
    desk: &Desk,
    subject: &str,
    input: &Q,
    session_id: Option<&SessionId>,
) -> Result<A, Refused> {
    let internal = |error: serde_json::Error| {
        tracing::error!(subject, %error, "the dispatcher's words could not be written or read");
        Refused::Fault
    };
    let body = serde_json::to_vec(input).map_err(internal)?;
    let answer = request(&desk.conn, subject, body.into(), session_id, PATIENCE).await?;
    match Answer::from_json(&answer).map_err(internal)? {
        Answer(Ok(output)) => Ok(output),
        Answer(Err(error)) => Err(Refused::Tool(error)),
    }
}
