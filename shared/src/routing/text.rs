//! The user's own words: what is quoted or pasted is set aside, the rest becomes tokens.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;

/// A quotation is not looked for further than this.
const MAX_QUOTE_BYTES: usize = 4096;

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
}

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

fn apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{02bc}')
}

/// Where somebody else speaks, in order.
fn masks(text: &str, is_name: &dyn Fn(&str) -> bool) -> Vec<Range<usize>> {
    let pasted = pasted_lines(text, is_name);
    let mut masks = pasted.clone();
    let whole = text.trim();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let next = at + c.len_utf8();
        let line = pasted.partition_point(|mask| mask.end <= at);
        if let Some(mask) = pasted.get(line).filter(|mask| mask.contains(&at)) {
            at = mask.end;
            continue;
        }
        at = next;
        let Some(closing) = closing_of(text, next - c.len_utf8(), c) else { continue };
        let Some(close) = find_close(text, next, closing) else { continue };
        let (inner, end) = (&text[next..close], close + closing.len_utf8());
        let all = end - (next - c.len_utf8()) == whole.len();
        if inner.trim().is_empty() || is_name(inner) || all {
            continue;
        }
        if closing == '\'' && !inner.trim().contains(char::is_whitespace) {
            continue;
        }
        masks.push(next - c.len_utf8()..end);
        at = end;
    }
    masks.sort_by_key(|mask| mask.start);
    masks
}

/// The mark that ends what this one begins.
fn closing_of(text: &str, at: usize, c: char) -> Option<char> {
    match c {
        '"' | '`' => Some(c),
        '\u{201c}' | '\u{201e}' => Some('\u{201d}'),
        '\u{ab}' => Some('\u{bb}'),
        '\u{2018}' => Some('\u{2019}'),
        '\'' => {
            let before = text[..at].chars().next_back();
            before.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '[' | ':')).then_some(c)
        }
        _ => None,
    }
}

/// The end of a quotation, in the same paragraph.
fn find_close(text: &str, from: usize, closing: char) -> Option<usize> {
    let rest = &text[from..];
    let rest = &rest[..rest.floor_char_boundary(MAX_QUOTE_BYTES)];
    let paragraph = rest.find("\n\n").unwrap_or(rest.len());
    let mut search = 0;
    while let Some(found) = rest[search..paragraph].find(closing) {
        let at = search + found;
        let after = rest[at + closing.len_utf8()..].chars().next();
        let inside_word = apostrophe(closing) && after.is_some_and(char::is_alphanumeric);
        if !inside_word {
            return Some(from + at);
        }
        search = at + closing.len_utf8();
    }
    None
}

/// Lines of code fences, quoted mail, logs and code.
fn pasted_lines(text: &str, is_name: &dyn Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut fence: Option<(&str, usize)> = None;
    let mut at = 0;
    let (mut forwarded, mut member, mut committed) = (false, false, false);
    let transcript = text.lines().filter(|line| spoken(line.trim(), is_name)).count() > 1;
    let (mut after_blank, mut in_code) = (true, false);
    for line in text.split_inclusive('\n') {
        let range = at..at + line.trim_end().len();
        at += line.len();
        let trimmed = line.trim();
        if let Some((mark, start)) = fence {
            if trimmed.starts_with(mark) {
                found.push(start..range.end);
                fence = None;
            }
            continue;
        }
        if let Some(mark) = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark)) {
            // A fence that ends on its own line is a quotation within it.
            if trimmed[mark.len()..].contains(mark) {
                found.push(range);
            } else {
                fence = Some((mark, range.start));
            }
            continue;
        }
        if trimmed.starts_with("---") {
            forwarded = trimmed.contains(|c: char| c.is_alphabetic());
            found.push(range);
            continue;
        }
        if mail_head(trimmed) && text[at..].lines().next().is_some_and(|next| mail_head(next.trim())) {
            forwarded = true;
        }
        committed |= trimmed.starts_with("commit ") && yaml(trimmed);
        if committed && line.starts_with("    ") || transcript && spoken(trimmed, is_name) {
            found.push(range);
            continue;
        }
        if forwarded {
            found.push(range);
            continue;
        }
        let was_member = std::mem::replace(&mut member, yaml(trimmed));
        if member && (was_member || text[at..].lines().next().is_some_and(|next| yaml(next.trim()))) {
            found.push(range);
            continue;
        }
        let indented = (line.starts_with("    ") || line.starts_with('\t')) && !bullet(trimmed);
        let code = trimmed.contains(['(', ')', '{', '}', ';', '=', '<']);
        in_code = indented && code && (after_blank || in_code) && !trimmed.is_empty();
        if !trimmed.is_empty() && (in_code && range.start > 0 || pasted(trimmed)) {
            found.push(range);
        }
        after_blank = trimmed.is_empty();
    }
    if let Some((_, start)) = fence {
        found.push(start..text.len());
    }
    found
}

/// The head of a mail.
fn mail_head(line: &str) -> bool {
    let key = line.split_once(": ").map_or("", |(key, _)| key);
    matches!(key, "From" | "To" | "Subject" | "Date" | "Sent" | "Cc")
}

