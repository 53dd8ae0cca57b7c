//! What the ledger forgets by policy, and what it never does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use support::script::{CODER, Script};
use support::{World, lanes, until};
use vp_bridge::harness::LedgerKind;
use vp_bridge::rebuild::{Report, rebuild};
use vp_bridge::{BridgeConfig, on_both_ledgers, prune_ledger};
use vp_nats::topology::{MISSIONS, NOTICES};
use vp_shared::api::{LedgerMission, LedgerQuestion, RetentionStatus};
use vp_shared::event::Event;

const DAY: Duration = Duration::from_hours(24);

/// Keeps a day; the scripts' missions ended years ago.
fn forgetful(world: &World) -> BridgeConfig {
    let mut config = world.config();
    config.retention.keep_for = Some(DAY);
    config.retention.every = Duration::from_millis(100);
    config
}

async fn check(world: &World) -> Report {
    rebuild(&world.conn, &world.place.location, &lanes(), true).await.unwrap()
}

/// As when the log's retention has passed for what was stored before.
async fn log_forgets_before(world: &World, seq: u64) {
    let stream = world.conn.jetstream().get_stream(MISSIONS).await.unwrap();
    stream.purge().sequence(seq).await.unwrap();
}

async fn retention(world: &World, what: &str, so: impl Fn(&RetentionStatus) -> bool) -> RetentionStatus {
    until(what, async || so(&world.status().await.retention)).await;
    world.status().await.retention
}

/// Three ended missions, one that lives, three more; and the sequence at which the last three begin.
async fn told(world: &mut World) -> u64 {
    for nth in 0..3 {
        world.append_all(&Script::new(CODER, &format!("old-{nth}")).well()).await;
    }
    let mut alive = Script::new(CODER, "alive");
    world.append_all(&[alive.dispatched(), alive.started()]).await;
    let begins = world.last_seq().await + 1;
    for nth in 0..3 {
        world.append_all(&Script::new(CODER, &format!("new-{nth}")).well()).await;
    }
    begins
}

async fn what_ended_long_ago_goes_when_the_log_has_forgotten_it_and_what_lives_stays(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let begins = told(&mut world).await;
    let bridge = world.bridge_with(forgetful(&world)).await;
    world.settled().await;
    let waiting = retention(&world, "all that ended waits for the log", |status| status.waiting == 6).await;
    assert_eq!(waiting.missions_deleted, 0, "{waiting:?}");
    assert!(check(&world).await.is_equal());

    // The second half of the third old mission is still there.
    log_forgets_before(&world, begins - 4).await;
    let done = retention(&world, "two are gone", |status| status.missions_deleted == 2).await;
    assert_eq!(done.waiting, 4, "{done:?}");
    log_forgets_before(&world, begins).await;
    let done = retention(&world, "three are gone", |status| status.missions_deleted == 3).await;
    assert!(done.rows_deleted > 3 * 5 && done.error.is_none() && done.next_at > done.ran_at, "{done:?}");
    let dump = world.dump().await;
    let alive = Script::new(CODER, "alive").mission_id;
    for nth in 0..3 {
        let old = Script::new(CODER, &format!("old-{nth}")).mission_id;
        assert!(!dump.contains(old.as_str()), "{old} is still there: {dump}");
    }
    assert!(dump.contains(alive.as_str()), "what lives stays: {dump}");
    let report = check(&world).await;
    assert!(report.is_equal() && report.log_begins_at == Some(begins), "{report:?}");
    let list = world.status().await.missions;
    assert_eq!((list.get("completed"), list.get("running")), (Some(&3), Some(&1)), "{list:?}");
    bridge.stop().await;
}

/// The log takes a key again when it has forgotten the mission, and a mission that nobody is told of must not be.
async fn a_key_that_is_used_again_after_the_log_forgot_it_is_a_mission_of_its_own(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    world.append_all(&Script::new(CODER, "weekly").well()).await;
    let bridge = world.bridge().await;
    world.settled().await;
    let told = world.notices().await.len();
    world.forget_notices().await;
    let seq = world.last_seq().await;
    log_forgets_before(&world, seq + 1).await;
    let mut again = Script::new(CODER, "weekly").at(1_800_000_000_000_000);
    again.objective = "Do it once more".into();
    let mut last = 0;
    for mut event in again.clone().well() {
        // The script's ids are fixed, and the server still knows them.
        event.id = vp_nats::clock::event_id();
        last = world.log.append(&event, last).await.unwrap().seq;
    }
    let status = world.settled().await;
    assert_eq!(status.anomalies_total, 0, "{status:?}");
    assert_eq!(world.notices().await.len(), 2 * told, "the session is told of it");
    let question = serde_json::json!({"mission_id": again.mission_id});
    let found: LedgerMission = world.ask(LedgerQuestion::GetMission, &question).await.0.unwrap();
    assert_eq!(found.mission.objective, "Do it once more");
    assert_eq!(found.events_total, again.clone().well().len() as u64);
    let report = check(&world).await;
    assert!(report.is_equal(), "{report:?}");
    bridge.stop().await;
}

