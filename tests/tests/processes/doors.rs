//! What the tests of the doors share: a system with two lanes, and rmcp's own client.

use std::sync::{Arc, Mutex};

use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation,
    ProgressNotificationParam,
};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Value, json};
use vp_tests::process::{Installation, Process};
use vp_tests::until::until_true;

/// CODIE waits for its gate; the generalist delivers at once.
const LANES: &str = r#"
[lanes."vp.coder.primary"]
requires_deliverable = false
[lanes."vp.coder.primary".executor]
kind = "command"
argv = ["sh", "-c", "until test -e \"$VP_CONSTRAINT_GATE\"; do sleep 0.05; done; echo done > result.md"]
[lanes."vp.general.primary".executor]
kind = "command"
argv = ["sh", "-c", "printf '# Result\n' > result.md; printf '\\377\\000' > raw.bin; echo x > run.log"]
"#;

/// An installation with these lanes; `http` is TOML of the table `[http]`.
pub(crate) fn installation(http: &str) -> Installation {
    Installation::new(None, &format!("[http]\ndispatcher = \"127.0.0.1:0\"\nconsole = \"\"\n{http}\n{LANES}"))
}

/// `vp up`, and where it serves the tools over HTTP.
pub(crate) async fn up(vp: &Installation) -> (Process, String) {
    let mut up = vp.spawn("up", ["up"]);
    up.until_it_says("then: vp notices").await;
    let log = up.log();
    let (_, rest) = log.split_once("the tools over HTTP: ").expect("the door is open");
    let base = rest.split_once("/api/v1").unwrap().0.to_owned();
    (up, base)
}

/// An MCP host that remembers the progress it was told, and announces tasks or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    pub(crate) told: Arc<Mutex<Vec<ProgressNotificationParam>>>,
    pub(crate) tasks: bool,
}

impl ClientHandler for Host {
    fn get_info(&self) -> ClientConfig {
        let can = ClientCapabilities::builder();
        let can = if self.tasks { can.enable_tasks().build() } else { can.build() };
        ClientConfig::new(can, Implementation::new("test", "1"))
    }

    async fn on_progress(&self, told: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.told.lock().unwrap().push(told);
    }
}

pub(crate) type Client = RunningService<RoleClient, Host>;

/// A call of a tool.
pub(crate) fn call_of(tool: &'static str, input: &Value) -> CallToolRequestParams {
    CallToolRequestParams::new(tool).with_arguments(input.as_object().unwrap().clone())
}

/// The whole result of a call.
pub(crate) async fn result(client: &Client, tool: &'static str, input: Value) -> CallToolResult {
    client.call_tool(call_of(tool, &input)).await.unwrap()
}

/// The data of a call that must succeed.
pub(crate) async fn call(client: &Client, tool: &'static str, input: Value) -> Value {
    let result = result(client, tool, input).await;
    assert_ne!(result.is_error, Some(true), "{result:?}");
    assert!(!text(&result).is_empty(), "{result:?}");
    result.structured_content.unwrap()
}

/// The code of a call that must fail, which is in its data and begins its text.
pub(crate) async fn code(client: &Client, tool: &'static str, input: Value) -> String {
    let result = result(client, tool, input).await;
    assert_eq!(result.is_error, Some(true), "{result:?}");
    let code = result.structured_content.as_ref().unwrap()["error"]["code"].as_str().unwrap().to_owned();
    assert!(text(&result).starts_with(&code), "{result:?}");
    code
}

pub(crate) fn text(result: &CallToolResult) -> String {
    result.content[0].as_text().unwrap().text.clone()
}

/// Dispatches to CODIE, who waits for this gate.
pub(crate) async fn gated(client: &Client, vp: &Installation, gate: &str) -> String {
    let gate = vp.dir().join(gate);
    let input = json!({"vp_id": "vp.coder.primary", "objective": "Wait", "constraints": {"gate": gate}});
    call(client, "vp_dispatch_mission", input).await["mission_id"].as_str().unwrap().to_owned()
}

