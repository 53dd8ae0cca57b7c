//! Whatever the batches, whatever is forgotten between them: the same rows.

use proptest::prelude::*;
use vp_shared::failure::FailureClass;
use vp_shared::tier::Tier;

use crate::harness::LedgerKind;
use crate::on_both_ledgers;

use super::script::{CODER, GENERAL, Script};
use super::{Bench, log, raw, record};
use crate::ledger::{Committed, Cursor, Place, Texts, compare};
use crate::live::{Cache, CacheLimits};
use crate::project::Names;
use vp_nats::reader::Record;
use vp_nats::topology::MISSIONS;
use vp_shared::time::UtcTime;

/// A log of every kind of mission, mixed, with messages that are no events.
pub(crate) fn mixed_log(missions: usize) -> Vec<Record> {
    let mut lines: Vec<Vec<_>> = (0..missions)
        .map(|nth| {
            let vp_id = if nth % 3 == 0 { GENERAL } else { CODER };
            let mut s = Script::new(vp_id, &format!("mixed-{nth}"))
                .at(1_700_000_000_000_000 + i64::try_from(nth).unwrap() * 7);
            match nth % 8 {
                0 | 1 => s.well(),
                2 => vec![
                    s.dispatched(),
                    s.started(),
                    s.attempt_failed(),
                    s.started(),
                    s.outcome(),
                    s.completed(),
                ],
                3 => vec![s.scheduled(), s.dispatched(), s.queued(Tier::Urgent), s.started(), s.released()],
                4 => vec![s.dispatched(), s.started(), s.took_over(), s.failed(FailureClass::WorkerLost)],
                5 => vec![s.dispatched(), s.cancelled(), s.cancelled()],
                6 => vec![s.dispatched(), s.started(), s.cancel_requested(), s.outcome(), s.cancelled()],
                _ => vec![
                    s.started(),
                    s.dispatched(),
                    s.started(),
                    s.started_by(&super::script::worker("w-3", "x"), "l"),
                ],
            }
        })
        .collect();
    let mut records = Vec::new();
    let mut seq = 0;
    while lines.iter().any(|line| !line.is_empty()) {
        for (nth, line) in lines.iter_mut().enumerate().filter(|(_, line)| !line.is_empty()) {
            seq += 1 + u64::from(nth % 5 == 0);
            let event = line.remove(0);
            if seq % 17 == 0 {
                let timer = format!("missions.{}.{}.timer", event.vp_id, event.mission_id);
                records.push(raw(seq, &timer, "a schedule"));
                seq += 1;
            }
            if seq % 13 == 0 {
                records.push(raw(seq, "missions.nonsense", "{"));
                seq += 1;
            }
            records.push(record(seq, &event));
        }
    }
    records
}

pub(crate) async fn same(left: &Bench, right: &Bench) {
    let (left, right) = (left.ledger.snapshot().await.unwrap(), right.ledger.snapshot().await.unwrap());
    for table in compare(&left.0, Some(&right.0), 0).await.unwrap() {
        assert!(table.equal, "{}: {:?}", table.name, table.differences);
    }
    assert_eq!(left.1, right.1, "the cursor");
}

/// In a file, whatever it is compared with: both kinds of ledgers have the same rows.
pub(crate) async fn straight(records: &[Record]) -> Bench {
    straight_on(LedgerKind::Sqlite, records).await
}

async fn straight_on(kind: LedgerKind, records: &[Record]) -> Bench {
    let mut bench = Bench::new(kind).await;
    assert_eq!(bench.project(records.to_vec()).await, Committed::Done);
    bench
}

async fn rows_do_not_depend_on_how_messages_are_batched(kind: LedgerKind) {
    let records = mixed_log(64);
    let want = straight(&records).await;
    for size in [1, 7, 100] {
        let mut bench = Bench::new(kind).await;
        for chunk in records.chunks(size) {
            assert_eq!(bench.project(chunk.to_vec()).await, Committed::Done);
        }
        same(&want, &bench).await;
    }
}

async fn rows_do_not_depend_on_what_is_remembered(kind: LedgerKind) {
    let records = mixed_log(64);
    let want = straight(&records).await;
    for limits in [CacheLimits { missions: 0, bytes: 0 }, CacheLimits { missions: 5, bytes: usize::MAX }] {
        let mut bench = Bench::new(kind).await;
        bench.cache = Cache::new(limits);
        for chunk in records.chunks(11) {
            bench.project(chunk.to_vec()).await;
            assert!(bench.cache.len() <= limits.missions);
        }
        same(&want, &bench).await;
    }
}

async fn a_comparison_names_each_kind_of_difference(kind: LedgerKind) {
    let records = mixed_log(24);
    let (want, other) = (straight(&records).await, straight_on(kind, &records[..records.len() - 1]).await);
    let (left, right) = (want.ledger.snapshot().await.unwrap().0, other.ledger.snapshot().await.unwrap().0);
    let tables = compare(&left, Some(&right), 0).await.unwrap();
    let events = tables.iter().find(|table| table.name == "events").unwrap();
    let last = records.last().unwrap().seq;
    let anomalies = tables.iter().find(|table| table.name == "anomalies").unwrap();
    let gone: Vec<_> = events.differences.iter().chain(&anomalies.differences).collect();
    assert_eq!(gone, [&format!("({last},): is missing in the ledger")]);
    let tables = compare(&right, Some(&left), 0).await.unwrap();
    let extra: Vec<_> = tables.iter().flat_map(|table| &table.differences).collect();
    assert!(extra.contains(&&format!("({last},): is not in the log")), "{extra:?}");
    assert!(!tables.iter().find(|table| table.name == "missions").unwrap().equal);
}

