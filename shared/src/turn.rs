//! Enforcement of explicit delegation: what an agent may do in a turn whose own words delegate to a lane.
//!
//! Pure: [`step`] takes the session's state and what has happened, and returns the new state, the answer to the host
//! and the rows of the audit. The words were read once by [`routing`](crate::routing); nothing here reads them again.
//! Such a turn owes a dispatch to each lane it named. Until all have succeeded it may use the six tools, by their own
//! names, and nothing else.

mod audit;
mod outcome;
mod tool;

use serde::{Deserialize, Serialize};

use crate::ids::{MissionId, VpId};
use crate::routing::{ControlAction, Intent, Route};

pub use audit::{AuditRow, Decision, Ended, Report, Turn, report};
pub use outcome::{Outcome, outcome};
pub use tool::{Tool, classify};

/// What is kept of a session between two of its hooks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnState {
    /// Counts the user's messages.
    pub turn: u64,
    /// What the turn owes.
    pub phase: Phase,
}

/// What a turn owes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Phase {
    /// Nothing: any tool may be used.
    #[default]
    Open,
    /// Dispatches.
    Owed {
        /// The lanes that have none yet, in the order of the words.
        lanes: Vec<VpId>,
        /// Why the last dispatch was refused.
        refused: Option<String>,
        /// How often the turn wanted to end; it is held back the first time.
        stops: u8,
    },
    /// Nothing any more: every lane has its mission.
    Kept,
}

/// What has happened in the session.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// The session began, was resumed, or was compacted in the middle of a turn.
    Started {
        /// True when nothing of an earlier turn goes on.
        fresh: bool,
    },
    /// The user said something.
    Prompt {
        /// How the words were read.
        route: &'a Route,
        /// What was found wrong with the lanes that are asked; empty when they are live, or nobody looked.
        troubles: &'a [String],
    },
    /// We ourselves handed over notices as a message: no words of the user's.
    Notices,
    /// A tool is about to be used.
    Before {
        /// Which one.
        tool: Tool,
        /// The lane it names, for a dispatch.
        vp_id: Option<VpId>,
        /// True for a sub-agent's own call: one that began in an earlier turn.
        in_sub_agent: bool,
    },
    /// A dispatch has been answered.
    Dispatched(Outcome),
    /// The agent wants to end its turn.
    Stop,
}

/// What the host is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: go on.
    Pass,
    /// Go on, and let the agent know.
    Context(String),
    /// Not this: the message is not taken, the tool is not run, the turn does not end; the agent or the user is told why.
    Refuse(String),
    /// Go on; the agent and the user both are told.
    Warn(String),
}

/// One row for the audit, without what the shell knows: session and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The turn.
    pub turn: u64,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// The lanes it is about.
    pub vp_ids: Vec<VpId>,
    /// The mission it is about.
    pub mission_id: Option<MissionId>,
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// To be kept.
    pub state: TurnState,
    /// To be told.
    pub answer: Answer,
    /// To be recorded.
    pub noted: Vec<Noted>,
}

/// What follows. `strict`: where a dispatch is impossible or refused, the user is told and nothing else is done instead.
pub fn step(state: &TurnState, event: &Event<'_>, strict: bool) -> Step {
    let mut step = Step { state: state.clone(), answer: Answer::Pass, noted: Vec::new() };
    match event {
        Event::Started { fresh } => {
            if *fresh {
                step.abandon("the session began anew");
                step.state.phase = Phase::Open;
            }
        }
        Event::Prompt { route, troubles } => step.prompt(route, troubles, strict),
        Event::Notices => {}
        Event::Before { tool, vp_id, in_sub_agent } => step.before(*tool, vp_id.as_ref(), *in_sub_agent),
        Event::Dispatched(outcome) => step.dispatched(outcome, strict),
        Event::Stop => step.stop(),
    }
    step
}

impl Step {
    fn note(&mut self, decision: Decision, reason: impl Into<String>, vp_ids: &[VpId]) {
        let reason = crate::text::cut(reason.into(), 500);
        let turn = self.state.turn;
        self.noted.push(Noted { turn, decision, reason, vp_ids: vp_ids.to_vec(), mission_id: None });
    }

    /// A turn that owes and is followed by another one, was interrupted.
    fn abandon(&mut self, why: &str) {
        if let Phase::Owed { lanes, stops: 0 | 1, .. } = &self.state.phase {
            let lanes = lanes.clone();
            self.note(Decision::Abandoned, why, &lanes);
        }
    }

    fn prompt(&mut self, route: &Route, troubles: &[String], strict: bool) {
        self.abandon("the user said something else before it was dispatched");
        self.state.turn = self.state.turn.saturating_add(1);
        self.state.phase = Phase::Open;
        let because = route.because.first().map_or("no lane is named", |because| because.means.as_str());
        match route.decision {
            Intent::None => self.note(Decision::Open, because, &[]),
            Intent::Control => {
                self.answer = Answer::Context(control_words(route));
                self.note(Decision::Control, because, &route.vp_ids);
            }
            Intent::Ambiguous => {
                self.answer = Answer::Context(format!(
                    "The user asks a VP for work and it is not clear which: ask whether {} is meant, and dispatch \
                     nothing before the answer.",
                    listed(&route.vp_ids, " or ")
                ));
                self.note(Decision::Ambiguous, because, &route.vp_ids);
            }
            Intent::Delegate if strict && !troubles.is_empty() => {
                let why = troubles.join("; ");
                self.note(Decision::Unavailable, &why, &route.vp_ids);
                self.answer = Answer::Refuse(format!(
                    "This delegates to {}, and that is not possible now: {why}. Nothing was dispatched, and nobody \
                     else does it instead.",
                    listed(&route.vp_ids, " and ")
                ));
            }
            Intent::Delegate => {
                self.note(Decision::Owed, because, &route.vp_ids);
                let mut words = corrective(&route.vp_ids);
                if !troubles.is_empty() {
                    words = format!("{words} Tell the user as well: {}.", troubles.join("; "));
                }
                self.answer = Answer::Context(words);
                self.state.phase = Phase::Owed { lanes: route.vp_ids.clone(), refused: None, stops: 0 };
            }
        }
    }

