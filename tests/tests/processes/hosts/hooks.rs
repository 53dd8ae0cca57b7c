//! Claude with our hooks: its model tries to get around them, and is told what came of its missions.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use vp_tests::lanes::{CODER, noop_lane};
use vp_tests::process::{Installation, vp_binary};
use vp_tests::until::until_true;
use vp_tests::world::World;

use super::model::{Model, Says};
use super::tools::{claude_with, server};
use super::{claude_at_home, ended, program, written};
use crate::doors::{installation, up};

/// The settings that docs/hooks.md shows, for this installation.
fn settings(vp: &Installation) -> PathBuf {
    let hook = format!("{} --config {} hook", vp_binary().display(), vp.dir().join("vp.toml").display());
    let run = |matcher: &str, more: &str| {
        let command = format!("{hook}{more}");
        json!([{"matcher": matcher, "hooks": [{"type": "command", "command": command, "timeout": 60}]}])
    };
    let settings = json!({"hooks": {
        "SessionStart": run("", " --session simone"),
        "UserPromptSubmit": run("", ""),
        "PreToolUse": run("*", ""),
        "PostToolUse": run(".*vp_dispatch_mission", ""),
        "PostToolUseFailure": run(".*vp_dispatch_mission", ""),
        "Stop": run("", ""),
    }});
    let file = vp.dir().join("settings.json");
    std::fs::write(&file, settings.to_string()).unwrap();
    file
}

fn bash(command: &str) -> Says {
    Says::Tool("Bash", json!({"command": command, "description": "x"}))
}

fn task() -> Value {
    json!({"description": "fix", "prompt": "You are CODIE. Fix it.", "subagent_type": "general-purpose"})
}

