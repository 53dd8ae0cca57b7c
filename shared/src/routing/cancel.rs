//! Work of a lane is to end: "call off CODIE", "the generalist needn't carry on", "have CODIE stand down".

use super::ControlAction;
use super::cease::{continues, no_more};
use super::clause::{Clause, strip_articles, strip_soft};
use super::frame::{Act, Around, Place};
use super::opening::{directive, negated};
use super::words::{self, has};

const STOP: Act = Act::Control(ControlAction::Cancel);

/// End only what is work: "bin the job", not "bin CODIE".
const DISCARD: &[&str] = &[
    "drop",
    "ditch",
    "bin",
    "can",
    "nuke",
    "dump",
    "trash",
    "discard",
    "withdraw",
    "revoke",
    "retract",
    "recall",
    "shelve",
    "pull",
    "yank",
    "delete",
    "remove",
    "dequeue",
    "undo",
    "rescind",
    "chuck",
    "void",
    "annul",
    "forget",
    "disregard",
    "ignore",
    "skip",
    "mind",
    "nevermind",
    "take",
    "axe",
    "wipe",
    "unqueue",
    "reverse",
    "call",
    "wind",
    "shut",
    "nvm",
    "scratch",
    "strike",
    "rid",
    "unassign",
];
/// With "off" or "down", around the lane or before it.
const PARTICLE: &[&str] =
    &["call", "pull", "take", "shut", "stand", "wind", "kill", "switch", "power", "cut", "yank", "close"];
/// The end itself, in "pull the plug on", "put a stop to", "call a halt to".
const ENDS: &[&str] = &["plug", "stop", "end", "halt", "brakes", "brake", "kibosh", "cord", "lid"];
/// Still wanted by nobody.
const MOOT: &[&str] = &["needed", "required", "wanted", "necessary"];

/// What a "not" ends, where it does not refuse: "needn't carry on", "don't let it finish", "is no longer needed".
pub(super) fn unwanted(around: &Around<'_>) -> Option<Act> {
    const FOR_IT: &[&str] = &["let", "have", "make", "point", "necessary", "use", "reason", "sense", "like"];
    const BETWEEN: [&str; 14] = [
        "need", "needs", "must", "should", "does", "do", "to", "have", "has", "is", "can", "be", "longer",
        "are",
    ];
    let skipped = |word: &&&str| {
        has(&BETWEEN, word) || has(words::NOT, word) || has(words::WORK, word) || has(words::SOFT, word)
    };
    let post = &around.post[..];
    let told = post.iter().take_while(skipped).count();
    let (denied, rest) = post.split_at(told);
    let not = denied.iter().any(|word| has(words::NOT, word));
    let plain = strip_soft(&around.pre).is_empty();
    let told = around
        .pre
        .split_last()
        .is_some_and(|(verb, before)| has(&["tell", "ask", "have", "get"], verb) && directive(before));
    let assured = matches!(around.pre[..], [.., "sure" | "ensure"] | [.., "to" | "see", "it" | "that"])
        && directive(&around.pre);
    if not && (plain || told || assured) && !around.asks {
        let moot = rest.first().is_some_and(|word| has(MOOT, word));
        let no_longer =
            denied.contains(&"longer") && denied.iter().any(|word| matches!(*word, "needs" | "need" | "has"));
        if no_longer
            || continues(rest)
            || moot && (no_more(post) || denied.iter().any(|word| has(words::WORK, word)))
        {
            return Some(STOP);
        }
    }
    let refused = negated(&around.pre);
    let need = around.pre.iter().any(|word| matches!(*word, "need" | "want" | "require"));
    let to_go_on = continues(post.strip_prefix(&["to"]).unwrap_or(post));
    let asks = need || around.pre.iter().any(|word| has(FOR_IT, word));
    // "Don't continue with the CODIE mission."
    let own = around.possessive
        || post.iter().take(2).any(|word| has(words::WORK, word))
        || around.before() == "with";
    let not = around.pre.iter().rposition(|word| has(words::NOT, word));
    if refused && own && !around.asks && not.is_some_and(|at| continues(&around.pre[at + 1..])) {
        return Some(STOP);
    }
    let over = (need || around.pre.contains(&"let")) && (no_more(post) || no_more(&around.pre));
    (refused && (to_go_on && asks || over && !around.asks)).then_some(STOP)
}

