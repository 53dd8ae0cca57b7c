//! Dispatch: one mission per key for ever, conflicts, tiers, schedules, limits.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use vp_shared::api::{ErrorCode, ToolName};
use vp_shared::artifact::MissionResult;
use vp_shared::mission::{EventKind, Status};
use vp_shared::tier::Tier;

use crate::world::{CODER, GENERAL, World, code, complete, id, lanes, session};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_dispatches_with_one_key_make_one_mission() {
    let world = Arc::new(World::start().await);
    let calls = (0..1000).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.dispatch(json!({"idempotency_key": "once"})).await })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(|answer| answer.unwrap().unwrap()).collect();
    let new = answers.iter().filter(|answer| answer["duplicate"] == false).count();
    assert_eq!(new, 1);
    assert!(answers.iter().all(|answer| answer["mission_id"] == answers[0]["mission_id"]));
    assert_eq!(world.last_seq().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_without_a_key_is_always_a_new_one() {
    let world = World::start().await;
    let (first, second) = (world.mission().await, world.mission().await);
    assert_ne!(first, second);
    assert_eq!(world.last_seq().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_other_content_is_a_conflict_that_names_the_mission() {
    let world = World::start().await;
    let first = world.dispatch(json!({"idempotency_key": "k"})).await.unwrap();
    let other = world.dispatch(json!({"idempotency_key": "k", "objective": "something else"})).await;
    assert_eq!(code(&other), ErrorCode::IdempotencyConflict);
    assert_eq!(other.unwrap_err().mission_id.as_deref(), first["mission_id"].as_str());
    // The same key in another lane is another mission.
    let elsewhere = world.dispatch(json!({"idempotency_key": "k", "vp_id": GENERAL})).await.unwrap();
    assert_ne!(elsewhere["mission_id"], first["mission_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_tells_how_the_mission_stands_even_after_its_end() {
    let world = World::start().await;
    let first = world.dispatch(json!({"idempotency_key": "k"})).await.unwrap();
    complete(&world.conn, &id(&first), MissionResult::default()).await;
    let again = world.dispatch(json!({"idempotency_key": "k", "priority": "urgent"})).await.unwrap();
    assert_eq!((&again["duplicate"], &again["status"]), (&json!(true), &json!("completed")));
    assert_eq!(again["queued_at"], first["queued_at"]);
    assert_eq!(world.last_seq().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_session_is_warned_that_it_is_not_told() {
    let world = World::start().await;
    let input = json!({"vp_id": CODER, "objective": "do it", "idempotency_key": "k"});
    world.call_as(&session("s1"), ToolName::Dispatch, &input).await.unwrap();
    let again = world.call_as(&session("s2"), ToolName::Dispatch, &input).await.unwrap();
    assert!(again["warnings"].to_string().contains("another session"), "{again}");
    let same = world.call_as(&session("s1"), ToolName::Dispatch, &input).await.unwrap();
    assert!(!same["warnings"].to_string().contains("another session"), "{same}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_mission_moves_to_the_queue_of_its_new_priority() {
    let world = World::start().await;
    let first = world.dispatch(json!({"idempotency_key": "k", "priority": "low"})).await.unwrap();
    let again = world.dispatch(json!({"idempotency_key": "k", "priority": 3})).await.unwrap();
    assert_eq!(again["duplicate"], true);
    let logged = world.read(&id(&first)).await;
    assert_eq!(logged.mission.tier, Tier::Urgent);
    let kinds: Vec<_> = logged.events.iter().map(|(_, event)| event.kind()).collect();
    assert_eq!(kinds, [EventKind::Dispatched, EventKind::Dispatched]);
    // Once more changes nothing.
    world.dispatch(json!({"idempotency_key": "k", "priority": 3})).await.unwrap();
    assert_eq!(world.last_seq().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_move_one_mission_at_once_all_get_it() {
    let world = Arc::new(World::start().await);
    world.dispatch(json!({"idempotency_key": "k"})).await.unwrap();
    let tiers = ["urgent", "high", "normal", "low"];
    let calls = (0..40).map(|n| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            world.dispatch(json!({"idempotency_key": "k", "priority": tiers[n % 4]})).await
        })
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap().unwrap()["duplicate"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_mission_is_queued_when_its_time_has_come() {
    let world = World::start().await;
    let at = vp_nats::clock::now().plus(std::time::Duration::from_millis(1500));
    let dispatched = world.dispatch(json!({"not_before": at, "idempotency_key": "k"})).await.unwrap();
    assert_eq!(dispatched["status"], "scheduled");
    let mission = id(&dispatched);
    let shown = world.get(&mission).await;
    assert!(shown["waiting_because"].as_str().unwrap().contains("its time"), "{shown}");
    let again = world.dispatch(json!({"not_before": at, "idempotency_key": "k"})).await.unwrap();
    assert_eq!((&again["duplicate"], &again["status"]), (&json!(true), &json!("scheduled")));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while world.read(&mission).await.mission.status != Status::Queued {
        assert!(tokio::time::Instant::now() < deadline, "the timer did not fire");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(vp_nats::clock::now() >= at);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_cannot_be_kept_are_refused_and_a_repeat_is_not() {
    let world = World::start().await;
    let past = "2020-01-01T00:00:00Z";
    for times in [
        json!({"deadline": past}),
        json!({"deadline": "2999-01-01T00:00:00Z"}),
        json!({"not_before": "2999-01-01T00:00:00Z"}),
    ] {
        assert_eq!(code(&world.dispatch(times).await), ErrorCode::UnsupportedSchedule);
    }
    assert_eq!(world.last_seq().await, 0);
    // A start in the past is now.
    assert_eq!(world.dispatch(json!({"not_before": past})).await.unwrap()["status"], "queued");
    // A repeat after the deadline is still the same mission.
    let soon = vp_nats::clock::now().plus(std::time::Duration::from_millis(300));
    let keyed = json!({"deadline": soon, "idempotency_key": "k"});
    let first = world.dispatch(keyed.clone()).await.unwrap();
    while vp_nats::clock::now() < soon {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let again = world.dispatch(keyed).await.unwrap();
    assert_eq!((&again["mission_id"], &again["duplicate"]), (&first["mission_id"], &json!(true)));
    let other = json!({"deadline": soon, "idempotency_key": "k", "objective": "other"});
    assert_eq!(code(&world.dispatch(other).await), ErrorCode::IdempotencyConflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_lane_is_refused_with_those_that_exist() {
    let world = World::start().await;
    let error = world.dispatch(json!({"vp_id": "vp.nobody.primary"})).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownLane);
    let hint = error.hint.unwrap();
    assert!(lanes(|_| {}).keys().all(|vp_id| hint.contains(vp_id.as_str())), "{hint}");
    assert_eq!(world.last_seq().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_refuses_new_missions_and_knows_its_old_ones() {
    let world = World::with(|lane| lane.max_backlog = 2).await;
    let keyed = json!({"idempotency_key": "k"});
    world.dispatch(keyed.clone()).await.unwrap();
    world.mission().await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    // What is known of a queue may be a moment old.
    let error = loop {
        match world.dispatch(json!({})).await {
            Err(error) => break error,
            Ok(_) => assert!(tokio::time::Instant::now() < deadline, "the lane is never full"),
        }
    };
    assert_eq!(error.code, ErrorCode::LaneBacklogged);
    assert!(error.retryable && error.retry_after_seconds.is_some());
    assert_eq!(world.dispatch(keyed).await.unwrap()["duplicate"], true);
    assert_eq!(code(&world.dispatch(json!({"idempotency_key": "new"})).await), ErrorCode::LaneBacklogged);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_live_worker_there_is_a_warning_or_a_refusal() {
    let world = World::start().await;
    let warned = world.dispatch(json!({})).await.unwrap();
    assert!(warned["warnings"].to_string().contains("no live worker"), "{warned}");
    let refused = world.dispatch(json!({"require_live_worker": true})).await;
    assert_eq!(code(&refused), ErrorCode::LaneUnavailable);
    assert_eq!(world.last_seq().await, 1);
    let presence = serde_json::from_value(json!({
        "worker_id": "w1", "incarnation": "i", "host": "h", "version": "1", "draining": false,
        "lanes": [{"vp_id": CODER, "slots": 1, "busy": 0}], "since": vp_nats::clock::now(),
    }));
    vp_nats::presence::announce(&world.conn, &presence.unwrap()).await.unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(3);
    // What is known of the workers may be a second old.
    while world.dispatch(json!({"require_live_worker": true})).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the worker is never seen");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(world.dispatch(json!({})).await.unwrap()["warnings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_a_session_may_not_dispatch() {
    let world = World::start().await;
    let caller = vp_dispatcher::Caller::actor("root@host");
    let input = json!({"vp_id": CODER, "objective": "do it"});
    let answer = world.call_as(&caller, ToolName::Dispatch, &input).await;
    assert_eq!(code(&answer), ErrorCode::Forbidden);
    assert!(answer.unwrap_err().hint.unwrap().contains("Vp-Session"));
    assert_eq!(world.last_seq().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_all_that_was_asked() {
    let world = World::start().await;
    let asked = json!({
        "objective": "Größe 📏", "mission_type": "report", "constraints": {"a": [1, {"b": null}]},
        "budget": {"wall_seconds": 60, "cost_usd": 0.5}, "reply_mode": "final", "max_attempts": 3,
        "inputs": [{"path": "a/b.txt", "text": "hi"}], "source_turn_id": "t-7", "priority": "high",
    });
    let mission = id(&world.dispatch(asked).await.unwrap());
    let logged = world.read(&mission).await.mission;
    assert_eq!(logged.spec.objective, "Größe 📏");
    assert_eq!(logged.spec.constraints["a"], json!([1, {"b": null}]));
    assert_eq!(logged.spec.budget.wall_seconds, Some(60));
    assert_eq!(logged.spec.max_attempts, Some(3));
    assert_eq!(logged.spec.inputs[0].path, "a/b.txt");
    assert_eq!(logged.source.session_id.unwrap().as_str(), "s1");
    assert_eq!(logged.source.turn_id.as_deref(), Some("t-7"));
    assert_eq!((logged.tier, logged.status), (Tier::High, Status::Queued));
    let days = logged.spec.deadline.since(logged.created_at).as_secs_f64() / 86_400.0;
    assert!((6.999..7.001).contains(&days), "{days}");
}
