//! The same tools on NATS.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use vp_dispatcher::service::serve;
use vp_nats::connect::Connection;
use vp_nats::service::request;
use vp_nats::subject;
use vp_shared::api::{ErrorCode, ToolError, ToolName};
use vp_shared::ids::SessionId;

use crate::world::{CODER, World, code, id, result};

async fn call(
    conn: &Connection,
    tool: ToolName,
    input: &Value,
    session: Option<&str>,
) -> Result<Value, ToolError> {
    let session = session.map(|name| SessionId::new(name).unwrap());
    let body = Bytes::from(input.to_string());
    let reply = request(conn, &subject::tool(tool), body, session.as_ref(), Duration::from_secs(10)).await;
    result(&reply.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_is_delegated_and_followed_over_nats() {
    let world = World::start().await;
    let service = serve(world.dispatcher.clone()).await.unwrap();
    let client = world.server.connect().await;
    let input = json!({"vp_id": CODER, "objective": "do it"});
    let dispatched = call(&client, ToolName::Dispatch, &input, Some("chat-7")).await.unwrap();
    let mission = id(&dispatched);
    let shown = call(&client, ToolName::Get, &json!({"mission_id": mission}), None).await.unwrap();
    assert_eq!(shown["mission"]["source"]["session_id"], "chat-7");
    let cancelled = call(&client, ToolName::Cancel, &json!({"mission_id": mission}), None).await.unwrap();
    assert_eq!(cancelled["status"], "cancelled");
    let waited = call(&client, ToolName::Wait, &json!({"mission_id": mission}), None).await.unwrap();
    assert_eq!(waited["terminal"], true);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_comes_from_the_header_and_nowhere_else() {
    let world = World::start().await;
    let _service = serve(world.dispatcher.clone()).await.unwrap();
    let client = world.server.connect().await;
    let input = json!({"vp_id": CODER, "objective": "do it"});
    let without = call(&client, ToolName::Dispatch, &input, None).await;
    assert_eq!(code(&without), ErrorCode::Forbidden);
    let smuggled = json!({"vp_id": CODER, "objective": "do it", "source_session_id": "other"});
    let answer = call(&client, ToolName::Dispatch, &smuggled, Some("s1")).await;
    assert_eq!(code(&answer), ErrorCode::ValidationError);
    for bad in ["", "a b", &"s".repeat(65)] {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Vp-Session", bad);
        let subject = subject::tool(ToolName::Dispatch);
        let reply =
            client.client().request_with_headers(subject, headers, input.to_string().into()).await.unwrap();
        assert!(result(&reply.payload).is_err(), "{bad}");
    }
    assert_eq!(world.last_seq().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_seen_with_its_schemas() {
    let world = World::start().await;
    let _service = serve(world.dispatcher.clone()).await.unwrap();
    let client = world.server.connect().await;
    let reply = client.client().request("$SRV.INFO.vp", Bytes::new()).await.unwrap();
    let info: Value = serde_json::from_slice(&reply.payload).unwrap();
    eprintln!("info: {} bytes", reply.payload.len());
    assert!(reply.payload.len() < 256 * 1024, "{}", reply.payload.len());
    assert_eq!(info["name"], "vp");
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    let endpoints = info["endpoints"].as_array().unwrap();
    for tool in vp_shared::api::TOOLS {
        let endpoint = endpoints.iter().find(|endpoint| endpoint["name"] == tool.name()).unwrap();
        assert_eq!(endpoint["subject"], format!("vp.tool.{tool}"));
        let schema: Value =
            serde_json::from_str(endpoint["metadata"]["schema.input"].as_str().unwrap()).unwrap();
        assert_eq!(schema["type"], "object");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_beyond_the_limit_are_refused_and_nothing_else_is_held_up() {
    let world = World::start().await;
    let mut config = world.dispatcher.config().clone();
    config.max_waits = 3;
    let dispatcher = vp_dispatcher::Dispatcher::new(world.conn.clone(), config);
    let _service = serve(dispatcher).await.unwrap();
    let client = world.server.connect().await;
    let mission = world.mission().await;
    let input = json!({"mission_id": mission, "timeout_seconds": 5});
    let waits = (0..8).map(|_| call(&client, ToolName::Wait, &input, None));
    let get_input = json!({"mission_id": mission});
    let (answers, shown) =
        tokio::join!(futures_util::future::join_all(waits), call(&client, ToolName::Get, &get_input, None));
    assert_eq!(shown.unwrap()["mission"]["status"], "queued");
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(refused, 5);
}
