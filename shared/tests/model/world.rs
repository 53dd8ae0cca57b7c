//! One mission, its log with compare-and-set, its queue, and several processes that see all of it late.
//!
//! Every step of every process is a step of the model: what is read may be stale when it is acted on, answers get lost
//! after the write, deliveries come twice, processes die and stall between any two steps. What is decided is decided by
//! the product's own `decide`; what is done with it is what the product's shells do.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;
use vp_shared::artifact::MissionResult;
use vp_shared::event::{
    Actor, ActorKind, Event, EventBody, Outcome, OutcomeStatus, Source, Usage, WorkerRef,
};
use vp_shared::failure::{Failure, FailureClass};
use vp_shared::ids::{Attempt, EventId, MissionId, VpId, WorkerId};
use vp_shared::mission::{
    Applied, Budget, Claimant, Command, Effect, EventKind, Liveness, Mission, MissionSpec, Status, decide,
};
use vp_shared::retry::RetryPolicy;
use vp_shared::tier::Tier;
use vp_shared::time::UtcTime;

pub(crate) const WORKERS: usize = 3;
const T0: i64 = 1_800_000_000_000_000;

/// A mistake put in on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    Nothing,
    /// The log takes every write, whatever it expects.
    NoCompareAndSet,
    /// A silent owner is a dead one.
    NoProof,
    /// An attempt whose outcome is recorded is run again when it is delivered again.
    RunsFinalizing,
    /// What belongs to another worker is acked instead of left alone.
    AcksWhatItLeaves,
    /// A second delivery of what a process runs already is taken for one of a former life.
    ForgetsWhatItHolds,
}

/// What is left to do with a delivery, or of an attempt.
#[derive(Debug, Clone)]
enum Doing {
    Claiming,
    Running(Attempt),
    Finishing(Attempt, Outcome),
    Concluding(Attempt),
}

/// A delivery in a worker's hand.
#[derive(Debug, Clone)]
struct Hand {
    entry: u64,
    lease: String,
    doing: Doing,
    seen: Option<Mission>,
    owner: Liveness,
    effects: VecDeque<Effect>,
    /// Its lease ran out while the worker was stalled.
    lapsed: bool,
    /// It is the delivery by which this process holds the mission; any further one of the same mission is left alone.
    hold: bool,
}

#[derive(Debug, Clone)]
struct Worker {
    life: u32,
    up: bool,
    stalled: bool,
    hands: Vec<Hand>,
}

/// A caller that wants the mission cancelled.
#[derive(Debug, Clone, Default)]
struct Caller {
    seen: Option<Mission>,
}

#[derive(Debug, Clone, Copy)]
struct Executor {
    worker: usize,
    life: u32,
    attempt: Attempt,
    alive: bool,
}

/// What may happen next.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    /// A queue entry reaches a worker, perhaps one that another worker has in hand.
    Deliver {
        worker: usize,
        entry: usize,
    },
    /// A worker does the next thing with one of its deliveries. `lost`: the answer to its write does not arrive.
    Step {
        worker: usize,
        hand: usize,
        lost: bool,
    },
    /// An executor ends.
    End {
        well: bool,
    },
    Crash {
        worker: usize,
    },
    Restart {
        worker: usize,
    },
    Stall {
        worker: usize,
    },
    Wake {
        worker: usize,
    },
    /// A caller reads the mission to cancel it, and acts on what it has read.
    CallerReads,
    CallerActs,
    /// The mission moves to another queue.
    Retier,
    Pass {
        seconds: u64,
    },
}

/// The whole.
pub(crate) struct World {
    planted: Planted,
    events: Vec<Event>,
    pub(crate) mission: Option<Mission>,
    /// Sequence of each queue entry, and whether it is acked away.
    entries: BTreeMap<u64, bool>,
    workers: Vec<Worker>,
    caller: Caller,
    executors: Vec<Executor>,
    deliveries: u64,
    now: UtcTime,
    policy: RetryPolicy,
    pub(crate) broken: Option<String>,
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
        deadline: UtcTime::from_micros(T0).plus(Duration::from_secs(1_000)),
        max_attempts: None,
        content_sha256: "digest".into(),
    }
}

fn outcome(well: bool) -> Outcome {
    Outcome {
        status: if well { OutcomeStatus::Completed } else { OutcomeStatus::Failed },
        failure: (!well).then(|| Failure::new(FailureClass::WorkerLost, "it broke")),
        summary: String::new(),
        usage: Usage::default(),
    }
}

