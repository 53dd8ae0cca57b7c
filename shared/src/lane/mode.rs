//! Whether a lane starts missions, and who wants it so.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::UtcTime;

/// Whether a lane starts missions. Missions are accepted in every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaneMode {
    /// It does.
    #[default]
    Open,
    /// It starts none; what runs goes on.
    Paused,
    /// It starts none; what runs gets the workers' drain time to end and is handed back then.
    Draining,
}

impl LaneMode {
    /// The mode's name, as in tables and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    /// True when missions are started.
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }
}

impl fmt::Display for LaneMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A lane's mode, as it was last set. A lane without one is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LaneModeRecord {
    /// What it is.
    pub mode: LaneMode,
    /// Who set it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub since: UtcTime,
}

impl LaneModeRecord {
    /// True when setting `self` over `current` changes nothing: it is so already, and no other reason is given.
    pub fn is_already(&self, current: Option<&Self>) -> bool {
        match current {
            None => self.mode.is_open(),
            Some(current) => {
                current.mode == self.mode && (self.reason.is_none() || self.reason == current.reason)
            }
        }
    }

    /// The record, when it keeps a lane from starting missions.
    pub fn if_closed(self) -> Option<Self> {
        (!self.mode.is_open()).then_some(self)
    }
}

/// Such as `paused by console since 2026-11-28T09:00:00.000000Z: a broken tool`.
impl fmt::Display for LaneModeRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {} since {}", self.mode, self.by, self.since)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn record(mode: LaneMode, reason: Option<&str>) -> LaneModeRecord {
        let since = UtcTime::parse("2026-11-28T09:00:00Z").unwrap();
        LaneModeRecord { mode, by: "console".into(), reason: reason.map(str::to_owned), since }
    }

    #[test]
    fn who_and_why_are_told() {
        let text = record(LaneMode::Paused, Some("a broken tool")).to_string();
        assert_eq!(text, "paused by console since 2026-11-28T09:00:00.000000Z: a broken tool");
    }

    #[test]
    fn a_mode_is_set_again_only_for_another_reason() {
        use LaneMode::{Draining, Open, Paused};
        let paused = record(Paused, Some("x"));
        for (wanted, current, already) in [
            (record(Open, None), None, true),
            (record(Paused, None), None, false),
            (record(Paused, None), Some(&paused), true),
            (record(Paused, Some("x")), Some(&paused), true),
            (record(Paused, Some("y")), Some(&paused), false),
            (record(Draining, None), Some(&paused), false),
            (record(Open, None), Some(&paused), false),
        ] {
            assert_eq!(wanted.is_already(current), already, "{wanted} over {current:?}");
        }
    }

    #[test]
    fn a_mode_that_is_not_known_is_not_read() {
        let text = r#"{"mode": "asleep", "by": "me", "since": "2026-11-28T09:00:00Z"}"#;
        assert!(serde_json::from_str::<LaneModeRecord>(text).is_err());
        assert!(serde_json::from_str::<LaneModeRecord>(&text.replace("asleep", "paused")).is_ok());
    }
}
