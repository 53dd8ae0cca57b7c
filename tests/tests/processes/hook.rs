//! `vp hook`, as an agent's host calls it: a process for each event.

use std::io::Write as _;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vp_tests::lanes::{CODER, GENERAL, noop_lane};
use vp_tests::process::Installation;
use vp_tests::world::World;

fn call(vp: &Installation, more: &[(&str, &str)], args: &[&str], input: &str) -> Output {
    let mut command = vp.command([&["hook"], args].concat());
    command.envs(more.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// One event of session `s`; its answer, null when there is none.
fn hook(vp: &Installation, event: &str, more: &Value) -> Value {
    let mut input = json!({"session_id": "s", "hook_event_name": event, "cwd": "/", "transcript_path": "/x"});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let out = call(vp, &[], &[], &input.to_string());
    assert!(out.status.success(), "{out:?}");
    if out.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&out.stdout).unwrap() }
}

fn says(vp: &Installation, words: &str) -> Value {
    hook(vp, "UserPromptSubmit", &json!({"prompt": words}))
}

/// Whether a tool would be denied, and with which words.
fn denied(vp: &Installation, tool: &str, input: &Value) -> Option<String> {
    let answer = hook(vp, "PreToolUse", &json!({"tool_name": tool, "tool_input": input}));
    let answer = &answer["hookSpecificOutput"];
    let words = answer["permissionDecisionReason"].as_str().unwrap_or_default().to_owned();
    (answer["permissionDecision"] == "deny").then_some(words)
}

fn dispatched(vp: &Installation, lane: &str, answer: &Value) -> Value {
    let tool = "mcp__vp__vp_dispatch_mission";
    let input = json!({"vp_id": lane, "objective": "x"});
    let response = json!([{"type": "text", "text": answer.to_string()}]);
    hook(vp, "PostToolUse", &json!({"tool_name": tool, "tool_input": input, "tool_response": response}))
}

