//! The checks: what must be impossible, looked for in what is left of a round. Pure: evidence in, violations out.
//!
//! Each check has a test that plants what it looks for and sees it found.

mod executors;
mod missions;
mod notices;
mod story;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use story::{Stories, Story, stories};

use super::evidence::Evidence;
use super::missions::KILL_GRACE;

/// How long an executor of an attempt that is over may still be seen: the grace between TERM and KILL, and a margin
/// for a busy machine.
pub const FENCE_PATIENCE: Duration = Duration::from_millis(KILL_GRACE.as_secs() * 1000 + 1_500);

/// One check, carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What must hold.
    pub what: &'static str,
    /// How many things were looked at.
    pub looked_at: usize,
    /// Where it does not hold.
    pub violations: Vec<String>,
}

/// What a check gives: how many things it looked at, and what it found.
type Found = (usize, Vec<String>);

type Check = fn(&Evidence, &Stories<'_>) -> Found;

/// All checks, by what must hold.
const CHECKS: [(&str, Check); 16] = [
    ("an accepted mission is in the log", missions::accepted_exist),
    ("a mission has one end and no second", missions::one_end),
    ("nothing is stuck", missions::nothing_stuck),
    ("a cancel ends its mission", missions::cancels_end),
    ("the log holds lawful events only", missions::lawful),
    ("a key is one mission for ever", missions::keys_hold),
    ("a mission ends as its executor did", executors::ends_as_it_went),
    ("an attempt runs once, and only when claimed", executors::runs_once),
    ("nothing starts after an outcome is recorded", executors::no_start_after_outcome),
    ("no executor outlives its attempt by more than the grace", executors::fenced_in_time),
    ("a mission runs in its own lane", executors::own_lane),
    ("the ledger equals a rebuild", missions::ledger_equals_rebuild),
    ("the ledger equals the fold of the log", missions::ledger_equals_fold),
    ("every due notice is shown exactly once", notices::shown_once),
    ("a notice is shown in its session, in order", notices::in_order),
    ("no process panics", missions::no_panics),
];

/// Carries out all checks.
pub fn check_all(evidence: &Evidence) -> Vec<Verdict> {
    let stories = stories(evidence);
    CHECKS
        .iter()
        .map(|(what, check)| {
            let (looked_at, violations) = check(evidence, &stories);
            Verdict { what, looked_at, violations }
        })
        .collect()
}
