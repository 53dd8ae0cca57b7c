//! A log that has lost its end, as after a power cut or from a backup, and has gone on since.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use support::script::{CODER, Script};
use support::{PATIENCE, World, lanes, until};
use vp_bridge::harness::LedgerKind;
use vp_bridge::rebuild::{RebuildError, rebuild};
use vp_bridge::{Bridge, on_both_ledgers};
use vp_shared::notice::Notice;

/// Waits until the bridge says that the log has lost messages, and what to do.
async fn loss_is_told(bridge: &Bridge, words: &str) {
    let mut status = bridge.status();
    let told = status.wait_for(|status| {
        let error = status.projector_error.as_deref().unwrap_or_default();
        error.contains(words) && error.contains("vp ledger rebuild")
    });
    tokio::time::timeout(PATIENCE, told).await.expect("the loss is told").unwrap();
}

const ANOTHER: &str = "another message at sequence";

async fn a_log_that_lost_its_end_under_a_running_bridge_is_not_gone_on_with(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    world.append_all(&Script::new(CODER, "kept").well()).await;
    world.settled().await;
    let copy = world.back_up().await;
    world.append_all(&Script::new(CODER, "lost").well()).await;
    assert_eq!(world.settled().await.cursor, 8);
    world.restore(&copy).await;
    // Longer than what was lost, before the bridge looks again by itself.
    for nth in 0..3 {
        world.append_all(&Script::new(CODER, &format!("after-{nth}")).well()).await;
    }
    loss_is_told(&bridge, "the log").await;
    assert_eq!(world.status().await.cursor, 8, "nothing behind the cursor is projected");
    bridge.stop().await;
}

async fn a_log_that_lost_its_end_is_told_until_the_ledger_is_rebuilt(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let mut kept = Script::new(CODER, "kept");
    world.append(&kept.dispatched()).await;
    world.settled().await;
    let copy = world.back_up().await;
    let mut lost = Script::new(CODER, "lost");
    world.append_all(&[kept.started(), lost.dispatched(), lost.started()]).await;
    let mut ended = Script::new(CODER, "ended");
    world.append_all(&ended.well()).await;
    assert_eq!(world.settled().await.cursor, 8);
    bridge.stop().await;
    world.restore(&copy).await;
    let bridge = world.bridge().await;
    loss_is_told(&bridge, "the log ends with sequence 1").await;
    // It grows past the cursor by itself.
    for nth in 0..3 {
        world.flood(&Script::new(CODER, &format!("after-{nth}")).well()).await;
    }
    loss_is_told(&bridge, ANOTHER).await;
    bridge.stop().await;
    let bridge = world.bridge().await;
    loss_is_told(&bridge, ANOTHER).await;
    assert_eq!(world.status().await.cursor, 8, "nothing behind the cursor is projected");
    bridge.stop().await;

    let before = world.dump().await;
    let error = rebuild(&world.conn, &world.place.location, &lanes(), false).await.unwrap_err();
    let RebuildError::LogLost { missions: 2, unfinished: 1, named } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*named, format!("{} (running), {} (completed)", lost.mission_id, ended.mission_id));
    assert_eq!(world.dump().await, before, "a refused rebuild changes nothing");
    world.lose_ledger().await;
    assert!(rebuild(&world.conn, &world.place.location, &lanes(), false).await.unwrap().replaced);
    let bridge = world.bridge().await;
    let status = world.settled().await;
    assert_eq!((status.missions["queued"], status.missions["completed"]), (1, 3), "{:?}", status.missions);
    until("the trouble is over", async || bridge.status().borrow().projector_error.is_none()).await;
    bridge.stop().await;
}

async fn a_rebuild_after_a_lost_end_tells_what_has_the_places_of_what_was_told(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let mut kept = Script::new(CODER, "kept");
    world.append(&kept.dispatched()).await;
    world.settled().await;
    let copy = world.back_up().await;
    world.append_all(&[kept.started(), kept.outcome(), kept.completed()]).await;
    world.settled().await;
    bridge.stop().await;
    world.restore(&copy).await;
    let mut later = Script::new(CODER, "later");
    world.flood(&later.well()).await;
    let bridge = world.bridge().await;
    loss_is_told(&bridge, ANOTHER).await;
    bridge.stop().await;
    // No mission began in what was lost: those that the log holds go on from where it has them.
    assert!(rebuild(&world.conn, &world.place.location, &lanes(), false).await.unwrap().replaced);
    let bridge = world.bridge().await;
    let status = world.settled().await;
    assert_eq!((status.missions["queued"], status.missions["completed"]), (1, 1), "{:?}", status.missions);
    let notices = world.notices().await;
    let of_later = |notice: &&Notice| notice.mission_id == later.mission_id;
    assert_eq!(notices.iter().filter(of_later).count(), 3);
    assert_eq!(notices.len(), 4, "{notices:?}");
    bridge.stop().await;
}

async fn timers_and_deleted_messages_at_the_cursor_are_no_loss(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let mut script = Script::new(CODER, "here");
    let events = script.well();
    world.append_all(&events[..3]).await;
    let timer = format!("missions.{CODER}.{}.timer", script.mission_id);
    for _ in 0..2 {
        world.poison(&timer, "{}").await;
    }
    let bridge = world.bridge().await;
    until("all is projected", async || world.status().await.cursor == 5).await;
    bridge.stop().await;
    let stream = world.conn.jetstream().get_stream("MISSIONS").await.unwrap();
    for seq in [3, 5] {
        stream.delete_message(seq).await.unwrap();
    }
    let bridge = world.bridge().await;
    world.flood(&Script::new(CODER, "next").well()).await;
    let status = world.settled().await;
    assert_eq!(
        (status.missions["finalizing"], status.missions["completed"]),
        (1, 1),
        "{:?}",
        status.missions
    );
    bridge.stop().await;
}

on_both_ledgers!(
    a_log_that_lost_its_end_under_a_running_bridge_is_not_gone_on_with,
    a_log_that_lost_its_end_is_told_until_the_ledger_is_rebuilt,
    a_rebuild_after_a_lost_end_tells_what_has_the_places_of_what_was_told,
    timers_and_deleted_messages_at_the_cursor_are_no_loss,
);