/// Asks for the end of what the lane does.
pub(super) fn asked(around: &Around<'_>) -> Option<Act> {
    (idiom(around) || wished(around) || around_lane(around) || discarded(around)).then_some(STOP)
}

/// "Pull the plug on CODIE", "changed my mind about CODIE's mission".
fn idiom(around: &Around<'_>) -> bool {
    let pre = &around.pre[..];
    let stopping =
        |pair: &[&str]| matches!(pair, ["mind" | "about" | "consider", verb] if has(words::CANCELLING, verb));
    if pre.windows(2).any(stopping) {
        return true;
    }
    if let [before @ .., "changed", "my" | "our", "mind", "about" | "on"] = pre {
        return before
            .iter()
            .all(|word| has(&["i", "we", "i've", "we've", "have"], word) || has(words::SOFT, word));
    }
    let [before @ .., noun, "on" | "to"] = pre else { return false };
    if !has(ENDS, noun) {
        return false;
    }
    let (before, _) = strip_articles(before);
    before.split_last().is_some_and(|(verb, before)| {
        matches!(*verb, "pull" | "put" | "call" | "bring" | "slam" | "hit") && directive(before)
    })
}

/// "The CODIE mission should be cancelled", "I want CODIE's job dropped".
fn wished(around: &Around<'_>) -> bool {
    let wish = |word: &&str| has(words::WISHED, word);
    let work = around.post.iter().take(3).any(|word| has(words::WORK, word));
    let stopped = around.post.iter().any(|word| {
        has(words::CANCELLED, word)
            || work && has(&["dropped", "binned", "axed", "withdrawn", "gone", "over"], word)
    });
    // "The generalist's research can stop."
    let own = around.possessive && strip_soft(&around.pre).is_empty() && !around.asks;
    let may_stop = around
        .post
        .windows(2)
        .take(4)
        .any(|pair| matches!(pair[0], "can" | "should" | "may" | "must") && has(words::CANCEL, pair[1]));
    // "Make sure CODIE stops."
    let assured =
        matches!(around.pre[..], [.., "sure" | "ensure" | "see"] | [.., "to" | "see", "it" | "that"])
            && around.behind().strip_suffix('s').is_some_and(|base| has(words::CANCEL, base))
            && directive(around.pre.strip_suffix(&["see"]).unwrap_or(&around.pre));
    // "I request that the assignment of the generalist be cancelled."
    let requested = stopped
        && around.post.contains(&"be")
        && matches!(strip_soft(&around.pre), ["i" | "we", "request" | "ask" | "demand", "that", ..]);
    own && may_stop
        || requested
        || assured
        || stopped && (around.post.iter().take(3).any(wish) || around.pre.iter().any(wish) && !around.asks)
}

/// "Call off CODIE", "shut CODIE down", "take CODIE off that", "bring CODIE's run to a halt".
fn around_lane(around: &Around<'_>) -> bool {
    let away = |word: &str| matches!(word, "off" | "down");
    if let Some((verb, before)) = around.pre.split_last()
        && matches!(*verb, "call" | "pull")
        && around.behind() == "back"
    {
        return directive(before);
    }
    if let [before @ .., verb, particle] = &around.pre[..]
        && has(PARTICLE, verb)
        && away(particle)
    {
        return directive(before);
    }
    // "Call it off with CODIE."
    let called_off = around.pre.windows(3).enumerate().any(|(at, three)| {
        matches!(three, ["call" | "calling", "it" | "that" | "this" | "everything", "off"])
            && directive(&around.pre[..at])
    });
    if called_off {
        return true;
    }
    let Some((verb, before)) = around.pre.split_last() else { return false };
    if !directive(before) {
        return false;
    }
    if has(&["prevent", "keep", "stop"], verb) && around.behind() == "from" {
        return continues(&around.post[1..]);
    }
    if has(&["clear", "empty", "flush", "purge"], verb) && around.possessive {
        return matches!(around.behind(), "queue" | "backlog");
    }
    let work = around.post.iter().take(4).position(|word| has(words::WORK, word));
    let ended = match (work, around.possessive) {
        (_, false) if around.post.first().is_some_and(|word| away(word)) => &around.post[..],
        (Some(at), _) => &around.post[at + 1..],
        (None, false) => &around.post[..],
        (None, true) => return false,
    };
    let off = ended.first().is_some_and(|word| away(word));
    let halt = ended.windows(2).any(|pair| matches!(pair[0], "a" | "an") && has(ENDS, pair[1]));
    off && (has(PARTICLE, verb) || *verb == "get" && ended.first() == Some(&"off"))
        || halt && matches!(*verb, "bring" | "draw")
}