async fn world(workers: usize) -> (World, Installation) {
    let mut general = noop_lane();
    general.display_name = "General VP".into();
    let builder = World::builder().lane(CODER, noop_lane()).lane(GENERAL, general);
    let world = builder.workers(workers).start().await;
    let vp = Installation::of(&world);
    (world, vp)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explicit_turn_may_use_nothing_but_the_six_until_its_dispatch_succeeded() {
    let (_world, vp) = world(1).await;
    assert_eq!(says(&vp, "What does this function do?"), Value::Null);
    assert_eq!(denied(&vp, "Task", &json!({})), None, "nothing is owed");
    let told = says(&vp, "Use CODIE to fix the parser.");
    assert!(told["hookSpecificOutput"]["additionalContext"].as_str().unwrap().contains(CODER), "{told}");
    for (tool, input) in [
        ("Task", json!({"subagent_type": "general-purpose", "prompt": "You are CODIE"})),
        ("Agent", json!({})),
        ("Bash", json!({"command": "curl -d '{}' http://127.0.0.1:1/mcp vp_dispatch_mission"})),
        ("Bash", json!({"command": "nats req vp.tool.vp_dispatch_mission '{}'"})),
        ("mcp__other__call_tool", json!({"name": "vp_dispatch_mission", "arguments": {}})),
        ("Read", json!({"file_path": "/etc/hosts"})),
        ("mcp__vp__vp_dispatch_mission", json!({"vp_id": GENERAL, "objective": "x"})),
    ] {
        let words = denied(&vp, tool, &input).unwrap_or_else(|| panic!("{tool} {input} passes"));
        assert!(words.contains("vp_dispatch_mission") && words.contains(CODER), "{words}");
    }
    for tool in ["mcp__vp__vp_dispatch_mission", "vp_list_missions", "mcp__vp__vp_read_result_artifacts"] {
        assert_eq!(denied(&vp, tool, &json!({"vp_id": CODER})), None, "{tool}");
    }
    let answer = vp.json(["dispatch", "--session", "s", "--lane", CODER, "--key", "k", "Fix it"]);
    assert_eq!(dispatched(&vp, CODER, &answer), Value::Null);
    assert_eq!(denied(&vp, "Task", &json!({})), None, "after success everything opens again");
    assert_eq!(hook(&vp, "Stop", &json!({"stop_hook_active": false})), Value::Null);
    let report = vp.json(["hook", "report"]);
    assert_eq!((&report["explicit"], &report["kept"]), (&json!(1), &json!(1)), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_dispatch_opens_nothing_and_the_turn_is_held_once_and_reported() {
    let (_world, vp) = world(1).await;
    says(&vp, "Have the coder VP do it, please: delegate this refactoring to CODIE.");
    let refused = json!({"ok": false, "error": {"code": "lane_backlogged", "message": "full"}});
    let told = dispatched(&vp, CODER, &refused);
    assert_eq!(told["decision"], "block", "{told}");
    assert!(told["systemMessage"].as_str().unwrap().contains("lane_backlogged"), "the user sees it: {told}");
    assert!(denied(&vp, "Bash", &json!({"command": "ls"})).is_some());
    let failed = json!({"tool_name": "vp_dispatch_mission", "tool_input": {}, "error": "broken pipe"});
    assert!(hook(&vp, "PostToolUseFailure", &failed)["systemMessage"].is_string());
    assert_eq!(hook(&vp, "Stop", &json!({"stop_hook_active": false}))["decision"], "block");
    let last = hook(&vp, "Stop", &json!({"stop_hook_active": true}));
    assert!(last.get("decision").is_none() && last["systemMessage"].is_string(), "{last}");
    let out = vp.run(["-o", "json", "route", "--audit"]);
    assert_eq!(out.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let turn = &report["without_dispatch"][0];
    assert_eq!((&turn["ended"], &turn["denied"]), (&json!("violated"), &json!(1)), "{report}");
    let audit = std::fs::read_to_string(vp.data_dir().join("hook/audit.ndjson")).unwrap();
    assert!(!audit.contains("refactoring"), "the words themselves are not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_nobody_serves_is_an_error_the_user_sees_until_a_worker_comes() {
    let (mut world, vp) = world(0).await;
    let told = says(&vp, "Use CODIE to fix the parser.");
    assert_eq!(told["decision"], "block");
    assert!(told["reason"].as_str().unwrap().contains("no live worker serves vp.coder.primary"), "{told}");
    let patient = std::thread::scope(|scope| {
        let config = "[hook]\nworker_wait_seconds = 20\nanswer_seconds = 25\n";
        append(&vp, config);
        let asked = scope.spawn(|| says(&vp, "Use CODIE to fix the parser."));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(world.start_worker("late"));
        });
        asked.join().unwrap()
    });
    assert!(patient["hookSpecificOutput"]["additionalContext"].is_string(), "{patient}");
}

fn append(vp: &Installation, text: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(vp.dir().join("vp.toml")).unwrap();
    writeln!(file, "\n{text}").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_or_silent_is_told_in_time_and_plain_words_go_on() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("nats://{}", silent.local_addr().unwrap());
    for url in ["nats://127.0.0.1:1", &silent] {
        let vp = Installation::new(None, &format!("[nats]\nurl = {url:?}\n[hook]\nanswer_seconds = 3\n"));
        let began = Instant::now();
        let told = says(&vp, "Use CODIE to fix the parser.");
        assert_eq!(told["decision"], "block", "{told}");
        assert!(told["reason"].as_str().unwrap().contains("broker"), "{told}");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        assert_eq!(says(&vp, "Explain this function."), Value::Null);
        assert_eq!(denied(&vp, "Bash", &json!({"command": "ls"})), None);
        let report = vp.json(["hook", "report"]);
        assert_eq!(report["without_dispatch"][0]["ended"], "unavailable", "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hook_cannot_read_is_no_leave_to_go_on() {
    let (_world, vp) = world(1).await;
    says(&vp, "Use CODIE to fix the parser.");
    let turns = vp.data_dir().join("hook/turns");
    for entry in std::fs::read_dir(&turns).unwrap() {
        std::fs::write(entry.unwrap().path(), "{").unwrap();
    }
    assert!(denied(&vp, "Bash", &json!({"command": "ls"})).unwrap().contains("cannot tell"));
    assert_eq!(denied(&vp, "vp_list_missions", &json!({})), None);
    assert_eq!(says(&vp, "Explain this function."), Value::Null);
    assert_eq!(denied(&vp, "Bash", &json!({"command": "ls"})), None, "new words begin anew");
    for garbage in ["", "{", r#"{"session_id":"s"}"#, r#"{"session_id":"","hook_event_name":"Stop"}"#] {
        let out = call(&vp, &[], &[], garbage);
        assert_eq!(out.status.code(), Some(2), "{garbage}: {out:?}");
        assert!(!out.stderr.is_empty());
    }
    append(&vp, "[hook]\nstrict = 7\n");
    let stop = json!({"session_id": "s", "hook_event_name": "Stop"}).to_string();
    assert_eq!(
        call(&vp, &[], &[], &stop).status.code(),
        Some(2),
        "a broken configuration is no leave either"
    );
    // A worker's own session is held to nothing, whatever is configured.
    let mission = [("VP_MISSION_ID", "m-aaaaaaaaaaaaaaaaaaaaaaaaaa")];
    let out = call(&vp, &mission, &[], &stop);
    assert!(out.status.success() && out.stdout.is_empty(), "{out:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_at_the_same_moment_lose_no_dispatch() {
    let (_world, vp) = world(1).await;
    let words = "Use CODIE to fix the parser, and use the General VP to write the release notes.";
    let told = says(&vp, words);
    assert!(told.to_string().contains(GENERAL) && told.to_string().contains(CODER), "{told}");
    let answers = [CODER, GENERAL]
        .map(|lane| (lane, vp.json(["dispatch", "--session", "s", "--lane", lane, "--key", "k", "Do it"])));
    std::thread::scope(|scope| {
        for (lane, answer) in &answers {
            scope.spawn(|| dispatched(&vp, lane, answer));
        }
        for _ in 0..6 {
            scope.spawn(|| denied(&vp, "Bash", &json!({"command": "ls"})));
        }
    });
    assert_eq!(denied(&vp, "Bash", &json!({"command": "ls"})), None);
    assert_eq!(vp.json(["hook", "report"])["kept"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_of_a_session_hands_over_what_waits_as_one_and_once() {
    let (world, vp) = world(1).await;
    for key in ["a", "b", "c"] {
        let mission =
            world.dispatch_as("chat", CODER, json!({"reply_mode": "final", "idempotency_key": key})).await;
        world.wait(&mission).await;
    }
    world.until_projected().await;
    vp_tests::until::until_true("the notices are sent", async || {
        let args = ["-o", "json", "ledger", "status"];
        let status: Value = serde_json::from_slice(&vp.run(args).stdout).unwrap_or_default();
        status["notices_pending"] == 0
    })
    .await;
    let start = json!({"session_id": "s", "hook_event_name": "SessionStart", "source": "resume"}).to_string();
    let out = call(&vp, &[], &["--session", "chat"], &start);
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    let words = told["hookSpecificOutput"]["additionalContext"].as_str().unwrap();
    assert!(words.starts_with("3 notices") && words.matches("completed mission").count() == 3, "{words}");
    let again = call(&vp, &[], &["--session", "chat"], &start);
    assert!(again.status.success() && again.stdout.is_empty(), "handed over once: {again:?}");
}
