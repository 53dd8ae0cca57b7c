//! `vp mcp` as an MCP host starts it: rmcp's own client on the other side of its standard input and output.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::model::{
    CallToolRequest, CallToolResponse, CancelTaskParams, ClientRequest, GetTaskParams, TaskPayload,
    TaskStatus,
};
use rmcp::service::PeerRequestOptions;
use rmcp::transport::TokioChildProcess;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use vp_tests::process::Installation;
use vp_tests::until::{until, until_true};

use crate::doors::{Client, Host, call, call_of, code, gated, installation, journey, progress, result, up};

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
async fn a_host_that_waits_too_often_at_a_time_is_told_to_call_again() {
    let vp = installation("");
    let _up = up(&vp).await;
    let client = connect(&vp, Host::default()).await;
    let mission = gated(&client, &vp, "gate").await;
    let input = json!({"mission_id": mission, "timeout_seconds": 600});
    let mut waits = Vec::new();
    for _ in 0..64 {
        let wait = CallToolRequest::new(call_of("vp_wait_mission", &input));
        let request = ClientRequest::CallToolRequest(wait);
        waits.push(client.send_cancellable_request(request, PeerRequestOptions::no_options()).await.unwrap());
    }
    until_true("all of them wait", async || {
        let told = client.service().told.lock().unwrap();
        waits.iter().all(|wait| told.iter().any(|told| told.progress_token == wait.progress_token))
    })
    .await;
    assert_eq!(code(&client, "vp_wait_mission", input.clone()).await, "broker_unavailable");
    waits.pop().unwrap().cancel(None).await.unwrap();
    until_true("one more may wait", async || {
        let short = json!({"mission_id": mission, "timeout_seconds": 1});
        result(&client, "vp_wait_mission", short).await.is_error != Some(true)
    })
    .await;
    std::fs::write(vp.dir().join("gate"), "").unwrap();
    for wait in waits {
        wait.await_response().await.unwrap();
    }
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
fn a_malformed_call_is_told_so_and_the_next_one_is_answered() {
    let vp = installation("");
    let mut command = vp.command(["mcp", "--session", "simone"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let us = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": us}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "vp_list_missions", "arguments": []}}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "tools/sing", "params": {}}),
        json!({"jsonrpc": "2.0", "id": 4, "method": "ping"}),
    ] {
        writeln!(input, "{message}").unwrap();
    }
    // In whichever order.
    let mut answers: Vec<Value> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .take(4)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers[1]["error"]["code"], -32602, "{answers:?}");
    assert!(answers[1]["error"]["message"].as_str().unwrap().contains("params"), "{answers:?}");
    assert_eq!(answers[2]["error"]["code"], -32601, "{answers:?}");
    assert_eq!(answers[3]["result"], json!({}), "{answers:?}");
    drop(input);
    assert!(child.wait().unwrap().success());
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
