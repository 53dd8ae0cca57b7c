//! What is said of a lane where it is named: asked to work, asked about, stopped, refused, or only named.

use super::clause::{Clause, strip_articles, strip_soft};
use super::names::{Mention, Whom};
use super::opening::{negated, past_leisure};
use super::text::Kind;
use super::words::{self, LANE, QUOTE, has};
use super::{ControlAction, address, cancel, cease, control, delegate, engage, give, plan, question};

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
        let (mut pre, mut indefinite) = strip_articles(past_leisure(&near));
        // "The designer VP": the role that no lane has.
        if place.mention.whom == Whom::Someone
            && let Some((role, before)) = pre.split_last()
            && !words::is_known(role)
            && !(matches!(*role, "whichever" | "whoever" | "any") && before.is_empty())
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
    if common(place, &around) {
        return Act::Named("a common noun");
    }
    if is_part_of_the_program(&around) {
        return Act::Named("names a part of the program");
    }
    if let Some(act) = question::asked(&around) {
        return act;
    }
    if goes_on(place, &around) {
        return Act::Delegate;
    }
    if cancel::listed(place) {
        return Act::Control(ControlAction::Cancel);
    }
    if let Some(act) = cancel::unwanted(&around).or_else(|| control::inquired(&around)) {
        return act;
    }
    if is_refused(place, &around) {
        return Act::Refused;
    }
    if let Some(act) = control::asked(&around) {
        return act;
    }
    if next_piece(place, &around) {
        return Act::Delegate;
    }
    if let Some(act) =
        engage::asked(place, &around).or_else(|| give::placed(&around).then_some(Act::Delegate))
    {
        return act;
    }
    if around.possessive && around.behind() != "to" && !around.post.is_empty() {
        return Act::Named("names something that is the lane's");
    }
    delegate::asked(&around)
        .or_else(|| address::asked(place, &around))
        .or_else(|| plan::asked(place, &around))
        .unwrap_or(Act::Named("names it only"))
}

/// "CODIE, drop everything and fix it": the lane is not to rest.
fn goes_on(place: &Place<'_>, around: &Around<'_>) -> bool {
    let next = place.clauses.get(place.clause + 1).map(Clause::texts).unwrap_or_default();
    let told =
        around.before().is_empty() || has(&["have", "tell", "ask", "get", "let", "make"], around.before());
    let goes_on = told
        && matches!(next[..], ["and" | "then", verb, ..] if !has(words::CANCEL, verb) && !has(words::INSPECT, verb) && give::requests_work(&next[1..]));
    let must = around.post.iter().take_while(|word| has(words::MUST, word) || **word == "to").count();
    goes_on && cease::ceases(&around.post[must..])
}

/// "Don't use CODIE", "CODIE must not", "you could use CODIE, but don't".
fn is_refused(place: &Place<'_>, around: &Around<'_>) -> bool {
    let after = place.clauses.get(place.clause + 1).map(Clause::texts).unwrap_or_default();
    if matches!(
        after[..],
        ["but", "don't" | "not" | "never" | "please", ..] | ["don't"] | ["please", "don't"]
    ) && !after.contains(&LANE)
        && after.len() <= 4
    {
        return true;
    }
    let last_lane = around.pre.iter().rposition(|word| *word == LANE).map_or(0, |at| at + 1);
    if negated(&around.pre[last_lane..]) {
        return true;
    }
    around.behind() == "not"
        || has(words::MUST, around.behind()) && around.post.get(1) == Some(&"not")
        || around.behind().ends_with("n't") && !around.asks
}

/// "Hire a generalist", "a coder can fix it": anyone of the kind.
fn common(place: &Place<'_>, around: &Around<'_>) -> bool {
    let texts = place.clauses[place.clause].texts();
    let article = place.word.checked_sub(1).is_some_and(|at| matches!(texts[at], "a" | "an"));
    article
        && !place.mention.titled
        && !around.possessive
        && !has(words::WORK, around.behind())
        && !matches!(around.behind(), "thing" | "territory" | "matter")
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
            if earlier == Act::Delegate && meanwhile(&texts, around) {
                return Some(earlier);
            }
            let gap = listed
                || (matches!(around.behind(), "to" | "for" | "on") || has(words::VERBS, around.behind()))
                    && texts.first().is_some_and(|joint| matches!(*joint, "and" | "plus" | "then" | "but"));
            let trailing = previous.words.last().is_some_and(|word| word.mention.is_some());
            let yours = matches!(around.post[..], ["if" | "whichever" | "whatever", "you", ..]);
            let alone = (around.post.is_empty() || yours) && trailing;
            if !gap && !alone {
                return None;
            }
            texts[..place.word].to_vec()
        }
    };
    // "Not CODIE, the generalist": the one instead of the other.
    let before = &place.clauses[place.clause.saturating_sub(1)].texts();
    if earlier == Act::Refused
        && place.word < 2
        && strip_soft(before) == ["not", LANE]
        && !has(words::JOINTS, texts[0])
    {
        return Some(Act::Named("is meant instead"));
    }
    // "Have CODIE do it, or rather the generalist": to be asked back.
    let (plain, _) = strip_articles(&between);
    let rather = matches!(plain, [.., "or", "rather" | "maybe" | "perhaps" | "possibly" | "better"]);
    if rather && around.post.is_empty() && matches!(earlier, Act::Delegate | Act::Either) {
        return Some(Act::Either);
    }
    // "To the generalist or to CODIE".
    let again = |word: &str| {
        matches!(between[0], "and" | "or") && matches!(word, "to" | "for" | "by" | "with" | "from")
    };
    let only_joints =
        between.iter().all(|word| has(words::JOINTS, word) || has(words::ARTICLES, word) || again(word));
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

/// "While the generalist does the copy": work of its own, and not what it is at.
fn meanwhile(texts: &[&str], around: &Around<'_>) -> bool {
    let base = words::third_person(around.behind());
    texts.first() == Some(&"while")
        && base.is_some_and(|verb| {
            !has(
                &["work", "finish", "complete", "continue", "keep", "run", "try", "go", "learn", "restart"],
                verb,
            )
        })
        && around.post.len() > 1
        && !around.possessive
}

/// "The coder VP class", "CODIE's prompt".
fn is_part_of_the_program(around: &Around<'_>) -> bool {
    let thing = around.behind();
    let work = around.post.iter().take(3).any(|word| has(words::WORK, word));
    if !has(words::THINGS, thing) || work || around.possessive && thing == "implementation" {
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
