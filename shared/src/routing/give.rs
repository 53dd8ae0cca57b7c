//! Work is given to a lane, or done by its means: "send this to CODIE", "fix it with CODIE".

use super::clause::{strip_articles, strip_soft};
use super::delegate::{progressive, requested};
use super::frame::{Act, Around};
use super::opening::directive;
use super::words::{self, LANE, has};

/// "Send this to", "this should be handed to", "I want this sent to", "this one goes to".
pub(super) fn given(before: &[&str]) -> Option<Act> {
    // "I think this should go to".
    let before = match strip_soft(before) {
        ["i", "think" | "guess" | "suppose" | "believe" | "reckon" | "feel", "that", rest @ ..]
        | ["i", "think" | "guess" | "suppose" | "believe" | "reckon" | "feel", rest @ ..] => rest,
        _ => before,
    };
    let verb = before.iter().enumerate().rev().find(|(at, word)| {
        has(words::TRANSFER, word) && (directive(&before[..*at]) || wished(&before[..*at]))
    });
    if let Some((at, verb)) = verb {
        let between = &before[at + 1..];
        let nothing = between
            .iter()
            .any(|word| has(&["thanks", "regards", "kudos", "attention", "love"], word))
            || *verb == "get" && !between.iter().any(|word| matches!(*word, "this" | "it" | "that" | "over"));
        // A lane in between is the one that gives.
        let other = between.contains(&LANE) && !between.iter().any(|word| matches!(*word, "and" | "from"));
        return (!nothing && !other).then_some(Act::Delegate);
    }
    // "Yeet this over to CODIE": whatever the verb.
    if let [before @ .., "over" | "off" | "across" | "along"] = before
        && let [verb, _, ..] = strip_soft(before)
        && !words::is_known(verb)
    {
        return Some(Act::Delegate);
    }
    if before.iter().any(|word| has(words::CAUSING, word)) && {
        let at = before.iter().position(|word| has(words::CAUSING, word)).unwrap_or_default();
        progressive(&before[..at])
    } {
        return Some(Act::Delegate);
    }
    let goes = before.iter().any(|word| matches!(*word, "go" | "goes" | "going" | "belongs"));
    let thing =
        before.first().is_some_and(|first| has(&["this", "that", "it", "these", "let", "have"], first))
            || strip_soft(before).first().is_some_and(|first| {
                has(&["it", "that", "these", "those", "let", "goes", "go", "the", "my"], first)
            })
            || before.first() == Some(&"this");
    let handed = goes && thing && !before.iter().any(|word| has(&["went", "want", "if", "who", "did"], word));
    (handed || passive(before)).then_some(Act::Delegate)
}

/// "Toss it in CODIE's lap", "add it to the coder VP's queue".
pub(super) fn placed(around: &Around<'_>) -> bool {
    const PUT: &[&str] = &[
        "put", "add", "stick", "dump", "plop", "lay", "slap", "place", "park", "pile", "land", "set", "pop",
    ];
    let Some((preposition, before)) = around.pre.split_last() else { return false };
    let into = matches!(*preposition, "in" | "into" | "on" | "onto" | "to" | "at");
    let place = around.post.iter().take(2).any(|word| has(words::PLACES, word));
    let nothing = before.iter().any(|word| has(words::NO_WORK, word));
    let belongs = matches!(
        around.pre[..],
        ["this" | "that" | "it", "belongs", _]
            | ["this" | "that" | "it", "should" | "must", "be" | "go" | "land", _]
    );
    if around.possessive && into && place && belongs {
        return true;
    }
    around.possessive
        && into
        && place
        && !nothing
        && before.iter().enumerate().any(|(at, word)| {
            (has(PUT, word) || has(words::TRANSFER, word))
                && directive(&before[..at])
                && at + 1 < before.len()
        })
}

fn wished(before: &[&str]) -> bool {
    let before = strip_soft(before);
    matches!(before, ["i'll" | "we'll"] | ["let", "me"] | ["i", "will" | "should"] | ["we", "should" | "can"])
}

/// "A task for", "this is for".
pub(super) fn piece(before: &[&str]) -> bool {
    let told = before
        .iter()
        .any(|word| has(&["was", "were", "had", "did", "what", "which", "who", "yesterday"], word));
    let links = ["is", "are", "here", "just", "only", "another", "please", "that", "be", "should", "would"];
    let head = before.iter().rev().find(|word| !has(&links, word));
    let noun = head.is_some_and(|word| {
        has(words::PIECE, word) || matches!(*word, "this's" | "it's" | "one" | "one's" | "that's" | "here's")
    });
    let verb = strip_soft(before).first().is_some_and(|first| {
        has(
            &[
                "prepare",
                "draft",
                "make",
                "list",
                "plan",
                "collect",
                "compile",
                "brainstorm",
                "think",
                "write",
                "update",
                "explain",
                "describe",
                "define",
                "document",
                "estimate",
                "review",
                "see",
            ],
            first,
        )
    });
    noun && !told && !verb
}

