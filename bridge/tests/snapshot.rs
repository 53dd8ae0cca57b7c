//! The whole ledger as text, for a small log.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use support::World;
use support::script::{CODER, GENERAL, Script};
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;
use vp_shared::failure::FailureClass;

async fn a_small_log_gives_this_ledger(kind: LedgerKind) {
    let mut world = World::start_on(kind).await;
    let (mut a, mut b) = (Script::new(CODER, "a"), Script::new(GENERAL, "b").session(None));
    let events = [
        a.dispatched(),
        b.dispatched(),
        a.started(),
        a.took_over(),
        b.started(),
        b.attempt_failed(),
        a.cancel_requested(),
        a.outcome(),
        a.completed(),
        b.failed(FailureClass::DeadlineExceeded),
    ];
    world.append_all(&events).await;
    world.poison("missions.nonsense", "?").await;
    let bridge = world.bridge().await;
    world.settled().await;
    bridge.stop().await;
    // The stored messages are their own tests' matter.
    let dump = world.dump().await;
    let lines = dump.lines().map(|line| line.split_once(" payload=").map_or(line, |(head, _)| head));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

on_both_ledgers!(a_small_log_gives_this_ledger,);
