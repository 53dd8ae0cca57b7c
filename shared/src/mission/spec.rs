//! What a mission asks for. A `dispatched` event holds all of it; nobody needs the ledger to run one.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::time::UtcTime;

/// The longest objective, in bytes.
pub const MAX_OBJECTIVE_BYTES: usize = 64 * 1024;
/// How far away a mission's deadline may be when it is delegated.
pub const MAX_DEADLINE: Duration = Duration::from_hours(30 * 24);
/// The shortest time for which a log may keep its events: a mission ends, or is ended, before it would forget it.
pub const MIN_LOG_RETENTION: Duration = Duration::from_hours(31 * 24);

// A day for whoever must still write that the deadline has passed.
const _: () = assert!(MIN_LOG_RETENTION.as_secs() >= MAX_DEADLINE.as_secs() + 24 * 3600);

/// The whole of a mission, as stored in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MissionSpec {
    /// What is to be done, in the caller's words; 1 byte to 64 KiB.
    pub objective: String,
    /// The caller's name for the kind of work, `task` when it said nothing.
    pub mission_type: String,
    /// Terms for the executor, passed on as they came.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub constraints: Map<String, Value>,
    /// What an attempt may use at most.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
    /// Files laid into the workspace before the executor starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// The caller's own name for this mission, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Not to be queued before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UtcTime>,
    /// The mission fails when it has not ended by then. Always set in the log.
    pub deadline: UtcTime,
    /// How many attempts may count, if the caller said so; else the lane's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// SHA-256 of what the caller asked, for telling a repeat from a conflict.
    pub content_sha256: String,
}

/// Limits of one attempt; what is absent is the lane's.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Seconds an attempt may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub wall_seconds: Option<u64>,
    /// Seconds an attempt may stay silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub idle_seconds: Option<u64>,
    /// US dollars an attempt may report to have spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub cost_usd: Option<f64>,
    /// Tokens an attempt may report to have used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

impl Budget {
    /// True when it limits nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The wall-clock limit, if any.
    pub fn wall(&self) -> Option<Duration> {
        self.wall_seconds.map(Duration::from_secs)
    }

    /// The limit of silence, if any.
    pub fn idle(&self) -> Option<Duration> {
        self.idle_seconds.map(Duration::from_secs)
    }
}

/// A file given with the mission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Where it is laid, relative to the workspace; no `..`, no leading `/`.
    pub path: String,
    /// What it holds.
    #[serde(flatten)]
    pub source: InputSource,
}

/// Where an input's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputSource {
    /// The content itself, UTF-8.
    Text(String),
    /// The name of an object in the object store.
    Object(String),
}

/// Which notices the session wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplyMode {
    /// Every notice.
    #[default]
    Async,
    /// Only the terminal one.
    Final,
    /// None.
    Silent,
}

impl ReplyMode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Async, Self::Final, Self::Silent];

    /// The mode's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Final => "final",
            Self::Silent => "silent",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// SHA-256, in lower-case hex, of a JSON value written with sorted keys; the order the caller wrote them in
/// makes no difference.
pub fn content_digest(content: &Value) -> String {
    let mut hash = Sha256::new();
    feed(content, &mut hash);
    hex(&hash.finalize())
}

/// Lower-case hex of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn feed(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_unstable_by_key(|(key, _)| *key);
            hash.update(b"{");
            for (key, value) in keys {
                feed(&Value::String(key.clone()), hash);
                hash.update(b":");
                feed(value, hash);
                hash.update(b",");
            }
            hash.update(b"}");
        }
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                feed(item, hash);
                hash.update(b",");
            }
            hash.update(b"]");
        }
        scalar => hash.update(scalar.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn key_order_is_not_content() {
        let a: Value = serde_json::from_str(r#"{"a":1,"b":{"x":[1,2],"y":null}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"b":{"y":null,"x":[1,2]},"a":1}"#).unwrap();
        assert_eq!(content_digest(&a), content_digest(&b));
    }

    #[test]
    fn every_difference_is_content() {
        let base = content_digest(&json!({"objective": "a", "constraints": {"k": [1, 2]}}));
        for other in [
            json!({"objective": "b", "constraints": {"k": [1, 2]}}),
            json!({"objective": "a", "constraints": {"k": [2, 1]}}),
            json!({"objective": "a", "constraints": {"k": ["1", 2]}}),
            json!({"objective": "a", "constraints": {"k": [[1], 2]}}),
            json!({"objective": "a"}),
        ] {
            assert_ne!(base, content_digest(&other), "{other}");
        }
    }
}
