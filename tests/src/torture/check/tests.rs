//! Each check finds what it looks for: a sound story, and one planted violation at a time.

use std::time::Duration;

use vp_shared::api::MissionView;
use vp_shared::artifact::MissionResult;
use vp_shared::event::{
    Actor, ActorKind, Event, EventBody, Outcome, OutcomeStatus, Source, Usage, WorkerRef,
};
use vp_shared::ids::{Attempt, MissionId, SessionId, WorkerId};
use vp_shared::mission::{Budget, MissionSpec, ReplyMode};
use vp_shared::tier::Tier;
use vp_shared::time::UtcTime;

use super::*;
use crate::lanes::{CODER, GENERAL, lane_id};
use crate::torture::evidence::{Asked, CancelTold, Logged, Rebuilt, Shown};
use crate::torture::executor::{Effect, What};
use crate::torture::missions::Kind;

fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn id() -> MissionId {
    MissionId::of_key(&lane_id(CODER), "k")
}

/// A moment, in seconds.
fn at(seconds: f64) -> UtcTime {
    UtcTime::from_micros(1_700_000_000_000_000).plus(Duration::from_secs_f64(seconds))
}

fn logged(seq: u64, seconds: f64, attempt: Attempt, body: EventBody) -> Logged {
    let event = Event {
        id: vp_nats::clock::event_id(),
        mission_id: id(),
        vp_id: lane_id(CODER),
        attempt,
        time: at(seconds),
        actor: Actor { kind: ActorKind::Worker, id: "w1".into() },
        source: Source { session_id: Some(session("s1")), turn_id: None, reply_mode: ReplyMode::Async },
        body,
    };
    Logged { seq, stored_at: at(seconds), event }
}

fn dispatched() -> EventBody {
    let mission = MissionSpec {
        objective: "do it".into(),
        mission_type: "task".into(),
        constraints: serde_json::Map::new(),
        budget: Budget::default(),
        inputs: vec![],
        idempotency_key: None,
        not_before: None,
        deadline: at(86_400.0),
        max_attempts: None,
        content_sha256: "digest".into(),
    };
    EventBody::Dispatched { mission, tier: Tier::Normal }
}

fn started(worker: &str) -> EventBody {
    let worker = WorkerRef {
        worker_id: WorkerId::new(worker).unwrap(),
        incarnation: "1".into(),
        host: "host".into(),
        version: "0".into(),
    };
    EventBody::Started { worker, lease: "lease".into(), took_over: None }
}

fn outcome() -> EventBody {
    let (status, summary, usage) = (OutcomeStatus::Completed, "done".into(), Usage::default());
    EventBody::OutcomeRecorded { outcome: Outcome { status, failure: None, summary, usage } }
}

fn completed() -> EventBody {
    EventBody::Completed { summary: "done".into(), result: MissionResult::default(), usage: Usage::default() }
}

fn effect(seconds: f64, attempt: Attempt, what: What) -> Effect {
    Effect { mission_id: id(), attempt, vp_id: lane_id(CODER), pid: 7, at: at(seconds), what }
}

/// A mission whose first worker died at 3 s and whose second attempt completed; three notices, all shown.
fn sound() -> Evidence {
    let log = vec![
        logged(1, 0.0, 0, dispatched()),
        logged(2, 1.0, 1, started("w1")),
        logged(5, 5.0, 2, started("w2")),
        logged(6, 7.0, 2, outcome()),
        logged(7, 7.1, 2, completed()),
    ];
    let effects = vec![
        effect(1.1, 1, What::Start),
        effect(3.0, 1, What::Beat),
        effect(5.1, 2, What::Start),
        effect(6.0, 2, What::Beat),
        effect(6.9, 2, What::End),
    ];
    let asked = Asked {
        mission_id: id(),
        vp_id: lane_id(CODER),
        session: session("s1"),
        kind: Kind::Delivers,
        accepted: true,
        cancel: None,
        wrong: Vec::new(),
    };
    let rebuilt = Rebuilt { tables: 6, differences: Vec::new() };
    let mut evidence = Evidence { asked: vec![asked], log, effects, rebuilt, ..Evidence::default() };
    let (ledger, shown) = {
        let stories = stories(&evidence);
        let story = &stories[&id()];
        let shown = story.due.iter().zip(1..).map(|((_, notice), seq)| Shown {
            reader: session("s1"),
            session_id: session("s1"),
            notice_id: notice.notice_id.clone(),
            seq,
            acked: true,
        });
        (vec![MissionView::from(story.mission.as_ref().unwrap())], shown.collect())
    };
    evidence.ledger = ledger;
    evidence.shown = shown;
    evidence
}

