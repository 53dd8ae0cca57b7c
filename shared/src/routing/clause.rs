//! Sentences in clauses, and whether a verb in one is asked for or only told about.

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
    found
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

/// Ways to begin a request: alternatives of a word are parted by `|`, `?` marks one that may be absent.
const OPENINGS: &[&str] = &[
    "can|could|would|will|may|might|should|shall|must|can't|couldn't|won't|wouldn't you|we|i|u|someone|somebody|ya",
    "you|we|u can|could|should|must|may|might|shall|will|would|better",
    "you|we|u 'll|need|have|ought|want|get to",
    "you'll|we'll need|want to",
    "you'd|we'd better",
    "you're|we're going|supposed? to",
    "i|we really?|just|also|would|do want|need|wish|prefer|like|love|expect you|us|simone|it? to",
    "i|we want|need|prefer|expect|wish you|us? to",
    "i'd|we'd really?|rather|also like|love|prefer|want|rather|appreciate you|us|it? to|if?",
    "i'd rather",
    "i'd|we'd|i|would would|really? love|like|appreciate|prefer it if you|we? could|can|would?",
    "may|can|could|might i|we ask|trouble|bother you to|for",
    "what|all i|we|i'd really|just? want|need|like|ask you|us? to? do? is to|for|that|you?",
    "i'd appreciate it if you could|would?",
    "i'm|i asking|telling|instructing|ordering you to",
    "i am asking|telling|instructing|ordering you to",
    "i told|asked you to|please?",
    "i said to|please?",
    "i'll have|need|want you",
    "make|be sure that|to|you|we? you|we?",
    "ensure that|you? you|we?",
    "feel free to",
    "go ahead and",
    "go and",
    "try to|and",
    "remember to",
    "don't|never|dont forget|hesitate|neglect|fail to",
    "do not|never forget|hesitate|neglect|fail to",
    "never mind",
    "nevermind",
    "why not",
    "why don't|can't|couldn't|dont you|we just?",
    "would|do you mind",
    "how about you|we?",
    "what about",
    "what if you|we",
    "is|would it be? possible|ok|okay|fine to|if|for you|we|us? to? could|can?",
    "it'd|it would be? great|nice|good|better|best|helpful|lovely|awesome|wonderful|ideal if|to you|we|i? could|can|would?",
    "i think|guess|suppose|believe|feel|say that? you|we should|could|must",
    "i think|guess|suppose|believe|feel|say",
    "let's|lets|let us?",
    "it's|its time|best|better to",
    "best|better|time to",
    "please to|you",
    "have|take a quick? look|peek|glance",
    "you|you're are? to",
    "your job|task is to",
    "if|when possible",
    "if you can|could|like|want|may|please",
    "if needed|necessary",
    "for this|that|me|it|these|now|once",
    "this|next time",
    "right now|away",
    "as|like i said",
    "as before|always|usual|discussed|agreed|planned",
    "in parallel|addition|turn|that|case",
    "at once",
    "of course",
    "no problem|worries|need",
    "sounds good|great",
    "got it",
    "i repeat",
    "quick question|request|one|task",
    "by the way",
    "btw|fyi",
    "which means",
];

/// Words of courtesy that make a request of a sentence whatever its form.
const COURTESY: &[&str] = &[
    "wondering",
    "wonder",
    "chance",
    "grateful",
    "appreciate",
    "appreciated",
    "kind",
    "alright",
    "possible",
    "okay",
    "ok",
    "please",
    "kindly",
    "favor",
    "favour",
    "happy",
    "glad",
    "love",
    "nice",
    "lovely",
    "thankful",
    "delighted",
    "mind",
    "request",
    "asking",
    "begging",
    "bother",
    "trouble",
    "obliged",
];
/// In such a sentence: somebody else's wish, or a question after all.
const NO_COURTESY: &[&str] = &[
    "how",
    "why",
    "who",
    "they",
    "he",
    "she",
    "people",
    "said",
    "says",
    "told",
    "yesterday",
    "used",
    "don't",
    "not",
    "never",
    "without",
    "did",
    "didn't",
    "what",
    "which",
    "when",
    "refused",
    "tried",
    "asked",
    "failed",
];

