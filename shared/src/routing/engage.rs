//! A lane is brought in: "rope CODIE in to fix it", "with CODIE's help, fix it", "get the generalist's take on this".

use super::cease::ceases;
use super::clause::{Clause, strip_soft};
use super::frame::{Act, Around, Place};
use super::give::{by_means, passive, requests_work};
use super::names::Whom;
use super::opening::directive;
use super::plan::is_thing;
use super::text::Kind;
use super::words::{self, has};

/// Bring somebody in, or set him aside for something.
const RECRUIT: &[&str] = &[
    "leave",
    "bring",
    "loop",
    "book",
    "schedule",
    "line",
    "arrange",
    "draft",
    "nominate",
    "volunteer",
    "earmark",
    "reserve",
    "tag",
    "slate",
    "hit",
    "put",
    "pencil",
    "sign",
    "rope",
    "tap",
    "set",
];
/// Not known to the rules as verbs, and no call to work before "CODIE to do it".
const NO_RECRUIT: &[&str] = &[
    "teach",
    "expect",
    "forbid",
    "allow",
    "permit",
    "enable",
    "imagine",
    "picture",
    "suppose",
    "prefer",
    "hate",
    "beg",
    "thank",
    "wait",
    "pay",
    "saw",
    "watched",
    "heard",
    "persuaded",
    "told",
    "asked",
];

/// What is asked of a lane that is brought in.
pub(super) fn asked(place: &Place<'_>, around: &Around<'_>) -> Option<Act> {
    let engaged = recruited(place, around)
        || consulted(around)
        || assured(around)
        || performed(place, around)
        || named_behind(place, around);
    if engaged {
        let deed = strip_soft(around.post.strip_prefix(&["to"]).unwrap_or(&around.post));
        return (!ceases(deed)).then_some(Act::Delegate);
    }
    helped(around).then_some(Act::Delegate)
}

/// "Tap CODIE to fix it", "arrange for CODIE to fix it", "pencil the generalist in for the report".
fn recruited(place: &Place<'_>, around: &Around<'_>) -> bool {
    if place.mention.whom == Whom::Someone {
        return false;
    }
    let particle = |word: &str| matches!(word, "in" | "up" | "on" | "down" | "for" | "out");
    let Some((last, before)) = around.pre.split_last() else { return false };
    let (verb, before) = match before.split_last() {
        Some((verb, before)) if particle(last) => (*verb, before),
        _ => (*last, before),
    };
    let known = has(RECRUIT, verb);
    let unheard = !words::is_known(verb)
        && !has(NO_RECRUIT, verb)
        && !verb.ends_with("ed")
        && !verb.ends_with("ing")
        && !verb.contains('\'');
    if !(known || unheard) || !directive(before) || around.possessive {
        return false;
    }
    let post = match &around.post[..] {
        [first, rest @ ..] if particle(first) && *first != "for" => rest,
        post => post,
    };
    match post {
        ["to", verb, ..] => has(words::VERBS, verb),
        ["for" | "about", thing, ..] => {
            known
                && (matches!(*thing, "the" | "a" | "an" | "this" | "that" | "my" | "our")
                    || thing.ends_with("ing"))
        }
        ["on", thing, ..] => known && (has(words::ARTICLES, thing) || *thing == "it"),
        ["charge", "of", ..] | ["the", "task" | "job", ..] => known,
        _ => false,
    }
}

/// "Get the generalist's take on this", "see what CODIE thinks of it", "find out from CODIE why it fails".
fn consulted(around: &Around<'_>) -> bool {
    const OPINION: &[&str] =
        &["opinion", "take", "view", "views", "thoughts", "input", "feedback", "advice", "assessment"];
    let Some((last, before)) = around.pre.split_last() else { return false };
    if around.possessive && has(OPINION, around.behind()) {
        return has(&["get", "seek", "want", "gather", "collect", "need"], last)
            && directive(before)
            && around.post.len() > 1;
    }
    let thinks = matches!(around.behind(), "thinks" | "makes" | "says" | "suggests" | "recommends")
        || matches!(around.post[..], ["can", "do", ..]);
    let about = around.post.iter().any(|word| matches!(*word, "of" | "about" | "on" | "for" | "with"));
    let asks = |(at, word): (usize, &&str)| {
        has(&["see", "find", "ask", "learn", "check"], word) && directive(&before[..at])
    };
    let sees = before.iter().enumerate().any(asks);
    let found_out = match &around.pre[..] {
        [before @ .., "find", "out", "from"] | [before @ .., "check", "with"] => directive(before),
        _ => false,
    };
    let open = matches!(around.behind(), "why" | "what" | "how" | "which" | "where" | "whether" | "if");
    let itself =
        around.post.iter().take(3).any(|word| matches!(*word, "it" | "it's" | "he" | "she" | "they"));
    *last == "what" && thinks && about && sees || found_out && open && !itself
}

