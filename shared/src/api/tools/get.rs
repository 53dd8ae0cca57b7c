//! `vp_get_mission`: see one mission.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::views::{AttemptView, EventView, MissionView};
use crate::failure::Failure;
use crate::ids::MissionId;

/// Input of `vp_get_mission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetMission {
    /// Which.
    pub mission_id: MissionId,
}

/// Output of `vp_get_mission`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MissionDetails {
    /// It.
    pub mission: MissionView,
    /// It has ended.
    pub terminal: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Its attempts, first first.
    pub attempts: Vec<AttemptView>,
    /// Its newest 100 events, in order.
    pub events: Vec<EventView>,
    /// How many events it has.
    pub events_total: u64,
    /// Why it has not started or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_because: Option<String>,
}
