//! Queues that bring nothing although something waits, and queues that go away with their stream.

use std::time::Duration;

use serde_json::json;
use vp_nats::clock::now;
use vp_nats::presence;
use vp_nats::topology::{self, MISSIONS, TopologyConfig, queue_consumer};
use vp_shared::lane::{LaneProfile, Lanes};
use vp_shared::mission::Status;
use vp_shared::tier::Tier;
use vp_shared::time::UtcTime;

use crate::world::{World, noop_lane, script, shell_lane, until};

async fn pause(world: &World, until: UtcTime) {
    let consumer = queue_consumer(&world.vp_id, Tier::Normal);
    let subject = format!("CONSUMER.PAUSE.{MISSIONS}.{consumer}");
    let paused: serde_json::Value =
        world.conn.jetstream().request(subject, &json!({ "pause_until": until })).await.unwrap();
    assert!(paused["error"].is_null(), "{paused}");
}

async fn is_starved(world: &World) -> bool {
    let workers = presence::list(&world.conn).await.unwrap();
    workers.iter().flat_map(|worker| &worker.lanes).any(|lane| lane.starved_since.is_some())
}

#[tokio::test]
async fn an_alarm_is_given_when_entries_wait_and_slots_are_free_and_none_comes() {
    let world = World::new(noop_lane()).await;
    let mut config = world.config("w1");
    config.starved_after = Duration::from_secs(1);
    let _worker = world.start(config).await;
    pause(&world, now().plus(Duration::from_mins(10))).await;
    // An empty queue is no alarm, however long.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!is_starved(&world).await);
    let mission = world.dispatch(script("")).await;
    until("the alarm is given", async || is_starved(&world).await).await;
    pause(&world, now()).await;
    assert_eq!(world.ended(&mission).await.status, Status::Completed);
    until("the alarm is over", async || !is_starved(&world).await).await;
}

#[tokio::test]
async fn a_lane_is_served_again_when_its_stream_was_gone_and_is_back() {
    let world = World::new(noop_lane()).await;
    let mut config = world.config("w1");
    config.may_create_consumers = true;
    let worker = world.start(config).await;
    assert_eq!(world.ended(&world.dispatch(script("")).await).await.status, Status::Completed);
    world.conn.jetstream().delete_stream(MISSIONS).await.unwrap();
    // Longer than the worker needs to notice, and to complain.
    tokio::time::sleep(Duration::from_secs(7)).await;
    topology::ensure(&world.conn, &TopologyConfig::default(), &Lanes::new()).await.unwrap();
    let mission = world.dispatch(script("")).await;
    assert_eq!(world.ended(&mission).await.status, Status::Completed);
    drop(worker);
}

#[tokio::test]
async fn an_attempt_whose_mission_the_log_no_longer_knows_frees_its_slot() {
    let world = World::new(LaneProfile { slots: 1, ..shell_lane() }).await;
    let mut config = world.config("w1");
    config.may_create_consumers = true;
    let _worker = world.start(config).await;
    let (go, over) = (world.path("go"), world.path("over"));
    let wait = format!(
        "echo x > x.md; until [ -e {} ]; do sleep 0.05; done; touch {}",
        go.display(),
        over.display()
    );
    let lost = world.dispatch(script(wait)).await;
    world.running(&lost).await;
    world.conn.jetstream().delete_stream(MISSIONS).await.unwrap();
    std::fs::write(&go, "").unwrap();
    until("the executor has ended", async || over.exists()).await;
    topology::ensure(&world.conn, &TopologyConfig::default(), &Lanes::new()).await.unwrap();
    let next = world.dispatch(script("echo x > x.md")).await;
    assert_eq!(world.ended(&next).await.status, Status::Completed);
    assert!(world.log.read(&world.vp_id, &lost).await.unwrap().is_none());
}
