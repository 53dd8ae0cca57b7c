//! Sentences in clauses.

use super::anaphora::corrects;
use super::names::Mention;
use super::text::{Kind, Sentence, Token};
use super::words::{self, has};

/// A word of a clause. A lane that is named is one word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    pub text: &'a str,
    pub token: usize,
    pub mention: Option<usize>,
}

/// What stands between two marks, or between two "and"s that join requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Clause<'a> {
    pub words: Vec<Word<'a>>,
    /// The mark before it.
    pub before: Option<Kind>,
    /// The mark behind it.
    pub after: Option<Kind>,
}

impl Clause<'_> {
    pub(super) fn texts(&self) -> Vec<&str> {
        self.words.iter().map(|word| word.text).collect()
    }
}

/// The clauses of a sentence.
pub(super) fn clauses<'a>(tokens: &'a [Token], sentence: &Sentence, mentions: &[Mention]) -> Vec<Clause<'a>> {
    let mut found = vec![Clause::default()];
    let mut at = sentence.tokens.start;
    while at < sentence.tokens.end {
        let mention = mentions.iter().position(|mention| mention.at.start == at);
        let token = &tokens[at];
        let text = match token.kind {
            _ if mention.is_some() => words::LANE,
            Kind::Word => token.text.as_str(),
            Kind::Masked | Kind::Path => words::QUOTE,
            Kind::Slash => "or",
            Kind::Hyphen => {
                at += 1;
                continue;
            }
            mark => {
                part(&mut found, Some(mark));
                at += 1;
                continue;
            }
        };
        if joins_requests(tokens, sentence, at, mentions) {
            part(&mut found, None);
        }
        if let Some(clause) = found.last_mut() {
            clause.words.push(Word { text, token: at, mention });
        }
        at = mention.map_or(at + 1, |index| mentions[index].at.end);
    }
    found.retain(|clause| !clause.words.is_empty());
    without_asides(found)
}

/// "CODIE, who knows the code, should fix it", "one of the two, CODIE or the generalist, should": the subject and its
/// verb are one clause.
fn without_asides(clauses: Vec<Clause<'_>>) -> Vec<Clause<'_>> {
    const ASIDES: &[&str] =
        &["whichever", "whoever", "who", "which", "being", "ideally", "preferably", "our", "the", "as"];
    let mut found: Vec<Clause<'_>> = Vec::new();
    for clause in clauses {
        let is_lane = |word: &Word<'_>| word.mention.is_some();
        let caused = matches!(&found[..], [.., subject, _] if subject.words.iter().any(|word| matches!(word.text, "have" | "let" | "make")));
        let verb = clause.words.first().is_some_and(|word| {
            has(words::MUST, word.text) || word.text == "to" || caused && has(words::VERBS, word.text)
        });
        let between = [Some(Kind::Comma), Some(Kind::Dash), Some(Kind::Open), Some(Kind::Close)];
        let marked =
            |clause: &Clause<'_>| between.contains(&clause.before) && between.contains(&clause.after);
        if verb
            && clause.before.is_some()
            && let [.., subject, aside] = &mut found[..]
            && marked(aside)
        {
            let lanes = aside.words.iter().all(|word| {
                is_lane(word) || has(words::JOINTS, word.text) || has(words::ARTICLES, word.text)
            });
            let told = aside.words.first().is_some_and(|word| has(ASIDES, word.text));
            let of = subject
                .words
                .last()
                .is_some_and(|word| has(&["two", "both", "them", "either", "one", "lanes"], word.text));
            if told && !aside.words.iter().any(is_lane) && subject.words.last().is_some_and(is_lane) {
                subject.words.extend(clause.words);
                subject.after = clause.after;
                found.pop();
                continue;
            }
            if lanes && of && !subject.words.iter().any(is_lane) {
                // "Have one of them, CODIE or the generalist, write it."
                let one = subject.words.iter().position(|word| has(&["one", "both", "either"], word.text));
                let mut words = subject.words[..one.unwrap_or(0)].to_vec();
                words.append(&mut aside.words);
                aside.words = words;
                aside.words.extend(clause.words);
                (aside.before, aside.after) = (subject.before, clause.after);
                let aside = std::mem::take(aside);
                found.truncate(found.len() - 2);
                found.push(aside);
                continue;
            }
        }
        let deed = clause.words.first().is_some_and(|word| has(words::VERBS, word.text));
        if deed
            && clause.before == Some(Kind::Comma)
            && let Some(mended) = mended(&found)
        {
            let (at, mut whole) = mended;
            whole.words.extend(clause.words);
            whole.after = clause.after;
            found.truncate(at);
            found.push(whole);
            continue;
        }
        found.push(clause);
    }
    found
}

/// "Have the generalist, sorry, I mean CODIE, ...": where it begins, and with the lane that is meant.
fn mended<'a>(found: &[Clause<'a>]) -> Option<(usize, Clause<'a>)> {
    let meant = found.last().filter(|last| corrects(&last.texts()))?;
    let lane = *meant.words.last().filter(|word| word.mention.is_some())?;
    let at = found[..found.len() - 1].iter().rposition(|clause| {
        let cause = clause
            .words
            .len()
            .checked_sub(2)
            .is_some_and(|_| clause.words.iter().any(|word| has(words::CAUSE, word.text)));
        cause && clause.words.last().is_some_and(|word| word.mention.is_some())
    })?;
    let mut whole = found[at].clone();
    whole.words.pop();
    whole.words.push(lane);
    Some((at, whole))
}

