//! Each mission's part of the evidence.

use std::collections::BTreeMap;

use vp_shared::ids::{Attempt, MissionId};
use vp_shared::mission::{Applied, EventKind, Mission};
use vp_shared::notice::{Notice, notice};
use vp_shared::time::UtcTime;

use crate::torture::evidence::{Evidence, Logged};
use crate::torture::executor::Effect;

/// One mission: what the log says, and what its executors wrote down.
#[derive(Debug)]
pub struct Story<'a> {
    /// Its events, in the log's order.
    pub events: Vec<&'a Logged>,
    /// Its executors' lines, in the order of time.
    pub effects: Vec<&'a Effect>,
    /// The fold of its events.
    pub mission: Option<Mission>,
    /// Events that may not happen where they stand: sequence and kind.
    pub unlawful: Vec<(u64, EventKind)>,
    /// The notices its session is due, each with its event's sequence.
    pub due: Vec<(u64, Notice)>,
}

/// All missions.
pub type Stories<'a> = BTreeMap<MissionId, Story<'a>>;

/// The stories that the evidence tells.
pub fn stories(evidence: &Evidence) -> Stories<'_> {
    let mut stories = Stories::new();
    for logged in &evidence.log {
        stories.entry(logged.event.mission_id.clone()).or_insert_with(Story::empty).hear(logged);
    }
    for effect in &evidence.effects {
        stories.entry(effect.mission_id.clone()).or_insert_with(Story::empty).effects.push(effect);
    }
    stories
}

impl<'a> Story<'a> {
    const fn empty() -> Self {
        Self { events: Vec::new(), effects: Vec::new(), mission: None, unlawful: Vec::new(), due: Vec::new() }
    }

    fn hear(&mut self, logged: &'a Logged) {
        self.events.push(logged);
        let asked_to_stop = self.mission.as_ref().is_some_and(|mission| mission.cancel.is_some());
        let kind = logged.event.kind();
        match Mission::apply(&mut self.mission, &logged.event, logged.seq) {
            Applied::Illegal { .. } => self.unlawful.push((logged.seq, kind)),
            Applied::QueueEntry => {}
            Applied::Changed => {
                let told_already = asked_to_stop && kind == EventKind::CancelRequested;
                let mission = self.mission.as_ref().filter(|_| !told_already);
                let due = mission.and_then(|mission| notice(mission, &logged.event, "VP"));
                self.due.extend(due.map(|notice| (logged.seq, notice)));
            }
        }
    }

    /// Its events of that kind.
    pub fn of_kind(&self, kind: EventKind) -> impl Iterator<Item = &'a Logged> + '_ {
        self.events.iter().copied().filter(move |logged| logged.event.kind() == kind)
    }

    /// When the attempt was over, by the log: at the first event after its start that ends it, whoever wrote it.
    pub fn over_at(&self, attempt: Attempt) -> Option<UtcTime> {
        let started = self.of_kind(EventKind::Started).find(|logged| logged.event.attempt == attempt)?.seq;
        let ends = |logged: &&&Logged| {
            let kind = logged.event.kind();
            logged.seq > started
                && (kind.is_terminal()
                    || matches!(
                        kind,
                        EventKind::Started
                            | EventKind::AttemptFailed
                            | EventKind::Released
                            | EventKind::OutcomeRecorded
                    ))
        };
        self.events.iter().find(ends).map(|logged| logged.stored_at)
    }
}
