//! A mission's state is the fold of its events, nothing else.

use crate::artifact::MissionResult;
use crate::event::{Event, EventBody, Outcome, Source, Usage, WorkerRef};
use crate::failure::Failure;
use crate::ids::{Attempt, MissionId, VpId};
use crate::mission::{MissionSpec, Status, Step, step};
use crate::tier::Tier;
use crate::time::UtcTime;

/// A mission as its events tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mission {
    /// Its id.
    pub mission_id: MissionId,
    /// Its lane.
    pub vp_id: VpId,
    /// What it asks for.
    pub spec: MissionSpec,
    /// Who asked.
    pub source: Source,
    /// The tier of its newest queue entry.
    pub tier: Tier,
    /// What it is doing.
    pub status: Status,
    /// The last attempt started; 0 before the first.
    pub attempt: Attempt,
    /// How many of the attempts were given back unharmed and do not count against the limit.
    pub released: u32,
    /// The stream sequence of its last event: what the next writer must expect.
    pub last_seq: u64,
    /// The stream sequence of its newest queue entry; older ones are acked away.
    pub queue_seq: Option<u64>,
    /// Who runs it, from `started` until the attempt is over or the mission terminal.
    pub owner: Option<Owner>,
    /// When the next attempt is due, while it is retrying.
    pub retry_at: Option<UtcTime>,
    /// Why it was asked to stop.
    pub cancel: Option<CancelRequest>,
    /// How its executor ended.
    pub outcome: Option<Outcome>,
    /// Why its last attempt, or the mission, failed.
    pub failure: Option<Failure>,
    /// What the executor says it did.
    pub summary: String,
    /// What it left behind, once terminal.
    pub result: Option<MissionResult>,
    /// What it used, once terminal.
    pub usage: Usage,
    /// When it was delegated.
    pub created_at: UtcTime,
    /// When it was first queued.
    pub queued_at: Option<UtcTime>,
    /// When its first attempt started.
    pub started_at: Option<UtcTime>,
    /// When it became terminal.
    pub finished_at: Option<UtcTime>,
    /// When its last event was made.
    pub updated_at: UtcTime,
}

/// Who holds a mission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The worker process.
    pub worker: WorkerRef,
    /// The ack subject of its delivery.
    pub lease: String,
}

/// A wish to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    /// Why.
    pub reason: String,
    /// Who asked.
    pub by: String,
}

/// What an event did to the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The mission moved on.
    Changed,
    /// A queue entry beside the state; only the sequence and the tier moved.
    QueueEntry,
    /// It may not happen here: an anomaly to record. Only the last sequence moved.
    Illegal {
        /// The state it met, `None` without one.
        status: Option<Status>,
    },
}

impl Mission {
    /// Folds one event, stored at `seq`, into `mission`. The same function serves worker, dispatcher and ledger.
    pub fn apply(mission: &mut Option<Self>, event: &Event, seq: u64) -> Applied {
        let Some(folded) = mission else {
            return match Self::born(event, seq) {
                Some(born) => {
                    *mission = Some(born);
                    Applied::Changed
                }
                None => Applied::Illegal { status: None },
            };
        };
        folded.follow(event, seq)
    }

    /// Folds the next event, stored at `seq`, into this mission.
    pub fn follow(&mut self, event: &Event, seq: u64) -> Applied {
        self.last_seq = seq;
        match step(Some(self.status), event.kind()) {
            Step::To(status) if self.fits(event) => {
                self.advance(status, event, seq);
                Applied::Changed
            }
            Step::QueueEntry => {
                self.requeue(event, seq);
                Applied::QueueEntry
            }
            Step::To(_) | Step::Illegal => Applied::Illegal { status: Some(self.status) },
        }
    }

