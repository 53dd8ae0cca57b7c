//! Every (state, command) pair by name, and a model of racing workers.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::event::{Actor, ActorKind, Event, Source, Usage};
use crate::ids::{EventId, MissionId, VpId, WorkerId};
use crate::mission::{Applied, Budget, EventKind, MissionSpec};

const T0: i64 = 1_800_000_000_000_000;

fn at(seconds: u64) -> UtcTime {
    UtcTime::from_micros(T0).plus(Duration::from_secs(seconds))
}

fn spec() -> MissionSpec {
    MissionSpec {
        objective: "write it down".into(),
        mission_type: "task".into(),
        constraints: serde_json::Map::new(),
        budget: Budget::default(),
        inputs: vec![],
        idempotency_key: None,
        not_before: None,
        deadline: at(1000),
        max_attempts: None,
        content_sha256: "digest".into(),
    }
}

fn worker(name: &str, incarnation: &str) -> WorkerRef {
    WorkerRef {
        worker_id: WorkerId::new(name).unwrap(),
        incarnation: incarnation.into(),
        host: "host".into(),
        version: "0".into(),
    }
}

fn claimant(name: &str) -> Claimant {
    Claimant { worker: worker(name, "1"), lease: format!("$JS.ACK.{name}") }
}

fn event(attempt: Attempt, time: UtcTime, body: EventBody) -> Event {
    let vp_id = VpId::new("vp.coder.primary").unwrap();
    Event {
        id: EventId(Uuid::nil()),
        mission_id: MissionId::of_key(&vp_id, "k"),
        vp_id,
        attempt,
        time,
        actor: Actor { kind: ActorKind::Worker, id: "w".into() },
        source: Source::default(),
        body,
    }
}

fn outcome(status: OutcomeStatus, class: Option<FailureClass>) -> Outcome {
    Outcome {
        status,
        failure: class.map(|class| Failure::new(class, "it broke")),
        summary: "summary".into(),
        usage: Usage::default(),
    }
}

fn done() -> EventBody {
    EventBody::OutcomeRecorded { outcome: outcome(OutcomeStatus::Completed, None) }
}

fn started(name: &str) -> EventBody {
    EventBody::Started { worker: worker(name, "1"), lease: "lease".into(), took_over: None }
}

/// A mission in each state, made by folding real events. The owner of a running one is worker `a`.
fn mission(status: Status) -> Mission {
    let dispatched = EventBody::Dispatched { mission: spec(), tier: Tier::Normal };
    let cancel = EventBody::CancelRequested { reason: "enough".into(), by: "s".into() };
    let failure = Failure::new(FailureClass::ExecutorError, "it broke");
    let result = MissionResult::default;
    let usage = Usage::default();
    let end = |body| vec![(0, dispatched.clone()), (1, started("a")), (1, done()), (1, body)];
    let bodies = match status {
        Status::Scheduled => vec![(0, EventBody::Scheduled { mission: spec(), tier: Tier::Normal })],
        Status::Queued => vec![(0, dispatched)],
        Status::Running => vec![(0, dispatched), (1, started("a"))],
        Status::Retrying => vec![
            (0, dispatched),
            (1, started("a")),
            (1, EventBody::AttemptFailed { failure, retry_at: at(50) }),
        ],
        Status::Cancelling => vec![(0, dispatched), (1, started("a")), (1, cancel)],
        Status::Finalizing => vec![(0, dispatched), (1, started("a")), (1, done())],
        Status::Completed => end(EventBody::Completed { summary: "summary".into(), result: result(), usage }),
        Status::Failed => end(EventBody::Failed { failure, result: result(), usage }),
        Status::Cancelled => end(EventBody::Cancelled { reason: "enough".into(), result: result(), usage }),
    };
    let events: Vec<_> = bodies.into_iter().map(|(attempt, body)| event(attempt, at(0), body)).collect();
    let mission = Mission::fold((10..).zip(&events)).unwrap();
    assert_eq!(mission.status, status);
    mission
}

