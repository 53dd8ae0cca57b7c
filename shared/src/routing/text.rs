//! The user's own words: what is quoted or pasted is set aside, the rest becomes tokens.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;

use super::masks::{bullet, masks};
use super::words::{DESIGNATORS, has};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// A path, address or flag: never a name.
    Path,
    /// Somebody else's words: a quotation, pasted log or code.
    Masked,
    Stop,
    Question,
    Comma,
    Colon,
    Dash,
    Hyphen,
    Slash,
    Open,
    Close,
}

/// A word, or what stands between words.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub kind: Kind,
    /// Compatibility-normalised, in lower case, without a possessive ending.
    pub text: String,
    /// Where it is in the text, in bytes.
    pub at: Range<usize>,
    pub possessive: bool,
    pub capital: bool,
    /// An "@" stands before it.
    pub called: bool,
}

/// A path is not looked for further than this.
const MAX_PATH_BYTES: usize = 2048;

/// A sentence: its tokens without the mark at its end.
#[derive(Debug, Clone)]
pub(super) struct Sentence {
    pub tokens: Range<usize>,
    pub asks: bool,
}

/// The tokens. `is_name` tells a quoted name, which is the user's own word; `starts` a word that begins a sentence
/// where a line begins with it.
pub(super) fn tokens(
    text: &str,
    is_name: &dyn Fn(&str) -> bool,
    starts: &dyn Fn(&str) -> bool,
) -> Vec<Token> {
    let masks = masks(text, is_name);
    let mut scan = Scan { text, at: 0, tokens: Vec::new(), starts };
    let mut masks = masks.into_iter().peekable();
    while scan.at < text.len() {
        if let Some(mask) = masks.next_if(|mask| mask.start <= scan.at) {
            if mask.end > scan.at {
                scan.push(Kind::Masked, scan.at..mask.end);
            }
            continue;
        }
        let end = masks.peek().map_or(text.len(), |mask| mask.start);
        scan.step(end);
    }
    scan.tokens
}

/// The sentences of these tokens.
pub(super) fn sentences(tokens: &[Token]) -> Vec<Sentence> {
    let mut found = Vec::new();
    let mut start = 0;
    for (index, token) in tokens.iter().enumerate() {
        if matches!(token.kind, Kind::Stop | Kind::Question) {
            if index > start {
                found.push(Sentence { tokens: start..index, asks: token.kind == Kind::Question });
            }
            start = index + 1;
        }
    }
    if tokens.len() > start {
        found.push(Sentence { tokens: start..tokens.len(), asks: false });
    }
    found
}

/// A word as it is compared.
pub(super) fn normal(word: &str) -> String {
    let word: String = word.nfkc().filter(|c| !ignorable(*c)).collect::<String>().to_lowercase();
    word.replace(['\u{2019}', '\u{2018}', '\u{02bc}'], "'")
}

/// Joins words without being seen: zero-width characters and soft hyphens.
fn ignorable(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

pub(super) fn apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{02bc}')
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    starts: &'a dyn Fn(&str) -> bool,
}

