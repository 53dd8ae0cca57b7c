//! Two bridges on one ledger, and a database that goes and comes back under load.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use support::script::{CODER, GENERAL, Script};
use support::{World, lanes, until};
use tokio::time::{Instant, timeout};
use vp_bridge::Bridge;
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;
use vp_bridge::rebuild::rebuild;
use vp_shared::event::Event;

/// How long nobody may look after the ledger when a bridge has died.
const TAKEOVER: Duration = Duration::from_secs(5);

/// The events of so many missions, each at once.
fn missions(name: &str, count: usize) -> Vec<Event> {
    let vp_id = |nth: usize| if nth.is_multiple_of(2) { CODER } else { GENERAL };
    (0..count).flat_map(|nth| Script::new(vp_id(nth), &format!("{name}-{nth}")).well()).collect()
}

/// Every notice once, and the ledger is what the log says.
async fn all_is_right(world: &World, missions: usize) {
    let settled = world.settled().await;
    assert_eq!(settled.missions["completed"], missions as u64);
    let told: Vec<_> = world.notices().await.into_iter().map(|notice| notice.notice_id).collect();
    let once: HashSet<_> = told.iter().collect();
    assert_eq!(once.len(), told.len(), "a notice was told twice");
    assert_eq!(told.len(), missions * 3);
    let report = rebuild(&world.conn, &world.place.location, &lanes(), true).await.unwrap();
    assert!(report.is_equal(), "{report:?}");
}

async fn until_active(bridge: &Bridge) {
    let mut status = bridge.status();
    timeout(support::PATIENCE, status.wait_for(|status| status.active)).await.unwrap().unwrap();
}

async fn a_second_bridge_stands_by_and_takes_over_within_seconds(kind: LedgerKind) {
    let world = World::start_on(kind).await;
    let first = world.bridge().await;
    let second = world.bridge().await;
    assert!(first.status().borrow().active && !second.status().borrow().active);
    world.flood(&missions("one", 50)).await;
    world.settled().await;
    assert_eq!(second.status().borrow().events, 0);
    // As in a crash.
    drop(first);
    let died = Instant::now();
    until_active(&second).await;
    assert!(died.elapsed() < TAKEOVER, "{:?}", died.elapsed());
    world.flood(&missions("two", 50)).await;
    world.settled().await;
    let third = world.bridge().await;
    assert!(!third.status().borrow().active);
    second.stop().await;
    let stopped = Instant::now();
    until_active(&third).await;
    assert!(stopped.elapsed() < TAKEOVER, "{:?}", stopped.elapsed());
    all_is_right(&world, 100).await;
    third.stop().await;
}

async fn bridges_that_die_under_load_one_after_the_other_lose_and_repeat_nothing(kind: LedgerKind) {
    let world = World::start_on(kind).await;
    let mut working = world.bridge().await;
    // The server soon recognises no notice that is sent again.
    world.forget_notices().await;
    for round in 0..8 {
        until_active(&working).await;
        let standby = world.bridge().await;
        let events = missions(&format!("round-{round}"), 60);
        let mut status = working.status();
        let before = status.borrow().events;
        // Dies with the first batches of the round.
        let enough = status.wait_for(|status| status.events >= before + round * 20);
        let ((), ready) = tokio::join!(world.flood(&events), timeout(support::PATIENCE, enough));
        ready.unwrap().unwrap();
        drop(working);
        working = standby;
    }
    until_active(&working).await;
    all_is_right(&world, 8 * 60).await;
    working.stop().await;
}

on_both_ledgers!(
    a_second_bridge_stands_by_and_takes_over_within_seconds,
    bridges_that_die_under_load_one_after_the_other_lose_and_repeat_nothing,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_dies_again_and_again_under_load_costs_nothing_but_time() {
    let mut world = World::start_on(LedgerKind::Postgres).await;
    let (one, two) = (world.bridge().await, world.bridge().await);
    world.forget_notices().await;
    for round in 0..5 {
        let events = missions(&format!("round-{round}"), 100);
        let (half, rest) = events.split_at(200);
        world.flood(half).await;
        let (cursor, mut status) = (world.last_seq().await - 150, one.status());
        let other = &mut two.status();
        // Somewhere in the middle of a round, whoever works.
        tokio::select! {
            _ = status.wait_for(|status| status.cursor >= cursor) => {}
            _ = other.wait_for(|status| status.cursor >= cursor) => {}
        }
        world.place.server.as_mut().unwrap().kill();
        world.flood(rest).await;
        until("a bridge says that there is no database", async || {
            let told = |bridge: &Bridge| bridge.status().borrow().standby_error.is_some();
            told(&one) && told(&two)
        })
        .await;
        world.place.server.as_mut().unwrap().start_again().await;
    }
    until("one of them works again", async || one.status().borrow().active || two.status().borrow().active)
        .await;
    all_is_right(&world, 500).await;
    one.stop().await;
    two.stop().await;
}
