//! Words that end what one is at, or say that it is to go on: "stand down", "drop it", "carry on".

use super::clause::strip_soft;
use super::words::{self, has};

/// Two words that end what one is at.
const CEASE: &[&[&str]] = &[
    &["stand", "down"],
    &["back", "off"],
    &["give", "up"],
    &["leave", "off"],
    &["lay", "off"],
    &["wind", "down"],
    &["pack", "it"],
    &["pack", "up"],
    &["down", "tools"],
    &["pull", "out"],
    &["bow", "out"],
    &["cut", "it"],
    &["knock", "it"],
    &["knock", "that"],
    &["knock", "off"],
    &["call", "it"],
    &["let", "it", "go"],
    &["drop", "it"],
    &["drop", "that"],
    &["drop", "everything"],
    &["drop", "what"],
    &["forget", "it"],
    &["forget", "that"],
    &["forget", "about"],
    &["hold", "it"],
    &["hold", "off"],
    &["hold", "fire"],
    &["never", "mind"],
    &["leave", "it", "be"],
    &["give", "it", "a", "rest"],
    &["shut", "down"],
];

/// What a lane is to go on with: "carry on", "keep looking", "finish".
pub(super) fn continues(words: &[&str]) -> bool {
    let words = strip_soft(words);
    match words {
        ["bother" | "bothering", rest @ ..] => continues(rest),
        ["continue" | "proceed" | "finish" | "persist" | "complete" | "continuing" | "finishing", ..] => true,
        ["carry" | "go" | "press" | "carrying" | "going", "on" | "any" | "further", ..] => true,
        ["keep", next, ..] => *next == "at" || *next == "on" || next.ends_with("ing"),
        _ => false,
    }
}

/// "Any more", "no longer".
pub(super) fn no_more(words: &[&str]) -> bool {
    words.iter().any(|word| matches!(*word, "anymore" | "longer"))
        || words.windows(2).any(|pair| pair[0] == "any" && matches!(pair[1], "more" | "longer" | "further"))
}

/// Whether what a lane is told to do is to end its work: "stop", "stand down", "drop it", "quit looking".
pub(super) fn ceases(words: &[&str]) -> bool {
    let words = strip_soft(words);
    let Some(first) = words.first().copied() else { return false };
    let rest = &words[1..];
    if has(&["cease", "desist", "abandon", "discontinue"], first)
        || CEASE.iter().any(|phrase| words.starts_with(phrase))
    {
        return true;
    }
    let activity = rest.first().is_some_and(|next| next.ends_with("ing") && next.len() > 5);
    let with = matches!(rest, ["on" | "with", ..]);
    let discard =
        has(&["drop", "scrap", "shelve", "ditch"], first) && rest.iter().any(|word| has(words::WORK, word));
    (has(words::CANCEL, first) || discard) && (is_its_work(rest) || activity || with)
}

/// The words behind "stop" mean the lane's own work, or nothing else.
fn is_its_work(rest: &[&str]) -> bool {
    const OWN: &[&str] = &[
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
        "entirely",
        "completely",
    ];
    let at_it =
        matches!(rest.first().copied(), Some("working" | "processing" | "running" | "whatever" | "what"));
    at_it || rest.iter().all(|word| has(OWN, word) || has(words::WORK, word) || has(words::SOFT, word))
}

/// What a lane is told, and that means the end: "that's enough", "we don't need it any more", "no need to go on".
pub(super) fn tells_the_end(post: &[&str]) -> bool {
    let pair = |one: &str, two: &str| post.windows(2).any(|pair| pair == [one, two]);
    let unneeded =
        no_more(post) && post.iter().any(|word| matches!(*word, "need" | "needed" | "want" | "wanted"));
    let no_need = post
        .windows(3)
        .enumerate()
        .any(|(at, three)| three == ["no", "need", "to"] && continues(&post[at + 3..]));
    pair("never", "mind")
        || pair("that's", "enough")
        || unneeded
        || no_need
        || post.iter().any(|word| has(words::CANCELLING, word))
}
