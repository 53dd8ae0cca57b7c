//! Something is wanted of missions that exist: "cancel the coder VP's mission", "check on CODIE".

use super::clause::{strip_articles, strip_soft};
use super::delegate::requested;
use super::frame::{Act, Around};
use super::opening::directive;
use super::plan::is_thing;
use super::words::{self, has};
use super::{ControlAction, cancel};

/// "Cancel the coder VP's mission", "check on CODIE", "show me CODIE's report".
pub(super) fn asked(around: &Around<'_>) -> Option<Act> {
    let last = around.pre.len().saturating_sub(1);
    if let Some(act) = cancel::asked(around) {
        return Some(act);
    }
    for (at, verb) in around.pre.iter().enumerate() {
        // "May I have CODIE's findings?", "I need CODIE's report".
        let mine = matches!(around.pre[..], [.., "i" | "we", "have"] | [.., "let", "me" | "us", "have"])
            || has(words::WISH, verb) && requested(verb, &around.pre[..at]);
        if at == last && mine && around.possessive && has(words::RESULTS, around.behind()) {
            return Some(Act::Control(ControlAction::Read));
        }
        let gerund =
            around.pre[..at].last() == Some(&"mind") && words::of_gerund(words::OBTAIN, verb).is_some();
        let verb = &words::of_gerund(words::OBTAIN, verb).filter(|_| gerund).unwrap_or(verb);
        let told = gerund
            || matches!(
                around.pre[..at],
                [.., "let", "me" | "us"]
                    | [.., "lemme"]
                    | [.., "may" | "might", "i" | "we"]
                    | [.., "have" | "take", "a"]
            ) && !has(words::CANCEL, verb);
        if !told && !directive(&around.pre[..at]) {
            continue;
        }
        let between = &around.pre[at + 1..];
        if has(words::CANCEL, verb) {
            if between.first().is_some_and(|next| {
                next.ends_with("ing") && !next.ends_with("thing") || has(words::CAUSE, next)
            }) {
                return Some(Act::Refused);
            }
            let thing = between.len() > 1
                && matches!(
                    between[between.len() - 2],
                    "one" | "it" | "that" | "thing" | "job" | "mission" | "task"
                );
            let other =
                matches!(
                    around.before(),
                    "with" | "using" | "via" | "through" | "by" | "about" | "to" | "like"
                ) && !matches!(between.first(), Some(&"what" | &"whatever" | &"everything" | &"anything"))
                    && !between.iter().any(|word| {
                        has(words::WORK, word) || matches!(*word, "request" | "order" | "delegation")
                    });
            if thing || !other {
                return Some(Act::Control(ControlAction::Cancel));
            }
        }
        if matches!(*verb, "wait" | "hold" | "await")
            && (at == last || has(&["for", "until", "till", "on"], around.before()))
        {
            return Some(Act::Control(ControlAction::Status));
        }
        if let Some(action) = looked_at(around, verb, between, at == last) {
            return Some(Act::Control(action));
        }
    }
    headed(around)
}

