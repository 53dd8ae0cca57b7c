//! The lane is called or is the subject: "CODIE, fix the tests", "CODIE should do it".

use super::cease::ceases;
use super::clause::strip_soft;
use super::frame::{Act, Around, Place};
use super::opening::{courteous, directive};
use super::text::Kind;
use super::words::{self, LANE, QUOTE, has};
use super::{ControlAction, delegate, give, question};

/// "CODIE, fix the tests", "General VP: a story", "CODIE should do it", "fix it, CODIE".
pub(super) fn asked(place: &Place<'_>, around: &Around<'_>) -> Option<Act> {
    let pre = strip_soft(&around.pre);
    let clause = &place.clauses[place.clause];
    if matches!(around.before(), "if" | "whether" | "that" | "for") && courteous(&around.pre) {
        return hoped(around);
    }
    let alone = delegate::past_joined(&around.post).iter().all(|word| has(words::SOFT, word));
    // "Prod is down codie please fix".
    let begged = match around.post[..] {
        ["please" | "pls" | "plz", verb, ..] | ["can" | "could" | "would", "you", verb, ..] => {
            has(words::VERBS, verb)
        }
        _ => false,
    };
    let governed = [words::PREPOSITIONS, words::CAUSE, words::TELLING, words::OTHERS, words::NOT]
        .iter()
        .any(|list| around.pre.iter().any(|word| has(list, word)));
    if begged && !governed && !around.pre.is_empty() {
        return Some(Act::Delegate);
    }
    // "For the General VP: a short bio".
    let strong = matches!(clause.after, Some(Kind::Colon | Kind::Dash));
    if alone && strong && matches!(pre, ["for" | "to" | "attn" | "attention" | "cc"]) {
        return place.clauses.get(place.clause + 1).and_then(|next| called(&next.texts(), true, around.asks));
    }
    if again(pre, around) || is_its_job(pre, around) {
        return Some(Act::Delegate);
    }
    // "Fix the flaky test @codie".
    if place.mention.called && alone && give::requests_work(pre) && !has(words::PREPOSITIONS, around.before())
    {
        return Some(Act::Delegate);
    }
    if !directive(&around.pre) && !pre.is_empty() {
        return None;
    }
    let ordered = around.post.iter().all(|word| *word == QUOTE) && pre.is_empty() && field(place);
    if ordered {
        return Some(Act::Delegate);
    }
    if !alone {
        let act = subject(around, pre.is_empty());
        let asks = around.asks || has(words::WH, around.behind());
        let you = (has(words::WH, around.behind()) || around.behind() == "you")
            && around.post.iter().take(5).any(|word| matches!(*word, "you" | "u"));
        return act.or_else(|| {
            called(&around.post, place.mention.called, asks || you)
                .filter(|_| (place.mention.called && around.pre.len() == place.word || you) && pre.is_empty())
        });
    }
    if !pre.is_empty() {
        return None;
    }
    if status_field(place) {
        return Some(Act::Control(ControlAction::Status));
    }
    // "CODIE then, please."
    let elected = around.post.iter().any(|word| matches!(*word, "please" | "pls" | "plz" | "then"));
    if field(place) || elected && place.clauses.len() == 1 && !around.asks {
        return Some(Act::Delegate);
    }
    if let Some(next) = place.clauses.get(place.clause + 1).filter(|_| is_parted(place)) {
        return before_words(place, around, &next.texts());
    }
    // "Good morning, CODIE! Port the job."
    if place.clauses[..=place.clause].iter().all(|clause| greets(&clause.texts())) {
        // "Generalist. Trip plan. Kyoto. Go."
        if place.then.iter().any(|then| matches!(then[..], ["go"])) {
            return Some(Act::Delegate);
        }
        let then = place.then.first()?;
        return called(then, false, false).filter(|_| place.clause + 1 == place.clauses.len());
    }
    behind_words(place, around)
}

