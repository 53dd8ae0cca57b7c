//! Requests for work in which a lane is the object: "have CODIE ...", "send this to CODIE", "fix it with CODIE".

use super::ControlAction;
use super::clause::{directive, strip_articles, strip_soft};
use super::frame::{Act, Around};
use super::words::{self, LANE, QUOTE, has};

const STATUS: Act = Act::Control(ControlAction::Status);

/// What is asked for, if the words before the lane ask at all.
pub(super) fn asked(around: &Around<'_>) -> Option<Act> {
    let pre = &around.pre[..];
    if begun(pre, around) {
        return Some(Act::Delegate);
    }
    for phrase in words::CAUSE_PHRASES {
        if pre.ends_with(phrase) && directive(&pre[..pre.len() - phrase.len()]) {
            return Some(followed(phrase[0], around));
        }
    }
    let (verb, before) = pre.split_last()?;
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
                has(&["throw", "point", "aim", "fling"], word) && directive(&before[..at])
            };
            before.iter().enumerate().any(thrown).then_some(Act::Delegate)
        }
        "to" | "too" | "towards" => given(before),
        "for" => (piece(before) || for_it_to(before, around)).then_some(Act::Delegate),
        "by" => (passive(before) || requests_work(before)).then_some(Act::Delegate),
        "using" | "via" | "through" | "with" | "on" => by_means(verb, before).then_some(Act::Delegate),
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
    let with = matches!(around.before(), "with" | "for" | "to" | "on" | "in" | "at" | "via")
        && between.iter().any(|word| piece(word))
        && between.iter().any(|word| matches!(*word, "a" | "an" | "new" | "another" | "this"));
    let named = piece(around.behind()) && around.indefinite;
    with || named
}

/// "I need for CODIE to fix it", "it is time for CODIE to".
fn for_it_to(before: &[&str], around: &Around<'_>) -> bool {
    let wish = before.iter().any(|word| has(&["want", "need", "like", "time", "love"], word));
    wish && around.behind() == "to"
        && !before.iter().any(|word| has(&["if", "when", "did", "was", "who", "wanted"], word))
}

/// A verb that asks, where it stands; wishes are only ours.
fn requested(verb: &str, before: &[&str]) -> bool {
    if !has(words::WISH, verb) {
        return directive(before);
    }
    let before = strip_soft(before);
    let speaker = before.first().is_some_and(|first| has(&["i", "we", "i'd", "we'd", "i'll", "you"], first));
    let would = before.iter().any(|word| has(&["would", "i'd", "we'd", "'d"], word));
    let plain = before.iter().all(|word| {
        has(
            &[
                "i", "we", "i'd", "we'd", "would", "really", "do", "also", "just", "you", "might", "will",
                "may", "i'll",
            ],
            word,
        ) || has(words::SOFT, word)
    });
    speaker && plain && (would || matches!(verb, "want" | "need" | "prefer"))
}

/// "I am giving this to", "would you mind asking", "how about using".
fn progressive(before: &[&str]) -> bool {
    let before = strip_soft(before);
    let starts = |words: &[&str]| before.starts_with(words);
    let ours = starts(&["i'm"]) || starts(&["we're"]) || starts(&["i", "am"]) || starts(&["we", "are"]);
    let mind = before
        .last()
        .is_some_and(|last| matches!(*last, "mind" | "about" | "try" | "recommend" | "suggest" | "consider"));
    let question = before
        .first()
        .is_some_and(|first| has(&["would", "do", "how", "what", "i", "try", "consider", "i'd"], first));
    ours && before.len() <= 3 || mind && question
}

