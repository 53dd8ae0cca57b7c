//! `vp.lane.mode`: pause, drain or resume a lane. For operators; it is none of the six tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::answer::ToolError;
use super::check::{no_nul, word};
use crate::ids::VpId;
use crate::lane::{LaneMode, LaneModeRecord};

/// Input of `vp.lane.mode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLaneMode {
    /// Which lane.
    pub vp_id: VpId,
    /// What it is to be.
    pub mode: LaneMode,
    /// Who wants it, as the door says: the audit trail.
    #[schemars(length(min = 1, max = 100))]
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub reason: Option<String>,
}

impl SetLaneMode {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        word("by", &self.by, 100)?;
        let Some(reason) = &self.reason else { return Ok(()) };
        no_nul("reason", reason)?;
        if reason.trim().is_empty() {
            return Err(ToolError::field("reason", "is empty"));
        }
        if reason.chars().count() > 1000 {
            return Err(ToolError::field("reason", "is longer than 1000 characters"));
        }
        Ok(())
    }
}

/// Output of `vp.lane.mode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LaneModeSet {
    /// Which lane.
    pub vp_id: VpId,
    /// What it is now; `None`: it was never anything but open.
    pub record: Option<LaneModeRecord>,
    /// False: it was so already.
    pub changed: bool,
}
