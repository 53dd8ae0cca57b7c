//! The hook protocol: what the host says on standard input, and what it is answered.

use std::io::Read as _;

use serde::Deserialize;
use serde_json::{Value, json};
use vp_shared::ids::VpId;
use vp_shared::turn::{Answer, Outcome, Tool, classify, outcome};

use crate::cli::{Format, output};
use crate::exit::{Exit, Failed};

/// A tool's answer may be long; more than this is no hook's input.
const MAX_INPUT: u64 = 32 * 1024 * 1024;
/// A session's name is shorter.
const MAX_SESSION: usize = 200;

/// What the host says.
#[derive(Debug)]
pub(super) struct Input {
    /// The hook's name.
    pub(super) hook: String,
    /// The agent's session, as its host names it.
    pub(super) session: String,
    /// The tool it is about.
    pub(super) tool: Option<String>,
    /// What has happened.
    pub(super) said: Said,
}

/// What has happened.
#[derive(Debug)]
pub(super) enum Said {
    Started {
        fresh: bool,
    },
    Prompt(String),
    Before {
        tool: Tool,
        vp_id: Option<VpId>,
        in_sub_agent: bool,
    },
    Dispatched(Outcome),
    Stop {
        again: bool,
    },
    /// Nothing that matters here.
    Nothing,
}

#[derive(Deserialize)]
struct Raw {
    hook_event_name: String,
    session_id: String,
    prompt: Option<String>,
    tool_name: Option<String>,
    #[serde(default)]
    tool_input: Value,
    #[serde(default)]
    tool_response: Value,
    error: Option<Value>,
    source: Option<String>,
    #[serde(default)]
    stop_hook_active: bool,
    agent_id: Option<String>,
}

/// Reads what the host says.
pub(super) fn read() -> Result<Input, Failed> {
    let unreadable = |why: String| {
        Failed::new(Exit::Usage, format!("standard input is no hook's input: {why}"))
            .hint("`vp hook` is called by an agent's host; docs/hooks.md shows how")
    };
    let mut text = Vec::new();
    let read = std::io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut text);
    read.map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MAX_INPUT {
        return Err(unreadable(format!("it is longer than {MAX_INPUT} bytes")));
    }
    let raw: Raw = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    parse(raw).map_err(unreadable)
}

/// Reads standard input away.
pub(super) fn drain() -> Result<(), Failed> {
    let read = std::io::copy(&mut std::io::stdin().lock().take(MAX_INPUT), &mut std::io::sink());
    read.map(drop)
        .map_err(|error| Failed::new(Exit::Failure, format!("could not read standard input: {error}")))
}

fn parse(raw: Raw) -> Result<Input, String> {
    if raw.session_id.is_empty() || raw.session_id.len() > MAX_SESSION {
        return Err(format!("`session_id`: want 1 to {MAX_SESSION} bytes"));
    }
    let named = || raw.tool_name.clone().ok_or_else(|| "`tool_name` is missing".to_owned());
    let said = match raw.hook_event_name.as_str() {
        // A compaction is in the middle of a turn; all else begins one.
        "SessionStart" => Said::Started { fresh: raw.source.as_deref() != Some("compact") },
        "UserPromptSubmit" => Said::Prompt(raw.prompt.clone().ok_or("`prompt` is missing")?),
        "PreToolUse" => Said::Before {
            tool: classify(&named()?, &raw.tool_input),
            vp_id: raw.tool_input["vp_id"].as_str().and_then(|id| VpId::new(id).ok()),
            in_sub_agent: raw.agent_id.as_ref().is_some_and(|id| !id.is_empty()),
        },
        "PostToolUse" | "PostToolUseFailure" => {
            match (classify(&named()?, &Value::Null), raw.hook_event_name.as_str()) {
                (Tool::Dispatch, "PostToolUse") => Said::Dispatched(outcome(&raw.tool_response)),
                (Tool::Dispatch, _) => Said::Dispatched(Outcome::Refused(failure(raw.error.as_ref()))),
                _ => Said::Nothing,
            }
        }
        "Stop" => Said::Stop { again: raw.stop_hook_active },
        _ => Said::Nothing,
    };
    Ok(Input { hook: raw.hook_event_name, session: raw.session_id, tool: raw.tool_name, said })
}

fn failure(error: Option<&Value>) -> String {
    let Some(error) = error else { return "the tool failed and did not say why".to_owned() };
    match outcome(error) {
        Outcome::Refused(why) if error.is_object() || error.is_array() => why,
        _ => error.as_str().map_or_else(|| error.to_string(), str::to_owned),
    }
}

/// Answers in the words of the protocol.
pub(super) fn answer(input: &Input, answer: &Answer) -> Result<(), Failed> {
    let Some(value) = value(&input.hook, answer) else { return Ok(()) };
    output::json(&value, Format::Ndjson)
}

fn value(hook: &str, answer: &Answer) -> Option<Value> {
    let context = |words: &str| json!({"hookEventName": hook, "additionalContext": words});
    Some(match (answer, hook) {
        (Answer::Pass, _) => return None,
        (Answer::Refuse(words), "PreToolUse") => json!({"hookSpecificOutput": {
            "hookEventName": hook, "permissionDecision": "deny", "permissionDecisionReason": words,
        }}),
        (Answer::Refuse(words), "UserPromptSubmit") => {
            json!({"decision": "block", "reason": words, "systemMessage": words})
        }
        (Answer::Refuse(words), "Stop") => json!({"decision": "block", "reason": words}),
        (Answer::Refuse(words) | Answer::Warn(words), "PostToolUse") => {
            json!({"decision": "block", "reason": words, "systemMessage": words})
        }
        (Answer::Warn(words), "Stop" | "PreToolUse") => json!({"systemMessage": words}),
        (Answer::Refuse(words) | Answer::Warn(words), _) => {
            json!({"systemMessage": words, "hookSpecificOutput": context(words)})
        }
        (Answer::Context(words), _) => json!({"hookSpecificOutput": context(words)}),
    })
}
