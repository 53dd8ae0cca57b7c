//! What is said of a lane where it is named: asked to work, asked about, stopped, refused, or only named.

use super::clause::{Clause, courteous, directive, negated, strip_articles, strip_soft};
use super::names::{Mention, Whom};
use super::text::Kind;
use super::words::{self, LANE, QUOTE, has};
use super::{ControlAction, delegate, question};

/// How many words around a lane are looked at.
pub(super) const REACH: usize = 60;

/// What is meant by naming a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// It is to do something.
    Delegate,
    /// It is to do something, or the one named before.
    Either,
    /// Something is wanted of a mission that exists.
    Control(ControlAction),
    /// It is not to do it.
    Refused,
    /// It is named, and that is all.
    Named(&'static str),
}

/// A lane where it is named.
pub(super) struct Place<'a> {
    pub clauses: &'a [Clause<'a>],
    pub clause: usize,
    pub word: usize,
    pub mention: &'a Mention,
    pub asks: bool,
    /// The first words of the sentences behind this one.
    pub then: &'a [Vec<&'a str>],
}

/// The words around a lane.
pub(super) struct Around<'a> {
    /// Before it in its clause, without articles.
    pub pre: Vec<&'a str>,
    /// Behind it in its clause.
    pub post: Vec<&'a str>,
    pub asks: bool,
    pub possessive: bool,
    /// "A coder VP", "another".
    pub indefinite: bool,
}

impl<'a> Around<'a> {
    fn of(place: &Place<'a>) -> Self {
        let texts: Vec<&str> = place.clauses[place.clause].words.iter().map(|word| word.text).collect();
        let (from, to) = (place.word.saturating_sub(REACH), texts.len().min(place.word + REACH));
        let mut near = texts[from..place.word].to_vec();
        if from > 0 {
            // What begins out of reach asks for nothing.
            near[0] = "\u{2026}";
        }
        let (mut pre, mut indefinite) = strip_articles(&near);
        // "The designer VP": the role that no lane has.
        if place.mention.whom == Whom::Someone
            && let Some((role, before)) = pre.split_last()
            && !words::is_known(role)
        {
            (pre, indefinite) = strip_articles(before);
        }
        Self {
            pre: pre.to_vec(),
            post: texts[place.word + 1..to].to_vec(),
            asks: place.asks,
            possessive: place.mention.possessive,
            indefinite,
        }
    }

    pub(super) fn before(&self) -> &'a str {
        self.pre.last().copied().unwrap_or_default()
    }

    pub(super) fn behind(&self) -> &'a str {
        self.post.first().copied().unwrap_or_default()
    }
}

/// What is meant by this mention, given what was meant by the one before it in the sentence.
pub(super) fn act(place: &Place<'_>, earlier: Option<Act>) -> Act {
    let around = Around::of(place);
    if let Some(act) = earlier.and_then(|earlier| joined(place, &around, earlier)) {
        return act;
    }
    if is_part_of_the_program(&around) {
        return Act::Named("names a part of the program");
    }
    if let Some(act) = question::asked(&around) {
        return act;
    }
    let last_lane = around.pre.iter().rposition(|word| *word == LANE).map_or(0, |at| at + 1);
    if negated(&around.pre[last_lane..]) {
        return Act::Refused;
    }
    if around.behind() == "not"
        || has(words::MUST, around.behind()) && around.post.get(1) == Some(&"not")
        || around.behind().ends_with("n't") && !around.asks
    {
        return Act::Refused;
    }
    if let Some(act) = control(&around) {
        return act;
    }
    if next_piece(place, &around) {
        return Act::Delegate;
    }
    if around.possessive && around.behind() != "to" && !around.post.is_empty() {
        return Act::Named("names something that is the lane's");
    }
    delegate::asked(&around).or_else(|| addressed(place, &around)).unwrap_or(Act::Named("names it only"))
}

/// "CODIE's next task: ...".
fn next_piece(place: &Place<'_>, around: &Around<'_>) -> bool {
    let piece = around.post.iter().take(2).any(|word| has(words::WORK, word));
    let fresh = matches!(around.behind(), "next" | "new") && piece && around.post.len() <= 3;
    let after = place.clauses[place.clause].after;
    fresh && (around.post.last() == Some(&"is") || matches!(after, Some(Kind::Colon | Kind::Dash)))
}