async fn a_projector_that_was_overtaken_writes_nothing(kind: LedgerKind) {
    let records = mixed_log(16);
    let (first, second) = records.split_at(20);
    let mut bench = Bench::new(kind).await;
    bench.project(first.to_vec()).await;
    // Two projectors from one cursor; the second one's batch is even the same.
    let (stale, mut texts) = (bench.changes(second.to_vec()).await, Texts::default());
    bench.cache.clear();
    assert_eq!(bench.project(second[..5].to_vec()).await, Committed::Done);
    assert_eq!(bench.ledger.commit(stale, &mut texts).await.unwrap(), Committed::Lost);
    assert_eq!(bench.project(second[5..].to_vec()).await, Committed::Done);
    same(&straight(&records).await, &bench).await;
}

async fn a_batch_asked_for_twice_is_written_once(kind: LedgerKind) {
    let mut bench = Bench::new(kind).await;
    let changes = bench.changes(mixed_log(16)).await;
    let mut texts = Texts::default();
    assert_eq!(bench.ledger.commit(changes.clone(), &mut texts).await.unwrap(), Committed::Done);
    assert_eq!(bench.ledger.commit(changes, &mut texts).await.unwrap(), Committed::Lost);
}

async fn a_stream_made_anew_does_not_mix_with_the_one_before(kind: LedgerKind) {
    let mut bench = Bench::new(kind).await;
    let mut script = Script::new(CODER, "again");
    let mut other = Script::new(CODER, "other");
    bench.project(log([script.dispatched(), script.started(), script.outcome(), other.dispatched()])).await;
    let stream =
        vp_nats::reader::StreamIdentity { created_at: UtcTime::from_micros(99), first_seq: 1, last_seq: 0 };
    bench.cursor = crate::consume::place(&bench.ledger, &Names::default(), &stream).await.unwrap();
    assert_eq!(
        bench.cursor,
        Cursor { created_at: UtcTime::from_micros(99), epoch: 1, seq: 0, event_at: None }
    );
    bench.cache.clear();
    let mut again = Script::new(CODER, "again");
    bench.project(log([again.dispatched()])).await;
    let mission = bench.ledger.mission(&again.mission_id).await.unwrap().unwrap();
    assert_eq!((mission.mission.status.name(), mission.mission.last_seq), ("queued", 1));
    assert_eq!((mission.attempts.len(), mission.events_total), (0, 1), "the former life is not shown");
    let other = bench.ledger.mission(&other.mission_id).await.unwrap().unwrap();
    assert_eq!(
        (other.mission.status.name(), other.events_total),
        ("failed", 2),
        "nothing can bring it on any more"
    );
    let (total, anomalies) = bench.ledger.anomalies().await.unwrap();
    assert_eq!((total, anomalies[0].subject.as_str()), (1, MISSIONS));
    let notices = bench.ledger.unsent(0, 100).await.unwrap();
    assert_eq!(notices.last().unwrap().pos, Place::new(1, 1).pos());
}

async fn costs_survive_any_number_of_stays_in_the_ledger(kind: LedgerKind) {
    let mut bench = Bench::new(kind).await;
    bench.cache = Cache::new(CacheLimits { missions: 0, bytes: 0 });
    let mut script = Script::new(CODER, "cost");
    let events = [
        script.dispatched(),
        script.started(),
        script.outcome(),
        script.cancel_requested(),
        script.cancel_requested(),
    ];
    for record in log(events) {
        bench.project(vec![record]).await;
    }
    let mission = bench.ledger.mission(&script.mission_id).await.unwrap().unwrap();
    assert_eq!(mission.mission.usage, super::script::usage());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn crashes_between_batches_change_nothing(cuts in proptest::collection::vec((1_usize..30, any::<bool>()), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let records = mixed_log(32);
            let want = straight(&records).await;
            let mut bench = Bench::new(LedgerKind::Sqlite).await;
            let mut rest = &records[..];
            for (size, crash) in cuts {
                let (chunk, after) = rest.split_at(size.min(rest.len()));
                if crash {
                    // Projected and not stored: all that was in memory is gone.
                    bench.changes(chunk.to_vec()).await;
                    bench.cache.clear();
                } else {
                    bench.project(chunk.to_vec()).await;
                    rest = after;
                }
            }
            bench.project(rest.to_vec()).await;
            same(&want, &bench).await;
        });
    }
}

on_both_ledgers!(
    rows_do_not_depend_on_how_messages_are_batched,
    rows_do_not_depend_on_what_is_remembered,
    a_comparison_names_each_kind_of_difference,
    a_projector_that_was_overtaken_writes_nothing,
    a_batch_asked_for_twice_is_written_once,
    a_stream_made_anew_does_not_mix_with_the_one_before,
    costs_survive_any_number_of_stays_in_the_ledger,
);