/// "I was wondering whether you would", "would you be so kind as to".
pub(super) fn courteous(before: &[&str]) -> bool {
    let blocked = before.iter().any(|word| has(NO_COURTESY, word));
    !blocked && before.iter().any(|word| has(COURTESY, word))
}

/// Whether the words before a verb make it a request: nothing, "can you", "I want you to", "for this".
pub(super) fn directive(before: &[&str]) -> bool {
    let led = matches!(
        before.last().copied(),
        Some(
            "you"
                | "to"
                | "please"
                | "kindly"
                | "could"
                | "would"
                | "can"
                | "just"
                | "as"
                | "let"
                | "top"
                | "sugar"
                | "you'd"
        )
    );
    if led && before.len() > 1 && courteous(before) {
        return true;
    }
    let mut rest = strip_soft(before);
    while let Some(taken) = OPENINGS.iter().filter_map(|opening| opens(opening, rest)).max() {
        rest = strip_soft(&rest[taken..]);
    }
    match (rest.first(), rest.last()) {
        (Some(first), Some(last)) => {
            let told = rest.iter().skip(1).any(|word| has(words::TELLING, word));
            let subject =
                has(words::OTHERS, last) || matches!(*last, "i" | "we" | "you" | "to" | "and" | "or");
            has(words::PREPOSITIONS, first) && rest.len() > 1 && !told && !subject && !has(words::NOT, last)
        }
        _ => true,
    }
}

/// How many words this opening takes of these.
fn opens(opening: &str, words: &[&str]) -> Option<usize> {
    let mut taken = 0;
    for part in opening.split(' ') {
        let mut optional = part.ends_with('?');
        let mut matched = false;
        for choice in part.trim_end_matches('?').split('|') {
            optional |= choice.ends_with('?');
            matched |= words.get(taken) == Some(&choice.trim_end_matches('?'));
        }
        if matched {
            taken += 1;
        } else if !optional {
            return None;
        }
    }
    (taken > 0).then_some(taken)
}

/// Refused: a "not" before it that is no "don't forget".
pub(super) fn negated(before: &[&str]) -> bool {
    let polite = |at: usize| {
        let next = before.get(at + 1).copied().unwrap_or_default();
        let previous = at.checked_sub(1).and_then(|index| before.get(index)).copied().unwrap_or_default();
        let forget = has(&["forget", "hesitate", "neglect", "fail", "mind", "only", "just", "worry"], next)
            || next == "to" && before.get(at + 2) == Some(&"forget");
        let question =
            at == 0 && has(&["you", "we", "i"], next) || matches!(previous, "why" | "if" | "or" | "whether");
        let relaxed = has(&["problem", "worries"], next) || before[at] == "no" && has(words::VERBS, next);
        let soft_no = before[at] == "no"
            && at == 0
            && next != "need"
            && next != "longer"
            && next != "more"
            && !next.is_empty();
        forget || question || relaxed || soft_no
    };
    let word = |(at, word): (usize, &&str)| has(words::NOT, word) && !polite(at);
    let single = before.iter().enumerate().any(word);
    let pair = |one: &str, two: &str| before.windows(2).any(|pair| pair[0] == one && pair[1] == two);
    let but = before.last() == Some(&"but")
        && before
            .iter()
            .any(|word| has(&["anyone", "nobody", "anything", "everyone", "all", "everybody", "any"], word));
    single
        || but
        || pair("instead", "of")
        || pair("rather", "than")
        || pair("other", "than")
        || pair("need", "no")
        || pair("keep", "away")
        || pair("leave", "out")
        || pair("hold", "off")
        || pair("too", "to")
}
