//! `{"ok": true, ...}` or `{"ok": false, "error": {...}}`: the code is the contract, the text is not.

use std::fmt;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The codes of failure. A caller acts on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// An input is wrong; the message names the field.
    ValidationError,
    /// No such lane; the hint names those that exist.
    UnknownLane,
    /// No live worker serves the lane, and one was required.
    LaneUnavailable,
    /// Too many missions wait in the lane.
    LaneBacklogged,
    /// The idempotency key names a mission with other content.
    IdempotencyConflict,
    /// A guardrail refuses it.
    GuardrailViolation,
    /// The time of start or the deadline cannot be kept.
    UnsupportedSchedule,
    /// No such mission.
    NotFound,
    /// The mission has ended.
    AlreadyTerminal,
    /// The caller may not.
    Forbidden,
    /// nats-server did not answer; whether a write was stored may be unknown.
    BrokerUnavailable,
    /// The ledger did not answer.
    LedgerUnavailable,
    /// The artifacts cannot be read from here.
    ArtifactUnavailable,
    /// A fault of this system; the message has an id that is in the log.
    Internal,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 14] = [
        Self::ValidationError,
        Self::UnknownLane,
        Self::LaneUnavailable,
        Self::LaneBacklogged,
        Self::IdempotencyConflict,
        Self::GuardrailViolation,
        Self::UnsupportedSchedule,
        Self::NotFound,
        Self::AlreadyTerminal,
        Self::Forbidden,
        Self::BrokerUnavailable,
        Self::LedgerUnavailable,
        Self::ArtifactUnavailable,
        Self::Internal,
    ];

    /// The code's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ValidationError => "validation_error",
            Self::UnknownLane => "unknown_lane",
            Self::LaneUnavailable => "lane_unavailable",
            Self::LaneBacklogged => "lane_backlogged",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::GuardrailViolation => "guardrail_violation",
            Self::UnsupportedSchedule => "unsupported_schedule",
            Self::NotFound => "not_found",
            Self::AlreadyTerminal => "already_terminal",
            Self::Forbidden => "forbidden",
            Self::BrokerUnavailable => "broker_unavailable",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::ArtifactUnavailable => "artifact_unavailable",
            Self::Internal => "internal",
        }
    }

    /// The status of an HTTP answer with this code.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::ValidationError => 400,
            Self::Forbidden => 403,
            Self::NotFound | Self::UnknownLane | Self::ArtifactUnavailable => 404,
            Self::IdempotencyConflict | Self::AlreadyTerminal => 409,
            Self::GuardrailViolation | Self::UnsupportedSchedule => 422,
            Self::LaneBacklogged => 429,
            Self::Internal => 500,
            Self::LaneUnavailable | Self::BrokerUnavailable | Self::LedgerUnavailable => 503,
        }
    }

    /// True when the same call may succeed later.
    pub const fn retryable(self) -> bool {
        matches!(self, Self::LaneBacklogged | Self::BrokerUnavailable | Self::LedgerUnavailable)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure as every door gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// What a caller acts on.
    pub code: ErrorCode,
    /// What was attempted and why it failed.
    pub message: String,
    /// True when the same call may succeed later.
    pub retryable: bool,
    /// What the caller can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How long to wait before trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// The mission it is about, when one is known; after `broker_unavailable` it may exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mission_id: Option<String>,
}

impl ToolError {
    /// A failure of that code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = crate::text::cut(message.into(), 4096);
        Self {
            code,
            message,
            retryable: code.retryable(),
            hint: None,
            retry_after_seconds: None,
            mission_id: None,
        }
    }

    /// A wrong input: which field, and what was wrong with it.
    pub fn field(field: &str, why: impl fmt::Display) -> Self {
        Self::new(ErrorCode::ValidationError, format!("`{field}`: {why}"))
    }

    /// With what the caller can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// About this mission.
    pub fn about(mut self, mission_id: &crate::ids::MissionId) -> Self {
        self.mission_id = Some(mission_id.to_string());
        self
    }
}

/// Reads a tool's input. An unknown field, a wrong type, a missing field are errors that name the field;
/// nothing is replaced by a default.
///
/// # Errors
/// A `validation_error`.
pub fn parse<T: DeserializeOwned>(input: &[u8]) -> Result<T, ToolError> {
    // A list would be read as the fields in their order.
    if input.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(ToolError::new(
            ErrorCode::ValidationError,
            "the input is wrong: want an object, not a list",
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(input);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if path == "." {
            ToolError::new(ErrorCode::ValidationError, format!("the input is wrong: {inner}"))
        } else {
            ToolError::field(&path, inner)
        }
    })?;
    json.end().map_err(|error| {
        ToolError::new(ErrorCode::ValidationError, format!("the input has more after its end: {error}"))
    })?;
    Ok(value)
}

/// A result in the form every door gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T>(pub Result<T, ToolError>);

impl<T: Serialize> Answer<T> {
    /// The answer as a JSON object.
    pub fn to_value(&self) -> Value {
        let mut object = Map::new();
        match &self.0 {
            Ok(output) => {
                object.insert("ok".into(), Value::Bool(true));
                match serde_json::to_value(output) {
                    Ok(Value::Object(fields)) => object.extend(fields),
                    Ok(other) => {
                        object.insert("value".into(), other);
                    }
                    Err(error) => return Answer::<()>(Err(unwritable(&error))).to_value(),
                }
            }
            Err(error) => {
                object.insert("ok".into(), Value::Bool(false));
                object.insert("error".into(), serde_json::to_value(error).unwrap_or(Value::Null));
            }
        }
        Value::Object(object)
    }

    /// The answer as JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        self.to_value().to_string().into_bytes()
    }
}

fn unwritable(error: &serde_json::Error) -> ToolError {
    ToolError::new(ErrorCode::Internal, format!("the answer could not be written: {error}"))
}

impl<T: DeserializeOwned> Answer<T> {
    /// Reads an answer of another process.
    ///
    /// # Errors
    /// When the bytes are no answer, or not one of this type.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head {
            ok: bool,
            error: Option<ToolError>,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        match (head.ok, head.error) {
            (true, _) => Ok(Self(Ok(serde_json::from_slice(bytes)?))),
            (false, Some(error)) => Ok(Self(Err(error))),
            (false, None) => Err(serde::de::Error::custom("`ok` is false and `error` is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names_in_json() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }

    #[test]
    fn answers_are_read_back() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Out {
            n: u8,
        }
        let good = Answer(Ok(Out { n: 3 }));
        assert_eq!(String::from_utf8(good.to_json()).unwrap(), r#"{"n":3,"ok":true}"#);
        assert_eq!(Answer::<Out>::from_json(&good.to_json()).unwrap(), good);
        let bad = Answer::<Out>(Err(ToolError::field("vp_id", "no").hint("try another")));
        assert_eq!(Answer::<Out>::from_json(&bad.to_json()).unwrap(), bad);
    }
}
