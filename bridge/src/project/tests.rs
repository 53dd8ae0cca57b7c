#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;

use proptest::prelude::*;
use vp_shared::failure::FailureClass;
use vp_shared::ids::SessionId;
use vp_shared::mission::{ReplyMode, Status};
use vp_shared::notice::Notice;
use vp_shared::tier::Tier;

use super::*;
use crate::tests::script::{CODER, GENERAL, Script};
use crate::tests::{raw, record};

/// A projection of one mission, message by message.
#[derive(Default)]
struct Projection {
    live: Option<Live>,
    seq: u64,
}

impl Projection {
    fn take(&mut self, event: &Event) -> Change {
        self.seq += 1;
        let at = Place::new(0, self.seq);
        project(&mut self.live, at, &record(self.seq, event), event, &Names::default())
    }

    fn all(&mut self, events: &[Event]) -> Vec<Change> {
        events.iter().map(|event| self.take(event)).collect()
    }

    fn status(&self) -> Status {
        self.live.as_ref().unwrap().mission.status
    }
}

/// What a change changes, in a line.
fn told(change: &Change) -> String {
    let mut words = Vec::new();
    if change.born {
        words.push("born".to_owned());
    }
    words.extend(
        change.event.iter().map(|event| format!("event {} of attempt {}", event.kind, event.attempt)),
    );
    words.extend(change.attempts.iter().map(|row| {
        let failure = row.failure_class.as_deref().map(|class| format!(" ({class})")).unwrap_or_default();
        let open = if row.ended_at_us.is_some() { "" } else { ", open" };
        format!("attempt {} {}{failure}{open}", row.attempt, row.status)
    }));
    words.extend(change.artifacts.iter().map(|row| format!("{} {}", row.category, row.path)));
    words.extend(
        change.notice.iter().map(|row| format!("notice {}", row.notice_id.split_once('.').unwrap().1)),
    );
    words.extend(change.anomaly.iter().map(|row| format!("anomaly: {}", row.what)));
    words.join("; ")
}

#[test]
fn each_event_of_a_good_mission_changes_its_rows() {
    let mut projection = Projection::default();
    let changes = projection.all(&Script::new(CODER, "a").well());
    let lines: Vec<_> = changes.iter().map(told).collect();
    assert_eq!(
        lines,
        [
            "born; event dispatched of attempt 0; notice dispatched",
            "event started of attempt 1; attempt 1 running, open; notice started",
            "event outcome_recorded of attempt 1; attempt 1 finalizing, open",
            "event completed of attempt 1; attempt 1 completed; primary_work_product report.md; \
             supporting_artifact run.log; notice terminal",
        ]
    );
    assert!(changes.iter().all(|change| change.mission));
    assert_eq!(projection.status(), Status::Completed);
}

#[test]
fn every_other_event_changes_its_rows_too() {
    let lines = |make: fn(&mut Script) -> Vec<Event>| {
        let changes = Projection::default().all(&make(&mut Script::new(CODER, "b")));
        changes.iter().map(told).skip(1).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(|s| vec![s.scheduled(), s.dispatched()]),
        ["event dispatched of attempt 0; notice dispatched"],
        "a timer that fires queues the mission"
    );
    assert_eq!(
        lines(|s| vec![s.dispatched(), s.started(), s.took_over()])[1],
        "event started of attempt 2; attempt 1 lost (worker_lost); attempt 2 running, open"
    );
    assert_eq!(
        lines(|s| vec![s.dispatched(), s.started(), s.attempt_failed(), s.started()])[1..],
        [
            "event attempt_failed of attempt 1; attempt 1 failed (timeout)",
            "event started of attempt 2; attempt 2 running, open"
        ]
    );
    assert_eq!(
        lines(|s| vec![s.dispatched(), s.started(), s.released()])[1],
        "event released of attempt 1; attempt 1 released"
    );
    assert_eq!(
        lines(|s| vec![
            s.dispatched(),
            s.started(),
            s.cancel_requested(),
            s.cancel_requested(),
            s.cancelled()
        ])[1..],
        [
            "event cancel_requested of attempt 1; notice cancel_requested",
            "event cancel_requested of attempt 1",
            "event cancelled of attempt 1; attempt 1 cancelled; notice terminal"
        ],
        "asked twice it is told once"
    );
    assert_eq!(
        lines(|s| vec![s.dispatched(), s.cancelled()]),
        ["event cancelled of attempt 0; notice terminal"],
        "what never started has no attempt"
    );
    assert_eq!(
        lines(|s| vec![
            s.dispatched(),
            s.started(),
            s.attempt_failed(),
            s.failed(FailureClass::DeadlineExceeded)
        ])[2],
        "event failed of attempt 1; notice terminal",
        "an attempt that has ended stays as it ended"
    );
    assert_eq!(
        lines(|s| vec![s.dispatched(), s.started(), s.failed(FailureClass::WorkerLost)])[1],
        "event failed of attempt 1; attempt 1 lost (worker_lost); notice terminal"
    );
}

