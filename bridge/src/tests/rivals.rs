//! Two projectors on one ledger, at once.

use std::sync::Arc;

use tokio::sync::Notify;
use vp_nats::harness::TestServer;
use vp_nats::topology::{self, TopologyConfig};
use vp_shared::lane::Lanes;

use super::Bench;
use super::batches::mixed_log;
use crate::consume::Projector;
use crate::duty::Duties;
use crate::harness::{LedgerKind, LedgerPlace};
use crate::ledger::{Cursor, Ledger, Location, Texts, compare};
use crate::live::{Cache, CacheLimits};
use crate::on_both_ledgers;
use crate::project::Names;
use crate::status::StatusBoard;

const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

async fn two_projectors_at_once_never_write_anything_twice(kind: LedgerKind) {
    let server = TestServer::start().await;
    let conn = server.connect().await;
    topology::ensure(&conn, &TopologyConfig::default(), &Lanes::new()).await.unwrap();
    let records = mixed_log(400);
    // The server gives its own sequences: timers and gaps of the script are left out.
    let records: Vec<_> = records.into_iter().filter(|record| !record.subject.ends_with("timer")).collect();
    let dir = tempfile::tempdir().unwrap();
    let place = LedgerPlace::new(kind, &dir.path().join("ledger.db")).await;
    let location = Location::parse(&place.location).unwrap();
    let first = Arc::new(Ledger::open(&location).await.unwrap());
    let second = Arc::new(Ledger::open_unlocked(&location).await.unwrap());
    let (duties, status) = (Duties::new(), StatusBoard::new());
    let projector = |ledger: &Arc<Ledger>, status: &StatusBoard| Projector {
        conn: conn.clone(),
        ledger: Arc::clone(ledger),
        names: Names::default(),
        stored: 0,
        batch: 4,
        cache: Cache::new(CacheLimits::default()),
        texts: Texts::default(),
        status: status.clone(),
        wake: Arc::new(Notify::new()),
    };
    let other = StatusBoard::new();
    let (one, two) = (projector(&first, &status), projector(&second, &other));
    let one = duties.start("first", |stop| one.run(stop));
    let two = duties.start("second", |stop| two.run(stop));
    let total = records.len() as u64;
    let mut sent = 0;
    for round in records.chunks(50) {
        for record in round {
            conn.client().publish(record.subject.clone(), record.payload.clone()).await.unwrap();
        }
        conn.flush().await.unwrap();
        sent += round.len() as u64;
        // Both stand at the end, so that either may win the next round.
        for board in [&status, &other] {
            let mut board = board.subscribe();
            tokio::time::timeout(PATIENCE, board.wait_for(|status| status.cursor == sent))
                .await
                .unwrap()
                .unwrap();
        }
    }
    one.stop(PATIENCE).await;
    two.stop(PATIENCE).await;

    let mut straight = Bench::new(LedgerKind::Sqlite).await;
    let renumbered =
        records.into_iter().zip(1..).map(|(record, seq)| vp_nats::reader::Record { seq, ..record });
    straight.project(renumbered.collect()).await;
    let (wanted, _) = straight.ledger.snapshot().await.unwrap();
    let (there, cursors) = first.snapshot().await.unwrap();
    for table in compare(&wanted, Some(&there), 0).await.unwrap() {
        // The server's clock says when a notice's event was stored.
        assert!(table.equal || table.name == "notices", "{}: {:?}", table.name, table.differences);
    }
    let notices = |ledger: Arc<Ledger>| async move {
        let rows = ledger.unsent(0, 100_000).await.unwrap();
        rows.into_iter().map(|row| (row.pos, row.notice_id)).collect::<Vec<_>>()
    };
    assert_eq!(notices(first).await, notices(Arc::new(straight.ledger)).await);
    assert!(matches!(cursors[..], [Cursor { epoch: 0, seq, .. }] if seq == total));
}

on_both_ledgers!(two_projectors_at_once_never_write_anything_twice);
