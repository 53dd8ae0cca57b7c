//! Get, list and artifacts, with and without a ledger.

use std::collections::HashMap;

use serde_json::{Value, json};
use vp_nats::service::{EndpointSpec, Service, ServiceSpec};
use vp_nats::subject;
use vp_shared::api::{Answer, ErrorCode, LedgerMission, LedgerPage, LedgerQuestion, ToolError, ToolName};
use vp_shared::artifact::{Artifact, Category, MissionResult};

use crate::world::{CODER, HOST, World, append, code, complete, completed, id, outcome, started};

const SHA256_OF_REPORT: &str = "497b7725a00101d6cf82489ef502fb0918962b10aaa7279962ab5ec3edc62533";
const NOBODY: &str = "m-aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A ledger that answers every question alike.
async fn ledger(world: &World, get: Answer<LedgerMission>, list: Answer<LedgerPage>) -> Service {
    let endpoint = |question: LedgerQuestion| EndpointSpec {
        name: question.name().into(),
        subject: subject::ledger(question),
        metadata: HashMap::new(),
    };
    let spec = ServiceSpec {
        name: "vp-ledger".into(),
        description: "a ledger for tests".into(),
        endpoints: LedgerQuestion::ALL.into_iter().map(endpoint).collect(),
        max_in_flight: 10,
    };
    let (get, list) = (get.to_json(), list.to_json());
    Service::start(&world.conn, spec, move |request| {
        let reply = if request.endpoint == "get_mission" { get.clone() } else { list.clone() };
        async move { reply }
    })
    .await
    .unwrap()
}

fn nothing<T>() -> Answer<T> {
    Answer(Err(ToolError::new(ErrorCode::NotFound, "not here")))
}

