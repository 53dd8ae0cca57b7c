//! Claude with our MCP server: it dispatches, waits, reads artifacts and cancels through our tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use vp_tests::process::{Installation, vp_binary};

use super::model::{Model, Says};
use super::{claude_at_home, ended, program, written};
use crate::doors::{installation, up};

const SECRET: &str = "0123456789abcdef-simone";

/// `vp mcp` of this installation as the entry of a host's configuration, as docs/simone.md has it.
pub(super) fn server(vp: &Installation, more: &[&str]) -> Value {
    let config = vp.dir().join("vp.toml");
    let args = [&["--config", config.to_str().unwrap()], more, &["mcp", "--session", "simone"]].concat();
    json!({"command": vp_binary(), "args": args, "alwaysLoad": true})
}

/// `claude -p` with these words and this server, at home below `dir`; not yet started.
pub(super) fn claude_with(claude: &Path, words: &str, dir: &Path, server: &Value, model: &Model) -> Command {
    let config = dir.join("mcp.json");
    std::fs::write(&config, json!({"mcpServers": {"vp": server}}).to_string()).unwrap();
    let mut command = Command::new(claude);
    command.args(["-p", words, "--output-format", "stream-json", "--verbose", "--strict-mcp-config"]);
    command.arg("--mcp-config").arg(&config);
    claude_at_home(&mut command, &dir.join("home"), model.url());
    command
}

/// Claude uses the tools of this server, each as it must.
async fn journey(claude: PathBuf, vp: &Installation, server: Value) {
    let waiting = json!({"vp_id": "vp.coder.primary", "objective": "Wait", "constraints": {"gate": "/none"}});
    let model = Model::start([
        Says::Tool(
            "mcp__vp__vp_dispatch_mission",
            json!({"vp_id": "vp.general.primary", "objective": "Report"}),
        ),
        Says::Tool("mcp__vp__vp_wait_mission", json!({"mission_id": "MISSION", "timeout_seconds": 60})),
        Says::Tool("mcp__vp__vp_read_result_artifacts", json!({"mission_id": "MISSION"})),
        Says::Tool("mcp__vp__vp_dispatch_mission", waiting),
        Says::Tool("mcp__vp__vp_cancel_mission", json!({"mission_id": "MISSION", "reason": "not needed"})),
        Says::Tool("mcp__vp__vp_dispatch_mission", json!({"vp_id": "vp.no.lane", "objective": "x"})),
    ])
    .await;
    let mut command = claude_with(&claude, "Have it done", vp.dir(), &server, &model);
    command.args(["--allowedTools", "mcp__vp"]);
    let out = ended(command).await;
    assert!(out.status.success(), "{}", written(&out));
    let told = model.results();
    assert_eq!(told.len(), 6, "{told:?}\n{}", written(&out));
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
    let Some(claude) = program("claude") else { return };
    let vp = installation("");
    let _up = up(&vp).await;
    journey(claude, &vp, server(&vp, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_claude_delegates_waits_reads_and_cancels_over_http() {
    let Some(claude) = program("claude") else { return };
    let vp = installation(&format!("credentials = [\"simone:{SECRET}\"]"));
    let (_up, base) = up(&vp).await;
    let headers = json!({"Authorization": format!("Bearer {SECRET}")});
    let server =
        json!({"type": "http", "url": format!("{base}/mcp"), "headers": headers, "alwaysLoad": true});
    journey(claude, &vp, server).await;
}
