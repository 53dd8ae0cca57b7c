//! Sentences that read like a request and ask for nothing now: a condition, a rule for later, an echo, a text to be
//! worked on.

use super::clause::{Clause, strip_soft};
use super::opening::past_leisure;
use super::text::Kind;
use super::words::{self, QUOTE, has};

/// Why a sentence asks for nothing, whatever it says of a lane.
pub(super) fn hedged(clauses: &[Clause<'_>], asks: bool, then: &[Vec<&str>]) -> Option<&'static str> {
    let head = clauses.first().map(Clause::texts).unwrap_or_default();
    let head = strip_soft(&head);
    let instructs = asks
        && matches!(head, ["how", "do" | "to" | "should" | "can" | "does" | "would" | "could", next, ..] if *next != "you");
    // "What should I write if I want CODIE to fix it?"
    let wording = matches!(head, ["what", "do" | "should" | "would" | "must" | "can", "i" | "we", verb, ..] if has(&["say", "write", "type", "enter", "tell", "put"], verb));
    if instructs || wording && asks {
        return Some("asks how to");
    }
    if is_conditional(clauses) || is_conditional_behind(clauses) {
        return Some("only under a condition");
    }
    if is_standing(clauses) {
        return Some("a rule for later");
    }
    if is_supposed(clauses) {
        return Some("only supposed");
    }
    if is_someday(clauses) {
        return Some("for some other day");
    }
    if is_attributed(clauses) {
        return Some("tells what somebody said");
    }
    (asks && is_denied(head, then)).then_some("asked, and answered with no")
}

/// "If the tests fail, have CODIE mend them": what is to be found out first is not ours to know. A condition on a lane
/// itself, or a polite one, is none.
fn is_conditional(clauses: &[Clause<'_>]) -> bool {
    let Some(first) = clauses.first() else { return false };
    let texts = first.texts();
    let head = strip_soft(&texts);
    let event =
        matches!(head, ["once" | "when" | "assuming" | "provided", _, _, ..] | ["as", "soon", "as", _, ..]);
    let yours = head
        .iter()
        .take(4)
        .any(|word| matches!(*word, "you" | "you're" | "u" | "comes" | "possible" | "you've"));
    let begins = matches!(head.first().copied(), Some("if" | "unless" | "suppose"))
        // "Should the client say yes, ..."
        || matches!(head, ["should", next, _, ..] if !matches!(*next, "i" | "we" | "you"))
        || head.starts_with(&["in", "case"])
        || head.starts_with(&["in", "the", "event"])
        || event && !yours;
    let polite =
        head.get(1).is_some_and(|word| has(words::POLITE_IF, word)) && head.len() <= 6 || is_courtesy(head);
    begins && !polite && clauses.len() > 1 && first.words.iter().all(|word| word.mention.is_none())
}

/// The clause whose condition is on what follows: "find out if we have one, and if we don't, have CODIE ...".
pub(super) fn condition_from(clauses: &[Clause<'_>]) -> Option<usize> {
    (1..clauses.len()).find(|at| {
        let clause = &clauses[*at];
        let texts = clause.texts();
        let head = strip_soft(&texts);
        let polite =
            head.get(1).is_some_and(|word| has(words::POLITE_IF, word) && !matches!(*word, "we" | "it's"))
                || is_courtesy(head);
        matches!(head, ["if" | "unless", _, _, ..])
            && !polite
            && clause.words.iter().all(|word| word.mention.is_none())
    })
}

/// "If it isn't too much trouble", "whenever it suits".
fn is_courtesy(head: &[&str]) -> bool {
    const EASE: &[&str] = &[
        "trouble",
        "hassle",
        "bother",
        "same",
        "time",
        "convenient",
        "suits",
        "problem",
        "chance",
        "possible",
        "okay",
        "ok",
        "fine",
    ];
    let it = head.get(1).is_some_and(|word| {
        matches!(*word, "it" | "it's" | "there's" | "there" | "that's" | "you" | "you've")
    });
    it && head.iter().take(9).any(|word| has(EASE, word))
}

/// "Have CODIE fix it if the tests fail", "only if it is over 2 % hand it to CODIE".
fn is_conditional_behind(clauses: &[Clause<'_>]) -> bool {
    let texts: Vec<&str> = clauses.iter().flat_map(Clause::texts).collect();
    if texts.windows(2).any(|pair| pair == ["only", "if"]) {
        return true;
    }
    let condition = |words: &[&str]| {
        let event = match words {
            ["if" | "unless" | "once" | "when", next, _, ..] => *next,
            ["as", "soon", "as", next, _, ..] => *next,
            _ => return false,
        };
        !has(words::POLITE_IF, event) && !words.iter().take(6).any(|word| *word == words::LANE)
    };
    let after_it = texts.iter().enumerate().any(|(at, word)| {
        at > 1
            && has(&["it", "this", "that", "them", "one", words::LANE], texts[at - 1])
            && matches!(*word, "if" | "unless" | "once" | "when" | "as")
            && !has(&["ask", "tell", "check", "see"], texts[at - 2])
            && condition(&texts[at..])
    });
    let last = clauses.last().filter(|last| clauses.len() > 1 && last.before == Some(Kind::Comma));
    after_it || last.is_some_and(|last| condition(&last.texts()))
}

/// "From now on, use CODIE for code", "always ask CODIE", "only use CODIE when I say so".
fn is_standing(clauses: &[Clause<'_>]) -> bool {
    const MARKS: &[&[&str]] = &[
        &["from", "now", "on"],
        &["from", "here", "on"],
        &["in", "future"],
        &["in", "the", "future"],
        &["going", "forward"],
        &["by", "default"],
        &["as", "a", "rule"],
        &["next", "time"],
        &["every", "time"],
        &["each", "time"],
        &["any", "time"],
        &["in", "general"],
    ];
    let texts: Vec<&str> = clauses.iter().flat_map(Clause::texts).collect();
    let lane = texts.iter().position(|word| *word == words::LANE).unwrap_or(texts.len());
    let (before, behind) = texts.split_at(lane);
    let marked =
        |words: &[&str]| MARKS.iter().any(|mark| words.windows(mark.len()).any(|part| part == *mark));
    let always = before.windows(2).any(|pair| {
        matches!(pair[0], "always" | "generally" | "normally" | "whenever")
            && (has(words::CAUSE, pair[1]) || pair[0] == "whenever")
    });
    let leisure = past_leisure(before).len() < before.len() || is_courtesy(strip_soft(before));
    let mine_to_say = behind.windows(3).any(|three| {
        matches!(three[0], "if" | "when" | "once" | "after" | "until" | "unless" | "whenever")
            && matches!(three[1], "i" | "we" | "i've")
            && has(
                &[
                    "say",
                    "tell",
                    "ask",
                    "approve",
                    "approved",
                    "confirm",
                    "agree",
                    "sign",
                    "explicitly",
                    "give",
                ],
                three[2],
            )
    });
    marked(before) || MARKS.iter().any(|mark| behind.ends_with(mark)) || always && !leisure || mine_to_say
}

/// "Hypothetically, ...", "for example, ...", "per Lena, ...", "use CODIE or do it yourself".
fn is_supposed(clauses: &[Clause<'_>]) -> bool {
    let head = clauses.first().map(Clause::texts).unwrap_or_default();
    let supposed = matches!(
        head[..],
        ["hypothetically" | "theoretically" | "supposedly" | "per" | "allegedly", ..]
            | ["for", "example" | "instance", ..]
            | ["things", "like", ..]
    );
    let yourself = clauses.iter().map(Clause::texts).any(|texts| {
        texts.first() == Some(&"or")
            && texts.iter().any(|word| matches!(*word, "yourself" | "myself" | "ourselves"))
    });
    supposed || yourself
}

/// "Some day", "eventually".
fn is_someday(clauses: &[Clause<'_>]) -> bool {
    clauses.iter().map(Clause::texts).any(|texts| {
        texts.iter().any(|word| matches!(*word, "someday" | "eventually"))
            || texts.windows(2).any(|pair| matches!(pair, ["some" | "one", "day"]))
            || texts.windows(3).any(|three| three == ["at", "some", "point"])
    })
}

/// "CODIE should fix it, he said", "Tom said you should use CODIE".
fn is_attributed(clauses: &[Clause<'_>]) -> bool {
    const SAY: &[&str] = &["said", "says", "thinks", "suggested", "suggests", "reckons", "claims", "wrote"];
    let lanes = |clause: &Clause<'_>| clause.words.iter().any(|word| word.mention.is_some());
    // "Tom said you should have CODIE fix it."
    let mut with_lane = clauses.iter().filter(|clause| lanes(clause));
    let told = with_lane.next().map(Clause::texts).unwrap_or_default();
    let reported = with_lane.next().is_none()
        && matches!(strip_soft(&told), [subject, verb, ..] if has(SAY, verb) && !matches!(*subject, "i" | "we" | "you" | words::LANE));
    reported
        || clauses.iter().map(Clause::texts).any(|texts| match strip_soft(&texts) {
            [subject, .., verb] | [verb, .., subject] if texts.len() <= 4 => {
                has(SAY, verb) && !matches!(*subject, "i" | "we" | "you" | "said")
            }
            _ => false,
        })
}

/// "Use CODIE? No way."
fn is_denied(head: &[&str], then: &[Vec<&str>]) -> bool {
    const NO: &[&[&str]] = &[
        &["no", "way"],
        &["no", "thanks"],
        &["no", "thank"],
        &["i", "don't", "think"],
        &["i", "doubt"],
        &["bad", "idea"],
        &["absolutely", "not"],
        &["definitely", "not"],
        &["certainly", "not"],
        &["of", "course", "not"],
        &["i'd", "rather", "not"],
        &["not", "a", "chance"],
        &["please", "don't"],
        &["please", "no"],
    ];
    let echo = head.first().is_some_and(|first| has(words::CAUSE, first) || has(words::VERBS, first));
    let answer = then.first().map(Vec::as_slice).unwrap_or_default();
    let no = matches!(answer, ["no" | "nope" | "nah" | "never" | "don't" | "not"])
        || NO.iter().any(|no| answer.starts_with(no));
    echo && no
}

/// The clause from which on the words are a text that is spoken of: "translate this: use CODIE to fix it".
pub(super) fn text_from(clauses: &[Clause<'_>]) -> Option<usize> {
    const PROCESS: &[&str] = &[
        "translate",
        "summarize",
        "summarise",
        "repeat",
        "say",
        "rephrase",
        "paraphrase",
        "reword",
        "proofread",
        "spellcheck",
        "echo",
        "type",
        "print",
        "quote",
        "transcribe",
        "pronounce",
    ];
    const TEXTS: &[&str] = &[
        "command", "phrase", "sentence", "words", "text", "message", "string", "example", "quote", "subject",
        "title", "headline", "caption", "slogan",
    ];
    let at = clauses.iter().position(|clause| clause.after == Some(Kind::Colon))?;
    let header: Vec<&str> = clauses[..=at].iter().flat_map(Clause::texts).collect();
    let head = strip_soft(&header);
    let quoted =
        clauses.get(at + 1).and_then(|next| next.words.first()).is_some_and(|word| word.text == QUOTE);
    if quoted || head.contains(&words::LANE) {
        return None;
    }
    let sought = matches!(head, ["search" | "grep" | "look" | "scan" | "find" | "google", .., "for"]);
    // "From Lena: ...", "Lena writes: ...", "usage: ...".
    let others = header.len() <= 3
        && (matches!(header.first(), Some(&"from" | &"per" | &"quote"))
            || !matches!(header[0], "i" | "we")
                && matches!(
                    header.last(),
                    Some(&"writes" | &"says" | &"said" | &"wrote" | &"asks" | &"quote")
                )
            || header.iter().any(|word| {
                has(&["usage", "commands", "options", "examples", "testing", "test", "hypothetically"], word)
            }));
    let others = others || header == ["i", "quote"];
    let process = others || sought || head.first().is_some_and(|first| has(PROCESS, first));
    let noun = head.iter().any(|word| has(TEXTS, word))
        && matches!(head.last(), Some(&"is" | &"was" | &"reads" | &"says" | &"text" | &"example"));
    (process || noun).then_some(at + 1)
}