impl Scan<'_> {
    fn push(&mut self, kind: Kind, at: Range<usize>) {
        self.at = at.end;
        self.tokens.push(Token {
            kind,
            text: String::new(),
            at,
            possessive: false,
            capital: false,
            called: false,
        });
    }

    /// Takes one token, or what is no token; nothing behind `end`.
    fn step(&mut self, end: usize) {
        let rest = &self.text[self.at..end];
        let Some(c) = rest.chars().next() else { return };
        if c.is_alphanumeric() || matches!(c, '/' | '~' | '\\' | '.') || rest.starts_with("--") {
            let near = &rest[..rest.floor_char_boundary(MAX_PATH_BYTES)];
            let chunk = near.split(char::is_whitespace).next().unwrap_or_default();
            let chunk = chunk.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '"', '\'']);
            if path(chunk) {
                return self.push(Kind::Path, self.at..self.at + chunk.len());
            }
        }
        if c.is_alphanumeric() {
            return self.word(rest);
        }
        let one = self.at..self.at + c.len_utf8();
        match c {
            '\n' => self.line_end(end),
            '?' | '\u{ff1f}' => self.push(Kind::Question, one),
            '.' | '!' | ';' | '\u{2026}' | '\u{3002}' | '\u{ff01}' => self.push(Kind::Stop, one),
            ',' | '\u{ff0c}' => self.push(Kind::Comma, one),
            ':' | '\u{ff1a}' => self.push(Kind::Colon, one),
            '(' | '[' | '{' | '<' | '\u{ff08}' => self.push(Kind::Open, one),
            ')' | ']' | '}' | '>' | '\u{ff09}' => self.push(Kind::Close, one),
            '/' => self.push(Kind::Slash, one),
            '\u{2010}' | '\u{2011}' => self.push(Kind::Hyphen, one),
            '\u{2012}'..='\u{2015}' | '\u{2192}' | '\u{21d2}' => self.push(Kind::Dash, one),
            '-' | '=' => self.dash(rest, one),
            _ => self.at = one.end,
        }
    }

    /// A hyphen joins two words; with space beside it, or twice, or as an arrow, it parts them.
    fn dash(&mut self, rest: &str, one: Range<usize>) {
        let run = rest.len() - rest.trim_start_matches(['-', '=']).len();
        let arrow = rest[run..].starts_with('>');
        let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let (before, after) = (self.text[..self.at].chars().next_back(), rest[run..].chars().next());
        if run == 1 && !arrow && joins(before) && joins(after) {
            self.push(Kind::Hyphen, one);
        } else {
            self.push(Kind::Dash, one.start..one.start + run + usize::from(arrow));
        }
    }

    /// A blank line, a list's item, or a line that begins a sentence ends the one before.
    fn line_end(&mut self, end: usize) {
        let rest = &self.text[self.at..end];
        let line = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let blank = rest[..rest.len() - line.len()].bytes().filter(|byte| *byte == b'\n').count() > 1;
        let first: String = line.chars().take_while(|c| c.is_alphanumeric() || apostrophe(*c)).collect();
        let capital = first.chars().next().is_some_and(char::is_uppercase);
        let item = bullet(line.lines().next().unwrap_or_default());
        let title = has(DESIGNATORS, &normal(&first));
        let field = !first.is_empty() && !title && line[first.len()..].starts_with(": ");
        let next = self.at + rest.len() - line.len();
        if blank || item || field || capital && (self.starts)(&normal(&first)) {
            self.push(Kind::Stop, self.at..self.at + 1);
        }
        self.at = next;
        if item {
            self.at += line.find(char::is_whitespace).unwrap_or(0);
        }
    }

    fn word(&mut self, rest: &str) {
        let mut end = 0;
        let mut chars = rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let after = chars.peek().map(|(_, next)| *next);
            let inner = match c {
                c if c.is_alphanumeric() || c == '_' || ignorable(c) => true,
                // "tl;dr" is a word.
                ';' => rest[..at].eq_ignore_ascii_case("tl"),
                '.' => after.is_some_and(|next| dot_inside(&rest[..at], next)),
                c if apostrophe(c) => after.is_some_and(char::is_alphanumeric),
                _ => false,
            };
            if !inner {
                break;
            }
            end = at + c.len_utf8();
        }
        let raw = &rest[..end];
        let mut text = normal(raw);
        let mut possessive = false;
        match text.as_str() {
            "v.p" => "vp".clone_into(&mut text),
            "u" | "ya" | "yuo" => "you".clone_into(&mut text),
            "w" => "with".clone_into(&mut text),
            "n" => "and".clone_into(&mut text),
            "cn" => "can".clone_into(&mut text),
            "wut" | "wat" => "what".clone_into(&mut text),
            "teh" | "hte" => "the".clone_into(&mut text),
            _ => {}
        }
        if let Some(owner) = text.strip_suffix("'s")
            && !super::words::is_contraction(owner)
        {
            possessive = true;
            text.truncate(owner.len());
        }
        let abbreviation = matches!(text.as_str(), "e.g" | "i.e" | "etc" | "vs" | "approx" | "vp")
            && raw.contains('.')
            || matches!(text.as_str(), "etc" | "vs" | "approx");
        let capital = raw.chars().next().is_some_and(char::is_uppercase);
        let start = self.at;
        let called = self.text[..start].ends_with('@');
        self.at += end;
        self.tokens.push(Token { kind: Kind::Word, text, at: start..self.at, possessive, capital, called });
        if abbreviation && self.text[self.at..].starts_with('.') {
            self.at += 1;
        }
    }
}

/// A dot within an id, a number, an abbreviation or a file's name; not one that lacks the space behind a sentence.
fn dot_inside(before: &str, next: char) -> bool {
    let part = before.rsplit('.').next().unwrap_or_default();
    next.is_lowercase() || next.is_numeric() || next.is_uppercase() && part.chars().count() == 1
}

/// A path, an address, a flag.
fn path(chunk: &str) -> bool {
    let slashes = chunk.matches('/').count();
    let rooted = ["/", "./", "../", "~/", "--"].iter().any(|root| chunk.starts_with(root));
    let named = chunk.rsplit('/').next().is_some_and(|last| last.trim_end_matches('.').contains('.'));
    let mail = chunk.find('@').is_some_and(|at| at > 0 && chunk[at..].contains('.'));
    chunk.len() > 1
        && (rooted
            || chunk.contains("://")
            || slashes >= 2
            || slashes == 1 && named
            || chunk.contains('\\')
            || mail
            || chunk.contains("::"))
}
