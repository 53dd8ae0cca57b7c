//! `vp_cancel_mission`: stop a mission.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::answer::ToolError;
use super::super::views::MissionView;
use super::check::no_nul;
use crate::ids::MissionId;

/// Input of `vp_cancel_mission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelMission {
    /// Which.
    pub mission_id: MissionId,
    /// Why.
    #[serde(default = "on_request")]
    #[schemars(length(min = 1, max = 1000))]
    pub reason: String,
}

fn on_request() -> String {
    "cancelled on request".into()
}

impl CancelMission {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        no_nul("reason", &self.reason)?;
        if self.reason.trim().is_empty() {
            return Err(ToolError::field("reason", "is empty"));
        }
        if self.reason.chars().count() > 1000 {
            return Err(ToolError::field("reason", "is longer than 1000 characters"));
        }
        Ok(())
    }
}

/// What became of a wish to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelStatus {
    /// It is cancelled.
    Cancelled,
    /// It runs and has been asked to stop; its end will be told.
    CancelRequested,
}

/// Output of `vp_cancel_mission`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// What became of the wish.
    pub status: CancelStatus,
    /// The mission.
    pub mission: MissionView,
}