/// Begins another clause; marks in a row are one.
fn part(found: &mut Vec<Clause<'_>>, mark: Option<Kind>) {
    match found.last_mut() {
        Some(last) if last.words.is_empty() => last.before = last.before.or(mark),
        last => {
            if let Some(last) = last {
                last.after = mark;
            }
            found.push(Clause { before: mark, ..Clause::default() });
        }
    }
}

/// "And", "but", "then" before another request or another subject.
fn joins_requests(tokens: &[Token], sentence: &Sentence, at: usize, mentions: &[Mention]) -> bool {
    let joint = tokens[at].text.as_str();
    if matches!(joint, "because" | "whereas" | "although" | "though" | "while") {
        return at > sentence.tokens.start;
    }
    if !matches!(joint, "and" | "but" | "then" | "so" | "or" | "plus") || at == sentence.tokens.start {
        return false;
    }
    // "Anyone but CODIE".
    let exempts = at.checked_sub(1).is_some_and(|before| {
        has(
            &[
                "anyone",
                "anybody",
                "anything",
                "everyone",
                "everybody",
                "everything",
                "nobody",
                "nothing",
                "all",
                "any",
            ],
            &tokens[before].text,
        )
    });
    let if_so = joint == "so" && tokens[at - 1].text == "if";
    if joint == "but" && exempts || if_so {
        return false;
    }
    let mut next = at + 1;
    while next < sentence.tokens.end
        && tokens[next].kind == Kind::Word
        && (has(words::SOFT, &tokens[next].text) || has(words::ARTICLES, &tokens[next].text))
    {
        next += 1;
    }
    // "CODIE and the General VP": one request.
    if mentions.iter().any(|mention| mention.at.end == at)
        && mentions.iter().any(|mention| mention.at.start == next)
    {
        return false;
    }
    if let Some(mention) = mentions.iter().find(|mention| mention.at.start == next) {
        let after = tokens.get(mention.at.end).filter(|_| mention.at.end < sentence.tokens.end);
        let after = after.map_or("", |token| token.text.as_str());
        // "CODIE or the General VP to do it" is one request.
        let verb = has(words::MUST, after) || has(words::AUX, after) || has(words::VERBS, after);
        return joint != "or" && (matches!(after, "to" | "for" | "on") || verb);
    }
    let Some(token) = tokens[..sentence.tokens.end].get(next) else { return false };
    let subject = [
        "i", "you", "we", "let's", "lets", "it", "he", "she", "they", "if", "when", "don't", "do", "never",
        "not",
    ];
    let listed =
        has(&subject, &token.text) || has(words::CAUSE, &token.text) || has(words::MODAL, &token.text);
    // "The log and report of CODIE" are no requests: a noun follows the joint without its article.
    let verb =
        has(words::VERBS, &token.text) && !has(words::RESULTS, &token.text) && !has(words::WORK, &token.text);
    token.kind == Kind::Word
        && (listed || verb || has(words::WH, &token.text) || has(words::AUX, &token.text))
}

/// Without what begins a request and changes nothing of it.
pub(super) fn strip_soft<'w, 'a>(words: &'w [&'a str]) -> &'w [&'a str] {
    let soft = words
        .iter()
        .take_while(|word| has(words::SOFT, word) || **word == "you" && words.first() == Some(&"thank"));
    let thanks = usize::from(words.first() == Some(&"thank"));
    &words[soft.count().max(thanks)..]
}

/// Without what comes directly before a name; and whether that was "a".
pub(super) fn strip_articles<'w, 'a>(words: &'w [&'a str]) -> (&'w [&'a str], bool) {
    let articles = words.iter().rev().take_while(|word| has(words::ARTICLES, word)).count();
    let (rest, taken) = words.split_at(words.len() - articles);
    let indefinite = taken.iter().any(|word| matches!(*word, "a" | "an" | "another" | "new"));
    match rest {
        // "Both of the".
        [before @ .., "both" | "all" | "one" | "either" | "each" | "any", "of"] => (before, indefinite),
        _ => (rest, indefinite),
    }
}
