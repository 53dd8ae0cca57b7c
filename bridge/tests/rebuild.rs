//! The ledger once more, from the log.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use support::script::{CODER, GENERAL, Script};
use support::{World, lanes};
use vp_bridge::LedgerError;
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;
use vp_bridge::rebuild::{RebuildError, Report, rebuild};
use vp_shared::failure::FailureClass;

/// A world whose ledger has missions of several kinds, and an anomaly.
async fn told(kind: LedgerKind) -> World {
    let mut world = World::start_on(kind).await;
    for nth in 0..20 {
        let mut s = Script::new(if nth % 2 == 0 { CODER } else { GENERAL }, &format!("r-{nth}"));
        let events = match nth % 4 {
            0 => s.well(),
            1 => vec![s.dispatched(), s.started(), s.attempt_failed(), s.started()],
            2 => vec![s.dispatched(), s.started(), s.failed(FailureClass::Timeout)],
            _ => vec![s.dispatched(), s.cancelled()],
        };
        world.append_all(&events).await;
    }
    world.poison("missions.nonsense", "?").await;
    world
}

async fn run(world: &World, check: bool) -> Result<Report, RebuildError> {
    rebuild(&world.conn, &world.place.location, &lanes(), check).await
}

async fn a_check_beside_a_running_bridge_finds_the_ledger_equal(kind: LedgerKind) {
    let mut world = told(kind).await;
    let bridge = world.bridge().await;
    world.settled().await;
    let report = run(&world, true).await.unwrap();
    assert!(report.is_equal(), "{report:?}");
    let rows: Vec<_> = report.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    assert_eq!(
        rows,
        [
            ("missions", 20),
            ("attempts", 20),
            ("events", 65),
            ("artifacts", 10),
            ("notices", 50),
            ("anomalies", 1)
        ]
    );
    assert!(!report.replaced);
    world.append_all(&Script::new(CODER, "later").well()).await;
    world.settled().await;
    assert!(run(&world, true).await.unwrap().is_equal(), "and again when there is more");
    bridge.stop().await;
    assert!(run(&world, true).await.unwrap().is_equal(), "and without a bridge");
    let left: Vec<_> =
        std::fs::read_dir(world.dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("rebuild")), "{left:?}");
}

async fn a_check_finds_every_planted_difference(kind: LedgerKind) {
    let world = told(kind).await;
    let bridge = world.bridge().await;
    world.settled().await;
    bridge.stop().await;
    for (table, sql) in [
        ("missions", "UPDATE missions SET status = 'failed' WHERE born_pos = 1"),
        ("attempts", "DELETE FROM attempts WHERE born_pos = 1"),
        ("events", "UPDATE events SET payload = payload || ' ' WHERE pos = 3"),
        ("artifacts", "UPDATE artifacts SET bytes = bytes + 1 WHERE path = 'run.log'"),
        ("notices", "DELETE FROM notices WHERE pos = 2"),
        ("anomalies", "INSERT INTO anomalies VALUES (4, 'missions.x', 'invented')"),
    ] {
        world.sql(sql).await;
        let report = run(&world, true).await.unwrap();
        let different: Vec<_> = report.tables.iter().filter(|table| !table.equal).collect();
        assert_eq!(different.len(), 1, "{table}: {report:?}");
        assert_eq!(different[0].name, table);
        assert!(!different[0].differences.is_empty());
        assert!(run(&world, false).await.unwrap().replaced);
        assert!(run(&world, true).await.unwrap().is_equal(), "a rebuild has put {table} right");
    }
}

async fn a_rebuilt_ledger_is_the_same_and_tells_nothing_twice(kind: LedgerKind) {
    let world = told(kind).await;
    let bridge = world.bridge().await;
    world.settled().await;
    bridge.stop().await;
    let (before, notices) = (world.dump().await, world.notices().await);
    world.forget_notices().await;
    for round in ["kept", "lost"] {
        if round == "lost" {
            world.lose_ledger().await;
        }
        let report = run(&world, false).await.unwrap();
        assert!(report.replaced);
        assert_eq!(report.notices_unsent, 0, "{round}");
        assert_eq!(world.dump().await, before, "{round}");
        let bridge = world.bridge().await;
        world.settled().await;
        bridge.stop().await;
        assert_eq!(world.notices().await, notices, "{round}");
    }
}

async fn what_was_sent_and_not_marked_is_not_told_again_after_a_rebuild(kind: LedgerKind) {
    let world = told(kind).await;
    let bridge = world.bridge().await;
    world.settled().await;
    bridge.stop().await;
    let notices = world.notices().await;
    world.forget_notices().await;
    // As after a crash between sending and marking, long ago.
    world.sql("UPDATE outboxes SET sent_pos = 5").await;
    let bridge = world.bridge().await;
    world.settled().await;
    bridge.stop().await;
    assert_eq!(world.notices().await.len(), notices.len());
}

async fn a_ledger_that_a_bridge_holds_is_not_replaced(kind: LedgerKind) {
    let world = told(kind).await;
    let bridge = world.bridge().await;
    world.settled().await;
    let error = run(&world, false).await.unwrap_err();
    assert!(matches!(error, RebuildError::Ledger(LedgerError::InUse { .. })), "{error:?}");
    bridge.stop().await;
    run(&world, false).await.unwrap();
}

async fn a_rebuild_does_not_lose_what_the_log_no_longer_holds(kind: LedgerKind) {
    let mut world = told(kind).await;
    let bridge = world.bridge().await;
    world.settled().await;
    bridge.stop().await;
    let stream = world.conn.jetstream().get_stream("MISSIONS").await.unwrap();
    stream.purge().sequence(5).await.unwrap();
    let error = run(&world, false).await.unwrap_err();
    assert!(matches!(error, RebuildError::WouldLose { missions: 1 }), "{error:?}");
    let report = run(&world, true).await.unwrap();
    assert_eq!(report.log_begins_at, Some(5));
    assert!(report.is_equal(), "what the log holds in full is equal: {report:?}");
    world.append_all(&Script::new(CODER, "on").well()).await;
}

async fn a_check_of_a_ledger_that_is_not_there_makes_none(kind: LedgerKind) {
    let world = told(kind).await;
    let error = run(&world, true).await.unwrap_err();
    assert!(matches!(error, RebuildError::Ledger(LedgerError::NotALedger { .. })), "{error:?}");
    assert!(!world.ledger().exists());
}

on_both_ledgers!(
    a_check_beside_a_running_bridge_finds_the_ledger_equal,
    a_check_finds_every_planted_difference,
    a_rebuilt_ledger_is_the_same_and_tells_nothing_twice,
    what_was_sent_and_not_marked_is_not_told_again_after_a_rebuild,
    a_ledger_that_a_bridge_holds_is_not_replaced,
    a_rebuild_does_not_lose_what_the_log_no_longer_holds,
    a_check_of_a_ledger_that_is_not_there_makes_none,
);