/// "I would be grateful if the General VP prepared".
fn hoped(around: &Around<'_>) -> Option<Act> {
    let verb = strip_soft(&around.post).first().copied().unwrap_or_default();
    let skill = strip_soft(&around.post).get(1).is_some_and(|next| has(words::ABILITIES, next));
    if verb == "can" && skill && !question::definite(&around.post) {
        return Some(Act::Named("asks what the lane is able to do"));
    }
    // "I wonder whether the generalist would do a better job than an agency."
    let compares = matches!(verb, "would" | "could" | "might")
        && around.post.contains(&"than")
        && matches!(around.post.get(1), Some(&"be" | &"do"))
        && around.post.iter().take(5).any(|word| matches!(*word, "better" | "worse" | "cheaper" | "faster"));
    if compares {
        return Some(Act::Named("asks for advice"));
    }
    let does = has(words::MUST, verb) || has(words::VERBS, verb) || verb.ends_with("ed") || verb == "to";
    (does && !matches!(verb, "is" | "has" | "are")).then_some(Act::Delegate)
}

/// A mark stands between the lane and what is said to it; "re: CODIE, ..." is said to nobody.
fn is_parted(place: &Place<'_>) -> bool {
    let clause = &place.clauses[place.clause];
    let about = place.clause.checked_sub(1).is_some_and(|at| {
        matches!(place.clauses[at].texts()[..], ["re" | "fw" | "fwd" | "subject" | "about" | "regarding"])
    });
    !about && matches!(clause.after, Some(Kind::Comma | Kind::Colon | Kind::Dash | Kind::Close))
}

/// "CODIE, fix the tests", "CODIE, the button does nothing. Sort it out".
fn before_words(place: &Place<'_>, around: &Around<'_>, said: &[&str]) -> Option<Act> {
    let clause = &place.clauses[place.clause];
    let strong = matches!(clause.after, Some(Kind::Colon | Kind::Dash));
    // "The build is red. CODIE, please."
    let please = said.iter().all(|word| has(words::SOFT, word))
        && said.iter().any(|word| matches!(*word, "please" | "pls" | "plz"));
    if please && place.clause + 2 == place.clauses.len() && !around.asks {
        return Some(Act::Delegate);
    }
    let act = called(said, strong, around.asks);
    // "CODIE, the button does nothing. Sort it out."
    let stated =
        act.is_none() && !around.asks && said.first().is_some_and(|first| has(words::ARTICLES, first));
    // "CODIE, the login is down, fix it!"
    let behind = act.is_none()
        && !said.first().is_some_and(|first| {
            has(words::ARTICLES, first) || has(words::WH, first) || has(words::OTHERS, first)
        })
        && place.clauses[place.clause + 2..].iter().any(|later| give::requests_work(&later.texts()));
    if behind && !around.asks {
        return Some(Act::Delegate);
    }
    let later = stated && place.then.iter().take(3).any(|then| give::requests_work(then));
    if later { Some(Act::Delegate) } else { act }
}

/// "Fix it, CODIE": at the end, behind a request.
fn behind_words(place: &Place<'_>, around: &Around<'_>) -> Option<Act> {
    let clause = &place.clauses[place.clause];
    let previous = place.clauses.get(place.clause.checked_sub(1)?)?;
    let marked = matches!(clause.before, Some(Kind::Comma | Kind::Dash | Kind::Open));
    let texts = previous.texts();
    // "How is the parser coming along, CODIE?"
    let asked = texts.first().is_some_and(|first| has(words::WH, first) || has(words::AUX, first));
    if marked && around.asks && asked && texts.iter().any(|word| has(words::STATUS, word)) {
        return Some(Act::Control(ControlAction::Status));
    }
    if marked && ceases(&texts) {
        return Some(Act::Control(ControlAction::Cancel));
    }
    (marked && place.clause + 1 == place.clauses.len() && give::requests_work(&texts))
        .then_some(Act::Delegate)
}

