//! `vp_wait_mission`: wait for the end of a mission.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::answer::ToolError;
use super::super::views::MissionView;
use super::check::within;
use crate::ids::MissionId;

/// Input of `vp_wait_mission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitMission {
    /// Which.
    pub mission_id: MissionId,
    /// How long at most.
    #[serde(default = "forty_five")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u64,
}

const fn forty_five() -> u64 {
    45
}

impl WaitMission {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        within("timeout_seconds", self.timeout_seconds, 1, 3600)
    }
}

/// Output of `vp_wait_mission`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Waited {
    /// The time was over before the mission.
    pub timed_out: bool,
    /// It has ended.
    pub terminal: bool,
    /// It.
    pub mission: MissionView,
    /// The last progress it reported, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
}