/// "I wonder how CODIE is doing", "I haven't heard from the generalist".
pub(super) fn inquired(around: &Around<'_>) -> Option<Act> {
    const SILENT: &[&str] =
        &["haven't", "havent", "hasn't", "not", "no", "never", "nothing", "radio", "didn't"];
    const HEARD: &[&str] = &[
        "heard", "hear", "word", "news", "sign", "peep", "update", "updates", "silence", "nothing", "sound",
    ];
    const WONDERS: &[&str] =
        &["wondering", "wonder", "curious", "idea", "clue", "sure", "know", "dunno", "unsure"];
    const LEAD: &[&str] = &[
        "i", "i'm", "im", "i'd", "am", "was", "do", "don't", "dont", "you", "we", "any", "no", "not", "have",
        "got", "like", "to", "would", "want", "wanted", "wanna", "a", "the", "about", "as", "of",
    ];
    if kept_informed(around) {
        return Some(Act::Control(ControlAction::Status));
    }
    let says = |list: &[&str]| around.pre.iter().any(|word| has(list, word));
    if around.before() == "from"
        && says(SILENT)
        && says(HEARD)
        && !says(&["if", "when", "who", "he", "she", "they"])
    {
        return Some(Act::Control(ControlAction::Status));
    }
    let (asks, lead) = around.pre.split_last()?;
    let (wonders, lead) = strip_soft(lead).split_last()?;
    let open = matches!(*asks, "if" | "whether" | "how" | "where" | "what" | "when" | "how's" | "where's");
    if !open || !has(WONDERS, wonders) || !lead.iter().all(|word| has(LEAD, word) || has(words::SOFT, word)) {
        return None;
    }
    let made = *asks == "what" && around.post.iter().take(4).any(|word| has(words::MADE, word));
    let verb = around.behind();
    if made && !around.post.contains(&"doing") {
        return Some(Act::Control(ControlAction::Read));
    }
    let there = *asks == "where" && matches!(verb, "is" | "are" | "stands");
    ((!has(words::MODAL, verb) || verb == "will")
        && !matches!(verb, "should" | "knows" | "to")
        && (there || stands(&around.post)))
    .then_some(Act::Control(ControlAction::Status))
}

/// "Catch me up on CODIE", "bring us up to date on the generalist's mission", "still waiting for CODIE".
fn kept_informed(around: &Around<'_>) -> bool {
    let pre = strip_soft(&around.pre);
    let informs = pre.windows(3).enumerate().any(|(at, three)| {
        has(&["catch", "fill", "bring", "keep", "get", "clue"], three[0])
            && matches!(three[1], "me" | "us")
            && has(&["up", "in", "posted", "informed", "updated", "abreast", "current"], three[2])
            && directive(&pre[..at])
    });
    let on = matches!(around.before(), "on" | "about" | "of" | "with" | "what" | "how" | "where");
    let waiting = pre.iter().position(|word| *word == "waiting").is_some_and(|at| {
        pre[..at]
            .iter()
            .all(|word| matches!(*word, "i'm" | "we're" | "i" | "am" | "we" | "are" | "still" | "been"))
            && matches!(pre[at + 1..], ["for" | "on"] | ["to", "hear", "from"])
    });
    // "Just checking in on CODIE".
    let checks = matches!(
        pre,
        ["checking" | "following" | "circling", .., "on" | "with" | "to"]
            | ["i'm", "checking" | "following" | "circling", .., "on" | "with"]
    ) && pre.len() <= 4;
    informs && on || waiting || checks
}

/// How something stands: "is working", "is still at it", "is done yet".
fn stands(words: &[&str]) -> bool {
    let near = &words[..words.len().min(8)];
    near.iter().any(|word| has(words::STATUS, word) || matches!(*word, "still" | "yet" | "already"))
        || near.windows(2).any(|pair| matches!(pair, ["at" | "on", "it" | "track"]))
}

/// "The files CODIE touched": a thing, and what the lane did with it.
fn made_by_it(between: &[&str], post: &[&str]) -> bool {
    const DETERMINERS: &[&str] = &[
        "the", "that", "those", "these", "this", "all", "every", "any", "some", "both", "each", "whatever",
        "my", "our",
    ];
    let perfect =
        |word: &&&str| matches!(**word, "has" | "have" | "had" | "just" | "already" | "recently" | "last");
    let Some(did) = post.iter().find(|word| !perfect(word)) else { return false };
    let acted = did.len() > 3 && did.ends_with("ed") || has(words::PAST, did);
    let Some(last) = between.last() else { return false };
    let noun = !has(words::PREPOSITIONS, last)
        && !has(words::JOINTS, last)
        && !matches!(*last, "if" | "whether" | "how" | "why" | "where" | "until" | "because" | "sure")
        && (between.len() > 1 || !has(DETERMINERS, last));
    acted && noun && between.iter().any(|word| has(DETERMINERS, word))
}

