//! Strict explicit routing: whether the user's own words delegate to a lane, ask about one, or neither.
//!
//! Decided once, on the words as they were written, before any template; carried on as data. Rules, not a model: the
//! same words always get the same answer. English. A lane that is only named, quoted, told about or refused is no
//! request; where the rules are not sure that work is asked for, nothing is.

mod clause;
mod delegate;
mod frame;
mod masks;
mod names;
mod question;
pub mod table;
mod text;
#[rustfmt::skip]
mod words;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{MissionId, VpId};
use crate::lane::Lanes;
use clause::{Clause, clauses, directive, strip_soft};
use frame::{Act, Place, REACH, act};
use names::{Mention, Names, Whom};
use text::{Kind, Sentence, Token, sentences, tokens};
use words::has;

/// The most that is looked at, in bytes; what is behind it decides nothing.
pub const MAX_ROUTED_BYTES: usize = 64 * 1024;

/// What the words want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Work for the lanes that are named.
    Delegate,
    /// Something of a mission that exists.
    Control,
    /// Work for a lane, and not which: to be asked back.
    Ambiguous,
    /// Neither.
    None,
}

/// What is wanted of a mission that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ControlAction {
    /// Stop it.
    Cancel,
    /// Show what came of it.
    Read,
    /// Say how it stands.
    Status,
}

/// Work for one lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutedMission {
    /// The lane.
    pub vp_id: VpId,
    /// The sentence that asks, as it was written.
    pub words: String,
}

/// Words that led to the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Because {
    /// They, as they were written.
    pub words: String,
    /// What they were taken for.
    pub means: String,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// What the words want.
    pub decision: Intent,
    /// The lanes meant, in the order of the words; for an ambiguous request those that may be meant.
    pub vp_ids: Vec<VpId>,
    /// What is wanted of a mission that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ControlAction>,
    /// The mission that the words name, as they name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mission: Option<String>,
    /// The work that is delegated, one for each lane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missions: Vec<RoutedMission>,
    /// What led to it; empty when no lane is named.
    pub because: Vec<Because>,
}

/// Decides, with the names of these lanes.
pub fn route(text: &str, lanes: &Lanes) -> Route {
    Router::new(lanes).route(text)
}

/// The policy, with the lanes' names learned.
#[derive(Debug, Clone)]
pub struct Router {
    names: Names,
}

impl Router {
    /// Learns the lanes' names: id, display name and aliases, and the forms that follow from them.
    pub fn new(lanes: &Lanes) -> Self {
        Self { names: Names::new(lanes) }
    }

    /// Decides.
    pub fn route(&self, text: &str) -> Route {
        let text = &text[..text.floor_char_boundary(MAX_ROUTED_BYTES)];
        let starts =
            |word: &str| has(words::VERBS, word) || has(words::CAUSE, word) || has(words::SOFT, word);
        let mut tokens = tokens(text, &|name| self.names.is_name(name), &starts);
        self.names.mend(&mut tokens);
        words::mend(&mut tokens);
        let mentions = self.names.find(&tokens);
        let mut findings = Findings { text, names: &self.names, found: Vec::new(), mission: None };
        let sentences: Vec<(Sentence, Vec<Clause<'_>>)> = sentences(&tokens)
            .into_iter()
            .map(|sentence| (clauses(&tokens, &sentence, &mentions), sentence))
            .map(|(clauses, sentence)| (sentence, clauses))
            .collect();
        let openings: Vec<Vec<&str>> = sentences
            .iter()
            .map(|(_, clauses)| clauses.first().map(Clause::texts).unwrap_or_default())
            .collect();
        for (index, (sentence, clauses)) in sentences.iter().enumerate() {
            let then = &openings[index + 1..openings.len().min(index + 4)];
            findings.read(&tokens, sentence, clauses, then, &mentions);
        }
        findings.decide()
    }
}

/// One mention, and what is meant by it.
struct Finding {
    whom: Whom,
    act: Act,
    sentence: Range<usize>,
    words: Range<usize>,
}

struct Findings<'a> {
    text: &'a str,
    names: &'a Names,
    found: Vec<Finding>,
    mission: Option<String>,
}

