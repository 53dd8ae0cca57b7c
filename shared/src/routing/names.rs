//! Which lanes a text names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::text::{Kind, Token, normal};
use super::words::{self, has};
use crate::ids::VpId;
use crate::lane::LaneProfile;

/// What the lanes are called.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// A name without spaces, hyphens and brackets, and whose it is.
    keys: BTreeMap<String, BTreeSet<VpId>>,
    longest: usize,
    /// The role's word of each name, and whether it is a name without a title.
    roles: Vec<(String, bool)>,
    pub lanes: Vec<VpId>,
}

/// Whom a mention means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    /// One lane.
    Lane(VpId),
    /// A name that several lanes have.
    OneOf(Vec<VpId>),
    /// "The VP", "the designer VP", an id that no lane has.
    Someone,
    /// "Both VPs".
    All,
}

/// A lane that is named.
#[derive(Debug, Clone)]
pub(super) struct Mention {
    pub whom: Whom,
    /// Its tokens.
    pub at: Range<usize>,
    pub possessive: bool,
    /// Its last word is a title that people have, too.
    pub titled: bool,
    /// Called with an "@".
    pub called: bool,
}

impl Names {
    pub(super) fn new<'a>(lanes: impl IntoIterator<Item = (&'a VpId, &'a LaneProfile)>) -> Self {
        let mut names = Self::default();
        for (vp_id, lane) in lanes {
            names.lanes.push(vp_id.clone());
            names.learn(vp_id.as_str(), vp_id);
            for name in lane.aliases.iter().chain([&lane.display_name]) {
                names.learn(name, vp_id);
            }
        }
        names
    }

    /// Learns a name, and with it the forms that mean the same: "General VP" is "VP general" and "general VP agent".
    fn learn(&mut self, name: &str, vp_id: &VpId) {
        let words: Vec<String> = name
            .split(|c: char| c.is_whitespace() || matches!(c, '-' | '(' | ')' | '[' | ']' | '_'))
            .map(normal)
            .filter(|word| !word.is_empty() && word != "the")
            .collect();
        let role: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|word| !has(words::DESIGNATORS, word) && *word != "agent")
            .collect();
        if role.is_empty() {
            return;
        }
        let (role, parts) = (role.concat(), role.len());
        if role.chars().count() >= 5 && parts == 1 && !role.contains('.') {
            self.roles.push((role.clone(), words.len() == 1));
        }
        let titles: BTreeSet<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|word| has(words::DESIGNATORS, word))
            .chain(["vp"])
            .collect();
        for title in titles {
            for form in [
                format!("{role}{title}"),
                format!("{title}{role}"),
                format!("{role}{title}agent"),
                format!("{title}{role}agent"),
                format!("{role}agent{title}"),
                format!("{title}agent{role}"),
                format!("{role}purpose{title}"),
            ] {
                self.add(form, vp_id);
            }
        }
        self.add(words.concat(), vp_id);
        self.longest = self.longest.max(words.len().max(parts + 2));
    }

    fn add(&mut self, key: String, vp_id: &VpId) {
        self.keys.entry(key).or_default().insert(vp_id.clone());
    }

    /// Mends a slip in a name: "genral VP", "codei". One letter, and only in a word that means nothing else.
    pub(super) fn mend(&self, tokens: &mut [Token]) {
        for at in 0..tokens.len() {
            let word = &tokens[at];
            if word.kind != Kind::Word || word.text.chars().count() < 5 || words::is_known(&word.text) {
                continue;
            }
            let titled = |index: Option<usize>| {
                let near = index.and_then(|index| tokens.get(index));
                near.is_some_and(|near| has(words::DESIGNATORS, &near.text))
            };
            let beside_title = titled(at.checked_sub(1)) || titled(Some(at + 1));
            let near = self
                .roles
                .iter()
                .find(|(role, alone)| (*alone || beside_title) && one_slip(&word.text, role));
            if let Some((role, _)) = near {
                tokens[at].text.clone_from(role);
            }
        }
    }

    /// Whether these words are a name and nothing else.
    pub(super) fn is_name(&self, words: &str) -> bool {
        let key: String = words
            .split(|c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}' | '\u{2011}' | '(' | ')'))
            .map(normal)
            .filter(|word| word != "the")
            .collect();
        self.keys.contains_key(&key) || key == "vp"
    }

    /// Every mention, in order.
    pub(super) fn find(&self, tokens: &[Token]) -> Vec<Mention> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            match self.known(tokens, at).or_else(|| self.short(tokens, at)).or_else(|| unknown(tokens, at)) {
                Some(mention) => {
                    at = mention.at.end;
                    if !is_persons_title(tokens, &mention) {
                        found.push(mention);
                    }
                }
                None => at += 1,
            }
        }
        found
    }

    /// "Route this to coder": the role alone, where nothing but the one who is given something can stand.
    fn short(&self, tokens: &[Token], at: usize) -> Option<Mention> {
        let token = &tokens[at];
        let to = tokens[..at].last().is_some_and(|before| before.kind == Kind::Word && before.text == "to");
        let ends = tokens.get(at + 1).is_none_or(|next| {
            next.kind != Kind::Hyphen
                && (next.kind != Kind::Word || has(&["please", "pls", "now"], &next.text))
        });
        // "Have coder do it".
        let caused = tokens[..at].last().is_some_and(|before| has(&["have", "let"], &before.text))
            && tokens.get(at + 1).is_some_and(|next| has(words::VERBS, &next.text))
            && tokens.get(at + 2).is_some_and(|next| has(words::ARTICLES, &next.text) || next.text == "it");
        // "Coder or generalist, you pick: ...".
        let offered = at == 0
            && tokens.get(1).is_some_and(|next| next.text == "or")
            && tokens.get(2).is_some_and(|_| self.known(tokens, 2).is_some());
        if token.kind != Kind::Word || token.possessive || !(token.called || caused || offered || to && ends)
        {
            return None;
        }
        let lane =
            self.lanes.iter().find(|lane| lane.as_str().split('.').nth(1) == Some(token.text.as_str()))?;
        Some(Mention {
            whom: Whom::Lane(lane.clone()),
            at: at..at + 1,
            possessive: false,
            titled: false,
            called: token.called,
        })
    }

    /// The longest name that begins here.
    fn known(&self, tokens: &[Token], start: usize) -> Option<Mention> {
        if tokens[start].kind != Kind::Word {
            return None;
        }
        // "The (coder) VP": the bracket before belongs to the name.
        let bracketed = start > 0
            && tokens[start - 1].kind == Kind::Open
            && tokens.get(start + 1).is_some_and(|next| next.kind == Kind::Close);
        let (mut key, mut count, mut open) = (String::new(), 0, 0_usize);
        let mut best = None;
        for (at, token) in tokens.iter().enumerate().skip(start) {
            match token.kind {
                Kind::Hyphen => continue,
                Kind::Open => {
                    open += 1;
                    continue;
                }
                Kind::Close if open > 0 || bracketed => {
                    open = open.saturating_sub(1);
                    if let Some(Mention { at: range, .. }) = &mut best
                        && range.end == at
                    {
                        range.end = at + 1;
                    }
                    continue;
                }
                Kind::Word => {}
                _ => break,
            }
            count += 1;
            if count > self.longest {
                break;
            }
            key.push_str(&token.text);
            let plural = key.strip_suffix('s').filter(|single| self.keys.contains_key(*single));
            let Some(lanes) = self.keys.get(&key).or_else(|| self.keys.get(plural?)) else { continue };
            let whom = match lanes.iter().next() {
                Some(only) if lanes.len() == 1 => Whom::Lane(only.clone()),
                _ => Whom::OneOf(lanes.iter().cloned().collect()),
            };
            best = Some(Mention {
                whom,
                at: start..at + 1,
                possessive: token.possessive,
                called: tokens[start].called,
                titled: has(words::DESIGNATORS, token.text.trim_end_matches('s')),
            });
            if token.possessive {
                break;
            }
        }
        best
    }
}

