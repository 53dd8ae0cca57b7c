//! How fast a bridge catches up, with the network and the notices. Run it with `--release -- --nocapture` for numbers
//! that count.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a test may panic, and this one prints what it measures"
)]

mod support;

use support::script::{CODER, Script};
use support::{PATIENCE, World};
use tokio::time::{Instant, timeout};
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;

const MISSIONS: usize = if cfg!(debug_assertions) { 500 } else { 20_000 };

async fn a_bridge_catches_up_with_a_backlog_and_tells_all_of_it(kind: LedgerKind) {
    let world = World::start_on(kind).await;
    let mut events = Vec::new();
    for nth in 0..MISSIONS {
        let at = 1_700_000_000_000_000 + i64::try_from(nth).unwrap() * 100;
        events.extend(Script::new(CODER, &format!("backlog-{nth}")).at(at).well());
    }
    world.flood(&events).await;
    let began = Instant::now();
    let bridge = world.bridge().await;
    let mut status = bridge.status();
    let total = events.len() as u64;
    timeout(PATIENCE, status.wait_for(|status| status.cursor == total)).await.unwrap().unwrap();
    let projected = began.elapsed().as_secs_f64();
    let notices = MISSIONS as u64 * 3;
    timeout(PATIENCE, status.wait_for(|status| status.notices_sent == notices)).await.unwrap().unwrap();
    let told = began.elapsed().as_secs_f64();
    eprintln!(
        "{total} events: {:.0} projected/s; {notices} notices: {:.0} sent/s",
        total as f64 / projected,
        notices as f64 / told
    );
    let settled = world.settled().await;
    assert_eq!(settled.missions["completed"], MISSIONS as u64);
    assert_eq!(world.notices().await.len() as u64, notices);
    bridge.stop().await;
}

on_both_ledgers!(a_bridge_catches_up_with_a_backlog_and_tells_all_of_it,);
