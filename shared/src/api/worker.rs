//! What workers say of themselves, and what they are asked.

use serde::{Deserialize, Serialize};

use crate::event::WorkerRef;
use crate::ids::{Attempt, MissionId, VpId};
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
    /// The question was not understood.
    Unknown,
}
