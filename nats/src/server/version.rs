use std::fmt;

/// A nats-server version, such as `2.15.1` or `2.15.0-dev`.
///
/// Only major and minor decide whether a server is usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerVersion {
    major: u32,
    minor: u32,
    text: String,
}

impl ServerVersion {
    /// The oldest version this project works with, as (major, minor).
    ///
    /// Older servers silently ignore headers that the mission log rests on.
    pub const NEEDED: (u32, u32) = (2, 14);

    /// Reads a version as nats-server writes it, with or without a leading `v`; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        parts.next()?;
        Some(Self { major, minor, text: text.to_owned() })
    }

    /// Whether the server is at least [`Self::NEEDED`].
    pub fn is_supported(&self) -> bool {
        (self.major, self.minor) >= Self::NEEDED
    }

    /// Whether the server takes no more than so many consumers of a stream unless its configuration says otherwise,
    /// and knows the word to say it with.
    pub(super) fn limits_consumers(&self) -> bool {
        (self.major, self.minor) >= (2, 15)
    }

    /// [`Self::NEEDED`] as text.
    pub fn needed() -> String {
        let (major, minor) = Self::NEEDED;
        format!("{major}.{minor}")
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::ServerVersion;

    #[test]
    fn versions_compare_by_number_not_by_text() {
        for (text, supported) in [
            ("2.9.10", false),
            ("2.13.99", false),
            ("2.14.0", true),
            ("v2.15.1", true),
            ("2.15.0-dev", true),
            ("3.0.0", true),
            ("1.99.0", false),
        ] {
            let version = ServerVersion::parse(text).unwrap();
            assert_eq!(version.is_supported(), supported, "{text}");
            assert_eq!(version.to_string(), text.trim_start_matches('v'));
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "2", "2.14", "two.nine.ten", "nats-server: v2.15.1"] {
            assert_eq!(ServerVersion::parse(text), None, "{text}");
        }
    }
}
