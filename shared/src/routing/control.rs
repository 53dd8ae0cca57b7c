//! Something is wanted of missions that exist: "cancel the coder VP's mission", "check on CODIE".

use super::ControlAction;
use super::clause::{strip_articles, strip_soft};
use super::frame::{Act, Around};
use super::opening::directive;
use super::words::{self, has};

/// "Cancel the coder VP's mission", "check on CODIE", "show me CODIE's report".
pub(super) fn asked(around: &Around<'_>) -> Option<Act> {
    let last = around.pre.len().saturating_sub(1);
    if let [before @ .., "pull", "the", "plug", "on"] | [before @ .., "put", "a" | "an", "stop" | "end", "to"] =
        &around.pre[..]
        && directive(before)
    {
        return Some(Act::Control(ControlAction::Cancel));
    }
    let stopping =
        |pair: &[&str]| matches!(pair, ["mind" | "about" | "consider", verb] if has(words::CANCELLING, verb));
    if around.pre.windows(2).any(stopping) {
        return Some(Act::Control(ControlAction::Cancel));
    }
    let stopped = around.post.iter().any(|word| has(words::CANCELLED, word));
    let wish = |word: &&str| has(words::WISHED, word);
    if stopped && (around.post.iter().take(3).any(wish) || around.pre.iter().any(wish) && !around.asks) {
        return Some(Act::Control(ControlAction::Cancel));
    }
    if let [before @ .., "call" | "pull" | "take" | "shut", "off" | "down"] = &around.pre[..]
        && directive(before)
    {
        return Some(Act::Control(ControlAction::Cancel));
    }
    for (at, verb) in around.pre.iter().enumerate() {
        let told = matches!(around.pre[..at], [.., "let", "me" | "us"] | [.., "have" | "take", "a"])
            && !has(words::CANCEL, verb);
        if !told && !directive(&around.pre[..at]) {
            continue;
        }
        let between = &around.pre[at + 1..];
        if has(words::CANCEL, verb) {
            if between.first().is_some_and(|next| next.ends_with("ing") || has(words::CAUSE, next)) {
                return Some(Act::Refused);
            }
            if !matches!(around.before(), "with" | "using" | "via" | "through" | "by") {
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

/// "Show me what CODIE found", "give me the status of CODIE", "check on CODIE".
fn looked_at(around: &Around<'_>, verb: &str, between: &[&str], direct: bool) -> Option<ControlAction> {
    let near: Vec<&str> = around.post.iter().take(8).copied().collect();
    let result = |list: &[&str]| list.iter().any(|word| has(words::RESULTS, word));
    let status = |list: &[&str]| list.iter().any(|word| has(words::STATUS, word));
    let what =
        between.iter().any(|word| matches!(*word, "what" | "whatever" | "which" | "everything" | "anything"));
    let attached = (around.possessive || !direct)
        && around.post.iter().take(3).any(|word| has(words::RESULTS, word))
        && (around.possessive || has(words::RESULTS, around.behind()));
    let of = matches!(around.before(), "of" | "from" | "by" | "for") || strip_articles(between).0.is_empty();
    let commissioned = around.before() == "from"
        && between.windows(2).any(|pair| matches!(pair[0], "a" | "an") && has(words::RESULTS, pair[1]));
    if has(words::OBTAIN, verb) && !commissioned {
        let made = what && near.iter().any(|word| has(words::MADE, word)) && !near.contains(&"doing");
        let named = result(between) && of && has(&["of", "from", "by"], around.before());
        let direct_result = direct && has(words::RESULTS, around.behind());
        if made || named || attached || direct_result {
            return Some(ControlAction::Read);
        }
    }
    if !has(words::INSPECT, verb) {
        return None;
    }
    let asks_lane = direct
        && !has(&["check", "show", "see", "view", "list", "monitor", "track", "watch", "follow"], verb);
    let on =
        *between == ["on"] || *between == ["up", "on"] || *between == ["in", "on"] || *between == ["out"];
    let about = status(between) || (!direct || around.possessive) && status(&near) || result(between) && what;
    let work = has(words::WORK, around.behind()) && (verb != "ask" && verb != "tell") && !asks_lane;
    let when =
        verb == "know" || between.iter().any(|word| matches!(*word, "when" | "once" | "whether" | "how"));
    let known = when && (status(&near) || around.post.is_empty());
    (!asks_lane && on
        || !asks_lane && about && !commissioned
        || around.possessive && status(&near)
        || work
        || known)
        .then_some(ControlAction::Status)
}

/// "Status of CODIE", "any news from the General VP", "CODIE status".
fn headed(around: &Around<'_>) -> Option<Act> {
    const HEADS: [&str; 10] =
        ["status", "progress", "state", "update", "updates", "eta", "news", "word", "statuses", "backlog"];
    let pre = strip_soft(&around.pre);
    let head = pre.iter().position(|word| {
        !has(words::ARTICLES, word)
            && !matches!(*word, "any" | "quick" | "latest" | "current" | "what's" | "is")
    });
    let of =
        |rest: &[&str]| matches!(rest, [] | ["of" | "on" | "from" | "for" | "with" | "about" | "regarding"]);
    if head.is_some_and(|head| HEADS.contains(&pre[head]) && of(&pre[head + 1..])) {
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
