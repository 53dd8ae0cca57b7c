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
    (!around.asks
        && (gets
            || left_to_us(place)
            || elected(place)
            || takes(place, around)
            || pointed(place)
            || parcelled(place, &header)))
    .then_some(Act::Delegate)
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
        || matches!(rest[..], [&LANE, &"on" | &"for", thing] | [&LANE, &"on" | &"for", thing, _] if !matches!(*thing, "hand" | "side" | "contrary"))
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
        let soft = texts.iter().rev().take_while(|word| has(words::SOFT, word)).count();
        let texts = &texts[..texts.len() - soft];
        let [thing @ .., "to" | "for", LANE] = texts else {
            let [thing @ .., "to" | "for", "the", LANE] = texts else { return false };
            return is_thing(thing);
        };
        is_thing(thing)
    };
    let clauses = place.clauses.iter().filter(|clause| parcel(clause)).count();
    let aside = |clause: &&Clause<'_>| {
        clause.words.iter().all(|word| has(words::SOFT, word.text) || word.text == "go")
    };
    let asides = place.clauses.iter().filter(aside).count();
    parcel(&place.clauses[place.clause])
        && (clauses > 1 && clauses + asides == place.clauses.len() || gives(header) || decides(header))
}

/// "CODIE it is", "CODIE instead", "this one to CODIE", "with CODIE please": chosen, with what was said before.
fn elected(place: &Place<'_>) -> bool {
    let soft = |clause: &Clause<'_>| clause.words.iter().all(|word| has(words::SOFT, word.text));
    let (clause, texts) = (&place.clauses[place.clause], place.clauses[place.clause].texts());
    let alone = place.clauses.iter().enumerate().all(|(at, other)| at == place.clause || soft(other));
    let rest: Vec<&str> =
        texts.iter().filter(|word| !has(words::SOFT, word) && **word != "the").copied().collect();
    let says = |list: &[&str]| texts.iter().any(|word| has(list, word));
    let chosen = match rest[..] {
        [LANE] => says(&["then", "instead", "rather"]) || says(&["please", "pls", "plz"]),
        [LANE, "it", "is"]
        | [LANE, "this", "time"]
        | [LANE, "for", "this" | "that" | "it"]
        | [LANE, "for", "this" | "that", "one"] => true,
        ["with" | "via" | "through" | "by", LANE] => says(&["please", "pls", "plz"]),
        [ref thing @ .., "to" | "for", LANE] => {
            !thing.is_empty()
                && thing.iter().all(|word| {
                    has(
                        &["this", "that", "these", "those", "other", "one", "ones", "rest", "next", "same"],
                        word,
                    )
                })
        }
        _ => false,
    };
    alone && chosen && clause.words.iter().filter(|word| word.mention.is_some()).count() == 1
}

/// "CODIE or the generalist, you pick: ...".
fn left_to_us(place: &Place<'_>) -> bool {
    let mut lanes = place.clauses[place.clause].texts();
    lanes.retain(|word| !has(words::SOFT, word) && !has(words::ARTICLES, word) || *word == "or");
    let then = place.clauses.get(place.clause + 1).map(Clause::texts).unwrap_or_default();
    lanes.starts_with(&[LANE, "or", LANE])
        && lanes.len() == 3
        && matches!(
            then[..],
            ["you", "pick" | "choose" | "decide", ..] | ["your", "choice" | "call" | "pick", ..]
        )
}

/// "CODIE takes the API and the generalist takes the docs".
fn takes(place: &Place<'_>, around: &Around<'_>) -> bool {
    let takes = |three: &[&str]| matches!(three, [LANE, "takes" | "gets", thing] if matches!(*thing, "the" | "this" | "that" | "these" | "my" | "our" | "all"));
    let all: Vec<&str> = place.clauses.iter().flat_map(Clause::texts).collect();
    let count = all.windows(3).filter(|three| takes(three)).count();
    count > 1 && matches!(around.behind(), "takes" | "gets") && begins(around)
}

/// "Backend -> CODIE, docs -> generalist".
fn pointed(place: &Place<'_>) -> bool {
    let points = |pair: &&[Clause<'_>]| {
        pair[0].after == Some(Kind::Dash)
            && is_thing(&pair[0].texts())
            && pair[1].words.len() == 1
            && pair[1].words[0].mention.is_some()
    };
    let count = place.clauses.windows(2).filter(points).count();
    count > 1 && count * 2 == place.clauses.len()
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
