//! What an executor may say on its standard output: a line that is a JSON object with the key `vp`.
//!
//! ```text
//! {"vp":"progress","text":"compiling"}
//! {"vp":"deliverable","path":"report.md","category":"primary_work_product"}
//! {"vp":"summary","text":"wrote the report"}
//! {"vp":"usage","cost_usd":0.12,"tokens":3400}
//! {"vp":"no_deliverable","because":"nothing to change"}
//! {"vp":"failed","class":"auth","message":"the token was refused"}
//! ```
//!
//! Every other line is log, also one that nearly is such an object: it is then said in the log why it is not.

use serde::Deserialize;
use vp_shared::artifact::Category;
use vp_shared::failure::FailureClass;

/// A word of an executor.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "vp", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Said {
    /// What it is doing.
    Progress {
        /// In a line.
        text: String,
    },
    /// A file that is a product.
    Deliverable {
        /// Relative to the workspace.
        path: String,
        /// What it is; the work product when it does not say.
        #[serde(default = "primary")]
        category: Category,
    },
    /// What it did. The last one counts.
    Summary {
        /// In a few lines.
        text: String,
    },
    /// What it has used so far. The last one counts, field by field.
    Usage {
        /// US dollars.
        #[serde(default)]
        cost_usd: Option<f64>,
        /// Tokens.
        #[serde(default)]
        tokens: Option<u64>,
    },
    /// There is nothing to deliver, and that is right.
    NoDeliverable {
        /// Why.
        because: String,
    },
    /// It failed, whatever its exit code says.
    Failed {
        /// How.
        class: FailureClass,
        /// In words.
        message: String,
    },
}

const fn primary() -> Category {
    Category::PrimaryWorkProduct
}

/// What a line is.
#[derive(Debug, PartialEq)]
pub(super) enum Word {
    /// A word of the protocol.
    Said(Said),
    /// Meant as one, and not understood.
    Garbled(String),
    /// Log.
    Log,
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Word {
    // Cheap for the many lines that are log.
    if line.first() != Some(&b'{') || !line.windows(4).any(|four| four == b"\"vp\"") {
        return Word::Log;
    }
    match serde_json::from_slice(line) {
        Ok(said) => Word::Said(said),
        Err(error) => match serde_json::from_slice::<serde_json::Value>(line) {
            Ok(value) if value.get("vp").is_some() => Word::Garbled(error.to_string()),
            _ => Word::Log,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood() {
        let said = |line: &str| match read(line.as_bytes()) {
            Word::Said(said) => said,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(said(r#"{"vp":"progress","text":"a"}"#), Said::Progress { text: "a".into() });
        assert_eq!(
            said(r#"{"vp":"deliverable","path":"a.md"}"#),
            Said::Deliverable { path: "a.md".into(), category: Category::PrimaryWorkProduct }
        );
        assert_eq!(said(r#"{"vp":"usage","tokens":5}"#), Said::Usage { cost_usd: None, tokens: Some(5) });
        assert_eq!(
            said(r#"{"class":"auth","vp":"failed","message":"no"}"#),
            Said::Failed { class: FailureClass::Auth, message: "no".into() }
        );
    }

    #[test]
    fn what_is_not_a_word_is_log_or_garbled() {
        for log in [
            "",
            "hello",
            "{",
            r#"{"a":1}"#,
            r#"{"a":"\"vp\""}"#,
            r#"{"vp": broken"#,
            r#"["vp"]"#,
            r#"{"a":{"vp":"progress"}}"#,
        ] {
            assert_eq!(read(log.as_bytes()), Word::Log, "{log}");
        }
        for garbled in [
            r#"{"vp":"progres","text":"a"}"#,
            r#"{"vp":"progress"}"#,
            r#"{"vp":"progress","text":1}"#,
            r#"{"vp":"usage","tokens":-1}"#,
            r#"{"vp":"failed","class":"sloth","message":"x"}"#,
            r#"{"vp":"summary","text":"a","more":1}"#,
        ] {
            assert!(matches!(read(garbled.as_bytes()), Word::Garbled(_)), "{garbled}");
        }
    }
}
