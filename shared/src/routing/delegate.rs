//! Requests for work in which a lane is the object: "have CODIE ...", "send this to CODIE", "fix it with CODIE".

use super::ControlAction;
use super::cease::{ceases, tells_the_end};
use super::clause::strip_soft;
use super::frame::{Act, Around};
use super::give::{by_means, commissioned, given, passive, piece, requests_work};
use super::opening::directive;
use super::words::{self, LANE, QUOTE, has};

const STATUS: Act = Act::Control(ControlAction::Status);

/// How a thing is that somebody is called for.
const PANIC: &[&str] = &[
    "down", "broken", "dead", "red", "failing", "burning", "stuck", "out", "crashing", "offline", "gone",
    "slow",
];

/// What is asked for, if the words before the lane ask at all.
pub(super) fn asked(around: &Around<'_>) -> Option<Act> {
    let pre = &around.pre[..];
    if begun(pre, around) {
        return Some(Act::Delegate);
    }
    for phrase in words::CAUSE_PHRASES {
        let chosen = phrase == &["go", "with"]
            && matches!(
                strip_soft(&pre[..pre.len().saturating_sub(2)]),
                ["we'll" | "i'll"] | ["we" | "i", "will"]
            );
        if pre.ends_with(phrase) && (chosen || directive(&pre[..pre.len() - phrase.len()])) {
            // "Call CODIE" is done by telephone, "call in CODIE" is not.
            let verb = if phrase[0] == "call" { "summon" } else { phrase[0] };
            return Some(followed(verb, around));
        }
    }
    let (verb, before) = pre.split_last()?;
    // "Prod is down get CODIE on it".
    let before = match before {
        [.., "is" | "are", state] if before.len() <= 5 && has(PANIC, state) => &[],
        before => before,
    };
    if has(words::CAUSE, verb) && requested(verb, before) {
        return Some(followed(verb, around));
    }
    if has(words::CAUSING, verb) && progressive(before) {
        return Some(Act::Delegate);
    }
    if matches!(*verb, "it" | "this" | "that" | "these")
        && before.split_last().is_some_and(|(give, before)| {
            has(&["give", "send", "hand", "pass", "assign"], give) && (directive(before) || before.len() <= 8)
        })
    {
        return Some(Act::Delegate);
    }
    match *verb {
        "at" => {
            let thrown = |(at, word): (usize, &&str)| {
                has(
                    &["throw", "point", "aim", "fling", "lob", "sling", "chuck", "toss", "hurl", "fire"],
                    word,
                ) && directive(&before[..at])
            };
            before.iter().enumerate().any(thrown).then_some(Act::Delegate)
        }
        "to" | "too" | "towards" => given(before),
        "past" => (before.contains(&"run") && requests_work(before)).then_some(Act::Delegate),
        "for" => (piece(before) || for_it_to(before, around) || lined_up(before)).then_some(Act::Delegate),
        "by" => {
            (passive(before) || requests_work(before) || ordered(before, around)).then_some(Act::Delegate)
        }
        "using"
            if matches!(
                before.last(),
                Some(&"before" | &"after" | &"when" | &"while" | &"without" | &"of")
            ) =>
        {
            None
        }
        "using" | "via" | "through" | "with" | "on" => {
            by_means(verb, before, around.behind()).then_some(Act::Delegate)
        }
        "from" => commissioned(before).then_some(Act::Delegate),
        _ => None,
    }
}

/// "Start a mission with", "kick off a coder VP mission".
fn begun(pre: &[&str], around: &Around<'_>) -> bool {
    let verb = pre.iter().enumerate().find(|(at, word)| {
        has(words::BEGIN, word)
            && if has(words::WISH, word) { requested(word, &pre[..*at]) } else { directive(&pre[..*at]) }
    });
    let Some((at, _)) = verb else { return false };
    let piece = |word: &str| has(words::WORK, word) && word != "work";
    let between = &pre[at + 1..];
    if between.iter().any(|word| matches!(*word, "list" | "draft" | "template" | "overview")) {
        return false;
    }
    let with = matches!(around.before(), "with" | "for" | "to" | "on" | "in" | "at" | "via")
        && (between.contains(&"something") || between.iter().any(|word| piece(word)))
        && between.iter().any(|word| matches!(*word, "a" | "an" | "new" | "another" | "this" | "something"));
    let named = piece(around.behind()) && around.indefinite;
    with || named
}

/// "Queue up the build fix for".
fn lined_up(before: &[&str]) -> bool {
    before.iter().enumerate().any(|(at, word)| {
        has(&["queue", "line", "schedule", "earmark", "reserve", "save", "tee", "slate"], word)
            && at + 1 < before.len()
            && !before.iter().any(|word| has(words::SOCIAL, word))
            && directive(&before[..at])
    })
}

/// "A market study by the generalist, please".
fn ordered(before: &[&str], around: &Around<'_>) -> bool {
    let please = around.post.iter().any(|word| matches!(*word, "please" | "pls" | "plz"));
    matches!(strip_soft(before), ["a" | "an" | "one", ..]) && please && !around.asks
}

