//! Cancel: at once when it waits, by its worker when it runs, never after the end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use vp_shared::api::{ErrorCode, ToolError, ToolName};
use vp_shared::artifact::MissionResult;
use vp_shared::ids::MissionId;
use vp_shared::mission::{EventKind, Status};

use crate::world::{World, append, code, complete, id, outcome, started};

async fn cancel(world: &World, mission: &MissionId) -> Result<Value, ToolError> {
    world.call(ToolName::Cancel, json!({"mission_id": mission, "reason": "no longer needed"})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_mission_is_cancelled_at_once_and_again() {
    let world = World::start().await;
    let mission = world.mission().await;
    for _ in 0..2 {
        let answer = cancel(&world, &mission).await.unwrap();
        assert_eq!(answer["status"], "cancelled");
        assert_eq!(answer["mission"]["status"], "cancelled");
        assert_eq!(answer["mission"]["cancel"], json!({"reason": "no longer needed", "by": "s1"}));
    }
    let logged = world.read(&mission).await;
    assert_eq!(logged.mission.status, Status::Cancelled);
    assert_eq!(logged.mission.last_seq, 2);
    assert_eq!(cancel(&world, &mission).await.unwrap()["mission"]["last_seq"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_mission_that_is_cancelled_never_fires() {
    let world = World::start().await;
    let at = vp_nats::clock::now().plus(Duration::from_secs(2));
    let mission = id(&world.dispatch(json!({"not_before": at})).await.unwrap());
    assert_eq!(cancel(&world, &mission).await.unwrap()["status"], "cancelled");
    // Another timer, later than this one, shows that its moment has passed.
    let later = vp_nats::clock::now().plus(Duration::from_millis(2500));
    let witness = id(&world.dispatch(json!({"not_before": later})).await.unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while world.read(&witness).await.mission.status != Status::Queued {
        assert!(tokio::time::Instant::now() < deadline, "the witness did not fire");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let kinds: Vec<_> = world.read(&mission).await.events.iter().map(|(_, event)| event.kind()).collect();
    assert_eq!(kinds, [EventKind::Scheduled, EventKind::Cancelled]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_mission_is_asked_to_stop_once() {
    let world = World::start().await;
    let mission = world.mission().await;
    append(&world.conn, &mission, started()).await;
    for _ in 0..2 {
        let answer = cancel(&world, &mission).await.unwrap();
        assert_eq!(answer["status"], "cancel_requested");
        assert_eq!(answer["mission"]["status"], "cancelling");
    }
    assert_eq!(world.last_seq().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_it_says_how_it_ended() {
    let world = World::start().await;
    let mission = world.mission().await;
    complete(&world.conn, &mission, MissionResult::default()).await;
    let answer = cancel(&world, &mission).await;
    assert_eq!(code(&answer), ErrorCode::AlreadyTerminal);
    assert!(answer.unwrap_err().message.contains("completed"));
    assert_eq!(world.last_seq().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_cancels_at_once_write_one_event() {
    let world = Arc::new(World::start().await);
    let mission = world.mission().await;
    let calls = (0..50).map(|_| {
        let (world, mission) = (Arc::clone(&world), mission.clone());
        tokio::spawn(async move { cancel(&world, &mission).await })
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap().unwrap()["status"], "cancelled");
    }
    assert_eq!(world.last_seq().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_races_with_a_worker_has_one_true_answer() {
    let world = Arc::new(World::start().await);
    for _ in 0..20 {
        let mission = world.mission().await;
        let worker = {
            let (world, mission) = (Arc::clone(&world), mission.clone());
            tokio::spawn(async move {
                // Its claim may be refused; then there is nothing to run.
                let known = world.read(&mission).await.mission;
                if known.status == Status::Queued {
                    let claim = std::panic::AssertUnwindSafe(append(&world.conn, &mission, started()));
                    let _ = futures_util::FutureExt::catch_unwind(claim).await;
                }
            })
        };
        let answer = cancel(&world, &mission).await.unwrap();
        worker.await.unwrap();
        let status = world.read(&mission).await.mission.status;
        match answer["status"].as_str().unwrap() {
            "cancelled" => assert_eq!(status, Status::Cancelled),
            _ => assert_eq!(status, Status::Cancelling),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_whose_outcome_is_recorded_cannot_be_stopped_and_that_is_said() {
    let world = World::start().await;
    let mission = world.mission().await;
    append(&world.conn, &mission, started()).await;
    append(&world.conn, &mission, outcome()).await;
    let answer = cancel(&world, &mission).await;
    assert_eq!(code(&answer), ErrorCode::AlreadyTerminal);
    let message = answer.unwrap_err().message;
    assert!(
        message.contains("outcome (completed) is recorded") && message.contains("finalizing"),
        "{message}"
    );
    assert_eq!(world.last_seq().await, 3);
}
