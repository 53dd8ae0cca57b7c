//! No server, a frozen server, no space: an error that is true, and nothing done twice.

use serde_json::json;
use vp_dispatcher::{Dispatcher, DispatcherConfig};
use vp_nats::connect::{Connection, connect};
use vp_nats::server::{ManagedServer, ServerConfig, SyncMode};
use vp_nats::topology::{TopologyConfig, ensure};
use vp_shared::api::{ErrorCode, ToolName};
use vp_shared::ids::MissionId;

use crate::world::{CODER, HOST, World, code, id, lanes, read, result, session};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_a_dispatch_says_that_the_mission_may_exist_and_names_it() {
    let mut world = World::start().await;
    world.server.kill().await;
    let error = world.dispatch(json!({"idempotency_key": "k"})).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BrokerUnavailable);
    assert!(error.retryable);
    let mission = MissionId::new(error.mission_id.unwrap()).unwrap();
    world.server.restart().await;
    // The same call again makes it, or finds it, and never makes a second one.
    let dispatched = world.dispatch(json!({"idempotency_key": "k"})).await.unwrap();
    assert_eq!(dispatched["mission_id"], mission.as_str());
    assert_eq!(world.last_seq().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_lives_through_a_restart_of_the_server() {
    let mut world = World::start().await;
    world.server.kill().await;
    let dispatcher = world.dispatcher.clone();
    let call = tokio::spawn(async move {
        let input = json!({"vp_id": crate::world::CODER, "objective": "do it", "idempotency_key": "k"});
        dispatcher.call(ToolName::Dispatch, input.to_string().as_bytes(), &crate::world::session("s1")).await
    });
    world.server.restart().await;
    let answer = crate::world::result(&call.await.unwrap()).unwrap();
    assert_eq!(answer["status"], "queued");
    assert_eq!(world.last_seq().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_every_tool_says_that_it_can_be_tried_again() {
    let mut world = World::start().await;
    let mission = world.mission().await;
    world.server.kill().await;
    let one = json!({"mission_id": mission});
    let quick = json!({"mission_id": mission, "timeout_seconds": 1});
    let (get, wait, cancel, list) = tokio::join!(
        world.call(ToolName::Get, one.clone()),
        world.call(ToolName::Wait, quick),
        world.call(ToolName::Cancel, one),
        world.call(ToolName::List, json!({})),
    );
    for answer in [get, wait, cancel] {
        assert_eq!(code(&answer), ErrorCode::BrokerUnavailable);
        assert!(answer.unwrap_err().retryable);
    }
    let error = list.unwrap_err();
    assert!(
        error.retryable && matches!(error.code, ErrorCode::LedgerUnavailable | ErrorCode::BrokerUnavailable)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_is_no_success_and_drops_nothing_old() {
    // The streams reserve most of it.
    let limit = 300 << 20;
    let dir = tempfile::tempdir().unwrap();
    let config = ServerConfig {
        max_file_store_bytes: limit,
        sync: SyncMode::Deferred,
        ..ServerConfig::new(dir.path())
    };
    let server = ManagedServer::start(config).await.unwrap();
    let conn = connect(&server.connect_config("test")).await.unwrap();
    let lanes = lanes(|_| {});
    ensure(&conn, &TopologyConfig::default(), &lanes).await.unwrap();
    let dispatcher = Dispatcher::new(conn.clone(), DispatcherConfig::new(lanes, HOST));
    let input = json!({"vp_id": CODER, "objective": "do it"}).to_string();
    let first = result(&dispatcher.call(ToolName::Dispatch, input.as_bytes(), &session("s1")).await).unwrap();
    fill(&conn, limit).await;
    let answer = dispatcher.call(ToolName::Dispatch, input.as_bytes(), &session("s1")).await;
    let error = result(&answer).unwrap_err();
    assert_eq!(error.code, ErrorCode::BrokerUnavailable, "{error:?}");
    assert!(error.hint.unwrap().contains("storage"));
    assert_eq!(read(&conn, &id(&first)).await.mission.last_seq, 1);
    server.stop().await;
}

/// Fills the store with what is nobody's, until the server takes no more.
async fn fill(conn: &Connection, limit: u64) {
    let body = bytes::Bytes::from(vec![b'x'; 1_000_000]);
    for n in 0..limit / 500_000 {
        let subject = format!("missions.filler.{n}");
        let ack = conn.jetstream().publish(subject, body.clone()).await.unwrap();
        if ack.await.is_err() {
            return;
        }
    }
    panic!("the store is never full");
}
