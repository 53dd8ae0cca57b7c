//! Answers of tools as short text for people: what the CLI prints and what stands beside an answer's data in MCP.

use std::fmt::Write as _;

use serde_json::Value;
use vp_shared::api::ToolName;

/// At most so many missions or files are named.
const NAMED: usize = 20;

/// The answer in a few lines, without a line's end behind the last one.
pub fn text(tool: ToolName, answer: &Value) -> String {
    if answer["ok"] != Value::Bool(true) {
        return failed(&answer["error"]);
    }
    match tool {
        ToolName::Dispatch => dispatched(answer),
        ToolName::Get => mission(answer),
        ToolName::List => missions(answer),
        ToolName::Wait => waited(answer),
        ToolName::Cancel => {
            format!("{}  {}", string(&answer["mission"]["mission_id"]), string(&answer["status"]))
        }
        ToolName::ReadArtifacts => artifacts(answer),
    }
}

/// A failure: its code, what went wrong, and what can be done.
fn failed(error: &Value) -> String {
    let mut out = format!("{}: {}", string(&error["code"]), string(&error["message"]));
    detail(&mut out, "hint", &string(&error["hint"]));
    detail(&mut out, "mission", &string(&error["mission_id"]));
    out
}

fn dispatched(answer: &Value) -> String {
    let again = if answer["duplicate"] == true { " (it existed before)" } else { "" };
    let [id, lane, status] = ["mission_id", "vp_id", "status"].map(|name| string(&answer[name]));
    format!("{id}  {lane}  {status}{again}")
}

/// What the caller of a dispatch should know, one by one.
pub fn warnings(answer: &Value) -> impl Iterator<Item = &str> {
    answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn waited(answer: &Value) -> String {
    let mission = &answer["mission"];
    let timed_out = if answer["timed_out"] == true { " (the time was over first)" } else { "" };
    let mut out = format!("{}  {}{timed_out}", string(&mission["mission_id"]), string(&mission["status"]));
    detail(&mut out, "summary", &string(&mission["summary"]));
    detail(&mut out, "failure", &failure(&mission["failure"]));
    detail(&mut out, "progress", &string(&answer["progress"]));
    out
}

fn mission(answer: &Value) -> String {
    let mission = &answer["mission"];
    let [id, lane, status] = ["mission_id", "vp_id", "status"].map(|name| string(&mission[name]));
    let mut out = format!("{id}  {lane}  {status}");
    detail(&mut out, "objective", &vp_shared::text::one_line(&string(&mission["objective"]), 200));
    detail(&mut out, "attempt", &string(&mission["attempt"]));
    detail(&mut out, "summary", &string(&mission["summary"]));
    detail(&mut out, "failure", &failure(&mission["failure"]));
    detail(&mut out, "waiting", &string(&answer["waiting_because"]));
    out
}

fn missions(answer: &Value) -> String {
    let all = answer["missions"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = format!("{} missions", all.len());
    for mission in all.iter().take(NAMED) {
        let [id, lane, status] = ["mission_id", "vp_id", "status"].map(|name| string(&mission[name]));
        let objective = vp_shared::text::one_line(&string(&mission["objective"]), 60);
        // Writing to a String cannot fail.
        let _ = write!(out, "\n{id}  {lane}  {status}  {objective}");
    }
    and_more(&mut out, all.len());
    detail(&mut out, "more", &string(&answer["next_cursor"]));
    out
}

fn artifacts(answer: &Value) -> String {
    let files = answer["artifacts"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = format!(
        "{} of {} files, {}",
        answer["files_listed"],
        answer["files_total"],
        string(&answer["result_ref"])
    );
    for file in files.iter().take(NAMED) {
        let [category, path, uri] = ["category", "path", "uri"].map(|name| string(&file[name]));
        let _ = write!(out, "\n{category}  {path} ({} bytes)  {uri}", file["bytes"]);
    }
    and_more(&mut out, files.len());
    out
}

fn and_more(out: &mut String, all: usize) {
    if all > NAMED {
        let _ = write!(out, "\nand {} more", all - NAMED);
    }
}

fn detail(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let _ = write!(out, "\n{name:<14} {value}");
    }
}

/// A failure of a mission: its class and what happened; empty for none.
pub fn failure(value: &Value) -> String {
    match value {
        Value::Object(_) => format!("{}: {}", string(&value["class"]), string(&value["message"])),
        _ => String::new(),
    }
}

/// A value as people read it; nothing for null.
pub fn string(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failure_begins_with_its_code() {
        let answer = json!({"ok": false, "error": {"code": "unknown_lane", "message": "no lane `x`", "hint": "try y"}});
        assert_eq!(text(ToolName::Dispatch, &answer), "unknown_lane: no lane `x`\nhint           try y");
    }

    #[test]
    fn a_wait_says_what_came_of_it() {
        let mission = json!({"mission_id": "m-1", "status": "failed", "failure": {"class": "timeout", "message": "60 s"}});
        let answer = json!({"ok": true, "timed_out": false, "mission": mission});
        assert_eq!(text(ToolName::Wait, &answer), "m-1  failed\nfailure        timeout: 60 s");
    }

    #[test]
    fn no_answer_makes_it_panic() {
        for tool in vp_shared::api::TOOLS {
            for answer in [json!(null), json!({}), json!({"ok": true}), json!({"ok": false})] {
                let _ = text(tool, &answer);
            }
        }
    }
}
