//! Missions that wait for their time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{World, cancelled, dispatched, event, eventually, pull_one, scheduled, started, stays_empty};
use tokio::time::Instant;
use vp_nats::clock;
use vp_nats::mission_log::{AppendError, LoggedMission};
use vp_shared::event::Event;
use vp_shared::mission::{EventKind, Status};

/// Schedules the mission of this key; gives the expectation of its next writer.
async fn schedule(world: &World, key: &str, after: Duration) -> u64 {
    let (scheduled, fires) = (event(key, 0, scheduled()), event(key, 0, dispatched()));
    world.log.append_scheduled(&scheduled, &fires, clock::now().plus(after), 0).await.unwrap().seq
}

async fn read(world: &World, key: &str) -> LoggedMission {
    world.log.read(&world.lane, &world.mission(key)).await.unwrap().unwrap()
}

fn kinds(read: &LoggedMission) -> Vec<EventKind> {
    read.events.iter().map(|(_, event)| event.kind()).collect()
}

/// The subjects that are stored, as the server counts them.
async fn subjects(world: &World) -> Vec<String> {
    let filter = serde_json::json!({ "subjects_filter": "missions.>" });
    let info: serde_json::Value =
        world.conn.jetstream().request("STREAM.INFO.MISSIONS", &filter).await.unwrap();
    info["state"]["subjects"].as_object().map_or_else(Vec::new, |subjects| subjects.keys().cloned().collect())
}

fn is_timer(subject: &str) -> bool {
    subject.rsplit('.').next() == Some("timer")
}

#[tokio::test]
async fn a_scheduled_mission_is_queued_when_its_time_has_come_and_not_before() {
    let world = World::start().await;
    let begun = Instant::now();
    let expected = schedule(&world, "k", Duration::from_secs(1)).await;
    let before = read(&world, "k").await;
    assert_eq!((before.mission.status, before.mission.last_seq), (Status::Scheduled, expected));
    assert_eq!(kinds(&before), [EventKind::Scheduled]);

    let delivery = pull_one(&world.queue()).await;
    assert!(begun.elapsed() >= Duration::from_millis(950), "{:?}", begun.elapsed());
    assert!(delivery.fired_by_timer);
    assert_eq!(delivery.event().unwrap().kind(), EventKind::Dispatched);
    assert!(delivery.traceparent.as_ref().unwrap().starts_with("00-"));
    let fired = read(&world, "k").await;
    assert_eq!(kinds(&fired), [EventKind::Scheduled, EventKind::Dispatched]);
    assert_eq!((fired.mission.status, fired.mission.queue_seq), (Status::Queued, Some(delivery.seq)));
    assert!(fired.anomalies.is_empty(), "{:?}", fired.anomalies);
    assert!(!subjects(&world).await.iter().any(|subject| is_timer(subject)), "the timer has gone");
    let claim = event("k", 1, started("a", delivery.lease()));
    world.log.append(&claim, fired.mission.last_seq).await.unwrap();
}

#[tokio::test]
async fn a_cancel_before_the_time_removes_the_timer_in_the_same_write() {
    let world = World::start().await;
    let expected = schedule(&world, "k", Duration::from_secs(1)).await;
    assert!(subjects(&world).await.iter().any(|subject| is_timer(subject)));
    world.log.append_purging_timer(&event("k", 0, cancelled()), expected).await.unwrap();
    assert!(!subjects(&world).await.iter().any(|subject| is_timer(subject)));
    assert!(stays_empty(&world.queue(), Duration::from_millis(2500)).await, "nothing fires");
    let read = read(&world, "k").await;
    assert_eq!(kinds(&read), [EventKind::Scheduled, EventKind::Cancelled]);
    assert_eq!(read.mission.status, Status::Cancelled);
}

#[tokio::test]
async fn a_cancel_that_was_decided_before_the_timer_fired_is_refused() {
    let world = World::start().await;
    let expected = schedule(&world, "k", Duration::from_millis(300)).await;
    pull_one(&world.queue()).await;
    let error = world.log.append_purging_timer(&event("k", 0, cancelled()), expected).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { .. }), "{error}");
    let now = read(&world, "k").await.mission.last_seq;
    world.log.append_purging_timer(&event("k", 0, cancelled()), now).await.unwrap();
    assert_eq!(read(&world, "k").await.mission.status, Status::Cancelled);
}

#[tokio::test]
async fn scheduling_twice_stores_one_event_and_one_timer() {
    let world = World::start().await;
    let (scheduled, fires) = (event("k", 0, scheduled()), event("k", 0, dispatched()));
    let at = clock::now().plus(Duration::from_hours(1));
    let first = world.log.append_scheduled(&scheduled, &fires, at, 0).await.unwrap();
    let second = world.log.append_scheduled(&scheduled, &fires, at, 0).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(subjects(&world).await.len(), 2);
    let other: Event = event("k", 0, common::scheduled());
    let error = world.log.append_scheduled(&other, &fires, at, 0).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { .. }), "{error}");
}

#[tokio::test]
async fn a_repeat_of_a_schedule_that_fired_or_was_cancelled_is_still_recognised() {
    let world = World::start().await;
    let at = clock::now().plus(Duration::from_millis(200));
    let (scheduled_k, fires_k) = (event("k", 0, scheduled()), event("k", 0, dispatched()));
    world.log.append_scheduled(&scheduled_k, &fires_k, at, 0).await.unwrap();
    let delivery = pull_one(&world.queue()).await;
    let repeat = world.log.append_scheduled(&scheduled_k, &fires_k, at, 0).await.unwrap();
    assert_eq!(repeat.seq, delivery.seq, "the next writer expects what fired");

    let late = clock::now().plus(Duration::from_hours(1));
    let (scheduled_c, fires_c) = (event("c", 0, scheduled()), event("c", 0, dispatched()));
    let first = world.log.append_scheduled(&scheduled_c, &fires_c, late, 0).await.unwrap();
    world.log.append_purging_timer(&event("c", 0, cancelled()), first.seq).await.unwrap();
    world.log.append_scheduled(&scheduled_c, &fires_c, late, 0).await.unwrap();
    assert_eq!(kinds(&read(&world, "c").await), [EventKind::Scheduled, EventKind::Cancelled]);
}

#[tokio::test]
async fn a_time_that_has_passed_fires_at_once() {
    let world = World::start().await;
    let (scheduled, fires) = (event("k", 0, scheduled()), event("k", 0, dispatched()));
    let past = vp_shared::time::UtcTime::from_micros(1_000_000);
    world.log.append_scheduled(&scheduled, &fires, past, 0).await.unwrap();
    pull_one(&world.queue()).await;
}

#[tokio::test]
async fn a_timer_that_was_due_while_the_server_was_down_fires_after_its_restart() {
    let mut world = World::start().await;
    schedule(&world, "k", Duration::from_millis(500)).await;
    world.server.kill().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.server.restart().await;
    let queue = world.queue();
    assert!(pull_one(&queue).await.fired_by_timer);
    let read = eventually("it is queued", || async {
        let read = read(&world, "k").await;
        (read.mission.status == Status::Queued).then_some(read)
    })
    .await;
    assert_eq!(kinds(&read), [EventKind::Scheduled, EventKind::Dispatched]);
}
