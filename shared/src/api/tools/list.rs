//! `vp_list_missions`: see many missions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::answer::ToolError;
use super::super::ledger::PageCursor;
use super::super::views::MissionView;
use super::check::within;
use crate::ids::{SessionId, VpId};
use crate::mission::Status;

/// One state or several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OneOrMany", into = "Vec<Status>")]
#[schemars(with = "OneOrMany")]
pub struct StatusFilter(pub Vec<Status>);

#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "want a status, or a list of them: scheduled, queued, running, retrying, cancelling, \
                              finalizing, completed, failed, cancelled"
)]
enum OneOrMany {
    One(Status),
    Many(Vec<Status>),
}

impl From<OneOrMany> for StatusFilter {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(status) => Self(vec![status]),
            OneOrMany::Many(all) => Self(all),
        }
    }
}

impl From<StatusFilter> for Vec<Status> {
    fn from(filter: StatusFilter) -> Self {
        filter.0
    }
}

/// Input of `vp_list_missions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListMissions {
    /// Of this lane only.
    #[serde(default)]
    pub vp_id: Option<VpId>,
    /// In these states only.
    #[serde(default)]
    pub status: Option<StatusFilter>,
    /// Delegated from this session only.
    #[serde(default)]
    pub session_id: Option<SessionId>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: u32,
    /// `next_cursor` of the page before.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub cursor: Option<PageCursor>,
}

const fn fifty() -> u32 {
    50
}

impl ListMissions {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        if self.status.as_ref().is_some_and(|status| status.0.is_empty()) {
            return Err(ToolError::field(
                "status",
                "is an empty list: name a status, or leave it out for all",
            ));
        }
        within("limit", u64::from(self.limit), 1, 500)
    }
}

/// Output of `vp_list_missions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MissionList {
    /// They, newest first.
    pub missions: Vec<MissionView>,
    /// How many are here.
    pub count: u64,
    /// Pass it as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next_cursor: Option<PageCursor>,
}
