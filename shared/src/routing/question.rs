//! Questions in which a lane is named.

use super::ControlAction;
use super::cease::ceases;
use super::clause::strip_soft;
use super::control::inquired;
use super::delegate::past_joined;
use super::frame::{Act, Around};
use super::words::{self, LANE, QUOTE, has};

const STATUS: Act = Act::Control(ControlAction::Status);
const READ: Act = Act::Control(ControlAction::Read);

/// What a question wants; nothing, when it is none, or one that is a request ("can you have CODIE ...").
pub(super) fn asked(around: &Around<'_>) -> Option<Act> {
    let pre = match strip_soft(&around.pre) {
        // "In which file did CODIE put it?"
        [preposition, which @ ..]
            if has(words::PREPOSITIONS, preposition) && matches!(which.first(), Some(&"which" | &"what")) =>
        {
            which
        }
        pre => pre,
    };
    let (Some(first), second) = (pre.first().copied(), pre.get(1).copied().unwrap_or_default()) else {
        return None;
    };
    if is_opinion(first, second, pre, around) {
        return Some(Act::Named("asks for advice"));
    }
    if first == "will" && second == "you" && around.asks && around.post.is_empty() {
        return Some(Act::Named("asks about the lane"));
    }
    if has(words::MODAL, first) {
        return (pre.len() == 1).then(|| able(first, around));
    }
    if has(words::AUX, first) && !matches!(second, "hoping" | "wondering") {
        return about_a_fact(first, second, pre, around);
    }
    // "What I want you to do is".
    let wish = first == "what" && has(&["i", "we", "i'd", "you"], second)
        || first == "which" && has(&["i", "we", "i'd", "we'd"], second) && has(words::WISH, around.before());
    let generic = around.indefinite && has(words::WH, first) || first == "what" && second == "happens";
    if generic && !wish {
        return Some(Act::Named("asks about the lane"));
    }
    if has(words::WH, first) && !wish {
        return open(first, second, pre, around);
    }
    let advice =
        matches!(first, "should" | "shall" | "shouldn't") && (has(&["i", "we"], second) || pre.len() == 1);
    if advice {
        return Some(Act::Named("asks for advice"));
    }
    if first == "any" && (has(words::STATUS, second) || has(words::RESULTS, second)) {
        return Some(if has(words::STATUS, second) { STATUS } else { READ });
    }
    None
}

/// "Would this be a job for CODIE?", "can I use CODIE for that?", "would you recommend CODIE?".
fn is_opinion(first: &str, second: &str, pre: &[&str], around: &Around<'_>) -> bool {
    let third = pre.get(2).copied().unwrap_or_default();
    if !around.asks || says(pre, &["please"]) || says(&around.post, &["please"]) {
        return false;
    }
    let would_be = matches!(first, "would" | "might" | "could" | "wouldn't")
        && matches!(second, "this" | "that" | "it")
        && third == "be"
        && says(
            &pre[3..],
            &["a", "an", "better", "worth", "wise", "smart", "good", "cheaper", "faster", "best"],
        );
    let may_i = matches!(first, "can" | "may" | "could")
        && second == "i"
        && has(&["use", "give", "send", "hand", "pass", "assign", "delegate", "try", "run"], third);
    let may_ask = matches!(first, "can" | "may")
        && second == "i"
        && pre.len() == 3
        && around.post.len() <= 2
        && third == "ask"
        && around.behind() != "to";
    let would_you = first == "would"
        && second == "you"
        && (matches!(third, "recommend" | "suggest" | "prefer" | "choose" | "pick")
            || third == "use" && (around.post.is_empty() || around.behind() == "or"));
    let should_you = first == "should" && second == "you";
    let is_a = first == "is"
        && matches!(second, "this" | "that" | "it")
        && matches!(third, "a" | "an" | "really" | "even");
    would_be || may_i || may_ask || would_you || should_you || is_a
}