/// "This one is a CODIE job", "this needs CODIE", "whichever VP is free should do it".
fn is_its_job(pre: &[&str], around: &Around<'_>) -> bool {
    let this = matches!(pre, ["this" | "this's" | "that" | "that's" | "it's", ..]);
    let job =
        matches!(around.post[..], ["job" | "task" | "territory" | "work" | "thing" | "matter" | "turf"]);
    let is_a = matches!(pre, [_, "is" | "one's"] | [_, "one", "is"] | ["this's" | "that's" | "it's"]);
    let needs =
        matches!(pre, ["this" | "that", "needs"] | ["this", "one", "needs"]) && around.post.is_empty();
    let free = pre == ["whichever"]
        && around.post.first() == Some(&"is")
        && around.post.iter().any(|word| matches!(*word, "should" | "can" | "must"));
    !around.asks && (this && job && is_a && !around.possessive || needs || free)
}

/// "Same again but with the generalist this time".
fn again(pre: &[&str], around: &Around<'_>) -> bool {
    let [first, .., preposition] = pre else { return false };
    let once_more = pre.iter().any(|word| has(words::PIECE, word) || matches!(*word, "again" | "thing"))
        || around.post.iter().any(|word| matches!(*word, "please" | "pls" | "plz"))
        || around.post.iter().any(|word| matches!(*word, "time" | "instead"));
    matches!(*first, "same" | "ditto" | "repeat")
        && matches!(*preposition, "with" | "for" | "by" | "via" | "using" | "to" | "from")
        && once_more
        && !around.asks
}

/// "Lane: General VP"; "two missions: CODIE on the code, ...".
fn field(place: &Place<'_>) -> bool {
    const FIELDS: [&str; 6] = ["lane", "assignee", "assign", "worker", "to", "for"];
    let Some(previous) = place.clause.checked_sub(1).map(|index| &place.clauses[index]) else { return false };
    let texts = previous.texts();
    previous.after == Some(Kind::Colon) && texts.len() == 1 && FIELDS.contains(&texts[0])
}

/// "Status: CODIE".
fn status_field(place: &Place<'_>) -> bool {
    let Some(previous) = place.clause.checked_sub(1).map(|index| &place.clauses[index]) else { return false };
    previous.after == Some(Kind::Colon) && matches!(previous.texts()[..], ["status" | "progress" | "eta"])
}

/// Nothing but a greeting and a name.
fn greets(texts: &[&str]) -> bool {
    texts.iter().all(|word| has(words::SOFT, word) || has(words::ARTICLES, word) || *word == words::LANE)
}

