//! Strict explicit routing: whether the user's own words delegate to a lane, ask about one, or neither.
//!
//! Decided once, on the words as they were written, before any template; carried on as data. Rules, not a model: the
//! same words always get the same answer. English. A lane that is only named, quoted, told about or refused is no
//! request; where the rules are not sure that work is asked for, nothing is.

mod address;
mod anaphora;
mod cancel;
mod cease;
mod clause;
mod control;
mod delegate;
mod engage;
mod findings;
mod frame;
mod give;
mod hedge;
mod masks;
mod missions;
mod names;
mod opening;
mod plan;
mod question;
pub mod table;
mod text;
#[cfg(test)]
mod work;
#[rustfmt::skip]
mod words;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::VpId;
use crate::lane::Lanes;
use clause::{Clause, clauses};
use findings::Findings;
use names::{Mention, Names};
use text::{Sentence, Token, sentences, tokens};
use words::has;

/// The most that is looked at, in bytes; what is behind it decides nothing.
pub const MAX_ROUTED_BYTES: usize = 64 * 1024;

/// A sentence of more words and marks asks for nothing: nobody speaks so, and its reading takes the square of it.
const MAX_SENTENCE_TOKENS: usize = 600;

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
        let mut findings = Findings::new(text, &self.names);
        let sentences: Vec<(Sentence, Vec<Clause<'_>>)> = sentences(&tokens)
            .into_iter()
            .filter(|sentence| sentence.tokens.len() <= MAX_SENTENCE_TOKENS)
            .map(|sentence| (clauses(&tokens, &sentence, within(&mentions, &sentence)), sentence))
            .map(|(clauses, sentence)| (sentence, clauses))
            .collect();
        let openings: Vec<Vec<&str>> = sentences
            .iter()
            .map(|(_, clauses)| clauses.first().map(Clause::texts).unwrap_or_default())
            .collect();
        for (index, (sentence, clauses)) in sentences.iter().enumerate() {
            let then = &openings[index + 1..openings.len().min(index + 6)];
            findings.read(&tokens, sentence, clauses, then, within(&mentions, sentence));
        }
        findings.decide()
    }
}

/// The mentions of a sentence.
fn within<'a>(mentions: &'a [Mention], sentence: &Sentence) -> &'a [Mention] {
    let from = mentions.partition_point(|mention| mention.at.start < sentence.tokens.start);
    let to = mentions.partition_point(|mention| mention.at.start < sentence.tokens.end);
    &mentions[from..to]
}

/// The text of these tokens.
fn span(tokens: &[Token], range: Range<usize>) -> Range<usize> {
    let tokens = &tokens[range];
    let start = tokens.first().map_or(0, |token| token.at.start);
    start..tokens.last().map_or(start, |token| token.at.end)
}