/// "Bin the job CODIE is on", "forget what I asked CODIE to do", "take it off CODIE's plate".
fn discarded(around: &Around<'_>) -> bool {
    let verb = around.pre.iter().enumerate().find(|(at, word)| {
        let before = &around.pre[..*at];
        match **word {
            "mind" => before.ends_with(&["never"]),
            "rid" => before.ends_with(&["get"]) && directive(&before[..before.len() - 1]),
            word => has(DISCARD, word) && directive(before),
        }
    });
    let Some((at, verb)) = verb else { return false };
    let between = &around.pre[at + 1..];
    let work = |words: &[&str]| words.iter().any(|word| has(words::WORK, word));
    let it_works = matches!(around.behind(), "is" | "was" | "has")
        && around
            .post
            .get(1)
            .is_some_and(|next| matches!(*next, "working" | "on" | "doing" | "running" | "busy"));
    let told: Vec<&str> = between
        .iter()
        .filter(|word| !matches!(**word, "just" | "already" | "only" | "also"))
        .copied()
        .collect();
    let given = told.windows(2).any(|pair| {
        matches!(pair[0], "i" | "we" | "you" | "i've")
            && matches!(
                pair[1],
                "asked" | "gave" | "told" | "sent" | "assigned" | "handed" | "had" | "given" | "set"
            )
    });
    // What is only ignored goes on.
    let weak = matches!(*verb, "take" | "call" | "wind" | "shut" | "ignore" | "skip");
    let thing = |word: &&str| has(words::WORK, word) || has(&["request", "delegation", "order", "one"], word);
    let own_work = work(&around.post[..around.post.len().min(3)])
        && strip_articles(between).0.iter().all(|word| matches!(*word, "about" | "of"));
    let of_it = between.iter().any(thing)
        && matches!(around.before(), "for" | "from" | "of" | "on" | "with" | "by" | "to");
    match *verb {
        "take" => matches!(between, [_, .., "off"] | [_, .., "away", "from"]),
        _ => it_works && !between.is_empty() || given || !weak && (own_work || of_it),
    }
}

/// "Cancel both, CODIE's and the generalist's", "cancel: coder VP".
pub(super) fn listed(place: &Place<'_>) -> bool {
    // "Coder VP mission: cancel."
    let own = place.clauses[place.clause].texts();
    let next = place.clauses.get(place.clause + 1).map(Clause::texts).unwrap_or_default();
    let told = matches!(strip_soft(&next), [verb] if has(words::CANCEL, verb));
    if told
        && matches!(strip_articles(strip_soft(&own[..place.word])).0, [])
        && !place.asks
        && matches!(own[place.word + 1..], [work] if has(words::WORK, work))
    {
        return true;
    }
    let Some(before) = place.clause.checked_sub(1).map(|at| place.clauses[at].texts()) else { return false };
    let all = |word: &&str| matches!(*word, "both" | "all" | "them" | "everything" | "two" | "of" | "the");
    let ends = match strip_soft(&before) {
        [verb, rest @ ..] => has(words::CANCEL, verb) && rest.iter().all(all),
        [] => false,
    };
    let clause = &place.clauses[place.clause];
    ends && clause.words.iter().all(|word| {
        word.mention.is_some()
            || [words::JOINTS, words::ARTICLES, words::WORK, words::SOFT]
                .iter()
                .any(|list| has(list, word.text))
    })
}