/// "Show me what CODIE found", "give me the status of CODIE", "check on CODIE".
fn looked_at(around: &Around<'_>, verb: &str, between: &[&str], direct: bool) -> Option<ControlAction> {
    let near: Vec<&str> = around.post.iter().take(8).copied().collect();
    let result = |list: &[&str]| list.iter().any(|word| has(words::RESULTS, word));
    let status = |list: &[&str]| list.iter().any(|word| has(words::STATUS, word) || *word == "latest");
    let what =
        between.iter().any(|word| matches!(*word, "what" | "whatever" | "which" | "everything" | "anything"));
    let attached = (around.possessive || !direct)
        && around.post.iter().take(3).any(|word| has(words::RESULTS, word))
        && (around.possessive || has(words::RESULTS, around.behind()));
    let of = matches!(around.before(), "of" | "from" | "by" | "for") || strip_articles(between).0.is_empty();
    let commissioned = around.before() == "from"
        && between.windows(2).any(|pair| matches!(pair[0], "a" | "an") && has(words::RESULTS, pair[1]));
    let through = has(&["take", "go", "run", "talk"], verb)
        && between.iter().any(|word| matches!(*word, "through" | "over"));
    if (has(words::OBTAIN, verb) || has(&["put", "lay"], verb) || through) && !commissioned {
        let able = ["doing", "can", "could", "would", "should", "does"];
        let made = what
            && near.iter().any(|word| has(words::MADE, word))
            && !near.iter().any(|word| has(&able, word));
        let how = between.iter().any(|word| matches!(*word, "how" | "where" | "why" | "which"));
        let past = around
            .post
            .first()
            .is_some_and(|word| has(words::PAST, word) || word.len() > 4 && word.ends_with("ed"));
        let made = made || how && past;
        let standing = between.iter().any(|word| matches!(*word, "progress" | "status"));
        let named = result(between) && of && has(&["of", "from", "by"], around.before()) && !standing;
        let direct_result = direct && has(words::RESULTS, around.behind());
        let listed = between.contains(&words::LANE) && around.before() == "and";
        let shown = around.possessive && (direct || listed) && is_shown(verb, around);
        if made || named || attached || direct_result || shown || made_by_it(between, &around.post) {
            return Some(ControlAction::Read);
        }
    }
    if !has(words::INSPECT, verb) {
        return None;
    }
    let asks_lane = direct
        && !has(&["check", "show", "see", "view", "list", "monitor", "track", "watch", "follow"], verb);
    let told = has(&["update", "brief", "inform", "notify"], verb)
        && matches!(between, ["me" | "us", "on" | "about" | "of"]);
    let on = told
        || *between == ["on"]
        || *between == ["up", "on"]
        || *between == ["in", "on"]
        || *between == ["out"];
    let by_means = matches!(around.before(), "by" | "via" | "through" | "using");
    let about = status(between) && !by_means
        || (!direct || around.possessive) && status(&near)
        || result(between) && what;
    let work = has(words::WORK, around.behind()) && (verb != "ask" && verb != "tell") && !asks_lane;
    let when = verb == "know"
        || between.iter().any(|word| matches!(*word, "when" | "once" | "whether" | "how" | "if"));
    let at = between.last() == Some(&"where") && matches!(around.behind(), "is" | "are" | "stands");
    let looks = verb == "check"
        && direct
        && !around.possessive
        && around.post.iter().all(|word| has(words::SOFT, word));
    let mission = between.first() == Some(&"on") && between.iter().any(|word| has(words::WORK, word));
    if at || looks || mission {
        return Some(ControlAction::Status);
    }
    let known = when && (stands(&near) || around.post.is_empty());
    (!asks_lane && on
        || !asks_lane && about && !commissioned
        || around.possessive && status(&near)
        || work
        || known)
        .then_some(ControlAction::Status)
}