fn ledger_view(details: &Value) -> LedgerMission {
    serde_json::from_value(details.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_is_seen_before_there_is_any_ledger() {
    let world = World::start().await;
    let mission = world.mission().await;
    let shown = world.get(&mission).await;
    assert_eq!(shown["mission"]["status"], "queued");
    assert_eq!(shown["mission"]["objective"], "do it");
    assert_eq!((&shown["terminal"], &shown["events_total"]), (&json!(false), &json!(1)));
    assert_eq!(shown["waiting_because"], format!("no live worker serves {CODER}"));
    append(&world.conn, &mission, started()).await;
    append(&world.conn, &mission, outcome()).await;
    append(&world.conn, &mission, completed(MissionResult::default())).await;
    let shown = world.get(&mission).await;
    assert_eq!((&shown["terminal"], &shown["mission"]["status"]), (&json!(true), &json!("completed")));
    assert_eq!(shown["attempts"][0]["status"], "completed");
    assert_eq!(shown["attempts"][0]["worker_id"], "w1");
    let events: Vec<_> =
        shown["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    let names =
        ["dispatched", "started", "outcome_recorded", "completed"].map(|name| format!("vp.mission.{name}"));
    assert_eq!(events, names);
    assert_eq!(shown.get("waiting_because"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_behind_is_overruled_by_the_log() {
    let world = World::start().await;
    let mission = world.mission().await;
    let old = world.get(&mission).await;
    let behind = ledger(&world, Answer(Ok(ledger_view(&old))), nothing()).await;
    assert_eq!(world.get(&mission).await["mission"]["status"], "queued");
    append(&world.conn, &mission, started()).await;
    assert_eq!(world.get(&mission).await["mission"]["status"], "running");
    let fresh = world.mission().await;
    drop(behind);
    let _ledger = ledger(&world, nothing(), nothing()).await;
    assert_eq!(world.get(&fresh).await["mission"]["status"], "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_that_only_the_ledger_remembers_is_shown_waited_for_and_not_cancelled() {
    let world = World::start().await;
    let mission = world.mission().await;
    complete(&world.conn, &mission, MissionResult::default()).await;
    let mut old = ledger_view(&world.get(&mission).await);
    old.mission.mission_id = vp_shared::ids::MissionId::new(NOBODY).unwrap();
    let _ledger = ledger(&world, Answer(Ok(old)), nothing()).await;
    let input = json!({"mission_id": NOBODY});
    assert_eq!(world.call(ToolName::Get, input.clone()).await.unwrap()["terminal"], true);
    let waited = world.call(ToolName::Wait, input.clone()).await.unwrap();
    assert_eq!((&waited["terminal"], &waited["timed_out"]), (&json!(true), &json!(false)));
    assert_eq!(code(&world.call(ToolName::Cancel, input).await), ErrorCode::AlreadyTerminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_mission_is_not_found_by_any_tool() {
    let world = World::start().await;
    let one = [ToolName::Get, ToolName::Wait, ToolName::Cancel, ToolName::ReadArtifacts];
    for tool in one {
        // The ledger remembers longer than the log, and is not there to be asked.
        let answer = world.call(tool, json!({"mission_id": NOBODY})).await;
        assert_eq!(code(&answer), ErrorCode::LedgerUnavailable, "{tool}");
    }
    let _ledger = ledger(&world, nothing(), nothing()).await;
    for tool in one {
        let answer = world.call(tool, json!({"mission_id": NOBODY})).await;
        assert_eq!(code(&answer), ErrorCode::NotFound, "{tool}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_a_page_of_the_ledger_or_an_error() {
    let world = World::start().await;
    let answer = world.call(ToolName::List, json!({})).await;
    assert_eq!(code(&answer), ErrorCode::LedgerUnavailable);
    assert!(answer.unwrap_err().retryable);
    let mission = world.mission().await;
    let view = ledger_view(&world.get(&mission).await).mission;
    let next = Some(format!("5.{NOBODY}").parse().unwrap());
    let _ledger = ledger(&world, nothing(), Answer(Ok(LedgerPage { missions: vec![view], next }))).await;
    let page =
        world.call(ToolName::List, json!({"status": ["queued", "running"], "limit": 1})).await.unwrap();
    assert_eq!((&page["count"], &page["next_cursor"]), (&json!(1), &json!(format!("5.{NOBODY}"))));
    assert_eq!(page["missions"][0]["mission_id"], mission.as_str());
}

fn report(workspace: &std::path::Path, host: &str) -> MissionResult {
    let text = "# Report\n";
    std::fs::write(workspace.join("report.md"), text).unwrap();
    std::fs::write(workspace.join("mission_receipt.json"), "{}").unwrap();
    MissionResult {
        result_ref: Some(format!("workspace://{host}{}", workspace.display())),
        artifacts: vec![Artifact {
            path: "report.md".into(),
            category: Category::PrimaryWorkProduct,
            bytes: text.len() as u64,
            media_type: "text/markdown".into(),
            sha256: SHA256_OF_REPORT.into(),
            stored: false,
        }],
        artifacts_total: 1,
        primary_total: 1,
        receipt: Some("mission_receipt.json".into()),
        ..MissionResult::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_read_where_the_worker_left_them() {
    let world = World::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mission = world.mission().await;
    let early = world.call(ToolName::ReadArtifacts, json!({"mission_id": mission})).await;
    assert_eq!(code(&early), ErrorCode::ArtifactUnavailable);
    complete(&world.conn, &mission, report(dir.path(), HOST)).await;
    let read = world.call(ToolName::ReadArtifacts, json!({"mission_id": mission})).await.unwrap();
    assert_eq!(read["summary"], "done");
    assert_eq!((&read["files_total"], &read["files_listed"]), (&json!(2), &json!(2)));
    assert_eq!(read["artifacts"][0]["excerpt"], "# Report\n");
    assert_eq!(read["artifacts"][0]["uri"], format!("vp://missions/{mission}/artifacts/report.md"));
    assert_eq!(read["artifacts"][1]["category"], "receipt");
    let receipt = json!({"mission_id": mission, "category": "receipt", "max_files": 1});
    let only = world.call(ToolName::ReadArtifacts, receipt).await.unwrap();
    assert_eq!((&only["files_total"], &only["artifacts"][0]["excerpt"]), (&json!(1), &json!("{}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_of_another_host_or_of_nobody_are_unavailable() {
    let world = World::start().await;
    let dir = tempfile::tempdir().unwrap();
    let far = id(&world.dispatch(json!({})).await.unwrap());
    complete(&world.conn, &far, report(dir.path(), "other-host")).await;
    let answer = world.call(ToolName::ReadArtifacts, json!({"mission_id": far})).await;
    assert_eq!(code(&answer), ErrorCode::ArtifactUnavailable);
    assert!(answer.unwrap_err().hint.unwrap().contains("other-host"));
    let bare = world.mission().await;
    complete(&world.conn, &bare, MissionResult::default()).await;
    let answer = world.call(ToolName::ReadArtifacts, json!({"mission_id": bare})).await;
    assert_eq!(code(&answer), ErrorCode::ArtifactUnavailable);
}
