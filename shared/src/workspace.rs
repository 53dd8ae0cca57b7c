//! The directories of attempts: what is recorded in each, and which may be removed.
//!
//! Only what a worker has made and recorded is ever removed, and only of missions that the log, or the ledger, has
//! called terminal: that is written into the record when it is known, because the log forgets. In doubt it is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, MissionId, VpId, WorkerId};
use crate::mission::Status;
use crate::time::UtcTime;

/// The record's file in an attempt's directory.
pub const WORKSPACE_RECORD: &str = "workspace.json";
/// No workspace goes in its mission's first hour after the end, however full the place is: the session is just being
/// told of it.
pub const WORKSPACE_GRACE: Duration = Duration::from_hours(1);

/// Whose directory it is: written before it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceRecord {
    /// The record's version, 1.
    pub v: u32,
    /// The lane.
    pub vp_id: VpId,
    /// The mission.
    pub mission_id: MissionId,
    /// The attempt.
    pub attempt: Attempt,
    /// The worker that made the directory.
    pub worker_id: WorkerId,
    /// When it made it.
    pub created_at: UtcTime,
    /// How the mission ended, once the log or the ledger has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<WorkspaceEnd>,
}

impl WorkspaceRecord {
    /// The version that is written and read.
    pub const VERSION: u32 = 1;

    /// True when it is the record of that directory and of no other one.
    pub fn is_of(&self, place: &WorkspacePlace) -> bool {
        self.v == Self::VERSION
            && self.vp_id == place.vp_id
            && self.mission_id == place.mission_id
            && self.attempt == place.attempt
    }
}

/// How the mission of a directory ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceEnd {
    /// When.
    pub at: UtcTime,
    /// As what; terminal.
    pub status: Status,
    /// How much of the disk the directory took then, in bytes.
    pub bytes: u64,
}

/// Which directory it is, by its names alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkspacePlace {
    /// The lane's name.
    pub vp_id: VpId,
    /// The mission's.
    pub mission_id: MissionId,
    /// The attempt in its name.
    pub attempt: Attempt,
    /// The name itself: `attempt-<n>`, or `attempt-<n>.unknown-<micros>` for one that was put aside.
    pub name: String,
}

impl WorkspacePlace {
    /// Reads the three names; `None` when a worker makes no such directory.
    pub fn read(vp_id: &str, mission_id: &str, name: &str) -> Option<Self> {
        let number = name.strip_prefix("attempt-")?;
        let (number, aside) = number.split_once(".unknown-").map_or((number, None), |(n, at)| (n, Some(at)));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(number) || number.starts_with('0') || !aside.is_none_or(digits) {
            return None;
        }
        Some(Self {
            vp_id: VpId::new(vp_id).ok()?,
            mission_id: MissionId::new(mission_id).ok()?,
            attempt: number.parse().ok()?,
            name: name.to_owned(),
        })
    }
}

/// What is kept of the workspaces of missions that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkspacePolicy {
    /// How long after the end; `None` is for ever.
    pub keep_for: Option<Duration>,
    /// How many bytes all of them may take together; `None` is any number.
    pub max_bytes: Option<u64>,
}

/// A directory as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundWorkspace {
    /// Which.
    pub place: WorkspacePlace,
    /// What its record says; `None` when there is none that can be read.
    pub record: Option<WorkspaceRecord>,
    /// A worker has its mission in hand.
    pub in_hand: bool,
}

/// What is to become of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceVerdict {
    /// Kept: nobody has recorded that it is a worker's.
    NoRecord,
    /// Kept: its record is that of another directory.
    RecordDiffers,
    /// Kept: another worker has made it.
    OtherWorker,
    /// Kept: its mission is in hand.
    InHand,
    /// Kept: neither log nor ledger has said that its mission has ended.
    NotEnded,
    /// Kept: its time has not come.
    Kept,
    /// Removed: its mission ended long enough ago.
    TooOld,
    /// Removed: all together take too much, and its mission is among those that ended first.
    TooMuch,
}

impl WorkspaceVerdict {
    /// True when the directory goes.
    pub const fn removes(self) -> bool {
        matches!(self, Self::TooOld | Self::TooMuch)
    }

    /// Why, for people.
    pub const fn why(self) -> &'static str {
        match self {
            Self::NoRecord => "kept: no record says that a worker made it",
            Self::RecordDiffers => "kept: its record is that of another directory",
            Self::OtherWorker => "kept: another worker made it",
            Self::InHand => "kept: its mission is in hand",
            Self::NotEnded => "kept: nothing says that its mission has ended",
            Self::Kept => "kept: its time has not come",
            Self::TooOld => "removed: its mission ended long enough ago",
            Self::TooMuch => "removed: all together take too much",
        }
    }
}

/// Decides about every directory that was found, in their order. `mine` are the workers in whose name is decided.
pub fn plan_workspaces(
    found: &[FoundWorkspace],
    mine: &BTreeSet<WorkerId>,
    policy: &WorkspacePolicy,
    now: UtcTime,
) -> Vec<WorkspaceVerdict> {
    let mut verdicts: Vec<_> = found.iter().map(|one| alone(one, mine, policy, now)).collect();
    let Some(max_bytes) = policy.max_bytes else { return verdicts };
    let mut staying: Vec<(UtcTime, usize, u64)> = Vec::new();
    for (place, one) in found.iter().enumerate() {
        if verdicts[place] == WorkspaceVerdict::Kept
            && let Some(end) = one.record.as_ref().and_then(|record| record.ended.as_ref())
        {
            staying.push((end.at, place, end.bytes));
        }
    }
    staying.sort_unstable();
    let mut total = staying.iter().fold(0_u64, |sum, (.., bytes)| sum.saturating_add(*bytes));
    for (ended_at, place, bytes) in staying {
        if total <= max_bytes || now.since(ended_at) < WORKSPACE_GRACE {
            break;
        }
        verdicts[place] = WorkspaceVerdict::TooMuch;
        total = total.saturating_sub(bytes);
    }
    verdicts
}

/// What is to become of it whatever the others take.
fn alone(
    found: &FoundWorkspace,
    mine: &BTreeSet<WorkerId>,
    policy: &WorkspacePolicy,
    now: UtcTime,
) -> WorkspaceVerdict {
    let Some(record) = &found.record else { return WorkspaceVerdict::NoRecord };
    if !record.is_of(&found.place) {
        return WorkspaceVerdict::RecordDiffers;
    }
    if !mine.contains(&record.worker_id) {
        return WorkspaceVerdict::OtherWorker;
    }
    if found.in_hand {
        return WorkspaceVerdict::InHand;
    }
    match &record.ended {
        Some(end) if end.status.is_terminal() => {
            // A clock that was set back makes it younger, never older.
            let old = policy.keep_for.is_some_and(|keep_for| now.since(end.at) >= keep_for);
            if old { WorkspaceVerdict::TooOld } else { WorkspaceVerdict::Kept }
        }
        _ => WorkspaceVerdict::NotEnded,
    }
}

#[cfg(test)]
#[path = "workspace_tests.rs"]
mod tests;