/// "Open CODIE's numbers": what is the lane's, and no part of the program and no trait of it.
fn is_shown(verb: &str, around: &Around<'_>) -> bool {
    const TRAITS: &[&str] = &[
        "capabilities",
        "skills",
        "limits",
        "hours",
        "schedule",
        "abilities",
        "version",
        "opinion",
        "attention",
        "id",
        "help",
        "permission",
        "calendar",
        "address",
        "number",
        "way",
        "due",
        "thanks",
        "regards",
    ];
    let noun = around.behind();
    let other = [words::THINGS, words::STATUS, words::WORK, TRAITS].iter().any(|list| has(list, noun));
    let beside = has(&["put", "lay", "set"], verb) && around.post.contains(&"side");
    (beside
        || has(
            &[
                "show", "see", "view", "open", "read", "display", "print", "paste", "compare", "quote",
                "recap", "walk",
            ],
            verb,
        ))
        && !other
}

/// "Results from CODIE please", "CODIE's output?", "codie result".
fn results(pre: &[&str], around: &Around<'_>) -> Option<Act> {
    if pre.iter().any(|word| matches!(*word, "status" | "progress")) {
        return None;
    }
    let please = around.asks || around.post.iter().any(|word| matches!(*word, "please" | "pls" | "plz"));
    let soft = |words: &[&str]| words.iter().all(|word| has(words::SOFT, word) || has(words::WORK, word));
    let of = match pre {
        [result, "of" | "from" | "by"] | [_, result, "of" | "from" | "by"] => {
            has(words::RESULTS, result) && soft(&around.post)
        }
        [] => has(words::RESULTS, around.behind()) && soft(&around.post[1..]),
        // "Highlights of CODIE's report, please."
        [thing @ .., "of" | "from" | "to"] => {
            around.possessive && has(words::RESULTS, around.behind()) && is_thing(thing)
        }
        _ => false,
    };
    let bare = !around.possessive
        && pre.is_empty()
        && matches!(around.behind(), "result" | "results" | "output" | "findings");
    (of && (please || bare)).then_some(Act::Control(ControlAction::Read))
}

/// "Status of CODIE", "any news from the General VP", "CODIE status".
fn headed(around: &Around<'_>) -> Option<Act> {
    const HEADS: [&str; 12] = [
        "status", "progress", "state", "update", "updates", "eta", "news", "word", "statuses", "backlog",
        "luck", "sign",
    ];
    let pre = match strip_soft(&around.pre) {
        // "I should be grateful for an update on CODIE."
        [
            "i" | "we",
            "should" | "would",
            "be",
            "grateful" | "glad" | "obliged" | "thankful",
            "for",
            rest @ ..,
        ]
        | ["i" | "we", "should" | "would", "appreciate", rest @ ..]
        | ["i'd" | "we'd", "appreciate", rest @ ..] => rest,
        pre => pre,
    };
    let awaited = matches!(pre, ["got" | "heard" | "hear", .., "from"] | ["any", "sign", .., "from"]);
    if awaited || matches!(pre, ["anything", .., "from"]) && around.asks {
        return Some(Act::Control(ControlAction::Status));
    }
    if let Some(act) = results(pre, around) {
        return Some(act);
    }
    let head = pre.iter().position(|word| {
        !has(words::ARTICLES, word)
            && !matches!(*word, "any" | "quick" | "latest" | "current" | "what's" | "is")
    });
    let of = |rest: &[&str]| {
        matches!(
            rest,
            [] | ["of" | "on" | "from" | "for" | "with" | "about" | "regarding"] | ["back", "from"]
        )
    };
    // "Update CODIE to the new API" is something else.
    let deed = pre.last() == Some(&"update") && !around.post.is_empty() && !around.asks;
    if !deed
        && head.is_some_and(|head| {
            HEADS.contains(&pre[head])
                && of(match &pre[head + 1..] {
                    ["report" | "update" | "check", rest @ ..] => rest,
                    rest => rest,
                })
        })
    {
        return Some(Act::Control(ControlAction::Status));
    }
    let bare = pre.is_empty() || pre == ["any"];
    let short = around.post.len() <= 3;
    let status = HEADS.contains(&around.behind()) || around.asks && has(words::STATUS, around.behind());
    if bare && short && status {
        return Some(Act::Control(ControlAction::Status));
    }
    let missions = has(words::WORK, around.behind());
    (bare && missions && around.post.get(1).is_some_and(|word| HEADS.contains(word)))
        .then_some(Act::Control(ControlAction::Status))
}
