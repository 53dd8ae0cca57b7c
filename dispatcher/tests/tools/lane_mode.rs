//! Pausing and resuming lanes, and what callers are told of it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use vp_dispatcher::service::serve;
use vp_nats::service::request;
use vp_nats::subject;
use vp_shared::api::{ErrorCode, ToolError};

use crate::world::{CODER, World, code, id, result};

async fn set(world: &World, input: &Value) -> Result<Value, ToolError> {
    let body = input.to_string().into();
    let reply = request(&world.conn, &subject::lane_mode(), body, None, Duration::from_secs(10)).await;
    result(&reply.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_into_a_paused_lane_is_accepted_and_told_so() {
    let world = World::start().await;
    let _service = serve(world.dispatcher.clone()).await.unwrap();
    let paused = json!({"vp_id": CODER, "mode": "paused", "by": "console", "reason": " a broken tool "});
    let answer = set(&world, &paused).await.unwrap();
    assert_eq!((&answer["changed"], &answer["record"]["reason"]), (&json!(true), &json!("a broken tool")));
    assert_eq!(set(&world, &paused).await.unwrap()["changed"], false);
    let dispatched = world.dispatch(json!({})).await.unwrap();
    assert_eq!(dispatched["status"], "queued");
    let warned = dispatched["warnings"].to_string();
    assert!(warned.contains("is paused by console") && warned.contains("a broken tool"), "{warned}");
    let shown = world.get(&id(&dispatched)).await;
    assert!(shown["waiting_because"].as_str().unwrap().contains("is paused by console"), "{shown}");
    let refused = world.dispatch(json!({"require_live_worker": true})).await;
    assert_eq!(code(&refused), ErrorCode::LaneUnavailable);
    assert!(refused.unwrap_err().message.contains("paused"), "not for want of a worker");
    set(&world, &json!({"vp_id": CODER, "mode": "open", "by": "me@host"})).await.unwrap();
    let warned = world.dispatch(json!({})).await.unwrap()["warnings"].to_string();
    assert!(!warned.contains("paused"), "{warned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_one_sets_is_known_within_a_second() {
    let world = World::start().await;
    assert!(!world.dispatch(json!({})).await.unwrap()["warnings"].to_string().contains("draining"));
    let record =
        serde_json::from_value(json!({"mode": "draining", "by": "x", "since": vp_nats::clock::now()}));
    let lane = vp_shared::ids::VpId::new(CODER).unwrap();
    vp_nats::lane_modes::set(&world.conn, &lane, record.unwrap()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(3);
    while !world.dispatch(json!({})).await.unwrap()["warnings"].to_string().contains("is draining by x") {
        assert!(Instant::now() < deadline, "it is never told");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_a_live_worker_is_refused_while_nobody_knows_whether_the_lane_is_paused() {
    let world = World::start().await;
    let key = format!("$KV.LANES.{CODER}");
    world.conn.jetstream().publish(key, "asleep".into()).await.unwrap().await.unwrap();
    let refused = world.dispatch(json!({"require_live_worker": true})).await;
    assert_eq!(code(&refused), ErrorCode::BrokerUnavailable);
    let message = refused.unwrap_err().message;
    assert!(message.contains("whether lane") && message.contains("is paused"), "{message}");
    assert_eq!(world.dispatch(json!({})).await.unwrap()["status"], "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_wish_names_what_is_wrong_and_sets_nothing() {
    let world = World::start().await;
    let _service = serve(world.dispatcher.clone()).await.unwrap();
    for (input, wanted, named) in [
        (json!({"vp_id": "vp.no.lane", "mode": "paused", "by": "x"}), ErrorCode::UnknownLane, "vp.no.lane"),
        (json!({"vp_id": CODER, "mode": "asleep", "by": "x"}), ErrorCode::ValidationError, "mode"),
        (json!({"vp_id": CODER, "mode": "paused"}), ErrorCode::ValidationError, "by"),
        (json!({"vp_id": CODER, "mode": "paused", "by": ""}), ErrorCode::ValidationError, "by"),
        (
            json!({"vp_id": CODER, "mode": "paused", "by": "x", "reason": " "}),
            ErrorCode::ValidationError,
            "reason",
        ),
        (
            json!({"vp_id": CODER, "mode": "paused", "by": "x", "reason": "x".repeat(1001)}),
            ErrorCode::ValidationError,
            "reason",
        ),
        (
            json!({"vp_id": CODER, "mode": "paused", "by": "x", "until": 1}),
            ErrorCode::ValidationError,
            "until",
        ),
    ] {
        let error = set(&world, &input).await.unwrap_err();
        assert_eq!(error.code, wanted, "{input}");
        assert!(error.message.contains(named), "{}", error.message);
    }
    world.conn.jetstream().delete_stream("KV_LANES").await.unwrap();
    let refused = set(&world, &json!({"vp_id": CODER, "mode": "paused", "by": "x"})).await;
    assert_eq!(code(&refused), ErrorCode::BrokerUnavailable);
    assert_eq!(world.dispatch(json!({})).await.unwrap()["status"], "queued", "without a bucket all are open");
}
