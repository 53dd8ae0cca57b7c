//! Pages of missions.

use std::collections::HashSet;

use vp_shared::api::{LedgerList, MissionView, PageCursor};
use vp_shared::ids::{MissionId, SessionId, VpId};
use vp_shared::mission::Status;

use crate::harness::LedgerKind;
use crate::on_both_ledgers;

use super::script::{CODER, GENERAL, Script};
use super::{Bench, log, record};

const ALL: LedgerList =
    LedgerList { vp_id: None, status: Vec::new(), session_id: None, limit: 7, after: None };

/// 40 missions, two made in each microsecond, in three states, two lanes and two sessions.
async fn forty(kind: LedgerKind) -> Bench {
    let mut bench = Bench::new(kind).await;
    let mut events = Vec::new();
    for nth in 0..40_i64 {
        let vp_id = if nth % 4 == 0 { GENERAL } else { CODER };
        let session = if nth % 5 == 0 { "other/session" } else { "simone-1" };
        let mut script = Script::new(vp_id, &format!("page-{nth}"))
            .at(1_700_000_000_000_000 + nth / 2)
            .session(Some(session));
        match nth % 3 {
            0 => events.extend(script.well()),
            1 => events.extend([script.dispatched(), script.started()]),
            _ => events.push(script.dispatched()),
        }
    }
    bench.project(log(events)).await;
    bench
}

async fn all_pages(bench: &Bench, wanted: &LedgerList) -> Vec<MissionView> {
    let (mut wanted, mut missions) = (wanted.clone(), Vec::new());
    loop {
        let page = bench.ledger.list(&wanted).await.unwrap();
        assert!(page.missions.len() <= wanted.limit as usize);
        missions.extend(page.missions);
        match page.next {
            // As it goes over the wire.
            Some(next) => wanted.after = Some(next.to_string().parse::<PageCursor>().unwrap()),
            None => return missions,
        }
    }
}

async fn pages_hold_each_mission_once_newest_first(kind: LedgerKind) {
    let bench = forty(kind).await;
    for limit in [1, 7, 39, 40, 41, 500] {
        let missions = all_pages(&bench, &LedgerList { limit, ..ALL }).await;
        let ids: HashSet<&MissionId> = missions.iter().map(|mission| &mission.mission_id).collect();
        assert_eq!((missions.len(), ids.len()), (40, 40), "limit {limit}");
        let order: Vec<_> =
            missions.iter().map(|mission| (mission.created_at, &mission.mission_id)).collect();
        assert!(order.is_sorted_by(|a, b| a > b));
    }
}

async fn filters_can_be_put_together(kind: LedgerKind) {
    let bench = forty(kind).await;
    let count = async |wanted: LedgerList| {
        let missions = all_pages(&bench, &wanted).await;
        assert!(missions.iter().all(|mission| {
            wanted.vp_id.as_ref().is_none_or(|vp_id| *vp_id == mission.vp_id)
                && wanted.session_id.as_ref().is_none_or(|id| Some(id) == mission.source.session_id.as_ref())
                && (wanted.status.is_empty() || wanted.status.contains(&mission.status))
        }));
        missions.len()
    };
    let (vp_id, session_id) = (VpId::new(GENERAL).unwrap(), SessionId::new("other/session").unwrap());
    assert_eq!(count(LedgerList { vp_id: Some(vp_id.clone()), ..ALL }).await, 10);
    assert_eq!(count(LedgerList { session_id: Some(session_id.clone()), ..ALL }).await, 8);
    assert_eq!(count(LedgerList { status: vec![Status::Completed], ..ALL }).await, 14);
    assert_eq!(
        count(LedgerList { status: vec![Status::Queued, Status::Running, Status::Queued], ..ALL }).await,
        26
    );
    assert_eq!(count(LedgerList { status: vec![Status::Cancelled], ..ALL }).await, 0);
    let both =
        LedgerList { vp_id: Some(vp_id), session_id: Some(session_id), status: Status::ALL.to_vec(), ..ALL };
    assert_eq!(count(both).await, 2);
}

async fn a_page_is_not_moved_by_newer_missions(kind: LedgerKind) {
    let mut bench = forty(kind).await;
    let first = bench.ledger.list(&ALL).await.unwrap();
    let mut newer = Script::new(CODER, "newer").at(1_800_000_000_000_000);
    let seq = bench.cursor.seq + 1;
    bench.project(vec![record(seq, &newer.dispatched())]).await;
    let second = bench.ledger.list(&LedgerList { after: first.next.clone(), ..ALL }).await.unwrap();
    let seen: HashSet<_> = first.missions.iter().map(|mission| mission.mission_id.clone()).collect();
    assert!(second.missions.iter().all(|mission| !seen.contains(&mission.mission_id)));
    assert_eq!(second.missions.len(), 7);
}

async fn a_mission_is_shown_with_its_newest_events(kind: LedgerKind) {
    let mut bench = Bench::new(kind).await;
    let mut script = Script::new(CODER, "long");
    let mut events = vec![script.dispatched(), script.started()];
    events.extend((0..150).map(|_| script.cancel_requested()));
    bench.project(log(events)).await;
    let shown = bench.ledger.mission(&script.mission_id).await.unwrap().unwrap();
    assert_eq!((shown.events.len(), shown.events_total), (100, 152));
    let seqs: Vec<_> = shown.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (53..=152).collect::<Vec<_>>());
    assert_eq!(shown.mission.objective, script.objective);
    assert_eq!(shown.attempts.len(), 1);
    let unknown = Script::new(CODER, "unknown").mission_id;
    assert!(bench.ledger.mission(&unknown).await.unwrap().is_none());
}

on_both_ledgers!(
    pages_hold_each_mission_once_newest_first,
    filters_can_be_put_together,
    a_page_is_not_moved_by_newer_missions,
    a_mission_is_shown_with_its_newest_events,
);
