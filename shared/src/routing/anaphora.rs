//! Clauses that speak of what was said before: "have it write a poem", "is it done?", "no wait, the other one".

use super::ControlAction;
use super::cease::ceases;
use super::clause::strip_soft;
use super::opening::directive;
use super::words::{self, LANE, has};

/// "Have it write a poem": the lane named before is to work; and whether something is passed to it.
pub(super) fn sets_it_to_work(texts: &[&str]) -> bool {
    texts.windows(3).enumerate().any(|(at, three)| {
        let pronoun = has(&["it", "him", "her", "them"], three[1]);
        let work = match three[0] {
            "have" | "let" | "make" => has(words::VERBS, three[2]),
            // "Send it here" is no gift to it.
            "give" | "pass" | "send" | "hand" | "assign" => {
                has(words::ARTICLES, three[2])
                    || matches!(three[2], "these" | "some" | "all" | "there" | "over")
            }
            _ => three[2] == "to" || three[2] == "for",
        };
        !ceases(&texts[at + 2..]) && has(words::TO_IT, three[0]) && pronoun && work && directive(&texts[..at])
    })
}

/// "CODIE is going in circles", "what the generalist is working on".
pub(super) fn says_it_works(texts: &[&str]) -> bool {
    let words = strip_soft(texts);
    let articles = words.iter().take_while(|word| has(words::ARTICLES, word)).count();
    let busy = match words[articles..] {
        [LANE, verb, ..] => {
            matches!(verb, "is" | "isn't" | "keeps" | "has" | "just") || verb.ends_with("ing")
        }
        _ => false,
    };
    busy || texts
        .iter()
        .any(|word| has(words::WORK, word) || has(&["working", "doing", "running", "on", "started"], word))
}

/// "Stop!", and nothing else.
pub(super) fn is_a_shout(texts: &[&str]) -> bool {
    texts.iter().any(|word| has(words::CANCEL, word))
        && texts
            .iter()
            .all(|word| has(words::CANCEL, word) || has(words::SOFT, word) || matches!(*word, "it" | "that"))
}

/// Something may be passed to "it" that is no lane.
pub(super) fn passes(texts: &[&str]) -> bool {
    texts.iter().any(|word| has(&["give", "pass", "send", "hand", "assign"], word))
}

/// "Kill it", "please shut it down", "is it alive?", "what's happening there?": of the lane named before.
pub(super) fn asks_after_it(texts: &[&str], asks: bool, asked: bool) -> Option<ControlAction> {
    let it = |word: &str| matches!(word, "it" | "that" | "this" | "them");
    let ends = texts.windows(2).enumerate().any(|(at, pair)| {
        let verb = has(words::CANCEL, pair[0])
            || has(&["shut", "call"], pair[0]) && matches!(texts.get(at + 2), Some(&"down" | &"off"));
        let its = matches!(pair[1], "its" | "his" | "her" | "their")
            && texts.get(at + 2).is_some_and(|word| has(words::WORK, word));
        verb && (it(pair[1]) || its) && directive(&texts[..at])
    });
    let made_to = texts.windows(2).enumerate().any(|(at, pair)| {
        let rest = &texts[at + 2..];
        has(&["make", "have", "get", "tell", "ask"], pair[0])
            && matches!(pair[1], "it" | "him" | "her" | "them")
            && ceases(rest.strip_prefix(&["to"]).unwrap_or(rest))
            && directive(&texts[..at])
    });
    if ends || made_to {
        return Some(ControlAction::Cancel);
    }
    let texts = strip_soft(texts);
    let question = texts.first().is_some_and(|first| has(words::AUX, first) || has(words::WH, first));
    let subject = |word: &&str| matches!(*word, "it" | "he" | "she" | "they" | "there" | "things");
    let stands = texts
        .iter()
        .skip(1)
        .any(|word| !subject(word) && has(words::STATUS, word) || matches!(*word, "still" | "yet"));
    let short = texts.len() <= 8 && texts.iter().skip(1).take(4).any(&subject);
    // "What did it find?", "show me its report".
    let found = asks
        && matches!(texts.first(), Some(&"what" | &"which" | &"where"))
        && texts.windows(2).any(|pair| subject(&pair[0]) && pair[0] != "there" && has(words::MADE, pair[1]));
    let owned = texts.windows(2).any(|pair| {
        matches!(pair[0], "its" | "his" | "her" | "their") && has(words::RESULTS, pair[1])
            || pair[0] == "the" && has(&["result", "results", "outcome", "output", "findings"], pair[1])
            || asked && pair[0] == "the" && has(words::RESULTS, pair[1])
    });
    let shows =
        texts.iter().enumerate().any(|(at, word)| has(words::OBTAIN, word) && directive(&texts[..at]));
    let displays =
        texts.iter().position(|word| matches!(*word, "show" | "read" | "repeat" | "paste" | "resend"));
    let bare = displays.is_some_and(|at| {
        let rest = &texts[at + 1..];
        directive(&texts[..at])
            && !rest.is_empty()
            && rest.iter().all(|word| matches!(*word, "me" | "us" | "it" | "them" | "to" | "please"))
    });
    let going =
        asks && !texts.is_empty() && texts.len() <= 3 && texts.iter().all(|word| has(words::STATUS, word));
    if going {
        return Some(ControlAction::Status);
    }
    if found || owned && shows || bare {
        return Some(ControlAction::Read);
    }
    (asks && question && short && stands).then_some(ControlAction::Status)
}