/// The checks that fail after this change of the sound evidence.
fn violated(change: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
    let mut evidence = sound();
    change(&mut evidence);
    let verdicts = check_all(&evidence);
    verdicts
        .into_iter()
        .filter(|verdict| !verdict.violations.is_empty())
        .map(|verdict| verdict.what)
        .collect()
}

#[test]
fn a_sound_story_violates_nothing_and_is_looked_at() {
    assert!(violated(|_| {}).is_empty());
    let evidence = sound();
    assert_eq!(evidence.shown.len(), 3);
    let looked: Vec<_> = check_all(&evidence).iter().map(|verdict| verdict.looked_at).collect();
    assert_eq!(looked, [1, 1, 1, 0, 5, 1, 1, 2, 1, 2, 5, 6, 1, 3, 3, 0]);
}

#[test]
fn a_lost_mission_is_found() {
    let other = MissionId::of_key(&lane_id(CODER), "other");
    assert_eq!(
        violated(|evidence| {
            let lost = Asked { mission_id: other, ..evidence.asked[0].clone() };
            evidence.asked.push(lost);
        }),
        ["an accepted mission is in the log"]
    );
}

#[test]
fn a_second_end_is_found() {
    let found = violated(|evidence| evidence.log.push(logged(9, 8.0, 2, completed())));
    assert!(found.contains(&"a mission has one end and no second"), "{found:?}");
    assert!(found.contains(&"the log holds lawful events only"), "{found:?}");
}

#[test]
fn a_stuck_mission_is_found() {
    let found = violated(|evidence| drop(evidence.log.pop()));
    assert!(found.contains(&"nothing is stuck"), "{found:?}");
}

#[test]
fn a_cancel_without_an_end_is_found() {
    let told = |told| violated(|evidence| evidence.asked[0].cancel = Some(told));
    assert_eq!(told(CancelTold::Cancelled), ["a cancel ends its mission"]);
    assert_eq!(told(CancelTold::Requested), ["a cancel ends its mission"]);
    assert!(told(CancelTold::TooLate).is_empty());
}

#[test]
fn what_is_no_event_is_found() {
    let found = violated(|evidence| evidence.unreadable.push((4, "no JSON".into())));
    assert_eq!(found, ["the log holds lawful events only"]);
}

#[test]
fn an_attempt_that_a_superseded_worker_got_into_the_log_is_found() {
    let late = logged(6, 6.0, 1, outcome());
    let found = violated(|evidence| evidence.log.insert(3, late));
    assert!(found.contains(&"the log holds lawful events only"), "{found:?}");
}

#[test]
fn an_answer_that_breaks_a_promise_is_found() {
    let found = violated(|evidence| evidence.asked[0].wrong.push("accepted with another content".into()));
    assert_eq!(found, ["a key is one mission for ever"]);
}

#[test]
fn a_completion_without_the_work_is_found() {
    let what = "a mission ends as its executor did";
    assert_eq!(violated(|evidence| drop(evidence.effects.pop())), [what]);
    assert_eq!(violated(|evidence| evidence.asked[0].kind = Kind::Fails), [what]);
}

#[test]
fn an_attempt_that_ran_twice_or_unclaimed_is_found() {
    let what = "an attempt runs once, and only when claimed";
    assert_eq!(violated(|evidence| evidence.effects.insert(1, effect(1.2, 1, What::Start))), [what]);
    assert_eq!(violated(|evidence| evidence.effects.insert(1, effect(1.2, 3, What::Start))), [what]);
}