/// The lane is the subject: "CODIE should fix it", "CODIE fix the tests", "CODIE to write the post".
fn subject(around: &Around<'_>, first: bool) -> Option<Act> {
    let post = strip_soft(delegate::past_joined(&around.post));
    let verb = post.first().copied()?;
    let next = post.get(1).copied().unwrap_or_default();
    if first && has(words::MODAL, verb) && has(&["you", "u"], next) {
        return called(post, false, around.asks);
    }
    let ordered =
        matches!(verb, "a" | "an") && post.iter().any(|word| matches!(*word, "please" | "pls" | "plz"));
    if first && (ordered || verb == "gets" && has(words::ARTICLES, next)) {
        return Some(Act::Delegate);
    }
    if has(words::MUST, verb) {
        let rest: Vec<&str> = post.iter().skip(1).filter(|word| !has(words::SOFT, word)).copied().collect();
        let rest = if rest.first() == Some(&"to") { &rest[1..] } else { &rest[..] };
        let to = next == "to";
        let weak = matches!(verb, "can" | "could" | "may" | "might" | "will" | "would");
        let needs_to = matches!(verb, "ought" | "needs" | "need" | "has" | "have" | "is" | "are" | "gets");
        let has_it = matches!(rest[..], ["have", "this" | "that" | "it", ..]);
        let tries = matches!(
            rest[..],
            ["have", "a" | "another", "go" | "look" | "crack" | "try" | "shot" | "stab", ..]
        );
        if weak && has_it || tries && (!needs_to || to) {
            return Some(Act::Delegate);
        }
        let does = !lives(rest)
            && rest
                .first()
                .is_some_and(|word| !matches!(*word, "be" | "have" | "know" | "been" | "not" | "never"));
        let charged = matches!(rest.first().copied(), Some("be"))
            && rest.get(1) == Some(&"the")
            && rest.contains(&"one");
        let known = rest.first().is_some_and(|word| has(words::VERBS, word));
        let given =
            rest.iter().any(|word| has(&["this", "it", "that", "these", "them", "one", "rest", QUOTE], word));
        // "CODIE can stop now."
        let may_drop = matches!(verb, "can" | "may")
            && rest.first().is_some_and(|word| matches!(*word, "drop" | "skip" | "stop" | "leave"));
        if (!needs_to || to) && ceases(rest) || may_drop {
            return Some(Act::Control(ControlAction::Cancel));
        }
        // "The generalist is to be instructed to compile a list."
        let instructed = to
            && matches!(rest, ["be", told, "to" | "with", _, ..] if has(&["instructed", "asked", "told", "tasked", "engaged", "directed", "charged"], told));
        let asked = instructed || (!needs_to || to) && does && (!weak || known && given) || charged && !weak;
        return asked.then_some(Act::Delegate);
    }
    if !first {
        return None;
    }
    if ceases(post) {
        return Some(Act::Control(ControlAction::Cancel));
    }
    // "The codie handle is taken."
    if has(&["is", "was", "are", "were", "has"], next) {
        return None;
    }
    if verb == "to" && has(words::VERBS, next) {
        return Some(Act::Delegate);
    }
    let noun = has(words::RESULTS, verb) || has(words::WORK, verb) || has(words::STATUS, verb);
    let object = has(words::ARTICLES, next)
        || has(&["it", "them", "me", "us", "all", "every", QUOTE, "these", "up"], next);
    (has(words::VERBS, verb) && (!noun || object)).then_some(Act::Delegate)
}

/// "See a dentist", "go home": what people do and no lane does.
fn lives(deed: &[&str]) -> bool {
    const LIVE: &[&str] =
        &["eat", "sleep", "drink", "visit", "meet", "relax", "rest", "wait", "apologise", "apologize"];
    match deed {
        ["see", next, ..] => !matches!(*next, "to" | "that" | "if" | "whether" | "why" | "what" | "how"),
        ["go", next, ..] => matches!(*next, "home" | "to" | "on" | "away" | "out" | "shopping"),
        [verb, ..] => has(LIVE, verb),
        [] => false,
    }
}

/// What is said to a lane that was called by its name.
fn called(next: &[&str], strong: bool, asks: bool) -> Option<Act> {
    // "CODIE, great work" is praise.
    const PRAISE: &[&str] = &[
        "job", "work", "stuff", "one", "effort", "catch", "try", "point", "idea", "question", "going", "done",
    ];
    let said = strip_soft(next);
    let praised = next
        .first()
        .is_some_and(|first| matches!(*first, "good" | "great" | "nice" | "well" | "lovely" | "excellent"));
    if praised
        && said
            .first()
            .is_some_and(|first| has(PRAISE, first) || matches!(*first, "nice" | "lovely" | "excellent"))
    {
        return None;
    }
    let Some(verb) = said.first().copied() else {
        // "CODIE, still there?"
        let there = asks && next.contains(&"there");
        return if there {
            Some(Act::Control(ControlAction::Status))
        } else {
            strong.then_some(Act::Delegate)
        };
    };
    if is_offered(said, asks) {
        return Some(Act::Delegate);
    }
    let second = said.get(1).copied().unwrap_or_default();
    if ceases(said) || matches!(said, ["enough" | "nevermind"] | ["that's", "enough"] | ["never", "mind"]) {
        return Some(Act::Control(ControlAction::Cancel));
    }
    if has(words::MODAL, verb) && second == "you" || directive(&said[..said.len().min(4)]) && said.len() > 2 {
        return Some(Act::Delegate);
    }
    if let Some(act) = answered(next, said, asks) {
        return Some(act);
    }
    if verb == "don't" || verb == "do" && second == "not" || verb == "not" || verb == "never" {
        return Some(Act::Refused);
    }
    let piece =
        said.len() <= 3 && said.iter().any(|word| has(words::WORK, word)) && has(words::ARTICLES, verb);
    if has(words::VERBS, verb) || verb == QUOTE || piece || give::requests_work(said) {
        return Some(Act::Delegate);
    }
    let told = has(words::AUX, verb)
        || has(words::PAST, verb)
        || has(words::MUST, verb)
        || words::third_person(verb).is_some()
        || verb == LANE
        || verb == "you"
        || verb.ends_with("ed")
        || verb.bytes().all(|byte| byte.is_ascii_digit())
        || has(words::STATUS, verb)
        || has(words::TELLING, verb)
        || has(words::OTHERS, verb);
    (strong && !told).then_some(Act::Delegate)
}