/// Takes back what was asked before, for what follows: "no wait", "scratch that", "I meant".
pub(super) fn corrects(texts: &[&str]) -> bool {
    const MARKS: &[&[&str]] = &[
        &["scratch", "that"],
        &["strike", "that"],
        &["correction"],
        &["my", "mistake"],
        &["my", "bad"],
        &["i", "meant"],
        &["i", "mean"],
        &["make", "that", LANE],
        &["make", "it", LANE],
        &["make", "that", "the", LANE],
        &["make", "it", "the", LANE],
        &["on", "second", "thought"],
        &["on", "second", "thoughts"],
        &["change", "of", "plan"],
        &["change", "of", "plans"],
        &["forget", "that"],
        &["oops"],
        &["whoops"],
        &["wait", "no"],
        &["wait", "not"],
        &["wait", "actually"],
        &["no", "not"],
        &["or", "rather"],
    ];
    const ALONE: &[&[&str]] = &[
        &["no"],
        &["nope"],
        &["wait"],
        &["hang", "on"],
        &["hold", "on"],
        &["sorry"],
        &["er"],
        &["erm"],
        &["uh"],
        &["um"],
    ];
    let (all, rest) = (texts, strip_soft(texts));
    let says = |texts: &[&str], marks: &[&[&str]]| marks.iter().any(|mark| texts.starts_with(mark));
    let alone = |texts: &[&str]| ALONE.contains(&texts);
    let wrong = matches!(rest, ["wrong", ..]) || rest.ends_with(&["wrong", "one"]);
    let replaced = matches!(all.first(), Some(&"actually" | &"no")) && all.contains(&"instead");
    says(all, MARKS) || says(rest, MARKS) || alone(all) || alone(rest) || wrong || replaced
}

/// Takes back what was asked before, and that is all.
pub(super) fn takes_back(texts: &[&str]) -> bool {
    const WORDS: &[&[&str]] = &[
        &["never", "mind"],
        &["nevermind"],
        &["nvm"],
        &["scratch", "that"],
        &["strike", "that"],
        &["forget", "it"],
        &["forget", "that"],
        &["disregard"],
        &["disregard", "that"],
        &["ignore", "that"],
        &["cancel", "that"],
        &["don't"],
        &["don't", "bother"],
        &["don't", "do", "it"],
        &["don't", "do", "that"],
        &["i'll", "do", "it", "myself"],
        &["forget", "i", "asked"],
        &["forget", "i", "said", "anything"],
    ];
    texts == ["actually", "no"] || WORDS.contains(&strip_soft(texts))
}

/// Nothing but a lane, behind what takes back the one before: "no wait, the generalist".
pub(super) fn only_a_lane(texts: &[&str]) -> bool {
    const AROUND: &[&str] = &[
        "i",
        "mean",
        "meant",
        "make",
        "that",
        "it",
        "wait",
        "no",
        "correction",
        "oops",
        "sorry",
        "for",
        "this",
        "one",
        "to",
        "with",
        "use",
        "is",
        "said",
        "should",
        "can",
        "must",
        "after",
    ];
    let lanes = texts.iter().filter(|word| **word == LANE).count();
    lanes == 1
        && texts.iter().all(|word| {
            *word == LANE || has(AROUND, word) || has(words::SOFT, word) || has(words::ARTICLES, word)
        })
}
