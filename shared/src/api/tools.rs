//! The six tools: inputs and outputs, a file each.

mod cancel;
mod check;
mod dispatch;
mod get;
mod lane_mode;
mod list;
mod read_artifacts;
mod route;
mod wait;

use std::fmt;

pub use cancel::{CancelMission, CancelStatus, Cancelled};
pub use dispatch::{DispatchMission, Dispatched, MAX_INPUTS_BYTES, Priority};
pub use get::{GetMission, MissionDetails};
pub use lane_mode::{LaneModeSet, SetLaneMode};
pub use list::{ListMissions, MissionList, StatusFilter};
pub use read_artifacts::{ArtifactExcerpt, ReadResultArtifacts, ResultArtifacts};
pub use route::RouteWords;
pub use wait::{WaitMission, Waited};

/// The six tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ToolName {
    /// Delegate a mission.
    Dispatch,
    /// See one.
    Get,
    /// See many.
    List,
    /// Wait for the end of one.
    Wait,
    /// Stop one.
    Cancel,
    /// Read what one left behind.
    ReadArtifacts,
}

/// All tools.
pub const TOOLS: [ToolName; 6] = [
    ToolName::Dispatch,
    ToolName::Get,
    ToolName::List,
    ToolName::Wait,
    ToolName::Cancel,
    ToolName::ReadArtifacts,
];

impl ToolName {
    /// The tool's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dispatch => "vp_dispatch_mission",
            Self::Get => "vp_get_mission",
            Self::List => "vp_list_missions",
            Self::Wait => "vp_wait_mission",
            Self::Cancel => "vp_cancel_mission",
            Self::ReadArtifacts => "vp_read_result_artifacts",
        }
    }

    /// The tool of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        TOOLS.into_iter().find(|tool| tool.name() == name)
    }

    /// What it does, in a sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Dispatch => "Delegate a mission to a VP lane; the session is told how it ends",
            Self::Get => "Show one mission with its attempts and events",
            Self::List => "List missions, newest first",
            Self::Wait => "Wait until a mission has ended, or a time is over",
            Self::Cancel => "Stop a mission",
            Self::ReadArtifacts => "Read what a mission left behind, primary work products first",
        }
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
