//! Every state by every fact, as a table.

use super::*;

const DAY: i64 = 86_400_000_000;

fn after(seconds: i64) -> UtcTime {
    UtcTime::from_micros(100 * DAY + seconds * 1_000_000)
}

fn standing(status: Status, entry: Place, owner: Liveness) -> Standing {
    let (timer, retry_at) = (Timer::Set, None);
    Standing { status, deadline: after(1000), not_before: Some(after(100)), retry_at, entry, timer, owner }
}

fn planned(status: Status, entry: Place, owner: Liveness) -> String {
    match plan(&standing(status, entry, owner), after(0)) {
        Plan::Nothing => ".".to_owned(),
        Plan::FindOwner => "find_owner".to_owned(),
        Plan::FindTimer => "find_timer".to_owned(),
        Plan::Repair(repair) => repair.name().to_owned(),
    }
}

#[test]
fn only_what_nothing_brings_on_is_repaired() {
    const TABLE: &str = "
        state/owner         no_queue     waiting      in_hand      passed_over   lost
        queued/gone         .            .            .            queued_again  queued_again
        retrying/gone       .            .            .            queued_again  queued_again
        running/alive       .            .            .            .             .
        cancelling/alive    .            .            .            .             .
        finalizing/alive    .            .            .            .             .
        running/unknown     find_owner   find_owner   find_owner   find_owner    find_owner
        cancelling/unknown  find_owner   find_owner   find_owner   find_owner    find_owner
        finalizing/unknown  find_owner   find_owner   find_owner   find_owner    find_owner
        running/gone        .            .            handed_back  queued_again  queued_again
        finalizing/gone     .            .            handed_back  queued_again  queued_again
        cancelling/gone     cancelled    cancelled    cancelled    cancelled     cancelled
        completed/gone      .            .            .            .             .
        failed/gone         .            .            .            .             .
        cancelled/gone      .            .            .            .             .
    ";
    let places = [Place::NoQueue, Place::Waiting, Place::InHand, Place::PassedOver, Place::Lost];
    let lines = TABLE.lines().filter(|line| !line.trim().is_empty()).skip(1);
    for line in lines {
        let mut words = line.split_whitespace();
        let (state, owner) = words.next().unwrap().split_once('/').unwrap();
        let status = Status::from_name(state).unwrap();
        let owner = match owner {
            "alive" => Liveness::Alive,
            "unknown" => Liveness::Unknown,
            _ => Liveness::Gone,
        };
        for (entry, want) in places.into_iter().zip(words) {
            assert_eq!(planned(status, entry, owner), want, "{status}, {owner:?}, {entry:?}");
        }
    }
}

#[test]
fn a_passed_deadline_ends_what_no_worker_runs_wherever_its_entry_is() {
    let late = after(1000);
    let fails = Plan::Repair(Repair::FailDeadline);
    for entry in [Place::NoQueue, Place::Waiting, Place::InHand, Place::PassedOver, Place::Lost] {
        for status in [Status::Scheduled, Status::Queued, Status::Retrying, Status::Running] {
            assert_eq!(plan(&standing(status, entry, Liveness::Gone), late), fails, "{status}, {entry:?}");
        }
        // A worker that lives ends it by itself, and what has an outcome keeps it.
        assert_eq!(plan(&standing(Status::Running, entry, Liveness::Alive), late), Plan::Nothing);
        assert_ne!(plan(&standing(Status::Finalizing, entry, Liveness::Gone), late), fails);
    }
    let a_moment_before = UtcTime::from_micros(late.as_micros() - 1);
    assert_eq!(
        plan(&standing(Status::Queued, Place::Waiting, Liveness::Gone), a_moment_before),
        Plan::Nothing
    );
}

#[test]
fn a_retry_is_not_late_before_it_is_due() {
    let retrying = |entry, retry_at| {
        let standing =
            Standing { retry_at: Some(retry_at), ..standing(Status::Retrying, entry, Liveness::Gone) };
        plan(&standing, after(0))
    };
    let again = Plan::Repair(Repair::QueueAgain);
    assert_eq!(retrying(Place::PassedOver, after(1)), Plan::Nothing);
    assert_eq!(retrying(Place::PassedOver, after(-4)), Plan::Nothing);
    assert_eq!(retrying(Place::PassedOver, after(-5)), again);
    assert_eq!(retrying(Place::Lost, after(60)), again);
}

#[test]
fn a_scheduled_mission_lives_by_its_timer_until_its_time_has_come() {
    let at = |timer, not_before| {
        let scheduled = standing(Status::Scheduled, Place::NoQueue, Liveness::Unknown);
        plan(&Standing { timer, not_before: Some(not_before), ..scheduled }, after(0))
    };
    let (overdue, later) = (Plan::Repair(Repair::QueueOverdue), after(100));
    assert_eq!(at(Timer::Set, later), Plan::Nothing);
    assert_eq!(at(Timer::Unknown, later), Plan::FindTimer);
    assert_eq!(at(Timer::Gone, later), Plan::Repair(Repair::SetTimer { at: later }));
    assert_eq!(at(Timer::Gone, after(0)), overdue);
    // The server may be a little late, and not more.
    assert_eq!(at(Timer::Set, after(-29)), Plan::Nothing);
    for timer in [Timer::Set, Timer::Unknown, Timer::Gone] {
        assert_eq!(at(timer, after(-30)), overdue);
    }
}