/// The effects in short: the kind of an appended event, or the effect's name.
fn short(effects: &[Effect]) -> String {
    let word = |effect: &Effect| match effect {
        Effect::Append { body, attempt, .. } => format!("{}#{attempt}", body.kind()),
        Effect::Run { attempt } => format!("run#{attempt}"),
        Effect::Finalize { attempt } => format!("finalize#{attempt}"),
        Effect::Nak { delay } => format!("nak+{}s", delay.as_secs()),
        Effect::Stop(reason) => format!("stop:{reason:?}").to_lowercase(),
        Effect::Answer(reply) => format!("{reply:?}").to_lowercase(),
        other => format!("{other:?}").to_lowercase(),
    };
    effects.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn deliver_to(mission: &Mission, seq: u64, name: &str, owner: Liveness, now: UtcTime) -> Vec<Effect> {
    let claimant = claimant(name);
    let policy = RetryPolicy::default();
    let command = Command::Deliver { seq, claimant: &claimant, holding: false, owner, policy: &policy };
    decide(Some(mission), command, now)
}

#[test]
fn every_state_answers_every_command() {
    let policy = RetryPolicy::default();
    let a = worker("a", "1");
    let by_b = claimant("b");
    let mut table = String::new();
    for status in Status::ALL {
        let mission = mission(status);
        let ask = |command| short(&decide(Some(&mission), command, at(1)));
        let deliver = |claimant, holding, owner| {
            ask(Command::Deliver { seq: 10, claimant, holding, owner, policy: &policy })
        };
        let finish = |status, class: Option<FailureClass>| {
            let outcome = outcome(status, class);
            ask(Command::Finish {
                attempt: 1,
                worker: &a,
                outcome,
                policy: &policy,
                delay: Duration::from_secs(2),
            })
        };
        let conclude = |primary_total| {
            let result = MissionResult { primary_total, ..MissionResult::default() };
            ask(Command::Conclude { attempt: 1, result, requires_deliverable: true })
        };
        let rows = [
            ("dispatch again", ask(Command::Dispatch { content_sha256: "digest", tier: Tier::Normal })),
            ("dispatch other", ask(Command::Dispatch { content_sha256: "other", tier: Tier::Normal })),
            ("re-tier", ask(Command::Dispatch { content_sha256: "digest", tier: Tier::Urgent })),
            ("cancel", ask(Command::Cancel { reason: "r", by: "s" })),
            ("deliver, owner unknown", deliver(&by_b, false, Liveness::Unknown)),
            ("deliver, owner alive", deliver(&by_b, false, Liveness::Alive)),
            ("deliver, owner gone", deliver(&by_b, false, Liveness::Gone)),
            ("deliver to its holder", deliver(&claimant("a"), true, Liveness::Unknown)),
            ("deliver to its owner reborn", deliver(&claimant("a"), false, Liveness::Unknown)),
            ("finish well", finish(OutcomeStatus::Completed, None)),
            ("finish badly", finish(OutcomeStatus::Failed, Some(FailureClass::ExecutorError))),
            ("finish by a lost worker", finish(OutcomeStatus::Failed, Some(FailureClass::WorkerLost))),
            ("conclude with a product", conclude(1)),
            ("conclude without", conclude(0)),
            ("release", ask(Command::Release { attempt: 1, worker: &a, reason: "drain" })),
            ("observe", ask(Command::Observe { attempt: 1, worker: &a })),
            ("observe by another life", ask(Command::Observe { attempt: 1, worker: &worker("a", "2") })),
        ];
        table.push_str(&format!("{status}\n"));
        for (what, effects) in rows {
            table.push_str(&format!("    {what:<28} {effects}\n"));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn nothing_but_a_dispatch_makes_a_mission() {
    let a = worker("a", "1");
    let create = decide(None, Command::Dispatch { content_sha256: "d", tier: Tier::Low }, at(0));
    assert_eq!(create, [Effect::Create]);
    let observe = decide(None, Command::Observe { attempt: 1, worker: &a }, at(0));
    assert_eq!(observe, [Effect::Stop(StopReason::Fenced)]);
    assert_eq!(decide(None, Command::Cancel { reason: "", by: "" }, at(0)), [Effect::Leave]);
}

#[test]
fn every_append_expects_the_last_sequence() {
    for status in Status::ALL {
        let mission = mission(status);
        for effect in deliver_to(&mission, mission.last_seq, "b", Liveness::Gone, at(2000)) {
            if let Effect::Append { expected, .. } = effect {
                assert_eq!(expected, mission.last_seq);
            }
        }
    }
}

#[test]
fn a_passed_deadline_ends_a_waiting_mission() {
    for status in [Status::Queued, Status::Retrying] {
        let effects = deliver_to(&mission(status), 10, "b", Liveness::Unknown, at(1000));
        let Effect::Append { body: EventBody::Failed { failure, .. }, .. } = &effects[0] else {
            panic!("{effects:?}");
        };
        assert_eq!(failure.class, FailureClass::DeadlineExceeded);
        assert_eq!(effects[1], Effect::Ack);
    }
}

#[test]
fn a_worker_whose_clock_is_behind_holds_a_retry_back_no_longer_than_was_meant() {
    let hour_ago = UtcTime::from_micros(at(0).as_micros() - 3_600_000_000);
    let effects = deliver_to(&mission(Status::Retrying), 10, "b", Liveness::Unknown, hour_ago);
    assert_eq!(effects, [Effect::Nak { delay: Duration::from_secs(50) }]);
}

#[test]
fn an_early_retry_is_handed_back_with_the_rest_of_its_delay() {
    let effects = deliver_to(&mission(Status::Retrying), 10, "b", Liveness::Unknown, at(20));
    assert_eq!(effects, [Effect::Nak { delay: Duration::from_secs(30) }]);
}

#[test]
fn an_older_queue_entry_is_acked_away() {
    let mut queued = Some(mission(Status::Queued));
    let retier = event(0, at(1), EventBody::Dispatched { mission: spec(), tier: Tier::Urgent });
    assert_eq!(Mission::apply(&mut queued, &retier, 20), Applied::QueueEntry);
    let queued = queued.unwrap();
    assert_eq!((queued.tier, queued.queue_seq), (Tier::Urgent, Some(20)));
    assert_eq!(short(&deliver_to(&queued, 10, "b", Liveness::Unknown, at(2))), "ack");
    assert_eq!(short(&deliver_to(&queued, 20, "b", Liveness::Unknown, at(2))), "started#1 run#1");
}

#[test]
fn a_lost_worker_is_retried_once_and_then_it_is_over() {
    let mut running = Some(mission(Status::Running));
    let second = deliver_to(running.as_ref().unwrap(), 10, "b", Liveness::Gone, at(1));
    assert_eq!(short(&second), "started#2 run#2");
    let Effect::Append { body, attempt, .. } = second.into_iter().next().unwrap() else { panic!() };
    Mission::apply(&mut running, &event(attempt, at(1), body), 30);
    let third = deliver_to(running.as_ref().unwrap(), 10, "c", Liveness::Gone, at(2));
    let Effect::Append { body: EventBody::Failed { failure, .. }, .. } = &third[0] else {
        panic!("{third:?}")
    };
    assert_eq!(failure.class, FailureClass::WorkerLost);
}

#[test]
fn a_released_attempt_does_not_count() {
    let mut mission = Some(mission(Status::Running));
    let release = EventBody::Released { reason: "drain".into() };
    Mission::apply(&mut mission, &event(1, at(1), release), 30);
    let mission = mission.unwrap();
    assert_eq!((mission.status, mission.attempt, mission.counted_attempts()), (Status::Queued, 1, 0));
    assert_eq!(short(&deliver_to(&mission, 10, "b", Liveness::Unknown, at(2))), "started#2 run#2");
}

#[test]
fn a_late_timer_changes_nothing_after_a_cancel() {
    let mut mission = Some(mission(Status::Scheduled));
    let cancel = EventBody::Cancelled {
        reason: "r".into(),
        result: MissionResult::default(),
        usage: Usage::default(),
    };
    Mission::apply(&mut mission, &event(0, at(1), cancel), 20);
    let late = event(0, at(2), EventBody::Dispatched { mission: spec(), tier: Tier::Normal });
    assert_eq!(Mission::apply(&mut mission, &late, 21), Applied::QueueEntry);
    let mission = mission.unwrap();
    assert_eq!(mission.status, Status::Cancelled);
    assert_eq!(short(&deliver_to(&mission, 21, "b", Liveness::Unknown, at(3))), "ack");
}

#[test]
fn what_a_retry_would_run_past_the_deadline_is_not_retried() {
    let policy =
        RetryPolicy { max_attempts: 5, retry_on: FailureClass::ALL.to_vec(), ..RetryPolicy::default() };
    let outcome = outcome(OutcomeStatus::Failed, Some(FailureClass::ExecutorError));
    let finish = |delay| {
        let command = Command::Finish {
            attempt: 1,
            worker: &worker("a", "1"),
            outcome: outcome.clone(),
            policy: &policy,
            delay,
        };
        short(&decide(Some(&mission(Status::Running)), command, at(900)))
    };
    assert_eq!(finish(Duration::from_secs(50)), "attempt_failed#1 nak+50s");
    assert_eq!(finish(Duration::from_secs(100)), "outcome_recorded#1");
}

/// What a world of workers, callers and faults may do to one mission.
#[derive(Debug, Clone)]
enum Move {
    Deliver { worker: u8, seq_back: u8, owner_gone: bool },
    Finish { worker: u8, well: bool },
    Conclude,
    Release { worker: u8 },
    Cancel,
    Retier,
    LateTimer,
    Pass { seconds: u16 },
}

fn moves() -> impl Strategy<Value = Move> {
    let who = 0_u8..3;
    prop_oneof![
        4 => (who.clone(), 0_u8..3, any::<bool>())
            .prop_map(|(worker, seq_back, owner_gone)| Move::Deliver { worker, seq_back, owner_gone }),
        3 => (who.clone(), any::<bool>()).prop_map(|(worker, well)| Move::Finish { worker, well }),
        3 => Just(Move::Conclude),
        1 => who.prop_map(|worker| Move::Release { worker }),
        1 => Just(Move::Cancel),
        1 => Just(Move::Retier),
        1 => Just(Move::LateTimer),
        1 => (0_u16..400).prop_map(|seconds| Move::Pass { seconds }),
    ]
}

/// One mission in a log with compare-and-set, driven only through `decide`.
struct World {
    log: Vec<(u64, Event)>,
    mission: Option<Mission>,
    next_seq: u64,
    now: UtcTime,
    runs: Vec<Attempt>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { log: vec![], mission: None, next_seq: 1, now: at(0), runs: vec![] };
        world.store(event(0, at(0), EventBody::Dispatched { mission: spec(), tier: Tier::Normal }));
        world
    }

    fn store(&mut self, event: Event) -> Applied {
        let applied = Mission::apply(&mut self.mission, &event, self.next_seq);
        self.log.push((self.next_seq, event));
        self.next_seq += 1;
        applied
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Append { attempt, expected, body } => {
                    if self.mission.as_ref().is_some_and(|mission| mission.last_seq != expected) {
                        return;
                    }
                    let applied = self.store(event(attempt, self.now, body));
                    assert!(!matches!(applied, Applied::Illegal { .. }), "decided on an illegal event");
                }
                Effect::Run { attempt } => self.runs.push(attempt),
                _ => {}
            }
        }
    }

    fn go(&mut self, step: &Move) {
        let mission = self.mission.clone().unwrap();
        let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
        let name = |index: u8| ["a", "b", "c"][usize::from(index)];
        let command = |world: &mut Self, command| {
            let effects = decide(Some(&mission), command, world.now);
            world.carry_out(effects);
        };
        match step {
            Move::Deliver { worker, seq_back, owner_gone } => {
                let claimant = claimant(name(*worker));
                let holding = !owner_gone && mission.is_held_by(&claimant.worker, mission.attempt);
                let owner = if *owner_gone { Liveness::Gone } else { Liveness::Alive };
                let seq = mission.queue_seq.unwrap_or(1).saturating_sub(u64::from(*seq_back)).max(1);
                command(self, Command::Deliver { seq, claimant: &claimant, holding, owner, policy: &policy });
            }
            Move::Finish { worker: index, well } => {
                let status = if *well { OutcomeStatus::Completed } else { OutcomeStatus::Failed };
                let outcome = outcome(status, (!well).then_some(FailureClass::WorkerLost));
                let who = worker(name(*index), "1");
                let delay = Duration::from_secs(10);
                let attempt = mission.attempt;
                command(self, Command::Finish { attempt, worker: &who, outcome, policy: &policy, delay });
            }
            Move::Conclude => {
                let result = MissionResult { primary_total: 1, ..MissionResult::default() };
                let attempt = mission.attempt;
                command(self, Command::Conclude { attempt, result, requires_deliverable: true });
            }
            Move::Release { worker: index } => {
                let who = worker(name(*index), "1");
                command(self, Command::Release { attempt: mission.attempt, worker: &who, reason: "drain" });
            }
            Move::Cancel => command(self, Command::Cancel { reason: "r", by: "s" }),
            Move::Retier => command(self, Command::Dispatch { content_sha256: "digest", tier: Tier::High }),
            Move::LateTimer => {
                self.store(event(0, self.now, EventBody::Dispatched { mission: spec(), tier: Tier::Normal }));
            }
            Move::Pass { seconds } => self.now = self.now.plus(Duration::from_secs(u64::from(*seconds))),
        }
    }
}

proptest! {
    #[test]
    fn no_sequence_of_moves_breaks_a_promise(steps in proptest::collection::vec(moves(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.go(step);
        }
        let kinds: Vec<EventKind> = world.log.iter().map(|(_, event)| event.kind()).collect();
        let terminal = kinds.iter().filter(|kind| kind.is_terminal()).count();
        prop_assert!(terminal <= 1, "two terminal events: {kinds:?}");
        if let Some(outcome) = kinds.iter().position(|kind| *kind == EventKind::OutcomeRecorded) {
            prop_assert!(!kinds[outcome..].contains(&EventKind::Started), "ran after its outcome: {kinds:?}");
        }
        let mut attempts = world.runs.clone();
        attempts.dedup();
        prop_assert_eq!(&attempts, &world.runs, "an attempt ran twice");
        let mission = world.mission.clone().unwrap();
        prop_assert!(mission.counted_attempts() <= 3);
        let refolded = Mission::fold(world.log.iter().map(|(seq, event)| (*seq, event)));
        prop_assert_eq!(refolded, world.mission.clone());
    }

    #[test]
    fn whatever_happened_a_mission_can_be_ended_from_its_newest_queue_entry(
        steps in proptest::collection::vec(moves(), 0..40)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.go(step);
        }
        // The deadline passes, every owner is gone, and one worker gets the newest entry a few times.
        world.now = world.now.plus(Duration::from_secs(10_000));
        for _ in 0..3 {
            world.go(&Move::Deliver { worker: 2, seq_back: 0, owner_gone: true });
            world.go(&Move::Conclude);
        }
        prop_assert!(world.mission.unwrap().status.is_terminal());
    }
}