impl Findings<'_> {
    fn read(
        &mut self,
        tokens: &[Token],
        sentence: &Sentence,
        clauses: &[Clause<'_>],
        then: &[Vec<&str>],
        mentions: &[Mention],
    ) {
        let whole = span(tokens, sentence.tokens.clone());
        let conditional = is_conditional(clauses);
        let head: Vec<&str> = clauses.first().map(Clause::texts).unwrap_or_default();
        let head = strip_soft(&head);
        let instructs = sentence.asks
            && matches!(head, ["how", "do" | "to" | "should" | "can" | "does" | "would" | "could", next, ..] if *next != "you");
        let mission = named_mission(tokens, sentence);
        let mut earlier = None;
        let before = self.found.len();
        for (index, clause) in clauses.iter().enumerate() {
            let Some(range) = clause_span(tokens, clause, mentions) else { continue };
            self.pronoun(clause, &whole, &range);
            for (word, mentioned) in clause.words.iter().enumerate() {
                let Some(mention) = mentioned.mention.map(|at| &mentions[at]) else { continue };
                let place = Place { clauses, clause: index, word, mention, asks: sentence.asks, then };
                let act = act(&place, earlier);
                earlier = Some(act);
                let act = if instructs && act == Act::Delegate {
                    Act::Named("asks how to")
                } else if conditional && act == Act::Delegate {
                    Act::Named("only under a condition")
                } else {
                    act
                };
                let (whom, sentence, words) = (mention.whom.clone(), whole.clone(), range.clone());
                self.found.push(Finding { whom, act, sentence, words });
            }
        }
        let spoken_of =
            self.found.last().is_some_and(|last| matches!(last.act, Act::Named(_) | Act::Control(_)));
        if self.found.len() == before
            && let Some(action) = about_missions(tokens, sentence, mission.is_some(), spoken_of)
        {
            let act = Act::Control(action);
            self.found.push(Finding { whom: Whom::All, act, sentence: whole.clone(), words: whole });
        }
        if self.found[before..].iter().any(|finding| matches!(finding.act, Act::Control(_))) {
            self.mission = self.mission.take().or(mission);
        }
    }

    /// "If the General VP is free, have it write a poem": the lane named before.
    fn pronoun(&mut self, clause: &Clause<'_>, sentence: &Range<usize>, words: &Range<usize>) {
        let texts = clause.texts();
        let asked = texts.windows(3).enumerate().any(|(at, three)| {
            let verb = has(words::TO_IT, three[0]);
            let pronoun = has(&["it", "him", "her", "them"], three[1]);
            let work = match three[0] {
                "have" | "let" | "make" => has(words::VERBS, three[2]),
                "give" | "pass" | "send" | "hand" | "assign" => !has(words::NO_WORK, three[2]),
                _ => three[2] == "to" || three[2] == "for",
            };
            verb && pronoun && work && directive(&texts[..at])
        });
        let Some(last) = self.found.last() else { return };
        let asked = asked && clause.words.iter().all(|word| word.mention.is_none());
        let passes = texts.iter().any(|word| has(&["give", "pass", "send", "hand", "assign"], word));
        if passes && last.sentence != *sentence {
            return;
        }
        let open = matches!(last.act, Act::Named(_) | Act::Control(ControlAction::Status));
        if asked && open && matches!(last.whom, Whom::Lane(_)) {
            let whom = last.whom.clone();
            self.found.push(Finding {
                whom,
                act: Act::Delegate,
                sentence: sentence.clone(),
                words: words.clone(),
            });
        }
    }

    fn decide(self) -> Route {
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

/// The text of these tokens.
fn span(tokens: &[Token], range: Range<usize>) -> Range<usize> {
    let tokens = &tokens[range];
    let start = tokens.first().map_or(0, |token| token.at.start);
    start..tokens.last().map_or(start, |token| token.at.end)
}

fn clause_span(tokens: &[Token], clause: &Clause<'_>, mentions: &[Mention]) -> Option<Range<usize>> {
    let (first, last) = (clause.words.first()?, clause.words.last()?);
    let end = last.mention.map_or(last.token + 1, |at| mentions[at].at.end);
    Some(span(tokens, first.token..end))
}

/// "If the tests fail, have CODIE mend them": what is to be found out first is not ours to know. A condition on a lane
/// itself, or a polite one, is none.
fn is_conditional(clauses: &[Clause<'_>]) -> bool {
    let Some(first) = clauses.first() else { return false };
    let texts = first.texts();
    let head = strip_soft(&texts);
    let begins = matches!(head.first().copied(), Some("if" | "unless")) || head.starts_with(&["in", "case"]);
    let polite = head.get(1).is_some_and(|word| has(words::POLITE_IF, word)) && head.len() <= 6;
    begins && !polite && clauses.len() > 1 && first.words.iter().all(|word| word.mention.is_none())
}

/// A mission by its id, or by a number behind the word.
fn named_mission(tokens: &[Token], sentence: &Sentence) -> Option<String> {
    let words = &tokens[sentence.tokens.clone()];
    let is_id = |at: usize| {
        let token = &words[at];
        let joined = match words.get(at + 1..at + 3) {
            Some([hyphen, rest]) if token.text == "m" && hyphen.kind == Kind::Hyphen => {
                format!("m-{}", rest.text)
            }
            _ => token.text.clone(),
        };
        MissionId::new(&joined).is_ok().then_some(joined)
    };
    (0..words.len()).find_map(is_id).or_else(|| {
        let numbered = words.windows(2).find(|pair| {
            has(words::WORK, &pair[0].text) && pair[1].text.starts_with(|c: char| c.is_ascii_digit())
        });
        numbered.map(|pair| pair[1].text.clone())
    })
}

/// A sentence about missions in which no lane is named: "cancel mission m-...", "show me the result of the last
/// mission"; or about what came of the lane that was spoken of.
fn about_missions(
    tokens: &[Token],
    sentence: &Sentence,
    named: bool,
    spoken_of: bool,
) -> Option<ControlAction> {
    let texts: Vec<&str> = tokens[sentence.tokens.clone()]
        .iter()
        .filter(|token| token.kind == Kind::Word)
        .map(|token| token.text.as_str())
        .take(REACH)
        .collect();
    let about = named || speaks_of_missions(&texts);
    let results = texts.iter().any(|word| has(words::RESULTS, word));
    let stops_it = spoken_of
        && texts.iter().enumerate().any(|(at, word)| {
            let it = texts.get(at + 1).is_some_and(|next| matches!(*next, "it" | "that" | "this" | "them"));
            has(words::CANCEL, word) && it && directive(&texts[..at])
        });
    if stops_it {
        return Some(ControlAction::Cancel);
    }
    if !(about || spoken_of && results) {
        return None;
    }
    for (at, word) in texts.iter().enumerate() {
        if !directive(&texts[..at]) {
            continue;
        }
        if about && has(words::CANCEL, word) {
            return Some(ControlAction::Cancel);
        }
        if has(words::OBTAIN, word) && texts[at..].iter().any(|word| has(words::RESULTS, word)) {
            return Some(ControlAction::Read);
        }
        let asked =
            texts[at + 1..].iter().any(|word| has(words::STATUS, word) || *word == "on" || *word == "my");
        if about && has(words::INSPECT, word) && (named || asked) {
            return Some(ControlAction::Status);
        }
    }
    let first = strip_soft(&texts).first().copied().unwrap_or_default();
    let question =
        has(words::WH, first) || has(words::AUX, first) || has(words::STATUS, first) || first == "any";
    let made = texts.iter().any(|word| has(words::RESULTS, word) || has(words::MADE, word));
    let state =
        named || texts.iter().any(|word| has(words::STATUS, word) && *word != "missions") || first == "which";
    match (question && about, made && matches!(first, "what" | "where" | "which"), state) {
        (true, true, _) => Some(ControlAction::Read),
        (true, false, true) => Some(ControlAction::Status),
        _ => None,
    }
}

/// Missions of ours: "the mission", "all missions"; not a company's mission, and no mission statement.
fn speaks_of_missions(texts: &[&str]) -> bool {
    texts.iter().enumerate().any(|(at, word)| {
        let before = at.checked_sub(1).map_or("", |index| texts[index]);
        let next = texts.get(at + 1).copied().unwrap_or_default();
        let ours = has(words::OURS, before);
        let other = matches!(next, "statement" | "control" | "impossible" | "critical" | "statements");
        match *word {
            "missions" => (ours || before.is_empty() || has(words::VERBS, before)) && !other,
            "mission" => ours && before != "of" && !other,
            _ => false,
        }
    })
}