impl World {
    pub(crate) fn new(planted: Planted) -> Self {
        let worker = Worker { life: 1, up: true, stalled: false, hands: vec![] };
        let mut world = Self {
            planted,
            events: vec![],
            mission: None,
            entries: BTreeMap::new(),
            workers: vec![worker; WORKERS],
            caller: Caller::default(),
            executors: vec![],
            deliveries: 0,
            now: UtcTime::from_micros(T0),
            policy: RetryPolicy { max_attempts: 4, ..RetryPolicy::default() },
            broken: None,
        };
        world.append(0, 0, EventBody::Dispatched { mission: spec(), tier: Tier::Normal });
        world
    }

    pub(crate) fn go(&mut self, step: &Move) {
        if self.broken.is_some() {
            return;
        }
        match *step {
            Move::Deliver { worker, entry } => self.deliver(worker, entry),
            Move::Step { worker, hand, lost } => self.step(worker, hand, lost),
            Move::End { well } => self.end(well),
            Move::Crash { worker } => self.crash(worker),
            Move::Restart { worker } => self.workers[worker].up = true,
            Move::Stall { worker } => self.workers[worker].stalled = true,
            Move::Wake { worker } => self.wake(worker),
            Move::CallerReads => self.caller.seen.clone_from(&self.mission),
            Move::CallerActs => self.cancel(),
            Move::Retier => self.retier(),
            Move::Pass { seconds } => self.now = self.now.plus(Duration::from_secs(seconds)),
        }
        self.check();
    }

    /// All faults are over: what is left is done. True when the mission has ended.
    pub(crate) fn settle(&mut self) -> bool {
        for round in 0..60 {
            for worker in 0..WORKERS {
                self.go(&Move::Restart { worker });
                self.go(&Move::Wake { worker });
                for hand in (0..self.workers[worker].hands.len()).rev() {
                    self.go(&Move::Step { worker, hand, lost: false });
                }
            }
            self.go(&Move::End { well: true });
            self.go(&Move::Pass { seconds: 5 });
            if round % 3 == 0 {
                // Each entry comes again until it is acked.
                for entry in 0..self.entries.len() {
                    self.go(&Move::Deliver { worker: round / 3 % WORKERS, entry });
                }
            }
        }
        self.broken.is_none() && self.mission.as_ref().is_some_and(|mission| mission.status.is_terminal())
    }

    fn deliver(&mut self, worker: usize, entry: usize) {
        let open: Vec<u64> = self.entries.iter().filter(|(_, acked)| !**acked).map(|(seq, _)| *seq).collect();
        if open.is_empty() || !self.workers[worker].up || self.workers[worker].stalled {
            return;
        }
        self.deliveries += 1;
        let hand = Hand {
            entry: open[entry % open.len()],
            lease: format!("$JS.ACK.{}", self.deliveries),
            doing: Doing::Claiming,
            seen: None,
            owner: Liveness::Unknown,
            effects: VecDeque::new(),
            lapsed: false,
            hold: self.planted == Planted::ForgetsWhatItHolds
                || self.workers[worker].hands.iter().all(|other| !other.hold),
        };
        if self.workers[worker].hands.len() < 4 {
            self.workers[worker].hands.push(hand);
        }
    }

    fn who(&self, worker: usize) -> WorkerRef {
        WorkerRef {
            worker_id: WorkerId::new(format!("w{worker}")).unwrap(),
            incarnation: format!("{worker}-{}", self.workers[worker].life),
            host: "host".into(),
            version: "0".into(),
        }
    }

    fn step(&mut self, worker: usize, hand: usize, lost: bool) {
        let (up, stalled) = (self.workers[worker].up, self.workers[worker].stalled);
        if !up || stalled || self.workers[worker].hands.is_empty() {
            return;
        }
        let index = hand % self.workers[worker].hands.len();
        let mut hand = self.workers[worker].hands.remove(index);
        if self.advance(worker, &mut hand, lost) {
            let at = index.min(self.workers[worker].hands.len());
            self.workers[worker].hands.insert(at, hand);
        }
    }

