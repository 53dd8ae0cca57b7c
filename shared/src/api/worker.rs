//! What workers say of themselves, and what they are asked.

use serde::{Deserialize, Serialize};

use crate::event::WorkerRef;
use crate::ids::{Attempt, MissionId, VpId};
use crate::lane::LaneMode;
use crate::time::UtcTime;

/// The value of a worker's presence key: it lives, and this is what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Who.
    #[serde(flatten)]
    pub worker: WorkerRef,
    /// The lanes it serves, with slots and how many of them are in use.
    pub lanes: Vec<LanePresence>,
    /// Since when it lives.
    pub since: UtcTime,
    /// It pulls nothing more and finishes what it has.
    pub draining: bool,
    /// How it keeps its workspaces; `None` before it has looked through them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<WorkspaceStatus>,
    /// Its process, by which another one on the same host can tell whether it still lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessMark>,
}

/// How a worker keeps the workspaces of its root.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkspaceStatus {
    /// When it last looked through them.
    pub swept_at: Option<UtcTime>,
    /// How many directories it left, also those of others and of missions that live.
    pub kept: u64,
    /// What those of ended missions take, in bytes.
    pub kept_bytes: u64,
    /// How many it has removed since it was started.
    pub removed: u64,
    /// What those took, in bytes.
    pub removed_bytes: u64,
    /// How many it could not ask about or remove the last time.
    pub failed: u64,
    /// Why it could not look, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A process, told apart from every other one that its host has run or will run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMark {
    /// The host's run, from its start to its end.
    pub boot: String,
    /// The namespace in which its id counts.
    pub namespace: String,
    /// Its id.
    pub pid: u32,
    /// When it was started, in the host's ticks since its own start: an id is used again, a moment is not.
    pub started: u64,
}

/// A lane as a worker serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePresence {
    /// Which lane.
    pub vp_id: VpId,
    /// How many attempts it runs at a time.
    pub slots: u32,
    /// How many it runs now.
    pub busy: u32,
    /// Since when it gets no entry although slots are free and entries wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starved_since: Option<UtcTime>,
    /// Whether it starts missions of the lane, as it has last heard.
    #[serde(default, skip_serializing_if = "LaneMode::is_open")]
    pub mode: LaneMode,
}

/// What anyone may ask a worker on its own subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum WorkerQuestion {
    /// Do you hold this mission?
    Holds {
        /// Which.
        mission_id: MissionId,
        /// The life of the worker that is meant. Another life may answer too, for itself.
        incarnation: String,
    },
    /// What has the executor of this mission said of late?
    Log {
        /// Which.
        mission_id: MissionId,
        /// How much of it at most; never more than [`MAX_LOG_TAIL_BYTES`].
        max_bytes: u64,
    },
}

/// The most that a worker answers of a log, of both streams together.
pub const MAX_LOG_TAIL_BYTES: u64 = 64 * 1024;

/// The end of what an executor has said, as its worker keeps it: without the secrets it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogTail {
    /// Of which attempt.
    pub attempt: Attempt,
    /// Its standard output.
    pub stdout: StreamTail,
    /// Its standard error.
    pub stderr: StreamTail,
}

/// The end of one stream's log, from the beginning of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamTail {
    /// What stands there; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// How many bytes stand before it.
    pub skipped: u64,
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum WorkerAnswer {
    /// It runs or finalises this attempt.
    Holds {
        /// Which.
        attempt: Attempt,
    },
    /// It does not.
    DoesNotHold,
    /// The end of the log of a mission that it holds.
    Log(LogTail),
    /// The question was not understood.
    Unknown,
}