/// Names a thing that is meant, not a kind of thing.
pub(super) fn definite(words: &[&str]) -> bool {
    says(
        words,
        &["this", "that", "the", "my", "our", "me", "us", "it", "these", "those", "them", "please", QUOTE],
    )
}

fn says(words: &[&str], list: &[&str]) -> bool {
    words.iter().any(|word| has(list, word))
}

/// "Could CODIE fix this?" is a request; "can CODIE fix bugs?" asks what it is able to do.
fn able(modal: &str, around: &Around<'_>) -> Act {
    let post = strip_soft(past_joined(&around.post));
    let post = match post {
        ["be", "able", "to", rest @ ..]
        | ["be", "so", "kind" | "good" | "nice", "as", "to", rest @ ..]
        | ["possibly", rest @ ..] => rest,
        post => post,
    };
    let verb = post.first().copied().unwrap_or_default();
    if says(
        post,
        &["principle", "theory", "general", "generally", "technically", "theoretically", "ever", "usually"],
    ) {
        return Act::Named("asks what the lane is able to do");
    }
    let cancelled = post.iter().any(|word| has(words::CANCELLED, word)) && says(post, &["be", "get"]);
    if has(words::CANCEL, verb) && says(post, &["a", "an"]) {
        return Act::Named("asks what the lane is able to do");
    }
    if cancelled || ceases(post) {
        return Act::Control(ControlAction::Cancel);
    }
    if modal.starts_with("wo") && modal != "would" && modal != "won't"
        || matches!(verb, "be" | "have" | "finish" | "not")
    {
        let status = says(post, words::STATUS) || verb == "finish" || says(post, &["longer"]);
        return if status { STATUS } else { Act::Named("asks about the lane") };
    }
    if matches!(modal, "will" | "won't") && says(post, &["done", "finish", "ready", "soon"]) {
        return STATUS;
    }
    let ability = has(words::ABILITIES, verb);
    if matches!(modal, "can" | "could") && matches!(verb, "see" | "know" | "access" | "reach" | "hear") {
        return Act::Named("asks what the lane is able to do");
    }
    // "Can CODIE see the repository?" asks, "can CODIE fix the repository?" does not.
    let weak = matches!(modal, "can" | "can't") && ability;
    let near: Vec<&str> =
        post.iter().filter(|word| !weak || !matches!(**word, "the" | "it" | "that")).copied().collect();
    let a_thing = says(post, &["a", "an"]) && has(words::VERBS, verb) && !ability;
    if definite(&near) || a_thing { Act::Delegate } else { Act::Named("asks what the lane is able to do") }
}

/// "Did CODIE finish?", "is the General VP busy?", "are there missions for CODIE?".
fn about_a_fact(first: &str, second: &str, pre: &[&str], around: &Around<'_>) -> Option<Act> {
    let post = &around.post;
    let behind = around.behind();
    let imperative = matches!(first, "do" | "don't" | "have" | "am");
    let subject = matches!(second, "you" | "we" | "i" | "they" | "u");
    if first == "do"
        && second == "you"
        && (pre.get(2) == Some(&"mind")
            || matches!(pre, ["do", "you", "think" | "reckon", "you" | "we", "could" | "can", ..]))
    {
        return None;
    }
    if first == "have" && !subject {
        let participle =
            behind.ends_with("ed") || has(words::DONE_BY, behind) || matches!(behind, "been" | "had" | "got");
        return (around.asks && pre.len() == 1 && participle).then_some(STATUS);
    }
    if imperative && !subject && !(first == "do" && pre.len() == 1) {
        return None;
    }
    if first == "is" && second == "it" && says(pre, &["possible", "ok", "okay", "fine"]) {
        return None;
    }
    if pre.len() == 1 {
        let described = matches!(first, "is" | "are" | "isn't" | "was" | "were")
            && !around.possessive
            && has(words::TRAITS, behind)
            // "Was CODIE able to fix it?" asks what came of it.
            && !(behind == "able" && matches!(first, "was" | "were"));
        let needs =
            behind == "need" && says(post, &["anything", "me", "my", "us", "our", "input", "something"]);
        let general = matches!(first, "does" | "do" | "doesn't")
            && !needs
            && !says(post, words::STATUS)
            && !says(post, words::WORK);
        return Some(if described || general { Act::Named("asks about the lane") } else { STATUS });
    }
    if second == "there" && says(pre, &["limit", "way", "option", "maximum", "difference", "reason", "point"])
    {
        return Some(Act::Named("asks about the lane"));
    }
    if let Some(act) = inquired(around) {
        return Some(act);
    }
    if matches!(second, "anything" | "something") && says(pre, &["from", "to", "on"]) {
        return Some(STATUS);
    }
    let all: Vec<&str> = pre.iter().skip(1).chain(post.iter()).copied().collect();
    let about = says(&all, words::STATUS)
        || says(&all, words::WORK)
        || says(&all, &["request", "brief", "reached", "arrived"])
        || matches!(first, "did" | "has" | "have") && subject;
    Some(if about { STATUS } else { Act::Named("a question") })
}

