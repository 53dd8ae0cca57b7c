//! What a hostile or broken message may hold: stored, by both kinds of ledgers alike, and nothing stops.

use vp_shared::event::EventBody;

use super::batches::{same, straight};
use super::script::{CODER, Script};
use super::{Bench, log, raw};
use crate::harness::LedgerKind;
use crate::ledger::Committed;
use crate::on_both_ledgers;

/// As long as a path can be that no database can pack into one of its pages.
fn long_path() -> String {
    use std::fmt::Write as _;
    (0_u64..700).fold(String::new(), |mut path, nth| {
        // Writing to a String cannot fail.
        let _ = write!(path, "{:016x}/", nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
        path
    })
}

async fn whatever_a_message_holds_can_be_stored(kind: LedgerKind) {
    let mut script = Script::new(CODER, "odd");
    let (mut first, mut last) = (script.cancel_requested(), None);
    let mut events = script.well();
    if let EventBody::CancelRequested { reason, by } = &mut first.body {
        (*reason, *by) = ("a\0zero".to_owned(), "\0".to_owned());
    }
    if let Some(EventBody::Completed { summary, result, .. }) = events.last_mut().map(|event| &mut event.body)
    {
        *summary = "\0 and \u{10ffff} and '; DROP TABLE missions; --".to_owned();
        let like = result.artifacts[0].clone();
        // In the order of no dictionary, one of them twice, one with a zero.
        let paths = ["b", "B", "a b", "_a", "ä", "A", "a\0", "b", "\u{fffd}", &long_path()];
        result.artifacts =
            paths.map(|path| vp_shared::artifact::Artifact { path: path.to_owned(), ..like.clone() }).into();
        last = Some(result.artifacts.len());
    }
    assert_eq!(last, Some(10));
    events.insert(2, first);
    let mut records = log(events);
    records.push(raw(6, "missions.\0.zero", vec![0, 1, 2]));
    records.push(raw(7, &format!("missions.{}", "x".repeat(20_000)), "?"));
    let mut bench = Bench::new(kind).await;
    for record in records.clone() {
        assert_eq!(bench.project(vec![record]).await, Committed::Done);
        // Each message finds what the ones before it have left in the ledger, not in memory.
        bench.cache.clear();
    }
    same(&straight(&records).await, &bench).await;
    let mission = bench.ledger.mission(&script.mission_id).await.unwrap().unwrap().mission;
    assert_eq!(mission.summary, "\u{fffd} and \u{10ffff} and '; DROP TABLE missions; --");
    assert_eq!(bench.ledger.anomalies().await.unwrap().0, 2);
}

on_both_ledgers!(whatever_a_message_holds_can_be_stored);
