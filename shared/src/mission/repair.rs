//! What becomes of a mission that nothing would bring on any more: the planner of the reconciler.
//!
//! A mission that has not ended is brought on by its timer, by its queue entry, or by the worker that holds it. Where
//! none of them is left it is stranded. Only the facts are judged here; whoever acts makes sure that they stay so for a
//! while and writes with compare-and-set, so a wrong look changes nothing.

use std::time::Duration;

use crate::artifact::MissionResult;
use crate::event::EventBody;
use crate::mission::decide::{cancelled, deadline_passed, failed};
use crate::mission::{Liveness, Mission, Status};
use crate::time::UtcTime;

/// How late a timer may be.
const TIMER_LATE: Duration = Duration::from_secs(30);
/// How late an entry that was handed back until a retry may be.
const RETRY_LATE: Duration = Duration::from_secs(5);

/// Where the newest queue entry of a mission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its queue does not exist: made again from the beginning, it has the entry.
    NoQueue,
    /// It waits to be handed out.
    Waiting,
    /// It may be in a worker's hand, or wait to come again.
    InHand,
    /// It was not handed out although pulls waited, or later entries were: it is nowhere.
    PassedOver,
    /// It was acked, or the queue began behind it.
    Lost,
}

/// Whether the timer of a scheduled mission is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Not looked for yet.
    Unknown,
    /// It is there.
    Set,
    /// It is not.
    Gone,
}

/// The facts about a mission that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub status: Status,
    /// When it fails if it has not ended.
    pub deadline: UtcTime,
    /// When it is to be queued, if not at once.
    pub not_before: Option<UtcTime>,
    /// When the next attempt is due.
    pub retry_at: Option<UtcTime>,
    /// Where its queue entry is; of no interest while it is scheduled.
    pub entry: Place,
    /// Its timer; of interest only while it is scheduled.
    pub timer: Timer,
    /// Its owner; of interest only while it has one.
    pub owner: Liveness,
}

/// What is to be done about a mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: something brings it on.
    Nothing,
    /// Find out about the timer, then ask again.
    FindTimer,
    /// Find out about the owner, then ask again.
    FindOwner,
    /// This.
    Repair(Repair),
}

/// How a stranded mission is brought back or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Repair {
    /// Queue it again: its entry is nowhere.
    QueueAgain,
    /// Queue it: its time has come and its timer did not fire. Removes the timer if it is there.
    QueueOverdue,
    /// Make its timer anew: it is nowhere.
    SetTimer {
        /// When it fires.
        at: UtcTime,
    },
    /// Hand back the delivery of its dead owner.
    HandBack,
    /// Cancel it: it was to stop, and its owner is dead.
    Cancel,
    /// Fail it: its deadline has passed.
    FailDeadline,
}

impl Repair {
    /// Its name, as a metric and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueAgain => "queued_again",
            Self::QueueOverdue => "queued_overdue",
            Self::SetTimer { .. } => "timer_set_again",
            Self::HandBack => "handed_back",
            Self::Cancel => "cancelled",
            Self::FailDeadline => "deadline_exceeded",
        }
    }

    /// Why it is done, for people.
    pub const fn why(self) -> &'static str {
        match self {
            Self::QueueAgain => {
                "its queue entry was gone: acked, passed over, or behind the queue's beginning"
            }
            Self::QueueOverdue => "its time has come and its timer did not fire",
            Self::SetTimer { .. } => "its timer was gone",
            Self::HandBack => "its worker is dead and still had its queue entry",
            Self::Cancel => "it was asked to stop and its worker is dead",
            Self::FailDeadline => "its deadline has passed and no worker runs it",
        }
    }

    /// True for what is as certain now as it will ever be; the rest is done only when it stays so for a while.
    pub const fn is_certain(self) -> bool {
        matches!(self, Self::FailDeadline)
    }

    /// The event that does it; `None` for what is done without one.
    pub fn event(self, mission: &Mission) -> Option<EventBody> {
        match self {
            Self::QueueAgain | Self::QueueOverdue | Self::SetTimer { .. } => {
                Some(EventBody::Dispatched { mission: mission.spec.clone(), tier: mission.tier })
            }
            Self::Cancel => {
                let reason = mission.cancel.as_ref().map_or("cancelled", |cancel| cancel.reason.as_str());
                Some(cancelled(reason, MissionResult::default(), mission))
            }
            Self::FailDeadline => Some(failed(deadline_passed(mission), mission)),
            Self::HandBack => None,
        }
    }
}

/// Plans what is to be done about a mission.
pub fn plan(standing: &Standing, now: UtcTime) -> Plan {
    let overdue = now >= standing.deadline;
    match standing.status {
        Status::Completed | Status::Failed | Status::Cancelled => Plan::Nothing,
        Status::Scheduled | Status::Queued | Status::Retrying if overdue => {
            Plan::Repair(Repair::FailDeadline)
        }
        Status::Scheduled => scheduled(standing, now),
        Status::Queued => waiting(standing.entry),
        Status::Retrying => {
            let due = standing.retry_at.is_none_or(|at| now >= at.plus(RETRY_LATE));
            // Until then it rests in nobody's hand and is handed to nobody.
            if due || standing.entry == Place::Lost { waiting(standing.entry) } else { Plan::Nothing }
        }
        Status::Running | Status::Cancelling | Status::Finalizing => match standing.owner {
            Liveness::Alive => Plan::Nothing,
            Liveness::Unknown => Plan::FindOwner,
            Liveness::Gone => orphan(standing, overdue),
        },
    }
}

fn scheduled(standing: &Standing, now: UtcTime) -> Plan {
    let at = standing.not_before.unwrap_or(now);
    if now >= at.plus(TIMER_LATE) {
        return Plan::Repair(Repair::QueueOverdue);
    }
    match standing.timer {
        Timer::Unknown => Plan::FindTimer,
        Timer::Set => Plan::Nothing,
        Timer::Gone if now >= at => Plan::Repair(Repair::QueueOverdue),
        Timer::Gone => Plan::Repair(Repair::SetTimer { at }),
    }
}

fn waiting(entry: Place) -> Plan {
    match entry {
        Place::NoQueue | Place::Waiting | Place::InHand => Plan::Nothing,
        Place::PassedOver | Place::Lost => Plan::Repair(Repair::QueueAgain),
    }
}

/// What a dead worker had in hand.
fn orphan(standing: &Standing, overdue: bool) -> Plan {
    match standing.status {
        Status::Cancelling => Plan::Repair(Repair::Cancel),
        Status::Running if overdue => Plan::Repair(Repair::FailDeadline),
        _ if standing.entry == Place::InHand => Plan::Repair(Repair::HandBack),
        _ => waiting(standing.entry),
    }
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