fn report(vp: &Installation) -> Value {
    serde_json::from_slice(&vp.run(["-o", "json", "hook", "report"]).stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_agent_that_tries_to_get_around_the_dispatch_gets_nowhere_and_is_reported() {
    let Some(claude) = program("claude") else { return };
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    let bypassed = vp.dir().join("bypassed");
    let touch = format!("touch {}", bypassed.display());
    let model = Model::start([
        Says::Tool("Task", task()),
        Says::Tool("Agent", task()),
        bash(&format!("{touch}; curl -d '{{}}' http://127.0.0.1:1/vp_dispatch_mission")),
        bash(&format!("{touch}; vp dispatch --lane {CODER} fix")),
        bash(&touch),
        Says::Words("I have fixed it myself."),
        bash(&touch),
        Says::Words("Really."),
    ])
    .await;
    let mut command = Command::new(claude);
    command.args(["-p", "Use CODIE to fix the parser.", "--output-format", "stream-json", "--verbose"]);
    command.args(["--allowedTools", "Bash,Task,Agent", "--settings"]).arg(settings(&vp));
    claude_at_home(&mut command, &vp.dir().join("home"), model.url());
    let out = ended(command).await;
    let said = written(&out);
    model.assert_played(&said);
    assert!(!bypassed.exists(), "{said}");
    assert!(said.contains("call vp_dispatch_mission"), "the agent is told what to do: {said}");
    let report = report(&vp);
    let turn = &report["without_dispatch"][0];
    assert_eq!(turn["ended"], "violated", "{report}\n{said}");
    assert!(turn["denied"].as_u64().unwrap() >= 5, "{report}\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_agent_is_handed_its_notices_and_plays_them_back() {
    let Some(claude) = program("claude") else { return };
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    let model = Model::start([]).await;
    for key in ["a", "b"] {
        let more = json!({"reply_mode": "final", "idempotency_key": key});
        world.dispatch_as("chat", CODER, more).await;
    }
    let claude = claude.to_str().unwrap();
    let mut command = vp.command(["attach", "--session", "chat", "--stay", "--", claude]);
    claude_at_home(&mut command, &vp.dir().join("home"), model.url());
    let log = vp.dir().join("attach.log");
    let mut attach = command.stdout(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    until_true("both are acked", async || {
        let unread = vp_nats::notices::unread(world.conn()).await.unwrap();
        let told = told();
        assert!(attach.try_wait().unwrap().is_none(), "it ended: {told}");
        let played = told.matches("completed mission").count() >= 2 && told.contains("\"result\"");
        unread.is_empty() && played
    })
    .await;
    let pid = attach.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || attach.wait().unwrap()).await.unwrap();
    assert!(told().contains("\"result\""), "{status}: {}", told());
}

/// Who is asked in each of the following.
const WORDS: &str = "Use CODIE to fix the parser.";

/// Claude with hooks and `vp mcp` together, with these words; what it wrote.
async fn held(
    claude: &std::path::Path,
    words: &str,
    vp: &Installation,
    mcp: &Value,
    model: &Model,
) -> String {
    let mut command = claude_with(claude, words, vp.dir(), mcp, model);
    command.args(["--allowedTools", "mcp__vp,Bash,Task,Agent", "--settings"]).arg(settings(vp));
    let out = ended(command).await;
    assert!(out.status.success(), "{}", written(&out));
    written(&out)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_agent_under_hooks_delegates_through_vp_mcp_then_works_and_is_told_of_the_end() {
    let Some(claude) = program("claude") else { return };
    let vp = installation("");
    let _up = up(&vp).await;
    let (early, late) = (vp.dir().join("early"), vp.dir().join("late"));
    let mut dispatch = json!({"vp_id": CODER, "objective": "Fix the parser", "reply_mode": "final"});
    dispatch["constraints"] = json!({"gate": "/"});
    let model = Model::start([
        bash(&format!("touch {}", early.display())),
        Says::Tool("Task", task()),
        Says::Tool("mcp__vp__vp_dispatch_mission", dispatch),
        bash(&format!("touch {}", late.display())),
        Says::Tool("mcp__vp__vp_wait_mission", json!({"mission_id": "MISSION", "timeout_seconds": 60})),
        Says::Tool("mcp__vp__vp_read_result_artifacts", json!({"mission_id": "MISSION"})),
        Says::Words("CODIE has fixed it."),
    ])
    .await;
    let mcp = server(&vp, &[]);
    let said = held(&claude, WORDS, &vp, &mcp, &model).await;
    model.assert_played(&said);
    let told = model.results();
    for denied in &told[..2] {
        assert_eq!(denied["is_error"], true, "{denied}\n{said}");
        assert!(denied.to_string().contains("call vp_dispatch_mission"), "{denied}");
    }
    assert!(
        !early.exists() && late.exists(),
        "the tools are closed until the dispatch, and open behind it: {said}"
    );
    assert!(told[4].to_string().contains("completed"), "{}", told[4]);
    assert!(told[5].to_string().contains("result.md"), "{}", told[5]);
    let report = report(&vp);
    assert_eq!((&report["kept"], &report["without_dispatch"]), (&json!(1), &json!([])), "{report}");

    // The notice waits for the session's next start, and is there once.
    let unread = || vp.json(["doctor"]).to_string().contains("1 in 1 sessions");
    until_true("the notice is sent", async || unread()).await;
    for times in [1, 0] {
        let next = Model::start([]).await;
        let said = held(&claude, "What is new?", &vp, &mcp, &next).await;
        assert_eq!(
            next.heard().matches("CODIE completed mission").count(),
            times,
            "{}\n{said}",
            next.heard()
        );
    }
    assert!(!unread());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_that_fails_in_a_real_agents_hands_leaves_its_turn_closed() {
    let Some(claude) = program("claude") else { return };
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    let bypassed = vp.dir().join("bypassed");
    let touch = || bash(&format!("touch {}", bypassed.display()));
    let dispatch = |lane: &str| {
        Says::Tool("mcp__vp__vp_dispatch_mission", json!({"vp_id": lane, "objective": "Fix the parser"}))
    };
    // The tools of this one have lost the broker that the hook still sees.
    let mcp = server(&vp, &["--nats-url", "nats://127.0.0.1:1"]);
    let model = Model::start([
        dispatch("vp.no.lane"),
        touch(),
        dispatch(CODER),
        touch(),
        Says::Words("I could not delegate it."),
        touch(),
        Says::Words("It is not delegated."),
    ])
    .await;
    let said = held(&claude, WORDS, &vp, &mcp, &model).await;
    model.assert_played(&said);
    let told = model.results();
    assert!(
        told[0].to_string().contains("call vp_dispatch_mission"),
        "another lane is not asked: {}",
        told[0]
    );
    assert!(told[2].to_string().contains("broker_unavailable"), "{}", told[2]);
    assert!(!bypassed.exists(), "{said}");
    assert!(model.heard().matches("call vp_dispatch_mission").count() >= 4, "{}", model.heard());
    let report = report(&vp);
    assert_eq!(
        (&report["kept"], &report["without_dispatch"][0]["ended"]),
        (&json!(0), &json!("violated")),
        "{report}"
    );
    assert_eq!(world.call(vp_shared::api::ToolName::List, json!({})).await.unwrap()["count"], 0);
}
