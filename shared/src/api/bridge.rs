//! What a bridge says of itself, at work or standing by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::UtcTime;

/// What a bridge says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BridgeReport {
    /// The host it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The ledger that it works on, or would; without credentials.
    pub ledger: String,
    /// True while it holds the ledger and works; false while it stands by.
    pub active: bool,
    /// Since when that is so.
    pub since: UtcTime,
    /// The sequence up to which the log is projected, as far as it knows: not when it has never worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// How many messages of the log are behind that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_events: Option<u64>,
    /// How long the oldest of them has been in the log, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<u64>,
    /// What stops it or a part of it now, and what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trouble: Vec<String>,
}
