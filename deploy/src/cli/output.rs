//! What is printed: data on stdout, everything else on stderr.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the one place that prints")]

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;
use vp_dispatcher::words::{self, failure, string};
use vp_shared::api::ToolName;

use super::Format;
use crate::exit::{Exit, Failed};

/// Says something to a person, on stderr.
pub fn say(text: impl AsRef<str>) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Says why a command failed, on stderr.
pub fn complain(failed: &Failed) {
    say(failed.to_string());
}

/// Prints a line of data. A reader that has gone (`vp list | head`) ends the command quietly.
pub fn line(text: impl AsRef<str>) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.as_ref())
        .and_then(|()| out.flush())
        .map_err(|error| Failed::new(Exit::Failure, format!("could not write to standard output: {error}")))
}

/// Prints a value as JSON: over several lines, or in one.
pub fn json(value: &impl Serialize, format: Format) -> Result<(), Failed> {
    let text = match format {
        Format::Ndjson => serde_json::to_string(value),
        _ => serde_json::to_string_pretty(value),
    };
    let text = text.map_err(|error| Failed::new(Exit::Failure, format!("could not write JSON: {error}")))?;
    line(text)
}

/// Prints rows under a heading, as wide as the terminal.
pub fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Failed> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(heading.to_vec());
    for row in rows {
        table.add_row(row);
    }
    line(table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// Prints the configuration, a value a line.
pub fn config_rows(rows: &[crate::config::Shown], format: Format) -> Result<(), Failed> {
    if format != Format::Table {
        return json(&rows, format);
    }
    let rows = rows.iter().map(|row| vec![row.key.clone(), row.value.to_string(), row.source.to_string()]);
    table(&["KEY", "VALUE", "FROM"], rows)
}

/// Prints a tool's answer.
pub fn answer(answer: &Value, format: Format, tool: ToolName) -> Result<(), Failed> {
    if format != Format::Table {
        return json(answer, format);
    }
    match tool {
        ToolName::Dispatch => {
            line(words::text(tool, answer))?;
            for warning in words::warnings(answer) {
                say(format!("warning: {warning}"));
            }
            Ok(())
        }
        ToolName::Get => mission_page(answer),
        ToolName::List => mission_list(answer),
        ToolName::Wait | ToolName::Cancel => line(words::text(tool, answer)),
        ToolName::ReadArtifacts => artifacts(answer),
    }
}

fn detail(name: &str, value: &str) -> Result<(), Failed> {
    if value.is_empty() { Ok(()) } else { line(format!("{name:<14} {value}")) }
}

fn mission_page(answer: &Value) -> Result<(), Failed> {
    let mission = &answer["mission"];
    for name in ["mission_id", "vp_id", "status", "priority"] {
        detail(name, &string(&mission[name]))?;
    }
    detail("objective", &vp_shared::text::one_line(&string(&mission["objective"]), 200))?;
    for name in
        ["attempt", "created_at", "started_at", "finished_at", "deadline", "retry_at", "worker_id", "summary"]
    {
        detail(name, &string(&mission[name]))?;
    }
    detail("failure", &failure(&mission["failure"]))?;
    detail("waiting", &string(&answer["waiting_because"]))?;
    detail("result", &string(&mission["result"]["result_ref"]))?;
    line("")?;
    let rows = answer["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| ["time", "event", "attempt", "seq"].map(|name| string(&event[name])).to_vec());
    table(&["TIME", "EVENT", "ATTEMPT", "SEQ"], rows)
}

fn mission_list(answer: &Value) -> Result<(), Failed> {
    let rows = answer["missions"].as_array().into_iter().flatten().map(|mission| {
        let mut row = ["mission_id", "vp_id", "status", "priority", "created_at"]
            .map(|name| string(&mission[name]))
            .to_vec();
        row.push(vp_shared::text::one_line(&string(&mission["objective"]), 60));
        row
    });
    table(&["MISSION", "LANE", "STATUS", "PRIORITY", "CREATED", "OBJECTIVE"], rows)?;
    if let Some(cursor) = answer["next_cursor"].as_str() {
        say(format!("more: --cursor {cursor}"));
    }
    Ok(())
}

fn artifacts(answer: &Value) -> Result<(), Failed> {
    say(format!(
        "{} of {} files, {}",
        answer["files_listed"],
        answer["files_total"],
        string(&answer["result_ref"])
    ));
    for artifact in answer["artifacts"].as_array().into_iter().flatten() {
        let cut = if artifact["excerpt_truncated"] == true { ", cut" } else { "" };
        line(format!(
            "--- {} ({}, {} bytes{cut})",
            string(&artifact["path"]),
            string(&artifact["category"]),
            artifact["bytes"]
        ))?;
        if let Some(excerpt) = artifact["excerpt"].as_str() {
            line(excerpt.trim_end_matches('\n'))?;
        }
    }
    Ok(())
}
