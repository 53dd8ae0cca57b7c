//! What was found in the sentences of a text, and the decision that comes of it.

use std::ops::Range;

use super::anaphora::{
    asks_after_it, corrects, is_a_shout, only_a_lane, passes, says_it_works, sets_it_to_work, takes_back,
};
use super::clause::Clause;
use super::frame::{Act, Place, act};
use super::hedge::{condition_from, hedged, text_from};
use super::missions::{about_missions, named_mission};
use super::names::{Mention, Names, Whom};
use super::text::{Sentence, Token};
use super::words::has;
use super::{Because, ControlAction, Intent, Route, RoutedMission, span};
use crate::ids::VpId;

/// One mention, and what is meant by it.
struct Finding {
    whom: Whom,
    act: Act,
    /// It is said to be working.
    at_work: bool,
    sentence: Range<usize>,
    words: Range<usize>,
}

/// All mentions so far.
pub(super) struct Findings<'a> {
    text: &'a str,
    names: &'a Names,
    found: Vec<Finding>,
    mission: Option<String>,
    /// What was found before this is taken back by what follows.
    mark: Option<usize>,
    /// Everything found before this has been taken back already.
    taken: usize,
    /// The end of a text that is spoken of.
    text_until: usize,
    /// "Stop!" was the sentence before.
    shouted: bool,
}

impl<'a> Findings<'a> {
    pub(super) fn new(text: &'a str, names: &'a Names) -> Self {
        Self {
            text,
            names,
            found: Vec::new(),
            mission: None,
            mark: None,
            taken: 0,
            text_until: 0,
            shouted: false,
        }
    }

