//! Which tool an agent is about to use, by its exact name and by what is wrapped in its input.

use serde_json::Value;

use crate::api::{TOOLS, ToolName};

/// A tool, as far as enforcement cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `vp_dispatch_mission`.
    Dispatch,
    /// Another one of the six.
    Vp,
    /// It starts a sub-agent.
    SubAgent,
    /// Another tool in whose input one of the six, or our command, is named.
    Wrapped,
    /// Any other.
    Other,
}

/// What starts or steers a sub-agent.
const SUB_AGENTS: [&str; 3] = ["Task", "Agent", "SendMessage"];
/// How our doors are named inside other tools' inputs, beside the six tools' own names.
const DOORS: [&str; 4] = ["vp dispatch", "vp.tool.", "nats req", "nats pub"];
/// As deep as an input is looked through.
const DEPTH: u32 = 32;

/// Classifies a call. One of the six is so by its exact name, bare or as an MCP client writes it (`mcp__<server>__<name>`).
pub fn classify(name: &str, input: &Value) -> Tool {
    let bare =
        name.strip_prefix("mcp__").and_then(|rest| rest.rsplit_once("__")).map_or(name, |(_, bare)| bare);
    match TOOLS.into_iter().find(|tool| tool.name() == bare) {
        Some(ToolName::Dispatch) => Tool::Dispatch,
        Some(_) => Tool::Vp,
        None if SUB_AGENTS.contains(&name) => Tool::SubAgent,
        None if names_us(input, DEPTH) => Tool::Wrapped,
        None => Tool::Other,
    }
}

fn names_us(value: &Value, depth: u32) -> bool {
    if depth == 0 {
        return false;
    }
    match value {
        Value::String(text) => text_names_us(text),
        Value::Array(all) => all.iter().any(|one| names_us(one, depth - 1)),
        Value::Object(all) => all.iter().any(|(name, one)| text_names_us(name) || names_us(one, depth - 1)),
        _ => false,
    }
}

fn text_names_us(text: &str) -> bool {
    TOOLS.into_iter().any(|tool| text.contains(tool.name())) || DOORS.iter().any(|door| text.contains(door))
}