/// "Ana: have CODIE do it": a line of notes or a chat, said by somebody who is no lane.
fn spoken(line: &str, is_name: &dyn Fn(&str) -> bool) -> bool {
    let line = line.strip_prefix(['-', '*', '\u{2022}']).map_or(line, str::trim_start);
    let Some((speaker, said)) = line.split_once(": ") else { return false };
    let names = speaker.split(' ').all(|word| {
        word.starts_with(char::is_uppercase)
            && word.chars().all(char::is_alphabetic)
            && !super::words::is_known(&normal(word))
    });
    names && speaker.split(' ').count() <= 2 && !said.trim().is_empty() && !is_name(speaker)
}

/// A member of a list or table in YAML, or a commit's head.
fn yaml(line: &str) -> bool {
    let line = line.strip_prefix("- ").unwrap_or(line);
    let commit = line
        .strip_prefix("commit ")
        .is_some_and(|id| id.len() >= 7 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let key = line.split_once(':').map_or("", |(key, _)| key);
    let lower =
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-' | b'.'));
    commit || lower || matches!(key, "Author" | "Date" | "From" | "Subject" | "Sent" | "Cc" | "Signed-off-by")
}

fn bullet(line: &str) -> bool {
    let mark = line.split_whitespace().next().unwrap_or_default();
    matches!(mark, "-" | "*" | "+" | "\u{2022}")
        || mark
            .strip_suffix(['.', ')'])
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Looks like a line of a quoted mail, a log, a trace, a shell or a program.
fn pasted(line: &str) -> bool {
    const STARTS: [&str; 24] = [
        ">",
        "$ ",
        "Traceback ",
        "File \"",
        "{\"",
        "[{",
        "diff --git",
        "@@ ",
        "fn ",
        "def ",
        "pub fn ",
        "pub(",
        "import ",
        "const ",
        "let mut ",
        "#include",
        "function ",
        "class ",
        "public ",
        "private ",
        "SELECT ",
        "INSERT ",
        "<?",
        "panicked at",
    ];
    let starts = STARTS.iter().any(|start| line.starts_with(start)) && !line.starts_with("import the ");
    let code = (line.ends_with(';') || line.ends_with('{'))
        && line.contains(['(', '=', ':'])
        && !line.contains(", ");
    let markup = line.starts_with('<') && line.contains('>');
    let trace = line.starts_with("at ") && line.contains('(') && line.contains(':');
    starts || code || trace || markup || json_member(line) || log_line(line)
}

fn json_member(line: &str) -> bool {
    line.starts_with('"') && line.contains("\":") || matches!(line, "{" | "}" | "}," | "[" | "]" | "],")
}

/// A time or a level at its beginning, or fields in the manner of logfmt.
fn log_line(line: &str) -> bool {
    const LEVELS: [&str; 9] =
        ["INFO", "WARN", "WARNING", "ERROR", "DEBUG", "TRACE", "FATAL", "CRITICAL", "NOTICE"];
    let chunks: Vec<&str> = line.split_whitespace().collect();
    let bare = |chunk: &str| chunk.trim_matches(['[', ']', '(', ')', ':', '|', '<', '>']).to_owned();
    let time = chunks.first().is_some_and(|first| stamp(&bare(first)));
    let level = chunks.iter().take(4).position(|chunk| LEVELS.contains(&bare(chunk).as_str()));
    let fields = chunks.iter().filter(|chunk| field(chunk)).count();
    let bracketed = chunks.first().is_some_and(|first| {
        first.starts_with('[')
            && first.trim_matches(['[', ']', ':']).bytes().all(|b| b.is_ascii_digit() || b == b':')
            && first.contains(':')
    });
    let marked = level.is_some_and(|at| at > 0 || chunks[at].len() > bare(chunks[at]).len());
    let place = chunks.first().is_some_and(|first| {
        let parts: Vec<&str> = first.trim_end_matches(':').split(':').collect();
        parts.len() >= 2
            && parts[0].contains('.')
            && !parts[1].is_empty()
            && parts[1].bytes().all(|b| b.is_ascii_digit())
    });
    place
        || (time || bracketed) && chunks.len() > 1
        || marked
        || fields >= 2
        || level.is_some() && fields >= 1
}

/// A date or a time of day, with seconds.
fn stamp(chunk: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mut date = chunk.split(['-', '/', 'T']);
    let is_date = date.next().is_some_and(|y| y.len() == 4 && digits(y))
        && date.next().is_some_and(|m| m.len() == 2 && digits(m));
    let time: Vec<&str> = chunk.splitn(3, ':').collect();
    is_date || time.len() == 3 && digits(time[0]) && digits(time[1])
}

fn field(chunk: &str) -> bool {
    chunk.split_once('=').is_some_and(|(key, value)| {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        !key.is_empty() && !value.is_empty() && key.chars().all(word)
    })
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
        self.tokens.push(Token { kind, text: String::new(), at, possessive: false, capital: false });
    }

    /// Takes one token, or what is no token; nothing behind `end`.
    fn step(&mut self, end: usize) {
        let rest = &self.text[self.at..end];
        let Some(c) = rest.chars().next() else { return };
        if c.is_alphanumeric() || matches!(c, '/' | '~' | '\\' | '.') || rest.starts_with("--") {
            let chunk = rest.split(char::is_whitespace).next().unwrap_or_default();
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
        let next = self.at + rest.len() - line.len();
        if blank || item || capital && (self.starts)(&normal(&first)) {
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
        self.at += end;
        self.tokens.push(Token { kind: Kind::Word, text, at: start..self.at, possessive, capital });
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