/// "What's keeping CODIE?", "where do things stand with CODIE?", "what came back from CODIE?".
fn stand(first: &str, second: &str, pre: &[&str], after: &[&str], around: &Around<'_>) -> Option<Act> {
    let third = pre.get(2).copied().unwrap_or_default();
    let delay = says(
        after,
        &["keeping", "taking", "holding", "delaying", "blocking", "slow", "late", "silent", "quiet"],
    );
    let hindered = matches!(first, "what's" | "what" | "why" | "why's" | "whats") && delay;
    let stands = first == "where"
        && (says(after, &["stand", "stands"])
            || second == "are" && third == "we"
            || pre == ["where", "does"] && says(after, &["stand"]));
    let latest = matches!(first, "what's" | "what" | "whats")
        && says(pre, &["latest"])
        && !says(after, words::RESULTS);
    let plate = matches!(first, "what's" | "what" | "whats")
        && around.possessive
        && has(words::PLACES, around.behind());
    let expected = first == "when" && says(pre, &["expect", "think", "reckon"]);
    let stage = matches!(first, "what" | "which" | "since")
        && says(pre, &["stage", "step", "phase", "percentage", "percent", "time", "wrong", "when"])
        || first == "what's" && says(pre, &["wrong"]);
    let fate = matches!(first, "whatever" | "what")
        && says(pre, &["happened", "became", "become"])
        && !says(pre, &["if", "when"]);
    if hindered || stands || latest || plate || expected || fate || stage {
        return Some(STATUS);
    }
    let came = first == "what"
        && matches!(second, "came" | "comes" | "come")
        && matches!(third, "out" | "back" | "of" | "from");
    let got = first == "what"
        && second == "did"
        && has(&["we", "i", "you"], third)
        && says(pre, &["get", "hear", "learn"])
        && says(pre, &["from"]);
    let kept = first == "where"
        && (second == "did"
            && says(&around.post, &["put", "save", "store", "leave", "upload", "write", "dump"])
            || says(pre, &["find", "see", "get", "read"])
                && (says(pre, &["what", "which"]) || says(after, words::RESULTS)));
    let counted = first == "how" && second == "many" && !says(after, words::WORK);
    let placed =
        first == "where" && around.post.len() > 1 && !matches!(around.behind(), "go" | "stop" | "get");
    let chosen = (matches!(first, "what" | "which" | "who") && pre.len() > 1 || counted || placed)
        && pre.last() == Some(&"did")
        && !around.post.is_empty()
        && around.behind() != "cost";
    let owned = around.possessive && has(words::RESULTS, around.behind()) || says(pre, words::RESULTS);
    let looks = owned
        && matches!(second, "does" | "do" | "did")
        && says(&around.post, &["look", "say", "read", "work"]);
    (came || got || kept || chosen || looks).then_some(READ)
}

