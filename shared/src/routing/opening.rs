//! Whether a verb is asked for, told about or refused: by the words before it.

use super::clause::strip_soft;
use super::words::{self, has};

/// Ways to begin a request: alternatives of a word are parted by `|`, `?` marks one that may be absent.
const OPENINGS: &[&str] = &[
    "can|could|would|will|may|might|should|shall|must|can't|couldn't|won't|wouldn't you|we|i|u|someone|somebody|ya",
    "you|u can|could|should|must|may|might|shall|will|would|better",
    "we can|should|must|shall|will|better",
    "you|we|u 'll|need|have|ought|want|get to",
    "you'll|we'll need|want to",
    "you'd|we'd better",
    "you're|we're going|supposed? to",
    "i|we really?|just|also|would|do want|need|wish|prefer|like|love|expect you|us|simone|it? to",
    "i|we want|need|prefer|expect|wish you|us? to",
    "i'd|we'd really?|rather|also like|love|prefer|want|rather|appreciate you|us|it? to|if?",
    "i'd rather",
    "i|we? wanna",
    "i'd|we'd|i|would would|really? love|like|appreciate|prefer it if you|we? could|can|would?",
    "may|can|could|might i|we ask|trouble|bother you to|for",
    "what|all i|we|i'd really|just? want|need|like|ask you|us? to? do? is to|for|that|you?",
    "i'd appreciate it if you could|would?",
    "i'm|i asking|telling|instructing|ordering you to",
    "i am asking|telling|instructing|ordering you to",
    "i told|asked you to|please?",
    "i said to|please?",
    "i mean|meant that?",
    "i mean|meant to say",
    "i've|i|we've|we have? decided to|that?",
    "i|we hereby",
    "may|can|could|might i|we ask|request that? you",
    "i don't suppose you|we could|can",
    "would|could|will you be so|very kind|good|nice|sweet as? to",
    "might|may|would be good|nice|great|best|better|wise|worth to",
    "do you think|reckon you|we could|can|would",
    "you|u might|may want|wish to",
    "someone|somebody",
    "see to it that?",
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
    "nevermind|nvm",
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
    "if so|yes|not",
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
    "hoping",
    "hope",
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

/// Behind "when you get a moment", "once you have time": when it is convenient, and no condition.
pub(super) fn past_leisure<'w, 'a>(words: &'w [&'a str]) -> &'w [&'a str] {
    const LEISURE: &[&str] = &[
        "moment",
        "minute",
        "min",
        "sec",
        "second",
        "chance",
        "time",
        "bandwidth",
        "opportunity",
        "breather",
        "mo",
        "ready",
        "free",
    ];
    let begins = |at: usize| matches!(words[at], "when" | "whenever" | "once" | "if" | "as");
    let Some(start) = (0..words.len().min(4)).find(|at| begins(*at)) else { return words };
    let near = &words[start..words.len().min(start + 9)];
    let Some(end) = near.iter().position(|word| has(LEISURE, word)) else { return words };
    let you = near[..end].iter().any(|word| matches!(*word, "you" | "u" | "you're" | "there's" | "we"));
    let rest = &words[start + end + 1..];
    // "When you get a moment" alone says nothing more than a "please".
    if you && strip_soft(&words[..start]).is_empty() { rest } else { words }
}

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
        let forget =
            has(&["forget", "hesitate", "neglect", "fail", "mind", "only", "just", "worry", "suppose"], next)
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
