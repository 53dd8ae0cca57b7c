//! Sentences about missions in which no lane is named.

use super::ControlAction;
use super::clause::strip_soft;
use super::frame::REACH;
use super::opening::directive;
use super::text::{Kind, Sentence, Token};
use super::words::{self, has};
use crate::ids::MissionId;

/// A mission by its id, or by a number behind the word.
pub(super) fn named_mission(tokens: &[Token], sentence: &Sentence) -> Option<String> {
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
pub(super) fn about_missions(
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
