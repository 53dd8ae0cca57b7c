use std::fmt;

use serde::Serialize;

use super::origin::Origin;

/// One thing that is wrong with the configuration. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The key, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The place to correct.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Origin>,
    /// What is wanted, and what was found.
    pub what: String,
}

impl Problem {
    pub(super) fn of_key(key: impl Into<String>, source: &Origin, what: impl Into<String>) -> Self {
        Self { key: Some(key.into()), source: Some(source.clone()), what: what.into() }
    }

    pub(super) fn of_source(source: &Origin, what: impl Into<String>) -> Self {
        Self { key: None, source: Some(source.clone()), what: what.into() }
    }

    pub(super) fn general(what: impl Into<String>) -> Self {
        Self { key: None, source: None, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.source) {
            (Some(key), Some(Origin::Default) | None) => write!(f, "`{key}`: {}", self.what),
            (Some(key), Some(source)) => write!(f, "`{key}` in `{source}`: {}", self.what),
            (None, Some(source)) => write!(f, "`{source}`: {}", self.what),
            (None, None) => f.write_str(&self.what),
        }
    }
}

/// The configuration cannot be used; all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one problem.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => write!(f, "the configuration cannot be used: {one}"),
            many => {
                write!(f, "the configuration cannot be used, {} problems:", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}