#[test]
fn a_queue_entry_beside_the_state_moves_tier_and_sequence_only() {
    let mut script = Script::new(CODER, "c");
    let mut projection = Projection::default();
    projection.all(&[script.dispatched(), script.started()]);
    assert_eq!(told(&projection.take(&script.queued(Tier::Urgent))), "event dispatched of attempt 1");
    let mission = &projection.live.as_ref().unwrap().mission;
    assert_eq!((mission.status, mission.tier, mission.last_seq), (Status::Running, Tier::Urgent, 3));
}

#[test]
fn a_copy_of_the_same_dispatch_is_not_told_again() {
    let mut projection = Projection::default();
    let event = Script::new(CODER, "d").dispatched();
    assert!(projection.take(&event).notice.is_some());
    assert_eq!(told(&projection.take(&event)), "event dispatched of attempt 0");
}

#[test]
fn what_is_not_lawful_is_an_anomaly_and_the_state_stays() {
    let mut script = Script::new(CODER, "e");
    let mut projection = Projection::default();
    assert_eq!(
        told(&projection.take(&script.clone().started())),
        "anomaly: a `started` event may not be a mission's first"
    );
    assert!(projection.live.is_none());
    projection.all(&script.well());
    let change = projection.take(&script.cancel_requested());
    assert_eq!(told(&change), "anomaly: a `cancel_requested` event may not follow the state `completed`");
    assert!(change.mission, "its last sequence has moved");
    assert_eq!(projection.live.as_ref().unwrap().mission.last_seq, 6);
    assert_eq!(projection.status(), Status::Completed);
}

#[test]
fn an_event_of_another_lane_cannot_touch_a_mission() {
    let mut script = Script::new(CODER, "f");
    let mut projection = Projection::default();
    projection.all(&[script.dispatched(), script.started(), script.outcome()]);
    let before = projection.live.clone();
    script.vp_id = VpId::new(GENERAL).unwrap();
    let change = projection.take(&script.completed());
    assert_eq!(told(&change), "anomaly: the mission belongs to vp.coder.primary, not to vp.general.primary");
    assert_eq!(projection.live, before);
}

#[test]
fn a_lane_is_called_by_its_name_or_else_its_id() {
    let lane =
        serde_json::from_value(serde_json::json!({"display_name": "CODIE", "executor": {"kind": "noop"}}));
    let lanes = Lanes::from([(VpId::new(CODER).unwrap(), lane.unwrap())]);
    let names = Names::of(&lanes);
    let mut said = Vec::new();
    for vp_id in [CODER, GENERAL] {
        let event = Script::new(vp_id, "g").dispatched();
        let change = project(&mut None, Place::new(0, 1), &record(1, &event), &event, &names);
        let notice: Notice = serde_json::from_str(&change.notice.unwrap().body).unwrap();
        said.push(notice.vp_name);
    }
    assert_eq!(said, ["CODIE", "vp.general.primary"]);
}

#[test]
fn reply_mode_and_session_decide_what_is_told() {
    let told = |script: Script| {
        let mut projection = Projection::default();
        let changes = projection.all(&{ script }.well());
        changes.iter().filter_map(|change| change.notice.as_ref()).count()
    };
    let script = || Script::new(CODER, "h");
    assert_eq!(told(script().reply(ReplyMode::Async)), 3);
    assert_eq!(told(script().reply(ReplyMode::Final)), 1);
    assert_eq!(told(script().reply(ReplyMode::Silent)), 0);
    assert_eq!(told(script().session(None)), 0);
    assert!(SessionId::new("simone-1").is_ok());
}