/// "CODIE and the General VP": what is meant by the one is meant by the other.
fn joined(place: &Place<'_>, around: &Around<'_>, earlier: Act) -> Option<Act> {
    let texts = place.clauses[place.clause].texts();
    let between: Vec<&str> = match texts[..place.word].iter().rposition(|word| *word == LANE) {
        Some(previous) => texts[previous + 1..place.word].to_vec(),
        None => {
            let previous = place.clauses.get(place.clause.checked_sub(1)?)?;
            let listed = place.word == 0
                && around.behind() == "to"
                && place.clauses[place.clause].before == Some(Kind::Comma);
            let gap = listed
                || (matches!(around.behind(), "to" | "for" | "on") || has(words::VERBS, around.behind()))
                    && texts.first().is_some_and(|joint| matches!(*joint, "and" | "plus" | "then" | "but"));
            let trailing = previous.words.last().is_some_and(|word| word.mention.is_some());
            let alone = around.post.is_empty() && trailing;
            if !gap && !alone {
                return None;
            }
            texts[..place.word].to_vec()
        }
    };
    let only_joints = between.iter().all(|word| has(words::JOINTS, word) || has(words::ARTICLES, word));
    if !only_joints {
        return None;
    }
    if between.contains(&"not") || between.contains(&"nor") {
        return Some(Act::Refused);
    }
    match earlier {
        Act::Delegate | Act::Either if between.contains(&"or") => Some(Act::Either),
        Act::Refused if between.contains(&"but") => Some(Act::Delegate),
        Act::Named(_) => None,
        other => Some(other),
    }
}

/// "The coder VP class", "CODIE's prompt".
fn is_part_of_the_program(around: &Around<'_>) -> bool {
    let thing = around.behind();
    if !has(words::THINGS, thing) {
        return false;
    }
    // "Have CODIE test the parser": a verb.
    let bare =
        matches!(around.before(), "have" | "let" | "make" | "help") || strip_soft(&around.pre).is_empty();
    let object = around.post.get(1).is_some_and(|next| {
        has(words::ARTICLES, next)
            || has(&["it", "them", "all", "every", QUOTE, "these", "those", "some", "for", "and"], next)
    });
    !(has(words::VERBS, thing) && !around.possessive && (bare || object))
}