async fn a_mission_that_is_scheduled_under_a_key_that_the_log_forgot_is_a_new_one_too(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    world.append_all(&Script::new(CODER, "weekly").well()).await;
    let bridge = world.bridge().await;
    world.settled().await;
    let seq = world.last_seq().await;
    log_forgets_before(&world, seq + 1).await;
    let mut again = Script::new(CODER, "weekly");
    let (mut scheduled, mut dispatched) = (again.scheduled(), again.dispatched());
    scheduled.id = vp_nats::clock::event_id();
    dispatched.id = vp_nats::clock::event_id();
    let at = vp_nats::clock::now().plus(DAY);
    world.log.append_scheduled(&scheduled, &dispatched, at, 0).await.unwrap();
    until("it is scheduled", async || {
        let status = world.status().await;
        status.anomalies_total == 0 && status.missions.get("scheduled") == Some(&1)
    })
    .await;
    bridge.stop().await;
}

async fn a_ledger_from_which_all_old_missions_are_gone_is_what_the_log_says(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    world.poison("missions.nonsense", "?").await;
    world.append_all(&Script::new(CODER, "old").well()).await;
    let begins = world.last_seq().await + 1;
    world.append_all(&Script::new(CODER, "new").well()).await;
    let bridge = world.bridge_with(forgetful(&world)).await;
    world.settled().await;
    log_forgets_before(&world, begins).await;
    retention(&world, "the old one is gone", |status| status.missions_deleted == 1).await;
    let report = check(&world).await;
    assert!(report.is_equal(), "what was odd before the log begins is no difference: {report:?}");
    bridge.stop().await;
    assert!(rebuild(&world.conn, &world.place.location, &lanes(), false).await.unwrap().is_equal());
}

async fn a_mission_whose_notice_is_not_sent_stays(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    world.append_all(&Script::new(CODER, "old").well()).await;
    let seq = world.last_seq().await;
    world.conn.jetstream().delete_stream(NOTICES).await.unwrap();
    let bridge = world.bridge_with(forgetful(&world)).await;
    until("it is projected", async || world.status().await.cursor == seq).await;
    log_forgets_before(&world, seq + 1).await;
    let waits = retention(&world, "it waits", |status| status.waiting == 1 && status.ran_at.is_some()).await;
    let ran = waits.ran_at;
    retention(&world, "and again", |status| status.ran_at > ran).await;
    assert_eq!(world.status().await.retention.missions_deleted, 0);
    world.make_streams().await;
    retention(&world, "it goes once they are told", |status| status.missions_deleted == 1).await;
    assert!(!world.notices().await.is_empty());
    bridge.stop().await;
}

async fn by_hand_a_dry_run_deletes_nothing_and_the_other_does_beside_a_bridge(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let begins = told(&mut world).await;
    let bridge = world.bridge().await;
    world.settled().await;
    assert_eq!(world.status().await.retention, RetentionStatus::default(), "without a policy all is kept");
    log_forgets_before(&world, begins).await;
    let before = world.dump().await;
    let ledger = world.place.location.clone();
    let planned = prune_ledger(&world.conn, &ledger, DAY, true).await.unwrap();
    assert_eq!((planned.missions, planned.waiting, planned.rows), (3, 3, 0), "{planned:?}");
    assert_eq!(planned.named.len(), 3);
    assert_eq!(world.dump().await, before);
    let longer = prune_ledger(&world.conn, &ledger, 36_500 * DAY, false).await.unwrap();
    assert_eq!((longer.missions, longer.waiting), (0, 0), "{longer:?}");
    let done = prune_ledger(&world.conn, &ledger, DAY, false).await.unwrap();
    assert_eq!((done.missions, &done.named), (3, &planned.named), "{done:?}");
    assert!(check(&world).await.is_equal());
    bridge.stop().await;
}

async fn projecting_goes_on_while_much_is_deleted(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let old: Vec<Event> = (0..600).flat_map(|nth| Script::new(CODER, &format!("old-{nth}")).well()).collect();
    world.flood(&old).await;
    let bridge = world.bridge_with(world.config()).await;
    world.settled().await;
    let begins = world.last_seq().await + 1;
    log_forgets_before(&world, begins).await;
    bridge.stop().await;
    let bridge = world.bridge_with(forgetful(&world)).await;
    for nth in 0..50 {
        world.append_all(&Script::new(CODER, &format!("new-{nth}")).well()).await;
        world.settled().await;
    }
    let done = retention(&world, "all old ones are gone", |status| status.missions_deleted == 600).await;
    assert!(done.error.is_none(), "{done:?}");
    assert!(check(&world).await.is_equal());
    bridge.stop().await;
}

on_both_ledgers!(
    a_mission_that_is_scheduled_under_a_key_that_the_log_forgot_is_a_new_one_too,
    a_key_that_is_used_again_after_the_log_forgot_it_is_a_mission_of_its_own,
    what_ended_long_ago_goes_when_the_log_has_forgotten_it_and_what_lives_stays,
    a_ledger_from_which_all_old_missions_are_gone_is_what_the_log_says,
    a_mission_whose_notice_is_not_sent_stays,
    by_hand_a_dry_run_deletes_nothing_and_the_other_does_beside_a_bridge,
    projecting_goes_on_while_much_is_deleted,
);