/// "I need for CODIE to fix it", "it is time for CODIE to".
fn for_it_to(before: &[&str], around: &Around<'_>) -> bool {
    let wish = before.iter().any(|word| has(&["want", "need", "like", "time", "love", "arrange"], word));
    wish && around.behind() == "to"
        && !before.iter().any(|word| has(&["if", "when", "did", "was", "who", "wanted"], word))
}

/// A verb that asks, where it stands; wishes are only ours.
pub(super) fn requested(verb: &str, before: &[&str]) -> bool {
    if !has(words::WISH, verb) {
        return directive(before);
    }
    let before = strip_soft(before);
    // "A filter, which I want CODIE to add".
    let before = before.strip_prefix(&["which"]).unwrap_or(before);
    // "By friday I need".
    let fronted = before.iter().position(|word| matches!(*word, "i" | "we" | "i'd" | "we'd")).filter(|at| {
        *at > 0
            && has(words::PREPOSITIONS, before[0])
            && !before[..*at].iter().any(|word| has(words::TELLING, word) || has(words::OTHERS, word))
    });
    let before = &before[fronted.unwrap_or(0)..];
    let speaker =
        before.first().is_some_and(|first| has(&["i", "we", "i'd", "we'd", "i'll", "we'll", "you"], first));
    let would = before.iter().any(|word| has(&["would", "should", "i'd", "we'd", "'d"], word));
    let plain = before.iter().all(|word| {
        has(
            &[
                "i", "we", "i'd", "we'd", "would", "should", "really", "do", "also", "just", "you", "might",
                "will", "may", "i'll", "we'll",
            ],
            word,
        ) || has(words::SOFT, word)
    });
    // "Need CODIE on the build".
    let curt = verb == "need" && before.is_empty();
    curt || speaker && plain && (would || matches!(verb, "want" | "need" | "prefer"))
}

/// "I am giving this to", "would you mind asking", "how about using".
pub(super) fn progressive(before: &[&str]) -> bool {
    let before = strip_soft(before);
    let starts = |words: &[&str]| before.starts_with(words);
    let ours = starts(&["i'm"]) || starts(&["we're"]) || starts(&["i", "am"]) || starts(&["we", "are"]);
    let mind = before
        .last()
        .is_some_and(|last| matches!(*last, "mind" | "about" | "try" | "recommend" | "suggest" | "consider"));
    let question = before
        .first()
        .is_some_and(|first| has(&["would", "do", "how", "what", "i", "try", "consider", "i'd"], first));
    let weighs = before
        .iter()
        .any(|word| has(&["thinking", "considering", "debating", "wondering", "planning"], word));
    let chance = matches!(before, ["mind"] | ["any", "chance", "of"] | ["chance", "of"]);
    (ours && before.len() <= 3 || mind && question || chance) && !weighs
}

/// What is said behind the lane, when it is asked to do something.
fn followed(verb: &str, around: &Around<'_>) -> Act {
    let post = strip_soft(past_joined(&around.post));
    let deed = if matches!(post.first(), Some(&"to" | &"too")) { strip_soft(&post[1..]) } else { post };
    let first = deed.first().copied().unwrap_or_default();
    // "Use CODIE" is what he said.
    if matches!(post.first(), Some(&"is" | &"was")) && !around.asks {
        return Act::Named("no work is asked of it");
    }
    if ceases(deed) && verb != "use" {
        return Act::Control(ControlAction::Cancel);
    }
    let told_so = matches!(verb, "tell" | "let") && tells_the_end(post);
    let may_stop = matches!(verb, "tell" | "let")
        && post.windows(2).enumerate().any(|(at, pair)| {
            let rest = &post[at + 2..];
            matches!(pair[0], "it" | "he" | "she" | "they")
                && has(words::MUST, pair[1])
                && ceases(rest.strip_prefix(&["to"]).unwrap_or(rest))
        });
    if told_so || may_stop {
        return Act::Control(ControlAction::Cancel);
    }
    if post.first() == Some(&"off") && matches!(verb, "call" | "pull" | "take" | "kick") {
        return Act::Control(ControlAction::Cancel);
    }
    if first == "not" || post.first() == Some(&"not") {
        return Act::Refused;
    }
    if matches!(verb, "ask" | "check" | "ping" | "message" | "contact" | "consult" | "tell" | "request")
        && about_itself(post)
    {
        return STATUS;
    }
    if accepts(verb, post, deed) { Act::Delegate } else { Act::Named("no work is asked of it") }
}

/// "Tell CODIE that it should bump the deps", "tell CODIE the deps need bumping".
fn relayed(post: &[&str]) -> bool {
    let must = |pair: &[&str]| {
        matches!(
            pair,
            ["it" | "he" | "she" | "they", "should" | "must" | "has" | "needs"]
                | ["it's" | "he's" | "she's", "to"]
        )
    };
    let duty = post
        .windows(2)
        .position(must)
        .is_some_and(|at| at < 2 && post[at + 2..].iter().take(2).any(|word| has(words::VERBS, word)));
    let mine = post.windows(2).any(|pair| matches!(pair, ["i" | "we", "need" | "want"]));
    mine || duty
        || post.windows(2).any(|pair| matches!(pair[0], "need" | "needs") && pair[1].ends_with("ing"))
}

