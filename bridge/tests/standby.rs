//! Two bridges on one ledger, and a database that goes and comes back under load.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use support::script::{CODER, GENERAL, Script};
use support::{World, lanes, until};
use tokio::time::{Instant, timeout};
use vp_bridge::harness::{LedgerKind, PASSWORD};
use vp_bridge::on_both_ledgers;
use vp_bridge::rebuild::rebuild;
use vp_bridge::{Bridge, BridgeConfig, BridgeError, LedgerError};
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
async fn a_database_is_used_over_tls_if_that_is_asked_for() {
    let world = World::start_on(LedgerKind::Postgres).await;
    let server = world.place.server.as_ref().unwrap();
    let config = BridgeConfig { ledger: server.tls_url(), ..world.config() };
    let bridge = world.bridge_with(config).await;
    world.flood(&missions("tls", 20)).await;
    all_is_right(&world, 20).await;
    bridge.stop().await;
    // A server that shows another certificate than the one that is trusted is not spoken to.
    let other = vp_bridge::harness::TestPostgres::start().await;
    let ledger =
        server.tls_url().replace(&server.ca().display().to_string(), &other.ca().display().to_string());
    let refused = Bridge::start(world.conn.clone(), BridgeConfig { ledger, ..world.config() }).await;
    let error = refused.map(|_| ()).unwrap_err();
    assert!(matches!(error, BridgeError::Ledger(LedgerError::Database { .. })), "{error:?}");
    assert!(!format!("{error:?} {}", vp_shared::error::Chain(&error)).contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_read_only_for_a_while_is_caught_up() {
    let world = World::start_on(LedgerKind::Postgres).await;
    let bridge = world.bridge().await;
    world.flood(&missions("before", 20)).await;
    world.settled().await;
    world.sql("ALTER DATABASE postgres SET default_transaction_read_only = on").await;
    // As after a failover to a copy: all sessions end.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vp-bridge'";
    world.sql(end).await;
    world.flood(&missions("meanwhile", 20)).await;
    let mut status = bridge.status();
    let said = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains("read-only"));
    let told = status.wait_for(|status| said(&status.standby_error) || said(&status.projector_error));
    timeout(support::PATIENCE, told).await.unwrap().unwrap();
    world.sql("BEGIN READ WRITE; ALTER DATABASE postgres RESET default_transaction_read_only; COMMIT").await;
    world.sql(end).await;
    all_is_right(&world, 40).await;
    bridge.stop().await;
}

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
