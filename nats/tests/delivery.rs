//! Queue entries in workers' hands: acked, handed back, left, orphaned by nobody.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::{World, dispatched, event, eventually, lane_id, profile, pull_one, stays_empty};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use vp_nats::delivery::{LaneQueue, PullError, PullWait, hand_back};
use vp_nats::mission_log::MissionLog;
use vp_nats::topology::{self, lane_state, queue_consumer};
use vp_shared::tier::Tier;

const SHORT: Duration = Duration::from_millis(300);

async fn in_hand(world: &World) -> u64 {
    lane_state(&world.conn, &world.lane).await.unwrap()[&Tier::Normal].in_hand
}

#[tokio::test]
async fn a_delivery_tells_what_it_is() {
    let world = World::start().await;
    let seq = world.dispatch("k").await;
    let delivery = pull_one(&world.queue()).await;
    assert_eq!((delivery.seq, delivery.delivered, delivery.fired_by_timer), (seq, 1, false));
    assert_eq!((&delivery.subject.vp_id, &delivery.subject.mission_id), (&world.lane, &world.mission("k")));
    assert_eq!(delivery.event().unwrap().mission_id, world.mission("k"));
    assert!(delivery.traceparent.as_ref().unwrap().starts_with("00-"));
    assert!(delivery.lease().starts_with("$JS.ACK.MISSIONS.vp-coder-primary-normal."));
}

#[tokio::test]
async fn an_acked_entry_never_comes_back_and_a_left_one_does() {
    let world = World::with_ack_wait(1).await;
    world.dispatch("a").await;
    world.dispatch("b").await;
    let queue = world.queue();
    pull_one(&queue).await.ack().await.unwrap();
    pull_one(&queue).await.leave();
    let begun = Instant::now();
    let again = pull_one(&queue).await;
    assert!(begun.elapsed() >= Duration::from_millis(800), "{:?}", begun.elapsed());
    assert_eq!((again.subject.mission_id.clone(), again.delivered), (world.mission("b"), 2));
    again.ack().await.unwrap();
    assert!(stays_empty(&queue, Duration::from_millis(2500)).await);
}

