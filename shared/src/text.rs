//! Bounded text.

/// Cuts `text` to at most `max` bytes at a character's border and marks the cut with `…`.
pub fn cut(mut text: String, max: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= max {
        return text;
    }
    let mut end = max.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    if max >= MARK.len() {
        text.push_str(MARK);
    }
    text
}

/// The first line of `text`, with runs of white space as one space, at most `max` bytes.
pub fn one_line(text: &str, max: usize) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    cut(line.split_whitespace().collect::<Vec<_>>().join(" "), max)
}

/// The end of a text of which `bytes` are the last ones, from the beginning of a line, and how many bytes that leaves out.
/// Nothing is left out of what is `whole`. Bytes that are no UTF-8 are replaced.
pub fn last_lines(bytes: &[u8], whole: bool) -> (String, u64) {
    let is_break = |byte: &u8| *byte == b'\n';
    let cut = if whole { 0 } else { bytes.iter().position(is_break).map_or(0, |end| end + 1) };
    (String::from_utf8_lossy(&bytes[cut..]).into_owned(), cut as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cut_text_is_never_longer_than_its_limit(text in ".*", max in 0_usize..200) {
            let short = text.len() <= max;
            let out = cut(text.clone(), max);
            prop_assert!(out.len() <= max);
            prop_assert!(!short || out == text);
        }
    }

    #[test]
    fn the_last_lines_begin_with_a_line_where_there_is_one() {
        assert_eq!(last_lines(b"e\ntwo\n", false), ("two\n".into(), 2));
        assert_eq!(last_lines(b"one\ntwo\n", true), ("one\ntwo\n".into(), 0));
        assert_eq!(last_lines(b"no end \xff", false), ("no end \u{fffd}".into(), 0));
        assert_eq!(last_lines(b"", false), (String::new(), 0));
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line("\n  a \t b\nc", 10), "a b");
        assert_eq!(one_line("", 10), "");
    }
}
