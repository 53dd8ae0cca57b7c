//! Keeps the values of secret environment variables out of what is written down.

use std::borrow::Cow;
use std::collections::BTreeMap;

const MARK: &[u8] = b"[redacted]";
/// Shorter values would blank out ordinary words.
const SHORTEST: usize = 6;
const TELLING: [&str; 8] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "AUTH", "COOKIE"];

/// The secrets of one environment.
#[derive(Debug, Default)]
pub(super) struct Redactor(Vec<Vec<u8>>);

impl Redactor {
    /// The values of the variables whose names tell that they are secret.
    pub(super) fn of(env: &BTreeMap<String, String>) -> Self {
        let secret = |(name, value): &(&String, &String)| {
            let name = name.to_ascii_uppercase();
            value.len() >= SHORTEST && TELLING.iter().any(|word| name.contains(word))
        };
        let mut values: Vec<Vec<u8>> =
            env.iter().filter(secret).map(|(_, value)| value.as_bytes().to_vec()).collect();
        // A longer one first: one may be part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// `line` without them.
    pub(super) fn clean<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let mut line = Cow::Borrowed(line);
        for secret in &self.0 {
            if let Some(cleaned) = without(&line, secret) {
                line = Cow::Owned(cleaned);
            }
        }
        line
    }
}

fn without(line: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let mut at = find(line, secret)?;
    let (mut out, mut rest) = (Vec::with_capacity(line.len()), line);
    loop {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(MARK);
        rest = &rest[at + secret.len()..];
        match find(rest, secret) {
            Some(next) => at = next,
            None => {
                out.extend_from_slice(rest);
                return Some(out);
            }
        }
    }
}

fn find(line: &[u8], secret: &[u8]) -> Option<usize> {
    line.windows(secret.len()).position(|window| window == secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blanked_and_nothing_else() {
        let env = [
            ("API_TOKEN", "tok-123456"),
            ("PATH", "/usr/bin"),
            ("SHORT_KEY", "abc"),
            ("my_secret", "tok-123456-long"),
        ];
        let redactor = Redactor::of(&env.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let clean = |line: &str| String::from_utf8(redactor.clean(line.as_bytes()).into_owned()).unwrap();
        assert_eq!(clean("a tok-123456 b tok-123456"), "a [redacted] b [redacted]");
        assert_eq!(clean("tok-123456-long"), "[redacted]");
        assert_eq!(clean("/usr/bin abc"), "/usr/bin abc");
    }
}