    /// The mission that these events, in stream order, tell of.
    pub fn fold<'a>(events: impl IntoIterator<Item = (u64, &'a Event)>) -> Option<Self> {
        let mut mission = None;
        for (seq, event) in events {
            Self::apply(&mut mission, event, seq);
        }
        mission
    }

    fn born(event: &Event, seq: u64) -> Option<Self> {
        let (EventBody::Scheduled { mission: spec, tier } | EventBody::Dispatched { mission: spec, tier }) =
            &event.body
        else {
            return None;
        };
        let queued = matches!(event.body, EventBody::Dispatched { .. });
        Some(Self {
            mission_id: event.mission_id.clone(),
            vp_id: event.vp_id.clone(),
            spec: spec.clone(),
            source: event.source.clone(),
            tier: *tier,
            status: if queued { Status::Queued } else { Status::Scheduled },
            attempt: 0,
            released: 0,
            last_seq: seq,
            queue_seq: queued.then_some(seq),
            owner: None,
            retry_at: None,
            cancel: None,
            outcome: None,
            failure: None,
            summary: String::new(),
            result: None,
            usage: Usage::default(),
            created_at: event.time,
            queued_at: queued.then_some(event.time),
            started_at: None,
            finished_at: None,
            updated_at: event.time,
        })
    }

    /// An attempt's number must be the next one for `started`, and the running one for what follows it.
    fn fits(&self, event: &Event) -> bool {
        match event.body {
            EventBody::Started { .. } => event.attempt == self.attempt + 1,
            EventBody::AttemptFailed { .. }
            | EventBody::Released { .. }
            | EventBody::OutcomeRecorded { .. } => event.attempt == self.attempt,
            _ => true,
        }
    }

    fn requeue(&mut self, event: &Event, seq: u64) {
        if let (EventBody::Dispatched { tier, .. }, false) = (&event.body, self.status.is_terminal()) {
            self.queue_seq = Some(seq);
            self.tier = *tier;
        }
    }

    fn advance(&mut self, status: Status, event: &Event, seq: u64) {
        self.status = status;
        self.updated_at = event.time;
        match &event.body {
            EventBody::Scheduled { .. } => {}
            EventBody::Dispatched { tier, .. } => {
                self.tier = *tier;
                self.queue_seq = Some(seq);
                self.queued_at.get_or_insert(event.time);
            }
            EventBody::Started { worker, lease, took_over } => {
                self.attempt = event.attempt;
                self.owner = Some(Owner { worker: worker.clone(), lease: lease.clone() });
                self.retry_at = None;
                self.failure.clone_from(took_over);
                self.started_at.get_or_insert(event.time);
            }
            EventBody::AttemptFailed { failure, retry_at } => {
                self.owner = None;
                self.failure = Some(failure.clone());
                self.retry_at = Some(*retry_at);
            }
            EventBody::Released { .. } => {
                self.owner = None;
                self.released += 1;
            }
            EventBody::CancelRequested { reason, by } => {
                self.cancel = Some(CancelRequest { reason: reason.clone(), by: by.clone() });
            }
            EventBody::OutcomeRecorded { outcome } => {
                self.failure.clone_from(&outcome.failure);
                self.summary.clone_from(&outcome.summary);
                self.usage = outcome.usage;
                self.outcome = Some(outcome.clone());
            }
            EventBody::Completed { summary, result, usage } => {
                self.summary.clone_from(summary);
                self.end(event, None, result, *usage);
            }
            EventBody::Failed { failure, result, usage } => {
                self.end(event, Some(failure.clone()), result, *usage);
            }
            EventBody::Cancelled { reason, result, usage } => {
                let by = event.actor.id.clone();
                self.cancel.get_or_insert_with(|| CancelRequest { reason: reason.clone(), by });
                self.end(event, None, result, *usage);
            }
        }
    }

    fn end(&mut self, event: &Event, failure: Option<Failure>, result: &MissionResult, usage: Usage) {
        self.owner = None;
        self.retry_at = None;
        self.failure = failure;
        self.result = Some(result.clone());
        self.usage = usage;
        self.finished_at = Some(event.time);
    }

    /// How many attempts count against the limit.
    pub fn counted_attempts(&self) -> u32 {
        self.attempt.saturating_sub(self.released)
    }

    /// True when `attempt` of this mission is run, or being finalised, by this life of this worker.
    pub fn is_held_by(&self, worker: &WorkerRef, attempt: Attempt) -> bool {
        self.attempt == attempt
            && self.owner.as_ref().is_some_and(|owner| {
                owner.worker.worker_id == worker.worker_id && owner.worker.incarnation == worker.incarnation
            })
    }
}
