//! Notices that are not sent as they are.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use support::World;
use support::script::{CODER, Script, result, usage};
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;
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

on_both_ledgers!(a_notice_too_large_for_a_message_is_shortened_and_blocks_nobody);