/// "The VP", "both VPs", an id of no lane.
fn unknown(tokens: &[Token], at: usize) -> Option<Mention> {
    let token = &tokens[at];
    if token.kind != Kind::Word {
        return None;
    }
    let mention = |whom, end| {
        Some(Mention {
            whom,
            at: at..end,
            possessive: tokens[end - 1].possessive,
            titled: true,
            called: token.called,
        })
    };
    if token.text.starts_with("vp.") && token.text.matches('.').count() == 2 {
        return mention(Whom::Someone, at + 1);
    }
    if !matches!(token.text.as_str(), "vp" | "vps" | "lanes") {
        return None;
    }
    let mention_lanes = token.text == "lanes";
    let led = tokens[..at].last().is_some_and(|before| before.kind == Kind::Word);
    // "In general, VPs get a bonus": of VPs at large.
    if token.text == "vps" && !led {
        return None;
    }
    let before = |back: usize| at.checked_sub(back).map(|index| tokens[index].text.as_str());
    let many = |back| before(back).is_some_and(|word| has(&["both", "all", "each", "every"], word));
    let all = many(1) || many(2) && before(1).is_some_and(|word| has(&["the", "my", "our", "of"], word));
    let one_of = before(1) == Some("the")
        && before(2) == Some("of")
        && before(3).is_some_and(|word| has(&["one", "any", "either", "some"], word));
    if mention_lanes && !all && !one_of {
        return None;
    }
    let agent = tokens.get(at + 1).is_some_and(|next| has(&["agent", "agents", "lane", "lanes"], &next.text));
    mention(if all || many(3) { Whom::All } else { Whom::Someone }, at + 1 + usize::from(agent))
}