/// What is said behind the lane, when it is asked to do something.
fn followed(verb: &str, around: &Around<'_>) -> Act {
    let post = strip_soft(past_joined(&around.post));
    let deed = if matches!(post.first(), Some(&"to" | &"too")) { strip_soft(&post[1..]) } else { post };
    let first = deed.first().copied().unwrap_or_default();
    if has(words::CANCEL, first) && is_its_work(&deed[1..]) && !matches!(verb, "use" | "want") {
        return Act::Control(ControlAction::Cancel);
    }
    if post.first() == Some(&"off") && matches!(verb, "call" | "pull" | "take") {
        return Act::Control(ControlAction::Cancel);
    }
    if first == "not" || post.first() == Some(&"not") {
        return Act::Refused;
    }
    if matches!(verb, "ask" | "ping" | "message" | "contact" | "consult" | "tell" | "request")
        && about_itself(post)
    {
        return STATUS;
    }
    if accepts(verb, post, deed) { Act::Delegate } else { Act::Named("no work is asked of it") }
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
        "tell" => to || first == QUOTE,
        "give" | "send" | "hand" | "pass" => !post.iter().take(4).any(|word| has(words::NO_WORK, word)),
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
        "want" | "need" | "prefer" => !matches!(first, "back" | "gone" | "out" | "off" | "dead" | "because"),
        "make" => has(words::VERBS, first),
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
            post.iter().take(2).any(|word| matches!(*word, "on" | "to" | "onto")) && !post.contains(&"hold")
        }
        "get" => to || matches!(first, "on" | "started" | "working" | "involved" | "going" | "onto"),
        "run" | "launch" | "deploy" | "activate" | "trigger" | "start" | "charge" | "call" | "queue"
        | "kick" | "wake" => post.is_empty() || aimed,
        "notify" | "instead" | "contact" | "message" | "ping" => to && !deed_first.is_empty(),
        _ => true,
    }
}

/// The words behind "stop" mean the lane's own work, or nothing else.
pub(super) fn is_its_work(rest: &[&str]) -> bool {
    let own = [
        "it",
        "that",
        "this",
        "now",
        "immediately",
        "the",
        "his",
        "her",
        "its",
        "their",
        "current",
        "working",
        "what",
        "what's",
        "it's",
        "doing",
        "everything",
        "whatever",
        "on",
        "for",
        "me",
        "right",
        "away",
        "at",
        "once",
        "running",
        "you",
        "are",
        "is",
        "your",
        "you're",
        "all",
        "they're",
        "he's",
        "she's",
        "there",
        "processing",
        "execution",
        "ongoing",
        "any",
        "and",
        "of",
        "please",
        "my",
        "our",
        "previous",
        "last",
        "latest",
        "in",
        "progress",
        "immediately",
        "entirely",
        "completely",
    ];
    let at_it =
        matches!(rest.first().copied(), Some("working" | "processing" | "running" | "whatever" | "what"));
    at_it || rest.iter().all(|word| has(&own, word) || has(words::WORK, word) || has(words::SOFT, word))
}

/// "Send this to", "this should be handed to", "I want this sent to", "this one goes to".
fn given(before: &[&str]) -> Option<Act> {
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

fn wished(before: &[&str]) -> bool {
    let before = strip_soft(before);
    matches!(before, ["i'll" | "we'll"] | ["let", "me"] | ["i", "will" | "should"] | ["we", "should" | "can"])
}

/// "A task for", "this is for".
fn piece(before: &[&str]) -> bool {
    let told = before
        .iter()
        .any(|word| has(&["was", "were", "had", "did", "what", "which", "who", "yesterday"], word));
    let links = ["is", "are", "here", "just", "only", "another", "please", "that", "be", "should", "would"];
    let head = before.iter().rev().find(|word| !has(&links, word));
    let noun = head.is_some_and(|word| {
        has(words::PIECE, word) || matches!(*word, "this's" | "it's" | "one" | "that's" | "here's")
    });
    let verb = strip_soft(before).first().is_some_and(|first| {
        has(
            &["write", "update", "explain", "describe", "define", "document", "estimate", "review", "see"],
            first,
        )
    });
    noun && !told && !verb
}

/// "I want this done", "it should be handled", "have it written", "needs to be delegated".
fn passive(before: &[&str]) -> bool {
    let ends = |word: &str| {
        word.len() > 4 && (word.ends_with("ed") || word.ends_with("en") || word.ends_with("ing"))
    };
    let last = before.len().saturating_sub(1);
    let at = before.iter().rposition(|word| has(words::DONE_BY, word));
    let at = at.or_else(|| before.iter().rposition(|word| ends(word)).filter(|at| *at == last));
    let Some(at) = at else { return false };
    let lead = &before[..at];
    let asks = [
        "should", "must", "needs", "need", "has", "ought", "want", "like", "have", "get", "let", "please",
        "prefer", "gets", "love",
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
fn by_means(means: &str, before: &[&str]) -> bool {
    let verb = leading_verb(before);
    let transfer = |(at, word): (usize, &&str)| has(words::TRANSFER, word) && directive(&before[..at]);
    let talk = [
        "share",
        "discuss",
        "talk",
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
fn commissioned(before: &[&str]) -> bool {
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
