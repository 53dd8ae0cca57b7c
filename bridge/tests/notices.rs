//! Notices that are not sent as they are, and such as are not sent again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use support::script::{CODER, Script, result, usage};
use support::{World, lanes, until};
use vp_bridge::harness::LedgerKind;
use vp_bridge::rebuild::rebuild;
use vp_bridge::{BridgeConfig, on_both_ledgers};
use vp_nats::reader::identity;
use vp_nats::topology::NOTICES;
use vp_shared::event::EventBody;

async fn a_notice_too_large_for_a_message_is_shortened_and_blocks_nobody(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    let mut large = Script::new(CODER, "large");
    world.append_all(&[large.dispatched(), large.started(), large.outcome()]).await;
    // The event just fits; its notice says the first paths once more.
    let mut left = result();
    let artifact = left.artifacts[0].clone();
    left.artifacts.clear();
    for nth in 0..50 {
        let path = format!("{nth}/{}", "long".repeat(4_900));
        left.artifacts.push(vp_shared::artifact::Artifact { path, ..artifact.clone() });
    }
    (left.artifacts_total, left.primary_total) = (60, 60);
    let ended = EventBody::Completed { summary: "all done".into(), result: left, usage: usage() };
    let ended = large.event(ended);
    world.append(&ended).await;
    let mut other = Script::new(CODER, "other").session(Some("another"));
    world.append_all(&other.well()).await;
    world.settled().await;
    let notices = world.notices().await;
    assert_eq!(notices.len(), 6);
    let told =
        notices.iter().find(|notice| notice.terminal && notice.mission_id == large.mission_id).unwrap();
    assert_eq!(told.summary.as_deref(), Some("all done"));
    assert!(told.text.contains("60, not listed here"), "{}", told.text);
    assert!(told.text.contains("mission_receipt.json"), "{}", told.text);
    bridge.stop().await;
}

async fn a_ledger_that_was_lost_and_is_filled_from_the_log_tells_nothing_again(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    for nth in 0..20 {
        world.append_all(&Script::new(CODER, &format!("told-{nth}")).well()).await;
    }
    world.settled().await;
    bridge.stop().await;
    let notices = world.notices().await;
    world.forget_notices().await;
    world.lose_ledger().await;
    let bridge = world.bridge_with(BridgeConfig { batch: 7, ..world.config() }).await;
    world.settled().await;
    assert_eq!(world.notices().await, notices);
    world.append_all(&Script::new(CODER, "later").well()).await;
    world.settled().await;
    assert_eq!(world.notices().await.len(), notices.len() + 3);
    bridge.stop().await;
}

async fn what_is_older_than_notices_are_kept_is_not_told_again(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let bridge = world.bridge().await;
    world.append_all(&Script::new(CODER, "old").well()).await;
    world.settled().await;
    bridge.stop().await;
    world.forget_notices().await;
    keep_notices(&world, Duration::from_secs(1)).await;
    until("all notices have expired", async || {
        let stream = identity(&world.conn, NOTICES).await.unwrap();
        stream.first_seq > stream.last_seq
    })
    .await;
    let told = async || identity(&world.conn, NOTICES).await.unwrap().last_seq;
    let before = told().await;
    for round in ["filled", "rebuilt"] {
        world.lose_ledger().await;
        if round == "rebuilt" {
            let report = rebuild(&world.conn, &world.place.location, &lanes(), false).await.unwrap();
            assert_eq!(report.notices_unsent, 0);
        }
        let bridge = world.bridge().await;
        world.settled().await;
        bridge.stop().await;
        assert_eq!(told().await, before, "{round}");
    }
    keep_notices(&world, Duration::from_hours(1)).await;
    let bridge = world.bridge().await;
    world.flood(&Script::new(CODER, "new").well()).await;
    world.settled().await;
    assert_eq!(told().await, before + 3);
    bridge.stop().await;
}

async fn keep_notices(world: &World, max_age: Duration) {
    let mut stream = world.conn.jetstream().get_stream(NOTICES).await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.max_age = max_age;
    world.conn.jetstream().update_stream(config).await.unwrap();
}

on_both_ledgers!(
    a_notice_too_large_for_a_message_is_shortened_and_blocks_nobody,
    a_ledger_that_was_lost_and_is_filled_from_the_log_tells_nothing_again,
    what_is_older_than_notices_are_kept_is_not_told_again,
);