/// "Our general VP of sales", "the executive VP", "my VP": a person.
fn is_persons_title(tokens: &[Token], mention: &Mention) -> bool {
    let word = |index: Option<usize>| {
        index
            .and_then(|index| tokens.get(index))
            .filter(|token| token.kind == Kind::Word)
            .map(|t| t.text.as_str())
    };
    let before = word(mention.at.start.checked_sub(1));
    let after = word(Some(mention.at.end));
    let of = mention.titled && after.is_some_and(|word| has(&["of", "at"], word));
    let ranked = mention.titled && before.is_some_and(|word| has(words::RANKS, word));
    let new = before == Some("new")
        && word(mention.at.start.checked_sub(2)).is_some_and(|word| has(&["my", "our"], word));
    let owned = mention.whom == Whom::Someone
        && tokens[mention.at.start].text == "vp"
        && before.is_some_and(|word| new || has(&["my", "our", "his", "her", "their", "whose"], word))
        && !after.is_some_and(|word| has(words::WORK, word));
    // "Cody Smith" is somebody else.
    let surname = !mention.titled
        && !mention.possessive
        && matches!(mention.whom, Whom::Lane(_))
        && tokens.get(mention.at.end).is_some_and(|next| {
            let small = tokens.get(mention.at.end - 1).is_some_and(|own| own.text.contains('.'));
            next.kind == Kind::Word && next.capital && !small && !words::is_known(&next.text)
        });
    // "Cody from accounting"; but "stop CODIE from finishing".
    let from = !mention.titled
        && after == Some("from")
        && word(Some(mention.at.end + 1)).is_some_and(|next| !next.ends_with("ing"));
    of || ranked || owned || surname || from
}

/// One letter too many, too few or other, or two in each other's place; the first letter is right.
pub(super) fn one_slip(word: &str, meant: &str) -> bool {
    let (word, meant): (Vec<char>, Vec<char>) = (word.chars().collect(), meant.chars().collect());
    let same = word.iter().zip(&meant).take_while(|(a, b)| a == b).count();
    if same == 0 || word == meant {
        return false;
    }
    let (rest, wanted) = (&word[same..], &meant[same..]);
    let swapped = rest.len() >= 2
        && wanted.len() >= 2
        && rest[0] == wanted[1]
        && rest[1] == wanted[0]
        && rest[2..] == wanted[2..];
    let other = !rest.is_empty() && !wanted.is_empty() && rest[1..] == wanted[1..];
    let more = !rest.is_empty() && rest[1..] == *wanted;
    let fewer = !wanted.is_empty() && *rest == wanted[1..];
    swapped || other || more || fewer
}