/// "I want this done", "it should be handled", "have it written", "needs to be delegated".
pub(super) fn passive(before: &[&str]) -> bool {
    let ends = |word: &str| {
        word.len() > 4 && (word.ends_with("ed") || word.ends_with("en") || word.ends_with("ing"))
    };
    let last = before.len().saturating_sub(1);
    let at = before.iter().rposition(|word| has(words::DONE_BY, word));
    let at = at.or_else(|| {
        before.iter().rposition(|word| ends(word)).filter(|at| {
            *at == last
                || *at + 1 == last
                    && has(&["at", "into", "over", "after", "up", "out", "through"], before[last])
        })
    });
    let Some(at) = at else { return false };
    let lead = &before[..at];
    let asks = [
        "should", "must", "needs", "need", "has", "ought", "want", "like", "have", "get", "let", "please",
        "prefer", "gets", "love", "consider",
    ];
    let past = [
        "was", "were", "been", "got", "had", "already", "being", "who", "which", "what", "if", "did", "when",
        "see",
    ];
    let now = [
        "to", "be", "this", "that", "it", "should", "must", "i", "i'd", "we", "would", "can", "could", "you",
        "the", "these",
    ];
    let wish = lead.iter().any(|word| has(&asks, word));
    let polite = lead.first().is_some_and(|first| has(words::MODAL, first))
        && lead.iter().any(|word| matches!(*word, "be" | "get" | "have"));
    (wish || polite || lead.ends_with(&["to", "be"]) && lead.iter().any(|word| has(&now, word)))
        && !lead.iter().any(|word| has(&past, word))
}

/// "Fix it with CODIE": the clause itself asks for work.
pub(super) fn by_means(means: &str, before: &[&str], behind: &str) -> bool {
    let verb = leading_verb(before);
    let transfer = |(at, word): (usize, &&str)| has(words::TRANSFER, word) && directive(&before[..at]);
    let talk = [
        "share",
        "discuss",
        "talk",
        "close",
        "open",
        "compare",
        "integrate",
        "replace",
        "sync",
        "chat",
        "speak",
        "agree",
        "check",
        "deal",
        "meet",
        "connect",
        "help",
        "look",
        "stop",
        "cancel",
        "start",
        "begin",
        "continue",
        "go",
        "see",
        "tell",
        "show",
        "let",
        "give",
        "read",
    ];
    match means {
        "with" if behind == "as" || before.iter().any(|word| has(words::SOCIAL, word)) => false,
        "with" if matches!(before, ["this" | "that" | "it", "belongs"]) => true,
        "with" => verb.is_some_and(|verb| !has(&talk, verb)) || passive(before),
        "on" => verb.is_some_and(|verb| {
            has(&["run", "execute", "do", "launch", "schedule", "process", "perform", "queue", "start"], verb)
        }),
        _ => {
            let bare = strip_soft(before).is_empty();
            bare || verb.is_some() || passive(before) || before.iter().enumerate().any(transfer)
        }
    }
}

/// "Get me a story from".
pub(super) fn commissioned(before: &[&str]) -> bool {
    let verb = before.iter().enumerate().find(|(at, word)| {
        has(&["get", "want", "need", "request", "order", "commission", "like"], word)
            && (directive(&before[..*at]) || requested(word, &before[..*at]))
    });
    verb.is_some_and(|(at, _)| {
        before[at..].iter().any(|word| matches!(*word, "a" | "an" | "some"))
            && !before[at..].iter().any(|word| has(&["update", "status", "news", "eta", "word"], word))
    })
}

/// Whether a clause asks for work: its verb is one, and it stands where one asks.
pub(super) fn requests_work(texts: &[&str]) -> bool {
    leading_verb(texts).is_some()
}

fn leading_verb<'a>(texts: &[&'a str]) -> Option<&'a str> {
    let (texts, _) = strip_articles(texts);
    texts.iter().enumerate().take(12).find_map(|(at, word)| {
        let asks = has(words::VERBS, word) && directive(&texts[..at]) && !has(words::NOT, word);
        let refused = texts[..at].iter().any(|word| has(words::NOT, word));
        (asks && !refused).then_some(*word)
    })
}
