//! Wait: pushed, never early, never late.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;
use vp_shared::api::{ToolError, ToolName};
use vp_shared::artifact::MissionResult;
use vp_shared::ids::MissionId;

use crate::world::{World, append, complete, completed, outcome, started};

fn wait(
    world: &Arc<World>,
    mission: &MissionId,
    seconds: u64,
) -> tokio::task::JoinHandle<(Result<Value, ToolError>, Instant)> {
    let (world, mission) = (Arc::clone(world), mission.clone());
    tokio::spawn(async move {
        let input = json!({"mission_id": mission, "timeout_seconds": seconds});
        let answer = world.call(ToolName::Wait, input).await;
        (answer, Instant::now())
    })
}

/// Gives a wait that has just begun the time of some round trips, in which it subscribes. Should it be later, it
/// finds the mission ended at its first look: the test is less sharp then, and still right.
async fn subscribed(world: &World, mission: &MissionId) {
    for _ in 0..3 {
        world.read(mission).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_returns_when_the_mission_ends() {
    let world = Arc::new(World::start().await);
    // The end is written over another connection than the one that waits.
    let worker = world.server.connect().await;
    let mut took = Vec::new();
    for _ in 0..20 {
        let mission = world.mission().await;
        append(&worker, &mission, started()).await;
        append(&worker, &mission, outcome()).await;
        let waiting = wait(&world, &mission, 30);
        subscribed(&world, &mission).await;
        append(&worker, &mission, completed(MissionResult::default())).await;
        let stored = Instant::now();
        let (answer, returned) = waiting.await.unwrap();
        let answer = answer.unwrap();
        assert_eq!((&answer["terminal"], &answer["timed_out"]), (&json!(true), &json!(false)));
        assert_eq!(answer["mission"]["status"], "completed");
        took.push(returned.saturating_duration_since(stored));
    }
    took.sort();
    eprintln!(
        "wait returned after the end was stored: p50 {:?}, max {:?}",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    // Far from the slow look that would also end it.
    assert!(took[took.len() - 1] < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_what_has_ended_returns_at_once() {
    let world = Arc::new(World::start().await);
    let mission = world.mission().await;
    complete(&world.conn, &mission, MissionResult::default()).await;
    let (answer, _) = wait(&world, &mission, 3600).await.unwrap();
    assert_eq!(answer.unwrap()["terminal"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_over_tells_how_the_mission_stands_and_its_progress() {
    let world = Arc::new(World::start().await);
    let mission = world.mission().await;
    append(&world.conn, &mission, started()).await;
    let vp_id = world.read(&mission).await.mission.vp_id;
    vp_nats::progress::publish(&world.conn, &vp_id, &mission, "half way").await;
    let (answer, _) = wait(&world, &mission, 1).await.unwrap();
    let answer = answer.unwrap();
    assert_eq!((&answer["terminal"], &answer["timed_out"]), (&json!(false), &json!(true)));
    assert_eq!(answer["mission"]["status"], "running");
    assert_eq!(answer["progress"], "half way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_publish_of_an_end_wakes_nobody_up_for_good() {
    let world = Arc::new(World::start().await);
    let mission = world.mission().await;
    append(&world.conn, &mission, started()).await;
    let waiting = wait(&world, &mission, 2);
    subscribed(&world, &mission).await;
    // As a fenced worker would: the subject is heard, the stream refuses.
    let vp_id = world.read(&mission).await.mission.vp_id;
    let subject = format!("missions.{vp_id}.{mission}.completed");
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", "1");
    headers.insert(
        "Nats-Expected-Last-Subject-Sequence-Subject",
        format!("missions.{vp_id}.{mission}.>").as_str(),
    );
    world.conn.client().publish_with_headers(subject, headers, "{}".into()).await.unwrap();
    let (answer, _) = waiting.await.unwrap();
    let answer = answer.unwrap();
    assert_eq!((&answer["timed_out"], &answer["mission"]["status"]), (&json!(true), &json!("running")));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_waits_for_one_mission_all_return() {
    let world = Arc::new(World::start().await);
    let mission = world.mission().await;
    append(&world.conn, &mission, started()).await;
    append(&world.conn, &mission, outcome()).await;
    let waiting: Vec<_> = (0..500).map(|_| wait(&world, &mission, 60)).collect();
    subscribed(&world, &mission).await;
    append(&world.conn, &mission, completed(MissionResult::default())).await;
    for answer in join_all(waiting).await {
        assert_eq!(answer.unwrap().0.unwrap()["terminal"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_survives_a_restart_of_the_server() {
    let mut world = World::start().await;
    let mission = world.mission().await;
    append(&world.conn, &mission, started()).await;
    append(&world.conn, &mission, outcome()).await;
    let dispatcher = world.dispatcher.clone();
    let waiting = {
        let mission = mission.clone();
        tokio::spawn(async move {
            dispatcher.wait(vp_shared::api::WaitMission { mission_id: mission, timeout_seconds: 60 }).await
        })
    };
    subscribed(&world, &mission).await;
    world.server.stop().await;
    world.server.restart().await;
    let worker = world.server.connect().await;
    append(&worker, &mission, completed(MissionResult::default())).await;
    let waited = waiting.await.unwrap().unwrap();
    assert!(waited.terminal && !waited.timed_out);
}