/// "Make sure CODIE fixes it", "see to it that the generalist writes it", "see if CODIE can fix the build".
fn assured(around: &Around<'_>) -> bool {
    const GREAT: &[&str] = &[
        "great",
        "good",
        "awesome",
        "wonderful",
        "helpful",
        "ideal",
        "super",
        "cool",
        "best",
        "better",
        "help",
        "prefer",
        "love",
        "like",
        "nice",
        "appreciate",
        "happy",
        "happier",
        "grateful",
        "rather",
        "mean",
        "welcome",
    ];
    let pre = &around.pre[..];
    let verb = around.behind();
    if matches!(pre, [.., "sure" | "ensure"] | [.., "to" | "see", "it" | "that"]) && directive(pre) {
        return words::third_person(verb).is_some_and(|base| {
            !has(words::STATUS, base)
                && !has(words::CANCEL, base)
                && !matches!(base, "work" | "run" | "continue" | "keep")
        });
    }
    let tries = matches!(
        pre,
        [.., "see" | "check" | "find", "if" | "whether"] | [.., "find", "out", "if" | "whether"]
    ) && directive(&pre[..pre.len() - 2]);
    let hopes = matches!(
        pre,
        ["hoping"] | ["was" | "i'm" | "im", "hoping"] | ["i", "was" | "am", "hoping"] | ["hoping", "that"]
    );
    let chance = hopes || matches!(pre, ["any", "chance"] | ["any", "chance", "that"]) && around.asks;
    let would = pre.iter().any(|word| matches!(*word, "it'd" | "would" | "i'd" | "that'd" | "we'd"));
    let best = pre == ["best", "if"] || pre == ["better", "if"];
    let great =
        best || would && matches!(pre, [.., "if" | "rather"]) && pre.iter().any(|word| has(GREAT, word));
    // "I'd rather CODIE did it", "best if CODIE fixes it".
    let wished = has(words::PAST, verb)
        || verb.len() > 4 && verb.ends_with("ed")
        || best && words::third_person(verb).is_some();
    if great && wished && around.post.len() > 1 {
        return true;
    }
    let who = matches!(pre, ["it's"] | ["it", "is"])
        && matches!(around.post[..], ["who", "should" | "must" | "needs" | "has", ..]);
    if who && !around.asks {
        return true;
    }
    let able = matches!(verb, "can" | "could" | "would" | "might");
    let deed = around.post.get(1).is_some_and(|next| has(words::VERBS, next) && !has(words::ABILITIES, next));
    (tries || chance || great) && able && deed
}

/// "I need it translated, by the General VP".
fn named_behind(place: &Place<'_>, around: &Around<'_>) -> bool {
    let Some(before) = place.clause.checked_sub(1).map(|at| place.clauses[at].texts()) else { return false };
    let comma = place.clauses[place.clause].before == Some(Kind::Comma);
    comma
        && around.pre.len() == 1
        && matches!(around.before(), "by" | "with" | "using" | "via")
        && !around.possessive
        && (passive(&before) || requests_work(&before) || wanted_done(&before))
}

/// "I need the letter translated".
fn wanted_done(texts: &[&str]) -> bool {
    let wishes = matches!(strip_soft(texts), ["i" | "we" | "i'd", "need" | "want" | "like", ..]);
    wishes && texts.iter().any(|word| word.len() > 4 && word.ends_with("ed") || has(words::DONE_BY, word))
}

/// "Handing this to CODIE: bump the deps", "delegating to CODIE: ...".
fn performed(place: &Place<'_>, around: &Around<'_>) -> bool {
    let strong = matches!(place.clauses[place.clause].after, Some(Kind::Colon | Kind::Dash));
    let first = strip_soft(&around.pre).first().copied().unwrap_or_default();
    let to = around.pre.len() == 1 || matches!(around.before(), "to" | "on");
    let hereby = around.pre.contains(&"hereby") && around.before() == "to";
    let told = around.pre.split_last().is_some_and(|(verb, before)| {
        matches!(*verb, "tell" | "inform" | "instruct" | "order" | "ask") && directive(before)
    });
    let next = place.clauses.get(place.clause + 1).map(Clause::texts).unwrap_or_default();
    let deed = requests_work(&next) && !ceases(&next);
    let header = match strip_soft(&around.pre) {
        [] => {
            around.possessive
                && matches!(around.post[..], ["turn" | "job" | "task" | "street" | "alley"] | ["up", "next"])
        }
        ["your", "turn"] | ["over", "to", "you"] => around.post.is_empty(),
        ["this", "is", "up"] => around.possessive,
        [thing @ .., "for"] => {
            around.post.is_empty()
                && is_thing(thing)
                && thing
                    .last()
                    .is_some_and(|word| has(words::PIECE, word) || matches!(*word, "ask" | "up" | "priority"))
        }
        _ => false,
    };
    let given = around.post.is_empty() && (to && has(words::CAUSING, first) || told);
    strong && (given || header && deed) || hereby
}

/// "With CODIE's help, fix it", "get help from the generalist on this", "by way of CODIE".
fn helped(around: &Around<'_>) -> bool {
    const HELP: &[&str] = &["help", "assistance", "support", "services", "expertise", "hand"];
    let pre = &around.pre[..];
    if around.possessive && has(HELP, around.behind()) {
        let Some((last, before)) = pre.split_last() else { return false };
        return match *last {
            "with" => by_means("using", before, ""),
            "use" | "get" | "enlist" | "seek" | "ask" | "for" => directive(before) && around.post.len() > 1,
            _ => false,
        };
    }
    match pre {
        [before @ .., "with", "help", "from" | "of"]
        | [before @ .., "with", "the", "help", "of"]
        | [before @ .., "by", "way" | "means", "of"] => by_means("using", before, ""),
        [before @ .., "get" | "enlist" | "use", "help", "from" | "of"]
        | [before @ .., "get" | "enlist", "the", "help", "of"] => directive(before),
        _ => false,
    }
}
