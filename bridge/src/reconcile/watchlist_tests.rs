#![allow(clippy::unwrap_used)]

use vp_shared::ids::VpId;
use vp_shared::time::UtcTime;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn mission() -> MissionId {
    MissionId::of_key(&VpId::new("vp.coder.primary").unwrap(), "k")
}

fn queued() -> Sight {
    Sight::new(Status::Queued, 0, Some(7))
}

/// In hand for 30 s at most, and then two more.
fn progress(delivered: u64, pulls: u64) -> QueueProgress {
    QueueProgress { delivered, settled: 0, in_hand: 1, pulls, ack_wait: Duration::from_secs(10) }
}

/// What is said of the entry at each of these seconds, with a look of its own.
fn looks(all: &[(u32, QueueProgress)]) -> Vec<Place> {
    let (mut list, begun) = (Watchlist::new(ReconcileTimes::default()), Instant::now());
    let mut places = Vec::new();
    for (second, progress) in all {
        list.begin_turn();
        places.push(list.in_hand(&mission(), queued(), progress, begun + SECOND * *second));
        list.end_turn();
    }
    places
}

#[test]
fn an_entry_is_passed_over_when_later_ones_were_handed_out_after_every_hand_had_to_let_go() {
    let places =
        looks(&[(0, progress(10, 0)), (20, progress(11, 0)), (32, progress(12, 0)), (40, progress(12, 0))]);
    assert_eq!(places, [Place::InHand; 4], "handed out while it may have been in hand");
    let places = looks(&[(0, progress(10, 0)), (32, progress(12, 0)), (40, progress(13, 0))]);
    assert_eq!(places.last(), Some(&Place::PassedOver));
}

#[test]
fn an_entry_is_passed_over_when_pulls_waited_at_two_looks() {
    let places = looks(&[(0, progress(10, 4)), (32, progress(10, 4)), (40, progress(10, 4))]);
    assert_eq!(places, [Place::InHand, Place::InHand, Place::PassedOver]);
    let places =
        looks(&[(0, progress(10, 4)), (32, progress(10, 0)), (40, progress(10, 4)), (48, progress(10, 4))]);
    assert_eq!(places, [Place::InHand, Place::InHand, Place::InHand, Place::PassedOver]);
}

#[test]
fn an_entry_in_a_lane_whose_slots_are_all_taken_waits_for_ever() {
    let hours: Vec<_> = (0..1000).map(|hour| (hour * 3600, progress(10, 0))).collect();
    assert!(looks(&hours).iter().all(|place| *place == Place::InHand));
}

#[test]
fn a_plan_is_due_when_it_has_stood_for_long_enough_and_the_mission_has_not_moved() {
    let (mut list, begun, mission) = (Watchlist::new(ReconcileTimes::default()), Instant::now(), mission());
    let again = Plan::Repair(Repair::QueueAgain);
    let mut look = |sight, plan, second: u32| {
        list.begin_turn();
        let due = list.is_due(&mission, sight, plan, begun + SECOND * second);
        list.end_turn();
        due
    };
    assert!(!look(queued(), again, 0));
    assert!(!look(queued(), again, 39));
    assert!(look(queued(), again, 40));
    assert!(!look(queued(), again, 41), "it then stands anew");
    let moved = Sight::new(Status::Queued, 1, Some(7));
    assert!(!look(moved, again, 80), "another attempt has been there");
    assert!(!look(moved, Plan::FindOwner, 120), "another plan");
    assert!(look(moved, Plan::FindOwner, 160));
}

#[test]
fn what_was_all_right_for_one_look_stands_anew() {
    let (mut list, begun, mission) = (Watchlist::new(ReconcileTimes::default()), Instant::now(), mission());
    let again = Plan::Repair(Repair::QueueAgain);
    list.begin_turn();
    assert!(!list.is_due(&mission, queued(), again, begun));
    list.end_turn();
    assert_eq!(list.watched(), 1);
    list.begin_turn();
    list.end_turn();
    assert_eq!(list.watched(), 0);
    list.begin_turn();
    assert!(!list.is_due(&mission, queued(), again, begun + SECOND * 60));
}

#[test]
fn a_passed_deadline_is_due_at_once_and_a_delivery_is_handed_back_once() {
    let (mut list, now, mission) = (Watchlist::new(ReconcileTimes::default()), Instant::now(), mission());
    list.begin_turn();
    assert!(list.is_due(&mission, queued(), Plan::Repair(Repair::FailDeadline), now));
    let later = Plan::Repair(Repair::SetTimer { at: UtcTime::from_micros(1) });
    assert!(!list.is_due(&mission, queued(), later, now));
    assert!(list.first_hand_back(&mission));
    assert!(!list.first_hand_back(&mission));
}