/// Behind the other lanes that are named with it.
pub(super) fn past_joined<'w, 'a>(post: &'w [&'a str]) -> &'w [&'a str] {
    let joint = |word: &&&str| {
        has(&["and", "or", "plus", "as", "well", "both", "along", "with"], word) || has(words::ARTICLES, word)
    };
    let joints = post.iter().take_while(joint).count();
    if post.get(joints) == Some(&LANE) { past_joined(&post[joints + 1..]) } else { post }
}

/// "Ask CODIE for an update", "ask CODIE whether it is done".
fn about_itself(post: &[&str]) -> bool {
    let first = post.first().copied().unwrap_or_default();
    let near: Vec<&str> = post.iter().skip(1).take(7).copied().collect();
    let status =
        near.iter().any(|word| has(words::STATUS, word)) || near.iter().any(|word| has(words::WORK, word));
    let noun = near
        .iter()
        .take(4)
        .any(|word| has(&["status", "update", "updates", "progress", "eta", "news", "state"], word));
    let itself = near.iter().take(3).any(|word| {
        has(&["it", "it's", "its", "he", "he's", "she", "they", "they're", "is", "his", "their"], word)
    });
    match first {
        "for" | "about" => noun,
        "if" | "whether" | "when" | "how" | "what" | "where" | "why" => status && itself,
        _ => false,
    }
}

/// Whether a verb with these words behind the lane asks for work.
fn accepts(verb: &str, post: &[&str], deed: &[&str]) -> bool {
    let first = post.first().copied().unwrap_or_default();
    let to = matches!(first, "to" | "too");
    let aimed = to || matches!(first, "for" | "on" | "with" | "and" | "as" | "in" | "this" | "that" | "it");
    let deed_first = deed.first().copied().unwrap_or_default();
    match verb {
        // "I want to ask CODIE something later."
        "ask" => !matches!(
            post,
            ["something" | "anything", ..] | ["a" | "some" | "one", "question" | "questions", ..]
        ),
        "tell" => to || first == QUOTE || relayed(post),
        "give" | "send" | "hand" | "pass" => !post.iter().take(4).any(|word| has(words::NO_WORK, word)),
        "let" if first == "know" => relayed(&post[1..]),
        "let" => {
            !post.is_empty()
                && !matches!(
                    first,
                    "be" | "go"
                        | "know"
                        | "rest"
                        | "finish"
                        | "continue"
                        | "run"
                        | "alone"
                        | "cool"
                        | "keep"
                        | "sleep"
                )
        }
        "like" | "love" | "wish" | "rather" => to || first == "on",
        "prefer" if matches!(first, "over" | "to" | "than") => {
            post.get(1).is_some_and(|next| has(words::VERBS, next))
        }
        "want" | "need" | "prefer" => !matches!(first, "back" | "gone" | "out" | "off" | "dead" | "because"),
        // "Make that the generalist."
        "make" => has(words::VERBS, first) || post.is_empty(),
        verb if has(words::RELEASE, verb) => post
            .iter()
            .take(2)
            .any(|word| matches!(*word, "on" | "at" | "onto" | "loose" | "upon" | "towards" | "against")),
        "have" => {
            !post.is_empty()
                && !matches!(
                    first,
                    "ready"
                        | "available"
                        | "running"
                        | "online"
                        | "up"
                        | "a"
                        | "an"
                        | "the"
                        | "in"
                        | "as"
                        | "on"
                        | "been"
                        | "done"
                )
        }
        "put" | "set" => {
            let roll = post.iter().take(5).any(|word| {
                has(&["hold", "list", "call", "agenda", "page", "map", "payroll", "cover"], word)
            });
            post.iter().take(2).any(|word| matches!(*word, "on" | "to" | "onto")) && !roll
        }
        "get" => {
            to || matches!(first, "on" | "started" | "involved" | "onto" | "busy")
                || first.ends_with("ing") && first != "running"
        }
        "run" | "deploy" => {
            matches!(post, ["to", verb, ..] if has(words::VERBS, verb))
                || matches!(post, ["on" | "for", thing, ..] if has(words::ARTICLES, thing) || matches!(*thing, "it" | "these" | "those" | QUOTE))
        }
        "trust" => to || first == "with",
        "invite" => to && has(words::VERBS, deed_first),
        "call" => aimed,
        "launch" | "activate" | "trigger" | "start" | "charge" | "queue" | "kick" | "wake" => {
            post.is_empty() || aimed || first == "up"
        }
        "notify" | "instead" | "contact" | "message" | "ping" => to && !deed_first.is_empty(),
        _ => true,
    }
}