/// Waits for a mission while it runs: the host is told of that, and then of its end.
pub(crate) async fn progress(client: &Client, vp: &Installation) {
    let mission = gated(client, vp, "progress").await;
    let input = json!({"mission_id": mission, "timeout_seconds": 60});
    let running = until_true("progress is told while it waits", async || {
        let told = client.service().told.lock().unwrap();
        told.iter()
            .any(|told| told.message.as_deref() == Some("running, attempt 1") && told.total == Some(60.0))
    });
    let open = async {
        running.await;
        std::fs::write(vp.dir().join("progress"), "").unwrap();
    };
    let (waited, ()) = tokio::join!(call(client, "vp_wait_mission", input), open);
    assert_eq!(waited["mission"]["status"], "completed", "{waited}");
    // Also up to the end of a wait that nothing ends before its time.
    let idle = gated(client, vp, "never opened").await;
    call(client, "vp_wait_mission", json!({"mission_id": idle, "timeout_seconds": 4})).await;
    let told = client.service().told.lock().unwrap();
    for (one, next) in
        told.iter().zip(&told[1..]).filter(|(one, next)| one.progress_token == next.progress_token)
    {
        assert!(one.progress < next.progress && next.progress <= next.total.unwrap(), "{one:?} {next:?}");
    }
}

/// The whole journey of a mission, and what an agent gets wrong on the way.
pub(crate) async fn journey(client: &Client, session: &str) {
    let tools = client.list_all_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, vp_shared::api::TOOLS.map(vp_shared::api::ToolName::name));
    let input = json!({"vp_id": "vp.general.primary", "objective": "Report", "idempotency_key": "once"});
    let first = result(client, "vp_dispatch_mission", input.clone()).await;
    let answer = first.structured_content.clone().unwrap();
    let id = answer["mission_id"].as_str().unwrap();
    assert!(text(&first).starts_with(&format!("{id}  vp.general.primary  ")), "{first:?}");
    let again = call(client, "vp_dispatch_mission", input).await;
    assert_eq!((again["mission_id"].as_str(), &again["duplicate"]), (Some(id), &json!(true)));

    let waited = call(client, "vp_wait_mission", json!({"mission_id": id})).await;
    assert_eq!(waited["mission"]["status"], "completed", "{waited}");
    assert_eq!(waited["mission"]["source"]["session_id"], session);

    let read = result(client, "vp_read_result_artifacts", json!({"mission_id": id})).await;
    let texts: Vec<_> = read.content.iter().map(|block| block.as_text().unwrap().text.as_str()).collect();
    assert!(texts.contains(&"result.md:\n# Result\n"), "{texts:?}");
    let read = read.structured_content.unwrap();
    let report =
        read["artifacts"].as_array().unwrap().iter().find(|file| file["path"] == "result.md").unwrap();
    assert_eq!(report["excerpt"], "# Result\n", "{read}");
    let uri = report["uri"].as_str().unwrap();
    assert_eq!(resource(client, uri).await["text"], "# Result\n");
    assert_eq!(resource(client, &uri.replace("result.md", "raw.bin")).await["blob"], "/wA=");
    assert!(client.read_resource(params(&uri.replace("result.md", "other.md"))).await.is_err());
    let listed = client.list_all_resources().await.unwrap();
    assert!(listed.iter().any(|resource| resource.uri == uri), "{listed:?}");
    assert_eq!(client.list_all_resource_templates().await.unwrap().len(), 1);

    let lane = json!({"vp_id": "vp.none.primary", "objective": "x"});
    assert_eq!(code(client, "vp_dispatch_mission", lane).await, "unknown_lane");
    let smuggled = json!({"vp_id": "vp.general.primary", "objective": "x", "source_session_id": "other"});
    assert_eq!(code(client, "vp_dispatch_mission", smuggled).await, "validation_error");
    let unknown = json!({"mission_id": "m-aaaaaaaaaaaaaaaaaaaaaaaaaa"});
    assert_eq!(code(client, "vp_get_mission", unknown).await, "not_found");
    assert_eq!(
        code(client, "vp_wait_mission", json!({"mission_id": id, "timeout_seconds": 0})).await,
        "validation_error"
    );
    assert_eq!(code(client, "vp_cancel_mission", json!({"mission_id": id})).await, "already_terminal");
    assert!(client.call_tool(CallToolRequestParams::new("vp_no_tool")).await.is_err());
    let page = call(client, "vp_list_missions", json!({"session_id": session})).await;
    assert_eq!(page["count"], 1, "{page}");
}

fn params(uri: &str) -> rmcp::model::ReadResourceRequestParams {
    rmcp::model::ReadResourceRequestParams::new(uri)
}

async fn resource(client: &Client, uri: &str) -> Value {
    let read = client.read_resource(params(uri)).await.unwrap();
    serde_json::to_value(&read.contents[0]).unwrap()
}
