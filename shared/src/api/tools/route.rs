//! `vp.tool.route`: the user's own words, to be read by the routing policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::answer::ToolError;
use super::check::sized;
use crate::routing::MAX_ROUTED_BYTES;

/// Input of `vp.tool.route`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteWords {
    /// What the user wrote, before any template.
    #[schemars(length(max = 65536))]
    pub text: String,
}

impl RouteWords {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A `validation_error` that names the field.
    pub fn check(&self) -> Result<(), ToolError> {
        sized("text", &self.text, MAX_ROUTED_BYTES)
    }
}
