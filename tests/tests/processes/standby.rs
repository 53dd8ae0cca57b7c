//! Two bridges as processes of their own, on one ledger: one works, the other takes over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;
use vp_tests::lanes::{CODER, noop_lane};
use vp_tests::process::{Installation, Process};
use vp_tests::until::until;
use vp_tests::world::World;

/// How long nobody may look after the ledger when a bridge's process has died.
const TAKEOVER: Duration = Duration::from_secs(5);
/// And when it is frozen: the server takes the lock from it after 8 s.
const THAW: Duration = Duration::from_secs(15);
const RUNS: &str = "the bridge runs";
const STANDS_BY: &str = "the bridge stands by";

async fn world(kind: LedgerKind) -> World {
    World::builder().ledger(kind).lane(CODER, noop_lane()).workers(1).without_bridge().start().await
}

async fn bridge(vp: &Installation, name: &str, says: &str) -> Process {
    let mut bridge = vp.spawn(name, ["bridge"]);
    bridge.until_it_says(says).await;
    bridge
}

/// Dispatches so many missions, one after the other.
async fn load(world: &World, missions: usize) -> usize {
    for _ in 0..missions {
        world.dispatch_as("chat", CODER, json!({})).await;
    }
    missions
}

/// Every notice of so many missions came once, and the ledger is what the log says.
async fn all_is_right(world: &World, missions: usize) {
    world.until_all_ended().await;
    let mut told: BTreeMap<_, usize> = BTreeMap::new();
    for notice in world.all_notices("chat", CODER).await {
        *told.entry(notice.notice_id).or_default() += 1;
    }
    assert!(told.values().all(|times| *times == 1), "a notice came twice");
    assert_eq!(told.len(), 3 * missions);
    world.assert_ledger_equals_log().await;
}

async fn a_bridge_that_is_killed_in_the_middle_of_load_is_replaced_within_seconds(kind: LedgerKind) {
    let world = world(kind).await;
    let vp = Installation::of(&world);
    let mut working = bridge(&vp, "bridge-0", RUNS).await;
    let mut missions = 0;
    for round in 1..=4 {
        let mut standby = bridge(&vp, &format!("bridge-{round}"), STANDS_BY).await;
        missions += load(&world, 40).await;
        working.kill();
        let killed = Instant::now();
        let (more, ()) = tokio::join!(load(&world, 40), standby.until_it_says(RUNS));
        missions += more;
        assert!(killed.elapsed() < TAKEOVER + Duration::from_secs(5), "{:?}", killed.elapsed());
        working = standby;
    }
    all_is_right(&world, missions).await;
}

on_both_ledgers!(a_bridge_that_is_killed_in_the_middle_of_load_is_replaced_within_seconds);

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_bridge_is_replaced_and_does_no_harm_when_it_wakes_up() {
    let world = world(LedgerKind::Postgres).await;
    let vp = Installation::of(&world);
    let mut frozen = bridge(&vp, "bridge-0", RUNS).await;
    let mut standby = bridge(&vp, "bridge-1", STANDS_BY).await;
    let mut missions = load(&world, 40).await;
    frozen.freeze();
    let since = Instant::now();
    standby.until_it_says(RUNS).await;
    assert!(since.elapsed() < THAW, "{:?}", since.elapsed());
    missions += load(&world, 40).await;
    world.until_projected().await;
    frozen.thaw();
    missions += load(&world, 40).await;
    frozen.until_it_says(STANDS_BY).await;
    all_is_right(&world, missions).await;
    let status = frozen.terminate().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_holder_of_a_file_is_named_by_who_stands_by_and_robbed_of_nothing() {
    let world = world(LedgerKind::Sqlite).await;
    let vp = Installation::of(&world);
    let frozen = bridge(&vp, "bridge-0", RUNS).await;
    let mut standby = bridge(&vp, "bridge-1", STANDS_BY).await;
    let mut missions = load(&world, 40).await;
    frozen.freeze();
    missions += load(&world, 40).await;
    let pid = frozen.pid().to_string();
    let alarm = until("the one that stands by gives alarm", async || {
        let doctor = vp.command(["-o", "json", "doctor"]).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().iter();
        let mut found =
            checks.filter(|check| check["check"] == "bridges").map(|check| check["found"].to_string());
        found.find(|found| found.contains(&pid))
    })
    .await;
    assert!(alarm.contains("SIGSTOP") && alarm.contains(&format!("kill -CONT {pid}")), "{alarm}");
    standby.until_it_says("the ledger stands still").await;
    // It has not begun to work, and the other one goes on where it stood.
    assert!(!standby.log().contains(RUNS), "{}", standby.log());
    frozen.thaw();
    missions += load(&world, 20).await;
    all_is_right(&world, missions).await;
    // Ended instead, it is replaced at once.
    frozen.freeze();
    frozen.kill();
    standby.until_it_says(RUNS).await;
    load(&world, 20).await;
    world.until_projected().await;
}
