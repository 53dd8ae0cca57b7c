//! `vp_read_result_artifacts`: read what a mission left behind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::answer::ToolError;
use super::check::within;
use crate::artifact::Category;
use crate::ids::MissionId;

/// Input of `vp_read_result_artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadResultArtifacts {
    /// Which mission.
    pub mission_id: MissionId,
    /// Of this category only.
    #[serde(default)]
    pub category: Option<Category>,
    /// At most so many files.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 200))]
    pub max_files: u64,
    /// At most so many bytes of content, over all files.
    #[serde(default = "two_hundred_thousand")]
    #[schemars(range(min = 256, max = 2_000_000))]
    pub max_bytes: u64,
}

const fn twenty() -> u64 {
    20
}
const fn two_hundred_thousand() -> u64 {
    200_000
}

impl ReadResultArtifacts {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        within("max_files", self.max_files, 1, 200)?;
        within("max_bytes", self.max_bytes, 256, 2_000_000)
    }
}

/// Output of `vp_read_result_artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResultArtifacts {
    /// `workspace://<host>/<path>`.
    pub result_ref: String,
    /// What the executor says it did.
    pub summary: String,
    /// Primary work products first.
    pub artifacts: Vec<ArtifactExcerpt>,
    /// How many the mission has, in this category.
    pub files_total: u64,
    /// How many are listed here.
    pub files_listed: u64,
}

/// An artifact and the beginning of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactExcerpt {
    /// Where it is, relative to the workspace.
    pub path: String,
    /// What it is to the session.
    pub category: Category,
    /// Its size.
    pub bytes: u64,
    /// Its media type.
    pub media_type: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// The beginning of it, when it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// There is more of it.
    pub excerpt_truncated: bool,
    /// `vp://missions/<id>/artifacts/<path>`.
    pub uri: String,
}
