//! What a projector remembers.

use super::script::{CODER, Script};
use super::{Bench, record};
use crate::harness::LedgerKind;
use crate::live::{Cache, CacheLimits};

#[tokio::test]
async fn the_missions_used_last_are_remembered() {
    let mut bench = Bench::new(LedgerKind::Sqlite).await;
    bench.cache = Cache::new(CacheLimits { missions: 8, bytes: usize::MAX });
    let mut scripts: Vec<_> = (0..9).map(|nth| Script::new(CODER, &format!("c-{nth}"))).collect();
    let mut seq = 0;
    for script in &mut scripts {
        seq += 1;
        bench.project(vec![record(seq, &script.dispatched())]).await;
    }
    assert_eq!(bench.cache.len(), 6, "a quarter of the room is free again");
    let held: Vec<_> = scripts.iter().map(|script| bench.cache.contains(&script.mission_id)).collect();
    assert_eq!(held, [false, false, false, true, true, true, true, true, true]);
}

#[tokio::test]
async fn large_missions_are_forgotten_sooner() {
    let mut bench = Bench::new(LedgerKind::Sqlite).await;
    bench.cache = Cache::new(CacheLimits { missions: 1_000, bytes: 1_000_000 });
    for seq in 1..=40 {
        let mut script = Script::new(CODER, &format!("large-{seq}"));
        script.objective = "x".repeat(64 * 1024);
        bench.project(vec![record(seq, &script.dispatched())]).await;
        assert!(bench.cache.len() <= 15);
    }
}

#[tokio::test]
async fn what_has_ended_is_not_remembered() {
    let mut bench = Bench::new(LedgerKind::Sqlite).await;
    let events = Script::new(CODER, "ended").well();
    bench.project(super::log(events)).await;
    assert_eq!(bench.cache.len(), 0);
}
