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
    fn one_line_is_one_line() {
        assert_eq!(one_line("\n  a \t b\nc", 10), "a b");
        assert_eq!(one_line("", 10), "");
    }
}
