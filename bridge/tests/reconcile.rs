//! Every state in which a mission can be stranded, made by hand, and what the reconciler makes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use support::script::{CODER, Script, worker};
use support::{PATIENCE, World, until};
use tokio::time::{sleep, timeout};
use vp_bridge::{Bridge, ReconcileTimes};
use vp_nats::clock::now;
use vp_nats::delivery::{Delivery, LaneQueue, PullWait};
use vp_nats::topology::{MISSIONS, queue_consumer};
use vp_shared::api::ReconcilerStatus;
use vp_shared::event::{Event, EventBody};
use vp_shared::ids::VpId;
use vp_shared::mission::{EventKind, Mission};
use vp_shared::tier::Tier;

/// As the real ones, twenty times as fast.
const TIMES: ReconcileTimes = ReconcileTimes {
    every: Duration::from_millis(400),
    confirm_after: Duration::from_secs(2),
    in_hand_for: Duration::from_secs(2),
};

async fn bridge(world: &World) -> Bridge {
    let mut config = world.config();
    config.reconcile = TIMES;
    // What a dead worker had in hand is this test's business alone.
    config.sweep_every = Duration::from_hours(1);
    world.bridge_with(config).await
}

fn reconciler(bridge: &Bridge) -> ReconcilerStatus {
    bridge.status().borrow().reconciler.clone()
}

/// A mission of now.
fn script(key: &str) -> Script {
    Script::new(CODER, key).at(now().as_micros())
}

async fn next(world: &World, wait: Duration) -> Option<Delivery> {
    let queue = LaneQueue::new(&world.conn, &VpId::new(CODER).unwrap(), Tier::Normal);
    let mut pull = queue.pull(1, PullWait::Expires(wait));
    let delivery = timeout(wait + Duration::from_secs(10), pull.next()).await.unwrap();
    delivery.map(|delivery| delivery.unwrap())
}

/// Appends the mission's events; its entry is acked away.
async fn strand(world: &mut World, events: &[Event]) {
    world.append_all(events).await;
    next(world, PATIENCE).await.unwrap().ack().await.unwrap();
}

async fn mission(world: &World, script: &Script) -> (Mission, Vec<EventKind>) {
    let read = world.log.read(&script.vp_id, &script.mission_id).await.unwrap().unwrap();
    assert!(read.anomalies.is_empty(), "{:?}", read.anomalies);
    (read.mission, read.events.iter().map(|(_, event)| event.kind()).collect())
}

/// The mission is queued again, once, in its state.
async fn comes_again(world: &World, bridge: &Bridge, script: &Script, before: &[Event]) {
    let again = next(world, PATIENCE).await.expect("the mission comes again");
    assert_eq!(again.subject.mission_id, script.mission_id);
    let event = again.event().unwrap();
    assert!(matches!(event.body, EventBody::Dispatched { .. }));
    let (folded, kinds) = mission(world, script).await;
    assert_eq!(event.attempt, folded.attempt);
    assert_eq!(folded.queue_seq, Some(again.seq));
    let mut expected: Vec<_> = before.iter().map(Event::kind).collect();
    let former = Mission::fold(before.iter().map(|event| (1, event))).unwrap();
    assert_eq!(folded.status, former.status, "queued again it is what it was");
    expected.push(EventKind::Dispatched);
    assert_eq!(kinds, expected);
    until("it is told", async || reconciler(bridge).newest.iter().any(|done| done.what == "queued_again"))
        .await;
    assert_eq!(reconciler(bridge).repaired, 1);
}

#[tokio::test]
async fn what_was_queued_given_back_or_due_again_and_is_in_no_queue_comes_again() {
    for state in ["queued", "released", "retrying"] {
        let mut world = World::start().await;
        let mut script = script(state);
        let mut events = vec![script.dispatched()];
        if state != "queued" {
            events.push(script.started());
            events.push(if state == "released" { script.released() } else { script.attempt_failed() });
        }
        strand(&mut world, &events).await;
        let bridge = bridge(&world).await;
        comes_again(&world, &bridge, &script, &events).await;
        bridge.stop().await;
    }
}

#[tokio::test]
async fn what_a_dead_worker_ran_or_finished_and_is_in_no_queue_comes_again() {
    for state in ["running", "finalizing"] {
        let mut world = World::start().await;
        let mut script = script(state);
        let mut events = vec![script.dispatched(), script.started_by(&worker("w-dead", "life-1"), "lease")];
        if state == "finalizing" {
            events.push(script.outcome());
        }
        strand(&mut world, &events).await;
        let bridge = bridge(&world).await;
        comes_again(&world, &bridge, &script, &events).await;
        bridge.stop().await;
    }
}

#[tokio::test]
async fn what_was_to_stop_when_its_worker_died_is_cancelled_without_another() {
    let mut world = World::start().await;
    let mut script = script("cancelling");
    let owner = worker("w-dead", "life-1");
    let events = [script.dispatched(), script.started_by(&owner, "lease"), script.cancel_requested()];
    strand(&mut world, &events).await;
    let bridge = bridge(&world).await;
    until("it is cancelled", async || mission(&world, &script).await.0.status.is_terminal()).await;
    assert_eq!(mission(&world, &script).await.1.last(), Some(&EventKind::Cancelled));
    bridge.stop().await;
}

#[tokio::test]
async fn a_delivery_that_a_dead_worker_had_in_hand_is_handed_back_once() {
    let mut world = World::start().await;
    let mut script = script("in hand");
    world.append(&script.dispatched()).await;
    let held = next(&world, PATIENCE).await.unwrap();
    world.append(&script.started_by(&worker("w-dead", "life-1"), held.lease())).await;
    let bridge = bridge(&world).await;
    // The recovery's first sweep may have been quicker; then the reconciler finds it in this test's own hand.
    let again = next(&world, Duration::from_secs(20)).await.expect("it is handed back before its lease ends");
    assert_eq!((again.seq, again.subject.mission_id.clone()), (held.seq, script.mission_id.clone()));
    bridge.stop().await;
}

#[tokio::test]
async fn a_queue_that_is_gone_is_left_to_who_makes_queues() {
    let mut world = World::start().await;
    let mut script = script("no queue");
    world.append(&script.dispatched()).await;
    let stream = world.conn.jetstream().get_stream(MISSIONS).await.unwrap();
    stream.delete_consumer(&queue_consumer(&script.vp_id, Tier::Normal)).await.unwrap();
    let bridge = bridge(&world).await;
    let begun = now();
    until("it has looked", async || reconciler(&bridge).looked_at.is_some_and(|at| at > begun)).await;
    sleep(TIMES.confirm_after + TIMES.every * 3).await;
    assert_eq!(reconciler(&bridge).repaired, 0);
    // Made anew from the beginning, it has the entry.
    world.make_streams().await;
    assert_eq!(next(&world, PATIENCE).await.unwrap().subject.mission_id, script.mission_id);
    bridge.stop().await;
}
