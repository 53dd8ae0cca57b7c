//! What came of a dispatch, from what a host hands on of the tool's answer.

use serde_json::Value;

use crate::ids::{MissionId, VpId};

/// What came of a dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The mission exists.
    Stored {
        /// Its lane.
        vp_id: VpId,
        /// The mission.
        mission_id: MissionId,
    },
    /// It does not, or nobody can tell: why.
    Refused(String),
}

/// As deep as an answer is unwrapped.
const DEPTH: u32 = 6;

/// Reads an answer: the tool's own JSON, the same as text, or an MCP result around either. What is not understood is no
/// success.
pub fn outcome(answer: &Value) -> Outcome {
    let found = find(answer, DEPTH);
    found.unwrap_or_else(|| Outcome::Refused("its answer was not understood".to_owned()))
}

fn find(answer: &Value, depth: u32) -> Option<Outcome> {
    let depth = depth.checked_sub(1)?;
    match answer {
        Value::String(text) => {
            let parsed = serde_json::from_str::<Value>(text).ok()?;
            find(&parsed, depth)
        }
        Value::Array(blocks) => blocks.iter().find_map(|block| find(block, depth)),
        Value::Object(fields) => {
            let failed = answer["ok"] == false || answer["isError"] == true || answer["is_error"] == true;
            let inner = ["structuredContent", "content", "result", "text", "error_text"];
            let found = stored(answer).or_else(|| {
                inner.iter().filter_map(|name| fields.get(*name)).find_map(|inner| find(inner, depth))
            });
            match (failed, found) {
                (true, Some(refused @ Outcome::Refused(_))) => Some(refused),
                (true, _) => Some(Outcome::Refused(said(answer))),
                (false, found) => found,
            }
        }
        _ => None,
    }
}

fn stored(answer: &Value) -> Option<Outcome> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    // Only a dispatch's answer tells whether the mission existed before.
    answer.get("duplicate")?.as_bool()?;
    Some(Outcome::Stored {
        vp_id: VpId::new(text("vp_id")?).ok()?,
        mission_id: MissionId::new(text("mission_id")?).ok()?,
    })
}

fn said(answer: &Value) -> String {
    let error = &answer["error"];
    match (error["code"].as_str(), error["message"].as_str()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => {
            let text = error.as_str().or_else(|| answer["content"][0]["text"].as_str());
            text.unwrap_or("the tool failed and did not say why").to_owned()
        }
    }
}
