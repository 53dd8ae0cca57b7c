//! The audit: a row for each decision, and which turns ended without the dispatch that their words asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{MissionId, VpId};
use crate::time::UtcTime;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The words ask no lane for anything.
    Open,
    /// They ask about missions that exist.
    Control,
    /// They ask a VP, and not which.
    Ambiguous,
    /// They delegate: the turn owes dispatches.
    Owed,
    /// They delegate, and the lane cannot be reached: the message was not taken.
    Unavailable,
    /// A tool was let through while a dispatch was owed.
    Allowed,
    /// A tool was not let through.
    Denied,
    /// A dispatch succeeded, and another one is owed.
    Dispatched,
    /// The last dispatch that was owed succeeded.
    Kept,
    /// A dispatch did not succeed.
    Refused,
    /// The turn wanted to end, and was held back.
    Reminded,
    /// The turn ended without its dispatch.
    Violated,
    /// Another turn began before the dispatch.
    Abandoned,
    /// The hook itself could not decide.
    Undecided,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When.
    pub time: UtcTime,
    /// The agent's session, as its host names it.
    pub session: String,
    /// Which of its turns.
    pub turn: u64,
    /// The hook.
    pub hook: String,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// SHA-256 of the user's words, in hex; the words themselves are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_sha256: Option<String>,
    /// The lanes it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vp_ids: Vec<VpId>,
    /// The tool it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The mission it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mission_id: Option<MissionId>,
}

/// How an explicit turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With all its dispatches.
    Kept,
    /// Not yet.
    Owes,
    /// The message was not taken: the lane could not be reached.
    Unavailable,
    /// The user went on to something else.
    Abandoned,
    /// Without its dispatch.
    Violated,
}

/// One explicit turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// When its words came.
    pub time: UtcTime,
    /// The agent's session.
    pub session: String,
    /// Which of its turns.
    pub turn: u64,
    /// The lanes it delegated to.
    pub vp_ids: Vec<VpId>,
    /// How it ended.
    pub ended: Ended,
    /// How many tools were not let through.
    pub denied: u64,
    /// The last reason that was noted.
    pub reason: String,
}

/// What the audit says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Turns whose words delegated.
    pub explicit: u64,
    /// Those that ended with their dispatches.
    pub kept: u64,
    /// Those that did not, oldest first; [`Ended::Owes`] may still do so.
    pub without_dispatch: Vec<Turn>,
    /// Decisions that the hook could not make.
    pub undecided: u64,
}

/// Sums up. Rows of one session must be in their order.
pub fn report(rows: &[AuditRow]) -> Report {
    let mut turns: BTreeMap<(&str, u64), Turn> = BTreeMap::new();
    let mut undecided = 0;
    for row in rows {
        let key = (row.session.as_str(), row.turn);
        if matches!(row.decision, Decision::Owed | Decision::Unavailable) {
            let turn = Turn {
                time: row.time,
                session: row.session.clone(),
                turn: row.turn,
                vp_ids: row.vp_ids.clone(),
                ended: Ended::Owes,
                denied: 0,
                reason: String::new(),
            };
            turns.insert(key, turn);
        }
        undecided += u64::from(row.decision == Decision::Undecided);
        let Some(turn) = turns.get_mut(&key) else { continue };
        turn.ended = match row.decision {
            Decision::Kept => Ended::Kept,
            Decision::Unavailable => Ended::Unavailable,
            Decision::Abandoned => Ended::Abandoned,
            Decision::Violated => Ended::Violated,
            _ => turn.ended,
        };
        turn.denied += u64::from(row.decision == Decision::Denied);
        turn.reason.clone_from(&row.reason);
    }
    let mut turns: Vec<Turn> = turns.into_values().collect();
    turns.sort_by(|a, b| (a.time, &a.session, a.turn).cmp(&(b.time, &b.session, b.turn)));
    let explicit = turns.len() as u64;
    turns.retain(|turn| turn.ended != Ended::Kept);
    Report { explicit, kept: explicit - turns.len() as u64, without_dispatch: turns, undecided }
}