#[test]
fn each_kind_of_bad_message_is_named_without_quoting_it() {
    let event = Script::new(CODER, "i").dispatched();
    let good = record(1, &event);
    let other = Script::new(CODER, "other").mission_id;
    let json = String::from_utf8(event.to_json()).unwrap();
    let what = |subject: &str, payload: Vec<u8>| match decode(&raw(1, subject, payload)) {
        Decoded::Anomaly(what) => what,
        decoded => panic!("{decoded:?}"),
    };
    let at = good.subject.as_str();
    assert_eq!(what("missions.nonsense", Vec::new()), "the subject is not a mission's");
    assert_eq!(what(at, b"\xff\xfe".to_vec()), "the body is not UTF-8");
    assert_eq!(what(at, Vec::new()), "the message is not an event envelope, at line 1 column 0");
    assert_eq!(
        what(at, json.replace("\"schema\":1", "\"schema\":9").into_bytes()),
        "the event has schema version 9, and this build knows versions up to 1: upgrade it"
    );
    assert_eq!(
        what(at, json.replace("vp.mission.dispatched", "vp.mission.s3cret").into_bytes()),
        "the event has an unknown type"
    );
    let body =
        what(at, json.replace("\"mission_type\":\"task\"", "\"mission_type\":[\"s3cret\"]").into_bytes());
    assert!(
        body.starts_with("the body of the `dispatched` event does not fit its type, at line 1 column"),
        "{body}"
    );
    assert!(!body.contains("s3cret"));
    let elsewhere = at.replace(event.mission_id.as_str(), other.as_str());
    assert_eq!(what(&elsewhere, event.to_json()), format!("the body is about mission {}", event.mission_id));
    let lane = at.replace(CODER, GENERAL);
    assert_eq!(what(&lane, event.to_json()), "the body is about lane vp.coder.primary");
    let queue = at.replace("normal", "urgent");
    assert_eq!(what(&queue, event.to_json()), "the body is a `dispatched` event of another subject");
    let timer = at.replace("dispatched.normal", "timer");
    assert!(matches!(decode(&raw(1, &timer, "anything")), Decoded::Timer));
}

/// Any event, whether it may happen or not.
fn any_step() -> impl Strategy<Value = u8> {
    0_u8..12
}

fn step(script: &mut Script, step: u8) -> Event {
    match step {
        0 => script.dispatched(),
        1 => script.scheduled(),
        2 => script.queued(Tier::Low),
        3 => script.started(),
        4 => script.took_over(),
        5 => script.attempt_failed(),
        6 => script.released(),
        7 => script.cancel_requested(),
        8 => script.outcome(),
        9 => script.completed(),
        10 => script.failed(FailureClass::ExecutorError),
        _ => script.cancelled(),
    }
}

proptest! {
    #[test]
    fn no_mission_is_worth_the_same_notice_twice(steps in proptest::collection::vec(any_step(), 0..40)) {
        let mut script = Script::new(CODER, "j");
        let mut projection = Projection::default();
        let mut seen = HashSet::new();
        for nth in steps {
            let change = projection.take(&step(&mut script, nth));
            prop_assert!(change.event.is_some() != change.anomaly.is_some(), "each message is one of the two");
            if let Some(notice) = change.notice {
                prop_assert!(seen.insert(notice.notice_id.clone()), "{}", notice.notice_id);
            }
        }
    }

    #[test]
    fn every_mission_is_the_same_after_a_stay_in_its_rows(steps in proptest::collection::vec(any_step(), 0..25)) {
        let mut script = Script::new(CODER, "k");
        let mut projection = Projection::default();
        projection.take(&script.dispatched());
        for nth in steps {
            projection.take(&step(&mut script, nth));
        }
        let live = projection.live.unwrap();
        let row = crate::ledger::rows_for_tests::mission_row(&live.mission, live.born);
        let back = crate::ledger::rows_for_tests::mission_of(row, live.mission.spec.clone()).unwrap();
        prop_assert_eq!(back, live.mission.clone());
        if let Some(attempt) = live.attempt {
            let row = attempt_row(&live.mission.mission_id, live.born, &attempt);
            prop_assert_eq!(crate::ledger::rows_for_tests::attempt_view(row).unwrap(), attempt);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..200), subject in "missions[a-z.>*]{0,40}") {
        let _ = decode(&raw(1, &subject, payload));
    }
}