#[test]
fn a_start_after_the_outcome_is_found() {
    let what = "nothing starts after an outcome is recorded";
    let found = violated(|evidence| evidence.effects.push(effect(7.05, 2, What::Start)));
    assert!(found.contains(&what), "{found:?}");
    let found = violated(|evidence| evidence.log.insert(4, logged(7, 7.05, 3, started("w1"))));
    assert!(found.contains(&what), "{found:?}");
}

#[test]
fn an_executor_that_outlives_its_attempt_is_found() {
    let what = "no executor outlives its attempt by more than the grace";
    let grace = FENCE_PATIENCE.as_secs_f64();
    let beat = |seconds, attempt| effect(seconds, attempt, What::Beat);
    assert!(violated(|evidence| evidence.effects.insert(2, beat(5.0 + grace - 0.1, 1))).is_empty());
    assert_eq!(violated(|evidence| evidence.effects.push(beat(5.0 + grace + 0.1, 1))), [what]);
    assert_eq!(violated(|evidence| evidence.effects.push(beat(7.0 + grace + 0.1, 2))), [what]);
}

#[test]
fn a_run_in_another_lane_is_found() {
    let found = violated(|evidence| evidence.effects[0].vp_id = lane_id(GENERAL));
    assert_eq!(found, ["a mission runs in its own lane"]);
}

#[test]
fn a_ledger_that_is_not_the_log_is_found() {
    let rebuild = "the ledger equals a rebuild";
    assert_eq!(violated(|evidence| evidence.rebuilt.differences.push("missions".into())), [rebuild]);
    assert_eq!(violated(|evidence| evidence.rebuilt = Rebuilt::default()), [rebuild]);
    let fold = "the ledger equals the fold of the log";
    assert_eq!(violated(|evidence| evidence.ledger[0].attempt = 1), [fold]);
    assert_eq!(violated(|evidence| drop(evidence.ledger.pop())), [fold]);
    let strange = MissionId::of_key(&lane_id(CODER), "strange");
    assert_eq!(
        violated(|evidence| {
            let row = MissionView { mission_id: strange, ..evidence.ledger[0].clone() };
            evidence.ledger.push(row);
        }),
        [fold]
    );
}

#[test]
fn a_notice_that_is_lost_or_shown_twice_is_found() {
    let what = "every due notice is shown exactly once";
    assert_eq!(violated(|evidence| drop(evidence.shown.remove(1))), [what]);
    let sent_twice = |evidence: &mut Evidence| {
        let again = Shown { seq: 9, ..evidence.shown[2].clone() };
        evidence.shown.push(again);
    };
    assert_eq!(violated(sent_twice), [what]);
    let shown_again = |evidence: &mut Evidence| evidence.shown.push(evidence.shown[2].clone());
    assert_eq!(violated(shown_again), [what]);
    assert!(
        violated(|evidence| {
            evidence.acks_may_be_lost = true;
            shown_again(evidence);
        })
        .is_empty()
    );
    assert!(
        violated(|evidence| {
            evidence.shown[2].acked = false;
            evidence.shown.push(Shown { acked: true, ..evidence.shown[2].clone() });
        })
        .is_empty()
    );
}

#[test]
fn a_notice_that_nobody_is_due_is_found() {
    let silent = |evidence: &mut Evidence| {
        for logged in &mut evidence.log {
            logged.event.source.reply_mode = ReplyMode::Final;
        }
    };
    let found = violated(silent);
    assert!(found.contains(&"every due notice is shown exactly once"), "{found:?}");
}

#[test]
fn a_notice_in_another_session_or_out_of_order_is_found() {
    let what = "a notice is shown in its session, in order";
    assert_eq!(violated(|evidence| evidence.shown[0].reader = session("s2")), [what]);
    assert_eq!(violated(|evidence| evidence.shown[0].session_id = session("s2")), [what]);
    assert_eq!(violated(|evidence| evidence.shown.swap(0, 1)), [what]);
}

#[test]
fn a_panic_is_found() {
    assert_eq!(violated(|evidence| evidence.panics.push("w1: panicked at".into())), ["no process panics"]);
}
