//! Priority tiers: which queue of a lane an entry waits in.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A queue of a lane. The order of the variants is the order of service.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Served before everything else.
    Urgent,
    /// Served before `normal`.
    High,
    /// Where a mission waits whose caller said nothing.
    #[default]
    Normal,
    /// Served when nothing else waits, and in a bounded share of turns.
    Low,
}

impl Tier {
    /// All tiers, first served first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// The tier's name, as in subjects, tables and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The tier of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// The tier of an integer priority, smaller is sooner: under 25 urgent, under 75 high, under 150 normal,
    /// else low.
    pub const fn from_priority(priority: i64) -> Self {
        match priority {
            ..25 => Self::Urgent,
            25..75 => Self::High,
            75..150 => Self::Normal,
            150.. => Self::Low,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_map_onto_tiers_at_the_documented_limits() {
        let map = |p| Tier::from_priority(p).name();
        assert_eq!(
            [i64::MIN, 0, 24, 25, 74, 75, 100, 149, 150, i64::MAX].map(map),
            ["urgent", "urgent", "urgent", "high", "high", "normal", "normal", "normal", "low", "low"]
        );
    }

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        for tier in Tier::ALL {
            assert_eq!(Tier::from_name(tier.name()), Some(tier));
        }
        assert_eq!(Tier::from_name("Urgent"), None);
        assert_eq!(Tier::from_name(""), None);
    }
}
