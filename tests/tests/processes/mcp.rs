//! `vp mcp` as an MCP host starts it: rmcp's own client on the other side of its standard input and output.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::model::{
    CallToolRequest, CallToolResponse, CancelTaskParams, ClientRequest, GetTaskParams, TaskPayload,
    TaskStatus,
};
use rmcp::service::PeerRequestOptions;
use rmcp::transport::TokioChildProcess;
use serde_json::json;
use tokio::time::{Instant, timeout};
use vp_tests::process::Installation;
use vp_tests::until::{until, until_true};

use crate::doors::{Client, Host, call, call_of, gated, installation, journey, progress, result, up};

async fn connect(vp: &Installation, host: Host) -> Client {
    let mut command = vp.command(["mcp", "--session", "simone"]);
    command.stderr(Stdio::inherit());
    let child = TokioChildProcess::new(tokio::process::Command::from(command)).unwrap();
    timeout(Duration::from_secs(30), host.serve(child)).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mcp_host_uses_the_six_tools_over_standard_input() {
    let vp = installation("");
    let _up = up(&vp).await;
    let client = connect(&vp, Host::default()).await;
    journey(&client, "simone").await;
    progress(&client, &vp).await;
    let mission = gated(&client, &vp, "never").await;
    let cancelled =
        call(&client, "vp_cancel_mission", json!({"mission_id": mission, "reason": "no need"})).await;
    assert!(
        ["cancelled", "cancel_requested"].contains(&cancelled["status"].as_str().unwrap()),
        "{cancelled}"
    );
    let waited = call(&client, "vp_wait_mission", json!({"mission_id": mission})).await;
    assert_eq!(waited["mission"]["status"], "cancelled");
    client.cancel().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_waiting_stops_no_mission() {
    let vp = installation("");
    let _up = up(&vp).await;
    let client = connect(&vp, Host::default()).await;
    let mission = gated(&client, &vp, "gate").await;
    let wait = call_of("vp_wait_mission", &json!({"mission_id": mission, "timeout_seconds": 600}));
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(wait));
    let handle = client.send_cancellable_request(request, PeerRequestOptions::no_options()).await.unwrap();
    until_true("progress is told", async || {
        let told = client.service().told.lock().unwrap();
        told.iter().any(|told| told.message.as_deref().is_some_and(|text| text.starts_with("running")))
    })
    .await;
    let first = handle.progress_token.clone();
    handle.cancel(Some("the user went on".to_owned())).await.unwrap();
    let shown = call(&client, "vp_get_mission", json!({"mission_id": mission})).await;
    assert_eq!(shown["mission"]["status"], "running");
    let told = |of_first: bool| {
        let told = client.service().told.lock().unwrap();
        told.iter().filter(|told| (told.progress_token == first) == of_first).count()
    };
    // While the second wait is told of twice more, the first one, had it gone on, would be told of too.
    let before = told(true);
    let end = async {
        until_true("the second wait goes on", async || told(false) >= 3).await;
        std::fs::write(vp.dir().join("gate"), "").unwrap();
    };
    let (waited, ()) = tokio::join!(call(&client, "vp_wait_mission", json!({"mission_id": mission})), end);
    assert_eq!(waited["mission"]["status"], "completed");
    assert_eq!(told(true), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_announces_tasks_polls_missions_by_their_ids() {
    let vp = installation("");
    let _up = up(&vp).await;
    let client = connect(&vp, Host { tasks: true, ..Host::default() }).await;
    let mission = gated(&client, &vp, "gate").await;
    let response =
        client.peer().call_tool_once(call_of("vp_wait_mission", &json!({"mission_id": mission}))).await;
    let CallToolResponse::Task(created) = response.unwrap() else { panic!("a task is made") };
    assert_eq!((created.task.task_id.as_str(), created.task.status), (mission.as_str(), TaskStatus::Working));
    std::fs::write(vp.dir().join("gate"), "").unwrap();
    let ended = until("the task ends", async || {
        let task = client.get_task(GetTaskParams::new(&mission)).await.unwrap().task;
        (task.status() != TaskStatus::Working).then_some(task)
    })
    .await;
    let TaskPayload::Completed { result } = ended.payload else { panic!("{ended:?}") };
    assert_eq!(result["structuredContent"]["mission"]["status"], "completed");
    let other = gated(&client, &vp, "never").await;
    client.cancel_task(CancelTaskParams::new(&other)).await.unwrap();
    until_true("the other task is cancelled", async || {
        client.get_task(GetTaskParams::new(&other)).await.unwrap().task.status() == TaskStatus::Cancelled
    })
    .await;
    assert!(client.get_task(GetTaskParams::new("m-aaaaaaaaaaaaaaaaaaaaaaaaaa")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_come_back_with_the_broker() {
    let vp = installation("");
    // Nothing is there yet, and the host starts its servers all the same.
    let client = connect(&vp, Host::default()).await;
    let list = || async { result(&client, "vp_list_missions", json!({})).await };
    let code = |result: rmcp::model::CallToolResult| {
        result.structured_content.unwrap()["error"]["code"].as_str().map(str::to_owned)
    };
    assert_eq!(code(list().await).as_deref(), Some("broker_unavailable"));
    for _ in 0..2 {
        let (up, _) = up(&vp).await;
        until_true("the tools work", async || code(list().await).is_none()).await;
        let began = Instant::now();
        assert!(up.terminate().await.success());
        let after = code(list().await);
        let known = ["broker_unavailable", "ledger_unavailable"];
        assert!(
            after.as_deref().is_some_and(|code| known.contains(&code)),
            "{after:?} after {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn without_a_session_it_does_not_start() {
    let vp = installation("");
    let ended = vp.run(["mcp"]);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("no session is known") && said.contains("VP_SESSION"), "{said}");
    assert!(ended.stdout.is_empty());
}

#[test]
fn it_ends_with_its_input_and_says_nothing_but_mcp_on_its_output() {
    let vp = installation("");
    for first in [
        "",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\",\
         \"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}\n",
    ] {
        let mut command = vp.command(["mcp", "--session", "simone"]);
        let mut child = command
            .env("VP_LOG", "debug")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(first.as_bytes()).unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut said = [0; 1];
        if !first.is_empty() {
            output.read_exact(&mut said).unwrap();
            assert_eq!(said, *b"{");
        }
        drop(input);
        assert!(child.wait().unwrap().success(), "{first}");
    }
}