    /// One thing. False: nothing is left to do with the delivery.
    fn advance(&mut self, worker: usize, hand: &mut Hand, lost: bool) -> bool {
        if let Some(effect) = hand.effects.pop_front() {
            return self.carry_out(worker, hand, effect, lost);
        }
        if hand.seen.is_none() {
            hand.seen.clone_from(&self.mission);
            return true;
        }
        let Some(seen) = hand.seen.clone() else { return false };
        let me = self.who(worker);
        let effects = match hand.doing.clone() {
            Doing::Claiming => {
                let mine = seen.owner.as_ref().is_some_and(|owner| owner.lease == hand.lease);
                let runs = matches!(seen.status, Status::Running | Status::Cancelling);
                if mine && runs && hand.hold {
                    vec![Effect::Run { attempt: seen.attempt }]
                } else {
                    self.decide_delivery(worker, hand, seen)
                }
            }
            // The executor says when.
            Doing::Running(_) => return true,
            Doing::Finishing(attempt, outcome) => {
                let (policy, delay) = (&self.policy, Duration::from_secs(10));
                decide(
                    Some(&seen),
                    Command::Finish { attempt, worker: &me, outcome, policy, delay },
                    self.now,
                )
            }
            Doing::Concluding(attempt) => {
                let result = MissionResult { primary_total: 1, ..MissionResult::default() };
                decide(
                    Some(&seen),
                    Command::Conclude { attempt, result, requires_deliverable: true },
                    self.now,
                )
            }
        };
        if effects.is_empty() {
            // Recorded: what follows is the conclusion.
            if let Doing::Finishing(attempt, _) = hand.doing {
                hand.doing = Doing::Concluding(attempt);
                return true;
            }
            return false;
        }
        hand.effects = effects.into();
        true
    }

    fn decide_delivery(&mut self, worker: usize, hand: &mut Hand, mut seen: Mission) -> Vec<Effect> {
        if self.planted == Planted::RunsFinalizing && seen.status == Status::Finalizing {
            seen.status = Status::Running;
        }
        let owner = if self.planted == Planted::NoProof { Liveness::Gone } else { hand.owner };
        let claimant = Claimant { worker: self.who(worker), lease: hand.lease.clone() };
        let holding = !hand.hold;
        let command =
            Command::Deliver { seq: hand.entry, claimant: &claimant, holding, owner, policy: &self.policy };
        decide(Some(&seen), command, self.now)
    }

    fn carry_out(&mut self, worker: usize, hand: &mut Hand, effect: Effect, lost: bool) -> bool {
        match effect {
            Effect::Append { attempt, expected, body } => {
                if matches!(body, EventBody::Started { .. }) && !hand.hold {
                    return false;
                }
                let stored = self.append(attempt, expected, body);
                if lost || !stored {
                    // Read again, decide again.
                    hand.seen = None;
                    hand.owner = Liveness::Unknown;
                    hand.effects.clear();
                    return true;
                }
                hand.seen.clone_from(&self.mission);
                match hand.doing {
                    Doing::Finishing(attempt, _) if hand.effects.is_empty() => {
                        hand.doing = Doing::Concluding(attempt);
                        true
                    }
                    _ => !hand.effects.is_empty(),
                }
            }
            Effect::Run { .. } if hand.lapsed => false,
            Effect::Run { attempt } => {
                let life = self.workers[worker].life;
                self.executors.push(Executor { worker, life, attempt, alive: true });
                hand.doing = Doing::Running(attempt);
                true
            }
            Effect::Finalize { attempt } => {
                hand.doing = Doing::Concluding(attempt);
                true
            }
            Effect::Probe => {
                hand.owner = self.probe(hand);
                true
            }
            Effect::Ack => {
                self.entries.insert(hand.entry, true);
                false
            }
            Effect::Leave if self.planted == Planted::AcksWhatItLeaves => {
                self.entries.insert(hand.entry, true);
                false
            }
            // Fenced, handed back or left alone: nothing more is done with it.
            _ => false,
        }
    }

    /// The proof, by the truth: a life that is over, or one that is silent for so long that its keeper has killed.
    fn probe(&mut self, hand: &Hand) -> Liveness {
        let owner = hand.seen.as_ref().and_then(|mission| mission.owner.clone());
        let Some(owner) = owner else { return Liveness::Gone };
        let index = (0..WORKERS).find(|worker| self.who(*worker).worker_id == owner.worker.worker_id);
        let Some(index) = index else { return Liveness::Gone };
        let this_life = self.who(index).incarnation == owner.worker.incarnation;
        if this_life && self.workers[index].up && !self.workers[index].stalled {
            let held = self.workers[index].hands.iter().any(|other| other.lease == owner.lease);
            return if held { Liveness::Alive } else { Liveness::Gone };
        }
        if this_life && self.workers[index].stalled {
            let life = self.workers[index].life;
            self.kill(index, life);
            for hand in &mut self.workers[index].hands {
                hand.lapsed = true;
            }
        }
        Liveness::Gone
    }

