#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000_000;
const NOW: i64 = 1_000_000 * HOUR;
const MISSIONS: [&str; 2] = ["m-aaaaaaaaaaaaaaaaaaaaaaaaaa", "m-bbbbbbbbbbbbbbbbbbbbbbbbbb"];

fn place(mission: usize, name: &str) -> WorkspacePlace {
    WorkspacePlace::read("vp.coder.primary", MISSIONS[mission], name).unwrap()
}

fn record(
    mission: usize,
    attempt: Attempt,
    worker: &str,
    ended: Option<(i64, Status, u64)>,
) -> WorkspaceRecord {
    WorkspaceRecord {
        v: 1,
        vp_id: VpId::new("vp.coder.primary").unwrap(),
        mission_id: MissionId::new(MISSIONS[mission]).unwrap(),
        attempt,
        worker_id: WorkerId::new(worker).unwrap(),
        created_at: UtcTime::from_micros(0),
        ended: ended.map(|(hours_ago, status, bytes)| WorkspaceEnd {
            at: UtcTime::from_micros(NOW - hours_ago * HOUR),
            status,
            bytes,
        }),
    }
}

fn ended(hours_ago: i64, bytes: u64) -> FoundWorkspace {
    let record = record(0, 1, "w-1", Some((hours_ago, Status::Completed, bytes)));
    FoundWorkspace { place: place(0, "attempt-1"), record: Some(record), in_hand: false }
}

fn plan(found: &[FoundWorkspace], keep_hours: Option<u64>, max_bytes: Option<u64>) -> Vec<WorkspaceVerdict> {
    let policy = WorkspacePolicy { keep_for: keep_hours.map(Duration::from_hours), max_bytes };
    plan_workspaces(
        found,
        &BTreeSet::from([WorkerId::new("w-1").unwrap()]),
        &policy,
        UtcTime::from_micros(NOW),
    )
}

#[test]
fn a_workspace_goes_when_its_mission_ended_long_enough_ago() {
    use WorkspaceVerdict::{Kept, TooOld};
    let found = [ended(23, 1), ended(24, 1), ended(25, 1), ended(-5, 1)];
    assert_eq!(plan(&found, Some(24), None), [Kept, TooOld, TooOld, Kept]);
    assert_eq!(plan(&found, None, None), [Kept; 4], "without a policy nothing goes");
}

#[test]
fn when_all_take_too_much_the_oldest_end_goes_first_but_not_in_its_first_hour() {
    use WorkspaceVerdict::{Kept, TooMuch, TooOld};
    let found = [ended(3, 40), ended(9, 40), ended(6, 40), ended(0, 40)];
    assert_eq!(plan(&found, None, Some(160)), [Kept; 4]);
    assert_eq!(plan(&found, None, Some(100)), [Kept, TooMuch, TooMuch, Kept]);
    assert_eq!(plan(&found, None, Some(0)), [TooMuch, TooMuch, TooMuch, Kept]);
    assert_eq!(
        plan(&found, Some(8), Some(120)),
        [Kept, TooOld, Kept, Kept],
        "what goes anyway is not counted"
    );
}

#[test]
fn only_names_that_a_worker_gives_are_read() {
    for good in ["attempt-1", "attempt-20", "attempt-3.unknown-1700000000000000"] {
        assert!(WorkspacePlace::read("vp.coder.primary", MISSIONS[0], good).is_some(), "{good}");
    }
    for bad in [
        "attempt-",
        "attempt-01",
        "attempt-1-kept",
        "attempt-1.unknown-",
        "attempt-1.unknown-x",
        "work",
        "..",
    ] {
        assert!(WorkspacePlace::read("vp.coder.primary", MISSIONS[0], bad).is_none(), "{bad}");
    }
    assert!(WorkspacePlace::read("lost+found", MISSIONS[0], "attempt-1").is_none());
    assert!(WorkspacePlace::read("vp.coder.primary", "notes", "attempt-1").is_none());
}

fn any_found() -> impl Strategy<Value = FoundWorkspace> {
    let end = proptest::option::of((-3..100_i64, proptest::sample::select(Status::ALL.to_vec()), 0..100_u64));
    let recorded = proptest::option::of((0..2_usize, 1..3_u32, any::<bool>(), end, 1..3_u32));
    (0..2_usize, 1..3_u32, recorded, any::<bool>()).prop_map(|(mission, attempt, found, in_hand)| {
        FoundWorkspace {
            place: place(mission, &format!("attempt-{attempt}")),
            record: found.map(|(mission, attempt, mine, end, v)| WorkspaceRecord {
                v,
                ..record(mission, attempt, if mine { "w-1" } else { "w-2" }, end)
            }),
            in_hand,
        }
    })
}

proptest! {
    #[test]
    fn nothing_goes_that_was_not_recorded_as_ours_and_as_ended(
        found in proptest::collection::vec(any_found(), 0..12),
        keep in proptest::option::of(0..50_u64),
        max in proptest::option::of(0..200_u64),
    ) {
        for (one, verdict) in found.iter().zip(plan(&found, keep, max)) {
            if !verdict.removes() {
                continue;
            }
            let record = one.record.as_ref().expect("a record");
            prop_assert!(record.is_of(&one.place));
            prop_assert_eq!(record.worker_id.as_str(), "w-1");
            prop_assert!(!one.in_hand);
            prop_assert!(record.ended.as_ref().expect("an end").status.is_terminal());
        }
    }

    #[test]
    fn what_stays_is_within_the_bounds_or_in_its_first_hour(
        found in proptest::collection::vec(any_found(), 0..12), max in 0..200_u64,
    ) {
        let verdicts = plan(&found, Some(20), Some(max));
        let stays = found.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == WorkspaceVerdict::Kept);
        let ends: Vec<_> = stays.map(|(one, _)| one.record.clone().unwrap().ended.unwrap()).collect();
        let now = UtcTime::from_micros(NOW);
        prop_assert!(ends.iter().all(|end| now.since(end.at) < Duration::from_hours(20)));
        let old: u64 = ends.iter().filter(|end| now.since(end.at) >= WORKSPACE_GRACE).map(|end| end.bytes).sum();
        prop_assert!(old <= max);
    }
}
