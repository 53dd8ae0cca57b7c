//! What the doors ask the ledger.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{AttemptView, EventView, MissionView};
use crate::ids::{MissionId, SessionId, VpId};
use crate::mission::Status;
use crate::time::UtcTime;

/// What can be asked; the names are the subjects' last tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LedgerQuestion {
    /// [`LedgerGet`], answered by [`LedgerMission`].
    GetMission,
    /// [`LedgerList`], answered by [`LedgerPage`].
    ListMissions,
    /// An empty object, answered by [`LedgerStatus`].
    Status,
    /// [`LedgerQueue`], answered by [`LedgerQueueStart`].
    QueueStart,
}

impl LedgerQuestion {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::GetMission, Self::ListMissions, Self::Status, Self::QueueStart];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GetMission => "get_mission",
            Self::ListMissions => "list_missions",
            Self::Status => "status",
            Self::QueueStart => "queue_start",
        }
    }

    /// The question of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|question| question.name() == name)
    }
}

/// Where a lane's queue may begin that is to be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerQueue {
    /// The lane.
    pub vp_id: VpId,
}

/// The first sequence of the log that a lane's queue must hold: no earlier entry is of a mission that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerQueueStart {
    /// It; 1 when the ledger does not know this log yet.
    pub start_seq: u64,
}

/// One mission, please.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerGet {
    /// Which.
    pub mission_id: MissionId,
}

/// A mission as the ledger has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerMission {
    /// It.
    pub mission: MissionView,
    /// Its attempts, first first.
    pub attempts: Vec<AttemptView>,
    /// Its newest 100 events, in order.
    pub events: Vec<EventView>,
    /// How many events it has.
    pub events_total: u64,
}

/// Missions, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerList {
    /// Of this lane only.
    #[serde(default)]
    pub vp_id: Option<VpId>,
    /// In one of these states only; empty is all.
    #[serde(default)]
    pub status: Vec<Status>,
    /// Delegated from this session only.
    #[serde(default)]
    pub session_id: Option<SessionId>,
    /// At most so many, 1 to 500.
    pub limit: u32,
    /// After this one.
    #[serde(default)]
    pub after: Option<PageCursor>,
}

/// A page of missions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerPage {
    /// They, newest first.
    pub missions: Vec<MissionView>,
    /// Where the next page starts, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PageCursor>,
}

/// A place in the list of missions: the last one seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PageCursor {
    /// When it was delegated.
    pub created_at: UtcTime,
    /// Which it was.
    pub mission_id: MissionId,
}

/// A text that is not a cursor of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: pass `next_cursor` of the page before as it was given")]
pub struct BadCursor;

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at.as_micros(), self.mission_id)
    }
}

impl FromStr for PageCursor {
    type Err = BadCursor;
    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (micros, mission) = text.split_once('.').ok_or(BadCursor)?;
        let created_at = UtcTime::from_micros(micros.parse().map_err(|_| BadCursor)?);
        Ok(Self { created_at, mission_id: MissionId::new(mission).map_err(|_| BadCursor)? })
    }
}

impl TryFrom<String> for PageCursor {
    type Error = BadCursor;
    fn try_from(text: String) -> Result<Self, BadCursor> {
        text.parse()
    }
}

impl From<PageCursor> for String {
    fn from(cursor: PageCursor) -> String {
        cursor.to_string()
    }
}

/// How the ledger stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerStatus {
    /// The stream sequence up to which it is projected.
    pub cursor: u64,
    /// The stream's last sequence.
    pub stream_last: u64,
    /// How many messages of the stream are not projected yet; timers that have fired since are counted too.
    #[serde(default)]
    pub lag_events: u64,
    /// How long the oldest of them has been in the stream, in seconds; 0 when there is none.
    #[serde(default)]
    pub lag_seconds: u64,
    /// The time of the last event it projected.
    pub projected_at: Option<UtcTime>,
    /// Missions by status.
    pub missions: std::collections::BTreeMap<String, u64>,
    /// Missions that wait for a free slot, by lane.
    #[serde(default)]
    pub waiting: std::collections::BTreeMap<String, u64>,
    /// Notices written and not yet sent.
    pub notices_pending: u64,
    /// How many anomalies are recorded.
    pub anomalies_total: u64,
    /// The newest of them.
    pub anomalies: Vec<Anomaly>,
    /// What the reconciler has found and done since the bridge was started.
    #[serde(default)]
    pub reconciler: ReconcilerStatus,
    /// What was deleted by policy since the bridge was started.
    #[serde(default)]
    pub retention: RetentionStatus,
}

/// What the ledger has deleted by policy since the bridge was started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RetentionStatus {
    /// When it last looked for what is old enough.
    pub ran_at: Option<UtcTime>,
    /// When it looks again; never, if everything is kept for ever.
    pub next_at: Option<UtcTime>,
    /// How many missions it has deleted.
    pub missions_deleted: u64,
    /// How many rows those were.
    pub rows_deleted: u64,
    /// How many missions are old enough and stay until the log has forgotten them and their notices are sent.
    pub waiting: u64,
    /// Why it did not come to its end, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What the reconciler has found and done since the bridge was started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReconcilerStatus {
    /// When it last looked through all missions that have not ended.
    pub looked_at: Option<UtcTime>,
    /// How many those were.
    pub looked_through: u64,
    /// How many of them look stranded now and are watched.
    pub watched: u64,
    /// How many missions it has brought back or ended.
    pub repaired: u64,
    /// The newest of them, newest first.
    pub newest: Vec<Repaired>,
    /// Why it cannot look now, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A stranded mission that was brought back or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repaired {
    /// Which.
    pub mission_id: MissionId,
    /// When.
    pub at: UtcTime,
    /// What was done.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A message in the log that is no lawful event; recorded and stepped over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Anomaly {
    /// Its stream sequence.
    pub seq: u64,
    /// Its subject.
    pub subject: String,
    /// What was wrong with it.
    pub what: String,
}