    fn kill(&mut self, worker: usize, life: u32) {
        for executor in &mut self.executors {
            if executor.worker == worker && executor.life == life {
                executor.alive = false;
            }
        }
    }

    fn end(&mut self, well: bool) {
        let Some(executor) = self.executors.iter_mut().find(|executor| executor.alive) else { return };
        let (index, attempt) = (executor.worker, executor.attempt);
        if self.workers[index].stalled {
            return;
        }
        executor.alive = false;
        for hand in &mut self.workers[index].hands {
            if matches!(hand.doing, Doing::Running(running) if running == attempt) {
                hand.doing = Doing::Finishing(attempt, outcome(well));
            }
        }
    }

    fn crash(&mut self, worker: usize) {
        if !self.workers[worker].up {
            return;
        }
        let life = self.workers[worker].life;
        self.kill(worker, life);
        self.workers[worker] = Worker { life: life + 1, up: false, stalled: false, hands: vec![] };
    }

    /// A lease that ran out fences what was running; what was being finalised goes on, under compare-and-set.
    fn wake(&mut self, worker: usize) {
        let worker = &mut self.workers[worker];
        worker.stalled = false;
        worker
            .hands
            .retain(|hand| !hand.lapsed || matches!(hand.doing, Doing::Finishing(..) | Doing::Concluding(_)));
    }

    fn cancel(&mut self) {
        let Some(seen) = self.caller.seen.take() else { return };
        for effect in decide(Some(&seen), Command::Cancel { reason: "r", by: "s" }, self.now) {
            if let Effect::Append { attempt, expected, body } = effect
                && !self.append(attempt, expected, body)
            {
                return;
            }
        }
    }

    fn retier(&mut self) {
        let Some(mission) = self.mission.clone() else { return };
        let command = Command::Dispatch { content_sha256: "digest", tier: Tier::High };
        for effect in decide(Some(&mission), command, self.now) {
            if let Effect::Append { attempt, expected, body } = effect {
                self.append(attempt, expected, body);
            }
        }
    }

    fn append(&mut self, attempt: Attempt, expected: u64, body: EventBody) -> bool {
        let last = self.mission.as_ref().map_or(0, |mission| mission.last_seq);
        if last != expected && self.planted != Planted::NoCompareAndSet {
            return false;
        }
        let vp_id = VpId::new("vp.coder.primary").unwrap();
        let event = Event {
            id: EventId(Uuid::nil()),
            mission_id: MissionId::of_key(&vp_id, "k"),
            vp_id,
            attempt,
            time: self.now,
            actor: Actor { kind: ActorKind::Worker, id: "w".into() },
            source: Source::default(),
            body,
        };
        let seq = self.events.len() as u64 + 1;
        if matches!(event.body, EventBody::Dispatched { .. }) {
            self.entries.insert(seq, false);
        }
        if let Applied::Illegal { status } = Mission::apply(&mut self.mission, &event, seq) {
            self.breaks(format!("{} was stored in state {status:?}", event.kind()));
        }
        self.events.push(event);
        true
    }

    fn breaks(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    fn check(&mut self) {
        let Some(mission) = self.mission.clone() else { return };
        let kinds: Vec<EventKind> = self.events.iter().map(Event::kind).collect();
        if kinds.iter().filter(|kind| kind.is_terminal()).count() > 1 {
            self.breaks(format!("two terminal events: {kinds:?}"));
        }
        if let Some(outcome) = kinds.iter().position(|kind| *kind == EventKind::OutcomeRecorded)
            && kinds[outcome..].contains(&EventKind::Started)
        {
            self.breaks(format!("started after its outcome: {kinds:?}"));
        }
        let alive = self.executors.iter().filter(|executor| executor.alive).count();
        if alive > 1 || (alive > 0 && mission.status.is_terminal()) {
            self.breaks(format!("{alive} executors in state {}", mission.status));
        }
        let mut attempts: Vec<Attempt> = self.executors.iter().map(|executor| executor.attempt).collect();
        let executions = attempts.len();
        attempts.sort_unstable();
        attempts.dedup();
        if attempts.len() != executions {
            self.breaks(format!("an attempt was executed twice: {:?}", self.executors));
        }
        let waits = self.entries.iter().any(|(_, acked)| !acked);
        if !waits && !mission.status.is_terminal() {
            self.breaks(format!("lost: no queue entry is left in state {}", mission.status));
        }
    }
}
