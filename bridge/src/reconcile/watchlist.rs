//! What the reconciler remembers from look to look: how long a mission has looked stranded, and whether an entry that
//! may be in hand is really in nobody's.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use vp_nats::topology::QueueProgress;
use vp_shared::ids::{Attempt, MissionId};
use vp_shared::mission::{Place, Plan, Repair, Status};

use crate::config::ReconcileTimes;
use crate::ledger::Unfinished;

/// Beyond the time in hand: clocks, and the server's own delays.
const MARGIN: Duration = Duration::from_secs(2);

/// Whatever changes when somebody brings the mission on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    status: Status,
    attempt: Attempt,
    queue_seq: Option<u64>,
}

impl Sight {
    pub(super) fn new(status: Status, attempt: Attempt, queue_seq: Option<u64>) -> Self {
        Self { status, attempt, queue_seq }
    }

    pub(super) fn of(row: &Unfinished) -> Self {
        Self::new(row.status, row.attempt, row.queue_seq)
    }
}

/// The missions that are looked at more than once.
#[derive(Debug)]
pub(super) struct Watchlist {
    times: ReconcileTimes,
    waits: HashMap<MissionId, Wait>,
    suspicions: HashMap<MissionId, Suspicion>,
    turn: u64,
}

/// An entry that may be in hand.
#[derive(Debug)]
struct Wait {
    sight: Sight,
    since: Instant,
    /// How the queue stood when the entry could not be in a living hand any more.
    baseline: Option<QueueProgress>,
    turn: u64,
}

/// A mission for which there is a plan.
#[derive(Debug)]
struct Suspicion {
    sight: Sight,
    plan: Plan,
    since: Instant,
    /// It was handed back before: once is enough.
    handed_back: bool,
    turn: u64,
}

impl Watchlist {
    pub(super) fn new(times: ReconcileTimes) -> Self {
        Self { times, waits: HashMap::new(), suspicions: HashMap::new(), turn: 0 }
    }

    /// Begins a look through all missions.
    pub(super) fn begin_turn(&mut self) {
        self.turn += 1;
    }

    /// Ends it: who was not seen in it is all right, or has ended.
    pub(super) fn end_turn(&mut self) {
        let turn = self.turn;
        self.waits.retain(|_, wait| wait.turn == turn);
        self.suspicions.retain(|_, suspicion| suspicion.turn == turn);
    }

    /// How many missions are watched.
    pub(super) fn watched(&self) -> u64 {
        self.suspicions.len() as u64
    }

    /// Whether an entry that may be in hand was passed over: nobody can have it in hand any more, and since then later
    /// entries were handed out, or pulls waited at two looks. The server hands out again before it hands out what
    /// is new.
    pub(super) fn in_hand(
        &mut self,
        mission_id: &MissionId,
        sight: Sight,
        progress: &QueueProgress,
        now: Instant,
    ) -> Place {
        let turn = self.turn;
        let fresh = Wait { sight, since: now, baseline: None, turn };
        let wait = self.waits.entry(mission_id.clone()).or_insert(fresh);
        if wait.sight != sight {
            *wait = Wait { sight, since: now, baseline: None, turn };
        }
        wait.turn = turn;
        let in_hand_for = self.times.in_hand_for.max(progress.ack_wait) + MARGIN;
        match wait.baseline {
            Some(then) => {
                let passed_over =
                    progress.delivered > then.delivered || (then.pulls > 0 && progress.pulls > 0);
                if then.pulls == 0 {
                    wait.baseline = Some(QueueProgress { pulls: progress.pulls, ..then });
                }
                if passed_over { Place::PassedOver } else { Place::InHand }
            }
            None => {
                if now.duration_since(wait.since) >= in_hand_for {
                    wait.baseline = Some(*progress);
                }
                Place::InHand
            }
        }
    }

    /// True when the plan has stood for so long that it is to be carried out. It then stands anew.
    pub(super) fn is_due(&mut self, mission_id: &MissionId, sight: Sight, plan: Plan, now: Instant) -> bool {
        if matches!(plan, Plan::Repair(repair) if repair.is_certain()) {
            return true;
        }
        let turn = self.turn;
        let fresh = |handed_back| Suspicion { sight, plan, since: now, handed_back, turn };
        let known = self.suspicions.entry(mission_id.clone()).or_insert_with(|| fresh(false));
        if known.sight != sight || known.plan != plan {
            *known = fresh(known.handed_back && known.sight == sight);
        }
        known.turn = turn;
        // What was passed over has been watched for long enough.
        let waited = self.waits.get(mission_id).is_some_and(|wait| wait.baseline.is_some());
        let watched_before = waited && plan == Plan::Repair(Repair::QueueAgain);
        let due = watched_before || now.duration_since(known.since) >= self.times.confirm_after;
        if due {
            known.since = now;
        }
        due
    }

    /// True the first time: a delivery is handed back once.
    pub(super) fn first_hand_back(&mut self, mission_id: &MissionId) -> bool {
        let Some(known) = self.suspicions.get_mut(mission_id) else { return true };
        !std::mem::replace(&mut known.handed_back, true)
    }
}

#[cfg(test)]
#[path = "watchlist_tests.rs"]
mod tests;