    fn before(&mut self, tool: Tool, vp_id: Option<&VpId>, in_sub_agent: bool) {
        let Phase::Owed { lanes, .. } = &self.state.phase else { return };
        if in_sub_agent {
            return;
        }
        let lanes = lanes.clone();
        let why = match (tool, vp_id) {
            (Tool::Dispatch, Some(other)) if !lanes.contains(other) => {
                format!("{other} was not asked. ")
            }
            (Tool::Dispatch | Tool::Vp, _) => {
                self.note(Decision::Allowed, "one of the six tools", &lanes);
                return;
            }
            (Tool::SubAgent, _) => "A sub-agent is no VP. ".to_owned(),
            (Tool::Wrapped, _) => {
                "A vp_* tool is called by its own name, not inside another tool. ".to_owned()
            }
            (Tool::Other, _) => String::new(),
        };
        let decision = Decision::Denied;
        self.note(decision, if why.is_empty() { "not one of the six tools" } else { why.trim_end() }, &lanes);
        self.answer = Answer::Refuse(format!("{why}{}", corrective(&lanes)));
    }

    fn dispatched(&mut self, outcome: &Outcome, strict: bool) {
        let Phase::Owed { lanes, refused, .. } = &mut self.state.phase else { return };
        match outcome {
            Outcome::Stored { vp_id, mission_id } => {
                if !lanes.contains(vp_id) {
                    return;
                }
                lanes.retain(|lane| lane != vp_id);
                *refused = None;
                let left = lanes.clone();
                if left.is_empty() {
                    self.state.phase = Phase::Kept;
                } else {
                    self.answer = Answer::Context(corrective(&left));
                }
                let decision = if left.is_empty() { Decision::Kept } else { Decision::Dispatched };
                self.note(decision, "the dispatch succeeded", std::slice::from_ref(vp_id));
                if let Some(noted) = self.noted.last_mut() {
                    noted.mission_id = Some(mission_id.clone());
                }
            }
            Outcome::Refused(why) => {
                let why = crate::text::one_line(why, 400);
                *refused = Some(why.clone());
                let lanes = lanes.clone();
                self.note(Decision::Refused, &why, &lanes);
                let said = format!("The dispatch to {} did not succeed: {why}.", listed(&lanes, " or "));
                if strict {
                    self.answer = Answer::Warn(format!(
                        "{said} Mend the call and dispatch again, or tell the user that it was not dispatched and \
                         why. Nobody else may do it instead."
                    ));
                } else {
                    self.state.phase = Phase::Open;
                    self.answer =
                        Answer::Warn(format!("{said} Tell the user before you do anything instead."));
                }
            }
        }
    }

    fn stop(&mut self) {
        let Phase::Owed { lanes, refused, stops } = &mut self.state.phase else { return };
        *stops = stops.saturating_add(1);
        let (lanes, times) = (lanes.clone(), *stops);
        let because = refused.as_ref().map_or_else(String::new, |why| format!(" The last try: {why}."));
        match times {
            1 => {
                self.note(Decision::Reminded, format!("wants to end without a dispatch.{because}"), &lanes);
                self.answer = Answer::Refuse(format!("{}{because}", corrective(&lanes)));
            }
            2 => {
                self.note(Decision::Violated, format!("ended without a dispatch.{because}"), &lanes);
                self.answer = Answer::Warn(format!(
                    "The user's words delegated to {}, and the turn ended without a dispatch.{because} Nothing was \
                     delegated.",
                    listed(&lanes, " and ")
                ));
            }
            _ => {}
        }
    }
}

/// The sentence that says what is to be done instead.
pub fn corrective(lanes: &[VpId]) -> String {
    let calls = lanes.iter().map(|lane| format!("vp_dispatch_mission with vp_id \"{lane}\""));
    format!(
        "The user's own words delegate this to {}: call {} now. Until that has succeeded only the vp_* tools may be \
         used: no other tool, no sub-agent, no wrapper.",
        listed(lanes, " and "),
        calls.collect::<Vec<_>>().join(" and ")
    )
}

fn control_words(route: &Route) -> String {
    let (what, with) = match route.action {
        Some(ControlAction::Cancel) => ("to stop a mission", "vp_list_missions and vp_cancel_mission"),
        Some(ControlAction::Read) => {
            ("for what came of a mission", "vp_list_missions and vp_read_result_artifacts")
        }
        _ => ("how missions stand", "vp_list_missions, vp_get_mission or vp_wait_mission"),
    };
    let of = if route.vp_ids.is_empty() {
        String::new()
    } else {
        format!(" of {}", listed(&route.vp_ids, " and "))
    };
    let named =
        route.mission.as_ref().map_or_else(String::new, |mission| format!(" (they name mission {mission})"));
    format!("The user asks {what}{of}{named}; that is no new mission. Use {with}.")
}

fn listed(lanes: &[VpId], and: &str) -> String {
    lanes.iter().map(VpId::as_str).collect::<Vec<_>>().join(and)
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
