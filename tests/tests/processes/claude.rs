//! The real `claude` command line, with our MCP server, against a model that is a script on the loopback address: it
//! dispatches, waits, reads artifacts and cancels through our tools.
//!
//! Only with `VP_TEST_REAL_CLIS=1`, and only where `claude` is in PATH or `VP_TEST_CLAUDE` says where it is:
//! `npm install @anthropic-ai/claude-code`.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;
use vp_tests::process::{Installation, vp_binary};

use crate::doors::{installation, up};

const SECRET: &str = "0123456789abcdef-simone";

/// A step of the model: the tool it calls and with what, `MISSION` standing for the mission it dispatched last.
type Step = (&'static str, Value);

/// What the model says, and what it was told.
#[derive(Clone)]
struct Model {
    steps: Arc<Vec<Step>>,
    told: Arc<Mutex<Vec<Value>>>,
}

/// Where `claude` is; `None`, said aloud, when this is not asked for or not there.
#[expect(clippy::print_stderr, reason = "what is skipped is said aloud")]
fn claude() -> Option<PathBuf> {
    if std::env::var_os("VP_TEST_REAL_CLIS").is_none_or(|on| on != "1") {
        eprintln!("SKIPPED: set VP_TEST_REAL_CLIS=1 to try the real claude");
        return None;
    }
    let named = std::env::var_os("VP_TEST_CLAUDE").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named
        .or_else(|| std::env::split_paths(&path).map(|dir| dir.join("claude")).find(|file| file.is_file()));
    if found.is_none() {
        eprintln!("SKIPPED: there is no claude in PATH; npm install @anthropic-ai/claude-code");
    }
    found
}

async fn model(steps: Vec<Step>) -> (String, Model) {
    let model = Model { steps: Arc::new(steps), told: Arc::default() };
    let app = Router::new().route("/v1/messages", post(turn)).with_state(model.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, model)
}

/// The next step is the one behind the results that the conversation holds.
async fn turn(
    State(model): State<Model>,
    Json(asked): Json<Value>,
) -> ([(&'static str, &'static str); 1], String) {
    let blocks = asked["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|message| message["content"].as_array());
    let results: Vec<Value> =
        blocks.flatten().filter(|block| block["type"] == "tool_result").cloned().collect();
    let has_tools = asked["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let block = match model.steps.get(results.len()).filter(|_| has_tools) {
        Some((tool, input)) => {
            let known = results.iter().rev().find_map(|result| mission_in(&result.to_string()));
            let input = input.to_string().replace("MISSION", known.as_deref().unwrap_or("none"));
            let id = format!("toolu_{}", results.len());
            json!({"type": "tool_use", "id": id, "name": format!("mcp__vp__{tool}"), "input": serde_json::from_str::<Value>(&input).unwrap()})
        }
        None => json!({"type": "text", "text": "that is all"}),
    };
    if has_tools {
        *model.told.lock().unwrap() = results;
    }
    if asked["stream"] == true {
        ([("content-type", "text/event-stream")], streamed(&block))
    } else {
        let reason = if block["type"] == "text" { "end_turn" } else { "tool_use" };
        let usage = json!({"input_tokens": 1, "output_tokens": 1});
        let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "fake", "content": [block],
            "stop_reason": reason, "stop_sequence": null, "usage": usage});
        ([("content-type", "application/json")], whole.to_string())
    }
}

/// A message of one block, as the Messages API streams it.
fn streamed(block: &Value) -> String {
    let (start, delta, reason) = if block["type"] == "text" {
        (
            json!({"type": "text", "text": ""}),
            json!({"type": "text_delta", "text": block["text"]}),
            "end_turn",
        )
    } else {
        let mut start = block.clone();
        start["input"] = json!({});
        (start, json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}), "tool_use")
    };
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "fake", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage});
    let events = [
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": start}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ];
    let one = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(one).collect::<Vec<_>>().concat()
}

fn mission_in(text: &str) -> Option<String> {
    let at = text.match_indices("m-").map(|(at, _)| at);
    at.filter_map(|at| text.get(at..at + 28))
        .find(|id| vp_shared::ids::MissionId::new(*id).is_ok())
        .map(str::to_owned)
}

/// Runs `claude` with this MCP server to the end of its turn; what each tool call gave the model.
async fn run(claude: PathBuf, vp: &Installation, server: Value) -> Vec<Value> {
    let (url, model) = model(vec![
        ("vp_dispatch_mission", json!({"vp_id": "vp.general.primary", "objective": "Report"})),
        ("vp_wait_mission", json!({"mission_id": "MISSION", "timeout_seconds": 60})),
        ("vp_read_result_artifacts", json!({"mission_id": "MISSION"})),
        (
            "vp_dispatch_mission",
            json!({"vp_id": "vp.coder.primary", "objective": "Wait", "constraints": {"gate": "/none"}}),
        ),
        ("vp_cancel_mission", json!({"mission_id": "MISSION", "reason": "not needed"})),
        ("vp_dispatch_mission", json!({"vp_id": "vp.no.lane", "objective": "x"})),
    ])
    .await;
    let config = vp.dir().join("mcp.json");
    std::fs::write(&config, json!({"mcpServers": {"vp": server}}).to_string()).unwrap();
    let mut command = tokio::process::Command::new(claude);
    command.args([
        "-p",
        "Have it done",
        "--output-format",
        "stream-json",
        "--verbose",
        "--strict-mcp-config",
    ]);
    command.arg("--mcp-config").arg(&config).args(["--allowedTools", "mcp__vp"]);
    command.env("ANTHROPIC_BASE_URL", url).env("ANTHROPIC_API_KEY", "anything").env("HOME", vp.dir());
    command.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1").env("ENABLE_TOOL_SEARCH", "false");
    command.current_dir(vp.dir()).stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(Duration::from_mins(3), command.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{out}\n{err}");
    let told = model.told.lock().unwrap().clone();
    assert_eq!(told.len(), model.steps.len(), "{told:?}\n{out}\n{err}");
    told
}

fn check(vp: &Installation, told: &[Value]) {
    let said = |step: usize| told[step].to_string();
    assert!(said(1).contains("completed"), "{}", said(1));
    assert!(said(2).contains("# Result"), "{}", said(2));
    assert!(said(4).contains("cancel"), "{}", said(4));
    assert_eq!(told[5]["is_error"], true, "{}", said(5));
    assert!(said(5).contains("unknown_lane"), "{}", said(5));
    let listed = vp.json(["list", "--session", "simone"]);
    assert_eq!(listed["count"], 2, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_claude_delegates_waits_reads_and_cancels_over_standard_input() {
    let Some(claude) = claude() else { return };
    let vp = installation("");
    let _up = up(&vp).await;
    let config = vp.dir().join("vp.toml");
    let server = json!({"command": vp_binary(), "args": ["--config", config, "mcp", "--session", "simone"]});
    check(&vp, &run(claude, &vp, server).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_claude_delegates_waits_reads_and_cancels_over_http() {
    let Some(claude) = claude() else { return };
    let vp = installation(&format!("credentials = [\"simone:{SECRET}\"]"));
    let (_up, base) = up(&vp).await;
    let headers = json!({"Authorization": format!("Bearer {SECRET}")});
    let server = json!({"type": "http", "url": format!("{base}/mcp"), "headers": headers});
    check(&vp, &run(claude, &vp, server).await);
}