/// Work is announced or handed: "CODIE, I need a toast", "got one for you", "over to you".
fn is_offered(said: &[&str], asks: bool) -> bool {
    let wish = matches!(said, ["i" | "we", "need" | "want" | "require", next, ..] if *next != "you")
        || matches!(said, ["i'd" | "we'd", "like" | "love", ..]);
    // "CODIE, got one for you", "here's a task".
    let offered = said.windows(2).any(|pair| pair == ["for", "you"])
        && said.iter().any(|word| has(words::PIECE, word))
        || matches!(said, ["here's" | "heres", "a" | "the" | "your", piece, ..] if has(words::PIECE, piece));
    let curt = matches!(said, ["need", next, ..] if *next != "you");
    (wish || offered || curt) && !asks
        || said.starts_with(&["over", "to", "you"])
        || said.starts_with(&["your", "turn"])
        || said.starts_with(&["you're", "up"])
}

/// What a question to a lane, or a word in the place of one, comes to; nothing, when it is none.
fn answered(next: &[&str], said: &[&str], asks: bool) -> Option<Act> {
    const HEADS: &[&str] = &["status", "progress", "eta", "update", "news"];
    let (verb, second) = (*said.first()?, said.get(1).copied().unwrap_or_default());
    // "CODIE, why does the build fail on ARM?": of the world, not of the lane.
    let of_itself = |word: &&str| {
        has(words::STATUS, word) || matches!(*word, "you" | "your" | "you're" | "yours" | "u" | "it" | "that")
    };
    if asks && has(words::WH, verb) && said.len() > 3 && !said.iter().any(of_itself) {
        return Some(Act::Delegate);
    }
    // "@codie, mind fixing the login?"
    if asks && verb == "mind" && words::of_gerund(words::VERBS, second).is_some() {
        return Some(Act::Delegate);
    }
    if verb == "same"
        && said.iter().any(|word| has(words::PIECE, word) || matches!(*word, "again" | "above" | "thing"))
    {
        return Some(Act::Delegate);
    }
    if asks && matches!(verb, "result" | "results" | "findings" | "output") && said.len() == 1 {
        return Some(Act::Control(ControlAction::Read));
    }
    if has(HEADS, verb) && said.iter().skip(1).all(|word| has(words::SOFT, word)) {
        return Some(Act::Control(ControlAction::Status));
    }
    if asks && verb == "you" && next.iter().any(|word| has(words::STATUS, word)) {
        return Some(Act::Control(ControlAction::Status));
    }
    if asks && (has(words::AUX, verb) || has(words::WH, verb) || verb == "any" || has(words::STATUS, verb)) {
        let of_it = said.iter().any(|word| has(words::STATUS, word) || matches!(*word, "you" | "we"));
        return Some(if of_it { Act::Control(ControlAction::Status) } else { Act::Named("a question") });
    }
    None
}
