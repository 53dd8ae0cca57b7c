//! Where somebody else speaks: quotations, pasted mails, logs and code.

use std::ops::Range;

use super::text::{apostrophe, normal};
use super::words;

/// A quotation is not looked for further than this.
const MAX_QUOTE_BYTES: usize = 4096;

/// Where somebody else speaks, in order.
pub(super) fn masks(text: &str, is_name: &dyn Fn(&str) -> bool) -> Vec<Range<usize>> {
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
    let transcript = text.lines().filter(|line| spoken(line.trim(), is_name)).count() > 1
        || text.lines().next().is_some_and(|line| says_one(line.trim(), is_name));
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
        // "To: CODIE", "task: ..." is an order and no pasted table.
        let ordered = trimmed
            .split_once(": ")
            .is_some_and(|(key, name)| matches!(key.to_lowercase().as_str(), "to" | "for") && is_name(name));
        if member
            && !ordered
            && (was_member || text[at..].lines().next().is_some_and(|next| yaml(next.trim())))
        {
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
            && !words::is_known(&normal(word))
    });
    names && speaker.split(' ').count() <= 2 && !said.trim().is_empty() && !is_name(speaker)
}

/// "Lena: have CODIE do it": a name like a person's, and what he asks for; "UI: ..." is a heading.
fn says_one(line: &str, is_name: &dyn Fn(&str) -> bool) -> bool {
    const HEADINGS: &[&str] = &[
        "background",
        "context",
        "goal",
        "situation",
        "problem",
        "website",
        "frontend",
        "backend",
        "homepage",
    ];
    let Some((speaker, said)) = line.split_once(": ") else { return false };
    let first = normal(said.split_whitespace().next().unwrap_or_default());
    let asks = words::has(words::CAUSE, &first) || words::has(words::MODAL, &first);
    let name = speaker.chars().skip(1).all(char::is_lowercase) && !words::has(HEADINGS, &normal(speaker));
    asks && name && spoken(line, is_name)
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

pub(super) fn bullet(line: &str) -> bool {
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
