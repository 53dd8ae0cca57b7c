//! The real `claude` CLI against a scripted model on the loopback address, which tries to get around the hooks.
//!
//! Opt-in: VP_TEST_REAL_CLIS=1, and `claude` in PATH or its path in VP_TEST_CLAUDE (npm has it as
//! `@anthropic-ai/claude-code`). Seen with 2.1.197.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use vp_tests::lanes::{CODER, noop_lane};
use vp_tests::process::{Installation, vp_binary};
use vp_tests::until::until_true;
use vp_tests::world::World;

/// The program, when these tests are wanted.
fn claude() -> Option<String> {
    std::env::var_os("VP_TEST_REAL_CLIS")?;
    Some(std::env::var("VP_TEST_CLAUDE").unwrap_or_else(|_| "claude".to_owned()))
}

/// What the model says next: a tool with its input, or words.
enum Says {
    Tool(&'static str, Value),
    Words(&'static str),
}

type Script = Arc<Mutex<VecDeque<Says>>>;

/// Stands in for a model: says what the script says, then that it is done.
async fn model(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let script = Arc::clone(&script);
            tokio::spawn(async move {
                // Who hangs up in the middle asks again.
                let _ = converse(BufReader::new(stream), &script).await;
            });
        }
    });
    url
}

async fn converse(mut stream: BufReader<TcpStream>, script: &Script) -> std::io::Result<()> {
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first).await?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_turn = body["tools"].as_array().is_some_and(|tools| tools.len() > 3);
    let says = if is_turn { script.lock().unwrap().pop_front() } else { None };
    let (kind, text) = if first.starts_with("POST /v1/messages?") || first.starts_with("POST /v1/messages ") {
        ("text/event-stream", events(&says.unwrap_or(Says::Words("done"))))
    } else {
        ("application/json", "{\"input_tokens\":1}".to_owned())
    };
    let size = text.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(text.as_bytes()).await
}

fn events(says: &Says) -> String {
    let (block, delta, reason) = match says {
        Says::Tool(name, input) => (
            json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}),
            json!({"type": "input_json_delta", "partial_json": input.to_string()}),
            "tool_use",
        ),
        Says::Words(words) => {
            (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": words}), "end_turn")
        }
    };
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    let all = [
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ];
    let lines =
        all.iter().map(|event| format!("event: {}\ndata: {event}\n", event["type"].as_str().unwrap()));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn environment(command: &mut Command, home: &Path, url: &str) {
    // Its hooks are `vp` processes, for which the variables of the tests are misspelled settings.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VP_") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", home)
        .env("ANTHROPIC_BASE_URL", url)
        .env("ANTHROPIC_API_KEY", "anything")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .current_dir(home);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_agent_that_tries_to_get_around_the_dispatch_gets_nowhere_and_is_reported() {
    let Some(claude) = claude() else { return };
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    let bypassed = vp.dir().join("bypassed");
    let touch = format!("touch {}", bypassed.display());
    let bash = |command: String| Says::Tool("Bash", json!({"command": command, "description": "x"}));
    let task =
        json!({"description": "fix", "prompt": "You are CODIE. Fix it.", "subagent_type": "general-purpose"});
    let script: Script = Arc::new(Mutex::new(VecDeque::from([
        Says::Tool("Task", task.clone()),
        Says::Tool("Agent", task),
        bash(format!("{touch}; curl -d '{{}}' http://127.0.0.1:1/vp_dispatch_mission")),
        bash(format!("{touch}; vp dispatch --lane {CODER} fix")),
        bash(touch.clone()),
        Says::Words("I have fixed it myself."),
        bash(touch),
        Says::Words("Really."),
    ])));
    let url = model(Arc::clone(&script)).await;
    let hook = format!("{} --config {} hook", vp_binary().display(), vp.dir().join("vp.toml").display());
    let run = json!([{"matcher": "*", "hooks": [{"type": "command", "command": hook, "timeout": 60}]}]);
    let settings = json!({"hooks": {
        "SessionStart": run, "UserPromptSubmit": run, "PreToolUse": run, "PostToolUse": run, "Stop": run,
    }});
    let file = vp.dir().join("settings.json");
    std::fs::write(&file, settings.to_string()).unwrap();
    let home = vp.dir().join("home");
    std::fs::create_dir(&home).unwrap();
    let mut command = Command::new(claude);
    command.args(["-p", "Use CODIE to fix the parser.", "--output-format", "stream-json", "--verbose"]);
    command.args(["--allowedTools", "Bash,Task,Agent", "--settings"]).arg(&file).stdin(Stdio::null());
    environment(&mut command, &home, &url);
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(script.lock().unwrap().is_empty(), "the whole script was played: {said} {out:?}");
    assert!(!bypassed.exists(), "{said}");
    assert!(said.contains("call vp_dispatch_mission"), "the agent is told what to do: {said}");
    let report: Value = serde_json::from_slice(&vp.run(["-o", "json", "hook", "report"]).stdout).unwrap();
    let turn = &report["without_dispatch"][0];
    assert_eq!(turn["ended"], "violated", "{report}\n{said}");
    assert!(turn["denied"].as_u64().unwrap() >= 5, "{report}\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_agent_is_handed_its_notices_and_plays_them_back() {
    let Some(claude) = claude() else { return };
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    let home = vp.dir().join("home");
    std::fs::create_dir(&home).unwrap();
    let url = model(Script::default()).await;
    for key in ["a", "b"] {
        let more = json!({"reply_mode": "final", "idempotency_key": key});
        world.dispatch_as("chat", CODER, more).await;
    }
    let mut command = vp.command(["attach", "--session", "chat", "--stay", "--", &claude]);
    environment(&mut command, &home, &url);
    let log = std::fs::File::create(vp.dir().join("attach.log")).unwrap();
    let mut attach = command.stdout(log).spawn().unwrap();
    until_true("both are acked", async || {
        let unread = vp_nats::notices::unread(world.conn()).await.unwrap();
        let told = std::fs::read_to_string(vp.dir().join("attach.log")).unwrap_or_default();
        assert!(attach.try_wait().unwrap().is_none(), "it ended: {told}");
        let played = told.matches("completed mission").count() >= 2 && told.contains("\"result\"");
        unread.is_empty() && played
    })
    .await;
    let pid = attach.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || attach.wait().unwrap()).await.unwrap();
    let told = std::fs::read_to_string(vp.dir().join("attach.log")).unwrap();
    assert!(told.contains("\"result\""), "{status}: {told}");
}
