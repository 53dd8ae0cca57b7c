//! How fast a projector is, without the network. Run it with `--release -- --nocapture rate` for numbers that count.

use std::collections::VecDeque;

use tokio::time::Instant;
use vp_shared::artifact::MissionResult;
use vp_shared::event::{Event, EventBody};

use crate::harness::LedgerKind;
use crate::on_both_ledgers;

use super::script::{CODER, Script};
use super::{Bench, record};

const MISSIONS: usize = if cfg!(debug_assertions) { 2_000 } else { 50_000 };
/// Missions that wait in the queue, and missions that run, at a time.
const QUEUED: usize = 500;
const RUNNING: usize = 16;
const BATCH: usize = 500;

/// The log of a busy lane whose missions do nothing: dispatched well ahead, then run a few at a time.
fn busy_lane() -> Vec<Event> {
    let mut events = Vec::with_capacity(MISSIONS * 4);
    let mut queued = VecDeque::new();
    let run = |queued: &mut VecDeque<Vec<Event>>, events: &mut Vec<Event>| {
        let mut running: Vec<_> = queued.drain(..RUNNING.min(queued.len())).collect();
        for _ in 1..4 {
            events.extend(running.iter_mut().map(|line| line.remove(0)));
        }
    };
    for nth in 0..MISSIONS {
        let at = 1_700_000_000_000_000 + i64::try_from(nth).unwrap() * 100;
        let mut line = Script::new(CODER, &format!("busy-{nth}")).at(at).well();
        if let Some(EventBody::Completed { result, .. }) = line.last_mut().map(|event| &mut event.body) {
            *result = MissionResult::default();
        }
        events.push(line.remove(0));
        queued.push_back(line);
        if queued.len() >= QUEUED + RUNNING {
            run(&mut queued, &mut events);
        }
    }
    while !queued.is_empty() {
        run(&mut queued, &mut events);
    }
    events
}

async fn a_busy_log_is_projected_whole_and_its_rate_is_printed(kind: LedgerKind) {
    let events = busy_lane();
    let records: Vec<_> = events.iter().zip(1..).map(|(event, seq)| record(seq, event)).collect();
    let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
    let mut bench = Bench::new(kind).await;
    let began = Instant::now();
    for chunk in records.chunks(BATCH) {
        bench.project(chunk.to_vec()).await;
    }
    let rate = records.len() as f64 / began.elapsed().as_secs_f64();
    let (total, mean) = (records.len(), bytes / records.len());
    eprintln!("{total} events of {mean} bytes, {MISSIONS} missions: {rate:.0} events/s");
    assert_eq!(bench.ledger.counts().await.unwrap()["completed"], MISSIONS as u64);
}

on_both_ledgers!(a_busy_log_is_projected_whole_and_its_rate_is_printed,);