    pub(super) fn read(
        &mut self,
        tokens: &[Token],
        sentence: &Sentence,
        clauses: &[Clause<'_>],
        then: &[Vec<&str>],
        mentions: &[Mention],
    ) {
        let whole = span(tokens, sentence.tokens.clone());
        let hedge = hedged(clauses, sentence.asks, then);
        let condition = condition_from(clauses).filter(|_| !sentence.asks);
        let in_text = whole.start < self.text_until;
        let text_from = if in_text { Some(0) } else { text_from(clauses) };
        if text_from.is_some() && !in_text {
            self.text_until =
                self.text[whole.start..].find('\n').map_or(self.text.len(), |at| whole.start + at);
        }
        let mission = named_mission(tokens, sentence);
        let mut earlier = None;
        let before = self.found.len();
        for (index, clause) in clauses.iter().enumerate() {
            let Some(range) = clause_span(tokens, clause, mentions) else { continue };
            self.pronoun(clause, sentence.asks, &whole, &range);
            let texts = clause.texts();
            if takes_back(&texts) {
                self.take_back(self.found.len());
            } else if corrects(&texts) {
                self.mark = Some(self.found.len());
            }
            let at_work = says_it_works(&texts);
            for (word, mentioned) in clause.words.iter().enumerate() {
                let Some(mention) = mentioned.mention.map(|at| &mentions[at]) else { continue };
                let place = Place { clauses, clause: index, word, mention, asks: sentence.asks, then };
                let act = act(&place, earlier);
                earlier = Some(act);
                let act = match (act, hedge) {
                    _ if text_from.is_some_and(|from| index >= from) => {
                        Act::Named("in a text that is spoken of")
                    }
                    (Act::Delegate, Some(why)) => Act::Named(why),
                    (Act::Delegate, _) if condition.is_some_and(|at| index > at) => {
                        Act::Named("only under a condition")
                    }
                    (Act::Named(_), _) if self.shouted && at_work => Act::Control(ControlAction::Cancel),
                    _ => act,
                };
                let act = self.mark.map_or(act, |mark| self.corrected(mark, clause, mention, act));
                let (whom, sentence, words) = (mention.whom.clone(), whole.clone(), range.clone());
                self.found.push(Finding { whom, act, at_work, sentence, words });
            }
        }
        // "Scratch that." is of the next sentence, "oops, a typo in the name" is not.
        if self.found.len() > before || sentence.tokens.len() > 5 {
            self.mark = None;
        }
        let spoken_of =
            self.found.last().is_some_and(|last| matches!(last.act, Act::Named(_) | Act::Control(_)));
        if self.found.len() == before
            && let Some(action) = about_missions(tokens, sentence, mission.is_some(), spoken_of)
        {
            let act = Act::Control(action);
            let many = tokens[sentence.tokens.clone()]
                .iter()
                .any(|token| has(&["all", "every", "both", "missions"], &token.text));
            // "Kill that mission": of the lane that was spoken of.
            let lane = self.found.last().filter(|_| spoken_of && mission.is_none() && !many);
            let (whom, at_work) = (lane.map_or(Whom::All, |last| last.whom.clone()), false);
            self.found.push(Finding { whom, act, at_work, sentence: whole.clone(), words: whole });
        }
        self.shouted = clauses.iter().all(|clause| is_a_shout(&clause.texts()));
        if self.found[before..].iter().any(|finding| matches!(finding.act, Act::Control(_))) {
            self.mission = self.mission.take().or(mission);
        }
    }

    /// "If the General VP is free, have it write a poem": the lane named before.
    fn pronoun(&mut self, clause: &Clause<'_>, asks: bool, sentence: &Range<usize>, words: &Range<usize>) {
        let texts = clause.texts();
        let Some(last) = self.found.last() else { return };
        if clause.words.iter().any(|word| word.mention.is_some()) || !matches!(last.whom, Whom::Lane(_)) {
            return;
        }
        let same = last.sentence == *sentence;
        let act = if sets_it_to_work(&texts) {
            let open = matches!(last.act, Act::Named(_) | Act::Control(ControlAction::Status));
            (open && (same || !passes(&texts))).then_some(Act::Delegate)
        } else {
            asks_after_it(&texts, asks, matches!(last.act, Act::Control(_))).map(Act::Control).filter(|act| {
                match act {
                    Act::Control(ControlAction::Cancel) => {
                        same && (last.at_work || matches!(last.act, Act::Control(_)))
                    }
                    _ => {
                        matches!(last.act, Act::Named(_) | Act::Refused | Act::Control(ControlAction::Status))
                    }
                }
            })
        };
        if let Some(act) = act {
            let (whom, at_work) = (last.whom.clone(), last.at_work);
            let (sentence, words) = (sentence.clone(), words.clone());
            self.found.push(Finding { whom, act, at_work, sentence, words });
        }
    }

    /// "Ask CODIE to ... no wait, the generalist": what was asked before is taken back, and may be asked of this one.
    fn corrected(&mut self, mark: usize, clause: &Clause<'_>, mention: &Mention, act: Act) -> Act {
        let asked = |finding: &Finding| matches!(finding.act, Act::Delegate | Act::Control(_));
        let mark = mark.max(self.taken);
        let Some(last) = self.found[self.taken..mark].iter().rev().find(|finding| asked(finding)) else {
            return act;
        };
        let act = match act {
            Act::Named(_) if only_a_lane(&clause.texts()) => last.act,
            act => act,
        };
        let another = self.found[self.taken..mark].iter().any(|finding| finding.whom != mention.whom);
        if matches!(act, Act::Delegate | Act::Control(_)) && another {
            self.take_back(mark);
        }
        act
    }

    fn take_back(&mut self, mark: usize) {
        let mark = mark.max(self.taken);
        for finding in &mut self.found[self.taken..mark] {
            if finding.act == Act::Delegate || matches!(finding.act, Act::Control(_)) {
                finding.act = Act::Named("is taken back");
            }
        }
        self.taken = mark;
    }

    /// What all of it comes to.
    pub(super) fn decide(self) -> Route {
        let because = self.found.iter().map(|finding| self.because(finding)).collect();
        let missions = self.missions();
        let mut controls: Vec<(ControlAction, &Finding)> = Vec::new();
        for finding in &self.found {
            if let Act::Control(action) = finding.act {
                controls.push((action, finding));
            }
        }
        // Who asks for several things wants the one that does most.
        controls.sort_by_key(|(action, _)| *action);
        let mut route = Route {
            decision: Intent::None,
            vp_ids: Vec::new(),
            action: None,
            mission: None,
            missions: Vec::new(),
            because,
        };
        if let Some(which) = self.either(&missions) {
            route.decision = Intent::Ambiguous;
            route.vp_ids = which;
        } else if !missions.is_empty() {
            route.decision = Intent::Delegate;
            route.vp_ids = missions.iter().map(|mission| mission.vp_id.clone()).collect();
            route.missions = missions;
        } else if let Some((action, _)) = controls.first().copied() {
            route.decision = Intent::Control;
            route.action = Some(action);
            for (_, finding) in controls {
                let named = match &finding.whom {
                    Whom::Lane(lane) => std::slice::from_ref(lane),
                    Whom::OneOf(lanes) => lanes,
                    Whom::Someone | Whom::All => &[],
                };
                let fresh: Vec<_> =
                    named.iter().filter(|lane| !route.vp_ids.contains(lane)).cloned().collect();
                route.vp_ids.extend(fresh);
            }
            route.mission = self.mission;
        }
        route
    }

    /// The work asked for, one mission a lane. A lane that is refused in a later breath gets none.
    fn missions(&self) -> Vec<RoutedMission> {
        let mut missions: Vec<RoutedMission> = Vec::new();
        for finding in &self.found {
            let lanes: &[VpId] = match (&finding.whom, finding.act) {
                (Whom::Lane(lane), Act::Delegate) => std::slice::from_ref(lane),
                (Whom::All, Act::Delegate) => &self.names.lanes,
                (Whom::Lane(lane), Act::Refused) => {
                    missions.retain(|mission| mission.vp_id != *lane);
                    continue;
                }
                _ => continue,
            };
            for lane in lanes {
                if missions.iter().all(|mission| mission.vp_id != *lane) {
                    let words = self.text[finding.sentence.clone()].to_owned();
                    missions.push(RoutedMission { vp_id: lane.clone(), words });
                }
            }
        }
        missions
    }

    /// The lanes that may be meant, when work is asked for and not of whom.
    fn either(&self, missions: &[RoutedMission]) -> Option<Vec<VpId>> {
        let or = self.found.iter().position(|finding| finding.act == Act::Either);
        if let Some(or) = or {
            let named = self.found[..=or].iter().rev().take(2).rev();
            let lanes = named.filter_map(|finding| match &finding.whom {
                Whom::Lane(lane) => Some(lane.clone()),
                _ => None,
            });
            return Some(lanes.collect());
        }
        let unclear = self.found.iter().find(|finding| {
            matches!(finding.whom, Whom::Someone | Whom::OneOf(_)) && finding.act == Act::Delegate
        })?;
        if !missions.is_empty() {
            return None;
        }
        match &unclear.whom {
            Whom::OneOf(lanes) => Some(lanes.clone()),
            _ => Some(self.names.lanes.clone()),
        }
    }

    fn because(&self, finding: &Finding) -> Because {
        let means = match (finding.act, &finding.whom) {
            (Act::Delegate, Whom::Someone) => "asks for work, of a lane that is not named",
            (Act::Delegate, Whom::OneOf(_)) => "asks for work, of a name that several lanes have",
            (Act::Delegate, _) => "asks the lane for work",
            (Act::Either, _) => "asks one lane or another",
            (Act::Control(ControlAction::Cancel), _) => "asks to stop its work",
            (Act::Control(ControlAction::Status), _) => "asks how its work stands",
            (Act::Control(ControlAction::Read), _) => "asks for what came of its work",
            (Act::Refused, _) => "does not want the lane",
            (Act::Named(why), _) => why,
        };
        Because { words: self.text[finding.words.clone()].to_owned(), means: means.to_owned() }
    }
}

fn clause_span(tokens: &[Token], clause: &Clause<'_>, mentions: &[Mention]) -> Option<Range<usize>> {
    let (first, last) = (clause.words.first()?, clause.words.last()?);
    let end = last.mention.map_or(last.token + 1, |at| mentions[at].at.end);
    Some(span(tokens, first.token..end))
}