/// "What is CODIE doing?", "what did CODIE find?", "who is CODIE?".
fn open(first: &str, second: &str, pre: &[&str], around: &Around<'_>) -> Option<Act> {
    let third = pre.get(2).copied().unwrap_or_default();
    if second == "if" && pre.len() == 2 {
        return Some(Act::Named("asks about the lane"));
    }
    let suggestion = matches!(first, "why" | "how" | "what")
        && (second == "not"
            || second == "about"
            || matches!(second, "don't" | "can't" | "couldn't" | "dont") && has(&["you", "we"], third)
            || second == "if" && has(&["you", "we"], third));
    if suggestion {
        // "How about CODIE does it?"
        let does = words::third_person(around.behind()).is_some() && definite(&around.post);
        if second == "about" && pre.len() == 2 && does {
            return Some(Act::Delegate);
        }
        return (second == "about" && pre.len() == 2).then_some(Act::Named("asks about the lane"));
    }
    let after: Vec<&str> = pre.iter().skip(1).chain(around.post.iter()).copied().collect();
    if let Some(act) = stand(first, second, pre, &after, around) {
        return Some(act);
    }
    let instruction = second == "to"
        || matches!(first, "how" | "when" | "why" | "where")
            && matches!(second, "do" | "does" | "would" | "can" | "could" | "should" | "might")
            && (has(&["i", "we", "you", "one", "people", "someone"], third)
                || third.is_empty() && second != "can" && !around.post.is_empty());
    let late = matches!(first, "when") && matches!(second, "will" | "is" | "can" | "does" | "did");
    let failed = first == "why" && (!matches!(second, "is" | "use" | "do") || says(&after, words::STATUS));
    if instruction && !late {
        return Some(Act::Named("asks how to"));
    }
    if first == "how" && second == "much" && !says(&after, &["longer", "left", "more"]) {
        return Some(Act::Named("asks about the lane"));
    }
    let limit = first == "how"
        && second == "many"
        && says(&after, &["can", "could", "most", "max", "maximum", "allowed"]);
    if limit {
        return Some(Act::Named("asks about the lane"));
    }
    let deed = matches!(first, "what" | "which" | "where" | "where's" | "what's");
    let progressive = says(
        &after,
        &["doing", "working", "happening", "status", "progress", "going", "state", "missions", "tasks"],
    );
    let owned =
        (around.possessive || has(words::RESULTS, around.behind())) && says(&around.post, words::RESULTS);
    let up_to = after.windows(2).any(|pair| pair == ["up", "to"]);
    let progressive = progressive || up_to;
    let result = says(pre, words::RESULTS) || owned || first != "where" && says(&around.post, words::MADE);
    let capable =
        matches!(second, "can" | "could" | "should" | "would" | "does" | "do") && !says(&after, words::WORK);
    let tells = owned
        && says(&around.post, &["say", "conclude", "recommend", "mention", "contain", "include", "suggest"]);
    let capable = capable && !tells;
    if deed && result && !progressive && !capable {
        return Some(READ);
    }
    let described = matches!(second, "is" | "are")
        && around
            .post
            .first()
            .is_some_and(|next| matches!(*next, "different" | "hosted" | "priced" | "trained" | "made"));
    if described || says(&around.post, &["good", "best", "capable", "suited"]) {
        return Some(Act::Named("asks about the lane"));
    }
    let advice = says(&pre[1..], &["should", "would"]) && !late;
    let runs = around.behind() == "run" && !says(pre, words::WORK);
    let work = says(&after, words::WORK) && !capable && !runs && !advice;
    let status = says(&after, words::STATUS)
        || work
        || late
        || failed
        || matches!(first, "where's" | "how's" | "hows")
        || first == "where" && matches!(second, "is" | "are") && pre.len() == 2;
    let long = first == "how"
        && (second == "much" && says(&after, &["longer", "left", "more"])
            || matches!(second, "long" | "far" | "many" | "is" | "are" | "did" | "has"));
    let lane_first = !pre.contains(&LANE);
    Some(if lane_first && (status || long && !capable) { STATUS } else { Act::Named("asks about the lane") })
}
