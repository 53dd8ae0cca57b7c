//! Work is shared out: "new plan: CODIE builds the widget", "charts to CODIE, narrative to the generalist".

use super::clause::{Clause, strip_soft};
use super::frame::{Act, Around, Place};
use super::give;
use super::text::Kind;
use super::words::{self, LANE, has};

/// What a lane gets where it is said who does what.
pub(super) fn asked(place: &Place<'_>, around: &Around<'_>) -> Option<Act> {
    let before = &place.clauses[..place.clause];
    let colon = before.iter().position(|clause| clause.after == Some(Kind::Colon));
    let header: Vec<&str> =
        before.iter().take(colon.map_or(0, |at| at + 1)).flat_map(Clause::texts).collect();
    let starts = place.then.first().is_some_and(|then| goes_ahead(then));
    let shared = shares(place);
    let gets = does(around) && (decides(&header) || starts && shared > 1)
        || on_it(place)
            && (shared > 1 || decides(&header) || !header.is_empty() && strip_soft(&header).is_empty())
        || gets(around) && (decides(&header) || gives(&header));
    (!around.asks && (gets || parcelled(place, &header))).then_some(Act::Delegate)
}

/// "New plan:", "I've decided:"; not somebody else's, and not one of the past.
fn decides(header: &[&str]) -> bool {
    const HEADS: &[&str] = &[
        "plan",
        "decided",
        "decision",
        "split",
        "assignment",
        "assignments",
        "division",
        "verdict",
        "settled",
        "breakdown",
        "missions",
        "jobs",
    ];
    const OTHERS: &[&str] = &[
        "their", "his", "her", "old", "previous", "original", "said", "says", "docs", "was", "last", "if",
        "would", "they", "he", "she", "who", "what", "not", "no", "example", "reads", "states",
    ];
    header.iter().any(|word| has(HEADS, word)) && !header.iter().any(|word| has(OTHERS, word))
}

/// "Split it up:", "get the VPs going:".
fn gives(header: &[&str]) -> bool {
    give::requests_work(header)
        || strip_soft(header).first().is_some_and(|first| has(words::CAUSE, first) || *first == "split")
}

/// "Start now.", "Go."
fn goes_ahead(then: &[&str]) -> bool {
    let then = strip_soft(then);
    then.len() <= 3
        && then.first().is_some_and(|first| matches!(*first, "start" | "go" | "begin" | "proceed"))
}

/// How many clauses begin with a lane.
fn shares(place: &Place<'_>) -> usize {
    let starts = |clause: &&Clause<'_>| {
        strip_soft(&clause.texts()).iter().find(|word| !has(words::ARTICLES, word)) == Some(&LANE)
    };
    place.clauses.iter().filter(starts).count()
}

/// "CODIE on the frontend".
fn on_it(place: &Place<'_>) -> bool {
    let texts = place.clauses[place.clause].texts();
    let rest: Vec<&&str> = texts.iter().filter(|word| !has(words::ARTICLES, word)).collect();
    let soft: Vec<&str> = texts.iter().filter(|word| !has(words::SOFT, word)).copied().collect();
    soft == [LANE, "on", "it"]
        || soft == [LANE, "on", "this"] && !place.asks
        || matches!(rest[..], [&LANE, &"on", thing] | [&LANE, &"on", thing, _] if !matches!(*thing, "hand" | "side" | "contrary"))
}

/// Nothing before the lane but one named with it: its clause begins here.
fn begins(around: &Around<'_>) -> bool {
    let pre = strip_soft(&around.pre);
    pre.is_empty() || pre.contains(&LANE) && matches!(around.before(), "and" | "while" | "plus" | "then")
}

/// "CODIE builds the scraper".
fn does(around: &Around<'_>) -> bool {
    let verb = around.behind();
    begins(around) && words::third_person(verb).is_some() && around.post.len() > 1 && !around.possessive
}

/// "CODIE the app, the generalist the script".
fn gets(around: &Around<'_>) -> bool {
    begins(around) && has(&["the", "this", "that", "my", "our"], around.behind()) && around.post.len() <= 5
}

/// "Charts to CODIE": one of two such, or behind what says that work is given.
fn parcelled(place: &Place<'_>, header: &[&str]) -> bool {
    let parcel = |clause: &Clause<'_>| {
        let texts = clause.texts();
        let [thing @ .., "to" | "for", LANE] = &texts[..] else {
            let [thing @ .., "to" | "for", "the", LANE] = &texts[..] else { return false };
            return is_thing(thing);
        };
        is_thing(thing)
    };
    let clauses = place.clauses.iter().filter(|clause| parcel(clause)).count();
    parcel(&place.clauses[place.clause])
        && (clauses > 1 && clauses == place.clauses.len() || gives(header) || decides(header))
}

/// A thing without a verb or a subject.
pub(super) fn is_thing(words: &[&str]) -> bool {
    let words = strip_soft(words);
    let other = [words::AUX, words::WH, words::MODAL, words::NOT, words::OTHERS, words::TELLING, words::MADE];
    (1..=5).contains(&words.len())
        && !words
            .iter()
            .any(|word| other.iter().any(|list| has(list, word)) || matches!(*word, "i" | "we" | "you"))
}