/// "Cancel the coder VP's mission", "check on CODIE", "show me CODIE's report".
fn control(around: &Around<'_>) -> Option<Act> {
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

/// "CODIE, fix the tests", "General VP: a story", "CODIE should do it", "fix it, CODIE".
fn addressed(place: &Place<'_>, around: &Around<'_>) -> Option<Act> {
    let pre = strip_soft(&around.pre);
    let clause = &place.clauses[place.clause];
    // "I would be grateful if the General VP prepared".
    if matches!(around.before(), "if" | "whether" | "that" | "for") && courteous(&around.pre) {
        let verb = strip_soft(&around.post).first().copied().unwrap_or_default();
        let skill = strip_soft(&around.post).get(1).is_some_and(|next| has(words::ABILITIES, next));
        if verb == "can" && skill && !question::definite(&around.post) {
            return Some(Act::Named("asks what the lane is able to do"));
        }
        let does = has(words::MUST, verb) || has(words::VERBS, verb) || verb.ends_with("ed") || verb == "to";
        return (does && !matches!(verb, "is" | "has" | "are")).then_some(Act::Delegate);
    }
    if !directive(&around.pre) && !pre.is_empty() {
        return None;
    }
    if !around.post.is_empty() {
        return subject(around, pre.is_empty());
    }
    if !pre.is_empty() {
        return None;
    }
    if field(place) {
        return Some(Act::Delegate);
    }
    if let Some(next) = place.clauses.get(place.clause + 1) {
        let parted = matches!(clause.after, Some(Kind::Comma | Kind::Colon | Kind::Dash | Kind::Close));
        if parted {
            let strong = matches!(clause.after, Some(Kind::Colon | Kind::Dash));
            let said = next.texts();
            let act = called(&said, strong, around.asks);
            // "CODIE, the button does nothing. Sort it out."
            let stated = act.is_none()
                && !around.asks
                && said.first().is_some_and(|first| has(words::ARTICLES, first));
            let later = stated && place.then.iter().any(|then| delegate::requests_work(then));
            return if later { Some(Act::Delegate) } else { act };
        }
    }
    // "Good morning, CODIE! Port the job."
    if place.clauses[..=place.clause].iter().all(|clause| greets(&clause.texts())) {
        let then = place.then.first()?;
        return called(then, false, false).filter(|_| place.clause + 1 == place.clauses.len());
    }
    // "Fix it, CODIE": at the end, behind a request.
    let previous = place.clauses.get(place.clause.checked_sub(1)?)?;
    let marked = matches!(clause.before, Some(Kind::Comma | Kind::Dash | Kind::Open));
    let texts = previous.texts();
    (marked && place.clause + 1 == place.clauses.len() && delegate::requests_work(&texts))
        .then_some(Act::Delegate)
}

/// "Lane: General VP"; "two missions: CODIE on the code, ...".
fn field(place: &Place<'_>) -> bool {
    const FIELDS: [&str; 6] = ["lane", "assignee", "assign", "worker", "to", "for"];
    let Some(previous) = place.clause.checked_sub(1).map(|index| &place.clauses[index]) else { return false };
    let texts = previous.texts();
    previous.after == Some(Kind::Colon) && texts.len() == 1 && FIELDS.contains(&texts[0])
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
    if verb == "gets" && has(words::ARTICLES, next) && first {
        return Some(Act::Delegate);
    }
    if has(words::MUST, verb) {
        let rest: Vec<&str> = post.iter().skip(1).filter(|word| !has(words::SOFT, word)).copied().collect();
        let rest = if rest.first() == Some(&"to") { &rest[1..] } else { &rest[..] };
        let to = next == "to";
        let weak = matches!(verb, "can" | "could" | "may" | "might" | "will" | "would");
        let needs_to = matches!(verb, "ought" | "needs" | "need" | "has" | "have" | "is" | "are" | "gets");
        let does = rest
            .first()
            .is_some_and(|word| !matches!(*word, "be" | "have" | "know" | "been" | "not" | "never"));
        let charged = matches!(rest.first().copied(), Some("be"))
            && rest.get(1) == Some(&"the")
            && rest.contains(&"one");
        let known = rest.first().is_some_and(|word| has(words::VERBS, word));
        let given =
            rest.iter().any(|word| has(&["this", "it", "that", "these", "them", "one", "rest", QUOTE], word));
        let asked = (!needs_to || to) && does && (!weak || known && given) || charged && !weak;
        return asked.then_some(Act::Delegate);
    }
    if !first {
        return None;
    }
    if has(words::CANCEL, verb) && delegate::is_its_work(&post[1..]) {
        return Some(Act::Control(ControlAction::Cancel));
    }
    if verb == "to" && has(words::VERBS, next) {
        return Some(Act::Delegate);
    }
    let noun = has(words::RESULTS, verb) || has(words::WORK, verb) || has(words::STATUS, verb);
    let object = has(words::ARTICLES, next)
        || has(&["it", "them", "me", "us", "all", "every", QUOTE, "these", "up"], next);
    (has(words::VERBS, verb) && (!noun || object)).then_some(Act::Delegate)
}

/// What is said to a lane that was called by its name.
fn called(next: &[&str], strong: bool, asks: bool) -> Option<Act> {
    let said = strip_soft(next);
    let Some(verb) = said.first().copied() else { return strong.then_some(Act::Delegate) };
    let wish = matches!(said, ["i" | "we", "need" | "want" | "require", next, ..] if *next != "you")
        || matches!(said, ["i'd" | "we'd", "like" | "love", ..]);
    if wish && !asks {
        return Some(Act::Delegate);
    }
    if said.starts_with(&["over", "to", "you"])
        || said.starts_with(&["your", "turn"])
        || said.starts_with(&["you're", "up"])
    {
        return Some(Act::Delegate);
    }
    let second = said.get(1).copied().unwrap_or_default();
    if has(words::CANCEL, verb) && delegate::is_its_work(&said[1..]) {
        return Some(Act::Control(ControlAction::Cancel));
    }
    if has(words::MODAL, verb) && second == "you" || directive(&said[..said.len().min(4)]) && said.len() > 2 {
        return Some(Act::Delegate);
    }
    if asks && (has(words::AUX, verb) || has(words::WH, verb) || verb == "any" || has(words::STATUS, verb)) {
        return said
            .iter()
            .any(|word| has(words::STATUS, word) || *word == "you")
            .then_some(Act::Control(ControlAction::Status));
    }
    if verb == "don't" || verb == "do" && second == "not" || verb == "not" || verb == "never" {
        return Some(Act::Refused);
    }
    let piece =
        said.len() <= 3 && said.iter().any(|word| has(words::WORK, word)) && has(words::ARTICLES, verb);
    if has(words::VERBS, verb) || verb == QUOTE || piece || delegate::requests_work(said) {
        return Some(Act::Delegate);
    }
    let told = has(words::AUX, verb)
        || verb.ends_with("ed")
        || verb.bytes().all(|byte| byte.is_ascii_digit())
        || has(words::STATUS, verb)
        || has(words::TELLING, verb)
        || has(words::OTHERS, verb);
    (strong && !told).then_some(Act::Delegate)
}