#[tokio::test]
async fn a_renewed_entry_stays_in_its_hand() {
    let world = World::with_ack_wait(1).await;
    world.dispatch("k").await;
    let queue = world.queue();
    let delivery = pull_one(&queue).await;
    let renewer = delivery.renewer();
    let renewing = tokio::spawn(async move {
        for _ in 0..10 {
            renewer.renew(Duration::from_secs(1)).await.unwrap();
            sleep(SHORT).await;
        }
    });
    assert!(stays_empty(&queue, Duration::from_millis(2500)).await);
    renewing.await.unwrap();
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn a_nak_brings_it_back_at_once_or_after_its_delay() {
    let world = World::start().await;
    world.dispatch("k").await;
    let queue = world.queue();
    pull_one(&queue).await.nak(Duration::ZERO).await.unwrap();
    let begun = Instant::now();
    let delivery = pull_one(&queue).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    delivery.nak(Duration::from_millis(700)).await.unwrap();
    let begun = Instant::now();
    pull_one(&queue).await;
    assert!((650..3000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_knows_the_lease_hands_it_back_and_nothing_else() {
    let world = World::start().await;
    world.dispatch("k").await;
    let delivery = pull_one(&world.queue()).await;
    let lease = delivery.lease().to_owned();
    delivery.leave();
    let other = world.server.connect().await;
    hand_back(&other, &lease).await.unwrap();
    let queue = LaneQueue::new(&other, &world.lane, Tier::Normal);
    let again = timeout(Duration::from_secs(1), pull_one(&queue)).await.unwrap();
    assert_eq!(again.delivered, 2);
    for bad in
        ["", "missions.vp.coder.primary.m-x.completed", "$JS.ACK.NOTICES.c.1.2.3.4.5", "$JS.ACK.MISSIONS.>"]
    {
        assert!(hand_back(&other, bad).await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_pull_without_waiting_is_answered_at_once() {
    let world = World::start().await;
    let queue = world.queue();
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(queue.pull(8, PullWait::NoWait).next().await.is_none());
    }
    for key in ["a", "b", "c"] {
        world.dispatch(key).await;
    }
    let mut pull = queue.pull(8, PullWait::NoWait);
    let mut got = Vec::new();
    while let Some(delivery) = pull.next().await {
        got.push(delivery.unwrap().subject.mission_id);
    }
    assert_eq!(got, ["a", "b", "c"].map(|key| world.mission(key)));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_pull_without_waiting_brings_what_was_handed_back() {
    let world = World::start().await;
    world.dispatch("a").await;
    let queue = world.queue();
    pull_one(&queue).await.nak(Duration::ZERO).await.unwrap();
    eventually("it is there", || async { queue.pull(1, PullWait::NoWait).next().await }).await.unwrap();
}

#[tokio::test]
async fn each_tier_has_its_own_queue() {
    let world = World::start().await;
    world.dispatch("k").await;
    let low = LaneQueue::new(&world.conn, &world.lane, Tier::Low);
    assert!(low.pull(1, PullWait::NoWait).next().await.is_none());
    pull_one(&world.queue()).await.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_dropped_while_entries_arrive_orphan_none_of_them() {
    const ROUNDS: u32 = 400;
    let world = World::start().await;
    let queue = world.queue();
    // Another connection: on one the server would see the end of the pull before the entry.
    let log = MissionLog::new(&world.server.connect().await);
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let mut pull = queue.pull(1, PullWait::Expires(Duration::from_millis(500)));
        let entry = event(&format!("k{round}"), 0, dispatched());
        // Dropped at all places of the delivery's way: before, while and after it is on the wire.
        let patience = Duration::from_micros(u64::from(round % 40) * 25);
        let (stored, came) = tokio::join!(log.append(&entry, 0), timeout(patience, pull.next()));
        stored.unwrap();
        if let Ok(Some(delivery)) = came {
            delivery.unwrap().nak(Duration::ZERO).await.unwrap();
        }
    }
    let mut seen = HashMap::new();
    while seen.len() < ROUNDS as usize {
        let delivery = pull_one(&queue).await;
        *seen.entry(delivery.subject.mission_id.clone()).or_insert(0) += 1;
        delivery.ack().await.unwrap();
    }
    assert!(seen.values().all(|times| *times == 1), "an acked entry came again");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "well before the lease of 30 s: {:?}",
        begun.elapsed()
    );
    assert_eq!(in_hand(&world).await, 0);
}

#[tokio::test]
async fn what_lies_unread_in_a_dropped_pull_is_handed_back() {
    let world = World::start().await;
    for i in 0..20 {
        world.dispatch(&format!("k{i}")).await;
    }
    let queue = world.queue();
    let mut pull = queue.pull(20, PullWait::Expires(Duration::from_secs(5)));
    pull.next().await.unwrap().unwrap().ack().await.unwrap();
    eventually("all are in hand", || async { (in_hand(&world).await == 19).then_some(()) }).await;
    drop(pull);
    for _ in 0..19 {
        timeout(Duration::from_secs(5), pull_one(&queue)).await.unwrap().ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_waiting_pull_ends_when_the_server_restarts_and_the_next_one_brings_what_came() {
    let mut world = World::start().await;
    let queue = world.queue();
    let mut pull = queue.pull(1, PullWait::Expires(Duration::from_millis(1900)));
    assert!(timeout(SHORT, pull.next()).await.is_err(), "it waits");
    world.server.restart().await;
    let ended = timeout(Duration::from_secs(4), pull.next()).await.unwrap();
    assert!(matches!(ended, Some(Err(PullError::Interrupted { .. }))), "{ended:?}");
    assert!(pull.next().await.is_none());
    world.dispatch("k").await;
    timeout(Duration::from_secs(10), pull_one(&queue)).await.unwrap().ack().await.unwrap();
}

#[tokio::test]
async fn a_waiting_pull_survives_a_frozen_server_or_says_so() {
    let world = World::start().await;
    let queue = world.queue();
    let mut pull = queue.pull(1, PullWait::Expires(Duration::from_secs(20)));
    assert!(timeout(SHORT, pull.next()).await.is_err(), "it waits");
    world.server.freeze();
    let begun = Instant::now();
    let ended = timeout(Duration::from_secs(10), pull.next()).await.unwrap();
    world.server.thaw();
    assert!(matches!(ended, Some(Err(PullError::Interrupted { .. }))), "{ended:?}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    drop(pull);
    world.dispatch("k").await;
    let delivery = timeout(Duration::from_secs(10), pull_one(&queue)).await.unwrap();
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn a_deleted_consumer_is_said_by_waiting_and_by_new_pulls_until_it_is_made_again() {
    let world = World::start().await;
    let queue = world.queue();
    let mut pull = queue.pull(1, PullWait::Expires(Duration::from_secs(30)));
    assert!(timeout(SHORT, pull.next()).await.is_err(), "it waits");
    let stream = world.conn.jetstream().get_stream("MISSIONS").await.unwrap();
    stream.delete_consumer(&queue_consumer(&world.lane, Tier::Normal)).await.unwrap();
    let ended = timeout(Duration::from_secs(5), pull.next()).await.unwrap();
    assert!(matches!(ended, Some(Err(PullError::ConsumerGone { .. }))), "{ended:?}");
    let ended = queue.pull(1, PullWait::Expires(Duration::from_secs(30))).next().await;
    assert!(matches!(ended, Some(Err(PullError::ConsumerGone { .. }))), "{ended:?}");
    world.dispatch("k").await;
    topology::ensure_lane(&world.conn, &lane_id(), &profile(30), 1).await.unwrap();
    pull_one(&queue).await.ack().await.unwrap();
}

#[tokio::test]
async fn an_ack_waits_for_a_server_that_comes_back() {
    let mut world = World::start().await;
    world.dispatch("k").await;
    let delivery = pull_one(&world.queue()).await;
    world.server.kill().await;
    let ack = tokio::spawn(delivery.ack());
    world.server.restart().await;
    let acked = timeout(common::PATIENCE, ack).await.unwrap().unwrap();
    if acked.is_err() {
        // A killed server forgets the deliveries of its last moments: the entry comes again and is acked then.
        pull_one(&world.queue()).await.ack().await.unwrap();
    }
    eventually("nothing is in hand", || async { (in_hand(&world).await == 0).then_some(()) }).await;
    assert!(stays_empty(&world.queue(), SHORT).await);
}

#[tokio::test]
async fn settling_says_when_there_is_nobody_to_settle_with() {
    let world = World::start().await;
    world.dispatch("k").await;
    let delivery = pull_one(&world.queue()).await;
    world.conn.jetstream().delete_stream("MISSIONS").await.unwrap();
    let error = delivery.renewer().renew(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("renew"), "{error}");
}

#[tokio::test]
async fn an_entry_that_names_no_mission_does_not_block_the_queue() {
    let world = World::start().await;
    let js = world.conn.jetstream();
    js.publish("missions.vp.coder.primary.by-hand.dispatched.normal", "{}".into())
        .await
        .unwrap()
        .await
        .unwrap();
    world.dispatch("k").await;
    let mut pull = world.queue().pull(2, PullWait::Expires(Duration::from_secs(2)));
    let delivery = pull.next().await.unwrap().unwrap();
    assert_eq!(delivery.subject.mission_id, world.mission("k"));
    delivery.ack().await.unwrap();
    assert!(pull.next().await.is_none());
    eventually("it is acked away", || async { (in_hand(&world).await == 0).then_some(()) }).await;
}

/// `VP_PULLS` single pulls (20,000 when not set) with a bounded backlog; a stall of a client is seen as a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_pulls_never_stall() {
    const LONGEST_GAP: Duration = Duration::from_secs(2);
    const PULLERS: u32 = 4;
    let total: u32 = std::env::var("VP_PULLS").map_or(20_000, |text| text.parse().unwrap());
    let world = World::start().await;
    let (conn, each) = (world.conn.clone(), total / PULLERS);
    let publisher = tokio::spawn(async move {
        let js = conn.jetstream();
        let body = event("k", 0, dispatched()).to_json();
        for chunk in 0..each * PULLERS / 250 {
            let acks = (chunk * 250..(chunk + 1) * 250).map(|i| {
                let mission = vp_shared::ids::MissionId::of_key(&lane_id(), &format!("k{i}"));
                let subject = format!("missions.{}.{mission}.dispatched.normal", lane_id());
                let body = body.clone();
                async move { js.publish(subject, body.into()).await.unwrap().await.unwrap() }
            });
            join_all(acks).await;
        }
    });
    let pullers = (0..PULLERS).map(|_| {
        let queue = world.queue();
        tokio::spawn(async move {
            let (mut longest, mut last) = (Duration::ZERO, Instant::now());
            for _ in 0..each {
                pull_one(&queue).await.ack().await.unwrap();
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            longest
        })
    });
    let begun = Instant::now();
    let longest = join_all(pullers).await.into_iter().map(Result::unwrap).max().unwrap();
    publisher.await.unwrap();
    let rate = f64::from(total) / begun.elapsed().as_secs_f64();
    eprintln!("{total} single pulls with confirmed acks: {rate:.0}/s, longest gap {longest:?}");
    assert!(longest < LONGEST_GAP, "{longest:?}");
    assert_eq!(in_hand(&world).await, 0);
}
