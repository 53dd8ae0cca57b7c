//! What callers send and get: the same types at every door, and between the doors and the ledger.

mod answer;
mod attempts;
mod bridge;
mod ledger;
mod tools;
mod views;
mod worker;

pub use answer::{Answer, ErrorCode, ToolError, parse};
pub use attempts::apply_attempt;
pub use bridge::BridgeReport;
pub use ledger::{
    Anomaly, LedgerGet, LedgerList, LedgerMission, LedgerPage, LedgerQuestion, LedgerQueue, LedgerQueueStart,
    LedgerStatus, PageCursor, ReconcilerStatus, Repaired, RetentionStatus,
};
pub use tools::{
    ArtifactExcerpt, CancelMission, CancelStatus, Cancelled, DispatchMission, Dispatched, GetMission,
    LaneModeSet, ListMissions, MAX_INPUTS_BYTES, MissionDetails, MissionList, Priority, ReadResultArtifacts,
    ResultArtifacts, RouteWords, SetLaneMode, StatusFilter, TOOLS, ToolName, WaitMission, Waited,
};
pub use views::{AttemptStatus, AttemptView, CancelView, EventView, MissionView};
pub use worker::{
    LanePresence, LogTail, MAX_LOG_TAIL_BYTES, Presence, ProcessMark, StreamTail, WorkerAnswer,
    WorkerQuestion, WorkspaceStatus,
};
