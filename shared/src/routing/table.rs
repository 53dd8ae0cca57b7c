//! A table of phrases with what they ask for, and how well the policy reads it.
//!
//! A line a phrase: category, tab, decision, tab, the phrase as a JSON string; `#` begins a comment. A decision is
//! `none`, `ambiguous`, or `delegate`, `cancel`, `status` or `read` and the lanes' roles: `delegate coder general`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ControlAction, Intent, Route, Router};

/// A phrase and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// The kind of phrase, for the report.
    pub category: String,
    /// The decision that is right.
    pub expected: String,
    /// The words.
    pub text: String,
}

/// A table that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadTable {
    line: usize,
    why: String,
}

/// Reads a table.
///
/// # Errors
/// The first line that is none, and why.
pub fn parse(table: &str) -> Result<Vec<Phrase>, BadTable> {
    let rows = table.lines().enumerate().filter(|(_, row)| !row.starts_with('#') && !row.trim().is_empty());
    rows.map(|(index, row)| {
        let bad = |why: String| BadTable { line: index + 1, why };
        let mut fields = row.splitn(3, '\t');
        let (Some(category), Some(expected), Some(text)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(bad("want a category, a decision and a phrase, parted by tabs".into()));
        };
        let text = serde_json::from_str(text).map_err(|error| bad(format!("the phrase: {error}")))?;
        Ok(Phrase { category: category.to_owned(), expected: expected.to_owned(), text })
    })
    .collect()
}

/// How many of a category were read right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Right.
    pub right: usize,
    /// All.
    pub of: usize,
}

/// A phrase that was read wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Its category.
    pub category: String,
    /// The words.
    pub text: String,
    /// The decision that is right.
    pub expected: String,
    /// The policy's.
    pub decided: String,
}

/// How well a table is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By category.
    pub categories: BTreeMap<String, Share>,
    /// Of the delegations that the policy found, those to the right lanes.
    pub precision: Share,
    /// Of the delegations that are in the table, those found, to the right lanes.
    pub recall: Share,
    /// What was read wrong.
    pub wrong: Vec<Wrong>,
}

/// Reads every phrase and counts.
pub fn report(router: &Router, phrases: &[Phrase]) -> Report {
    let mut report = Report::default();
    for phrase in phrases {
        let decided = decision(&router.route(&phrase.text));
        let right = decided == phrase.expected;
        let share = report.categories.entry(phrase.category.clone()).or_default();
        share.of += 1;
        share.right += usize::from(right);
        for (decision, share) in [(&decided, &mut report.precision), (&phrase.expected, &mut report.recall)] {
            if decision.starts_with("delegate") {
                share.of += 1;
                share.right += usize::from(right);
            }
        }
        if !right {
            report.wrong.push(Wrong {
                category: phrase.category.clone(),
                text: phrase.text.clone(),
                expected: phrase.expected.clone(),
                decided,
            });
        }
    }
    report
}

/// A decision in the words of a table.
pub fn decision(route: &Route) -> String {
    let action = match (route.decision, route.action) {
        (Intent::Delegate, _) => "delegate",
        (Intent::Ambiguous, _) => return "ambiguous".to_owned(),
        (Intent::Control, Some(ControlAction::Cancel)) => "cancel",
        (Intent::Control, Some(ControlAction::Read)) => "read",
        (Intent::Control, _) => "status",
        (Intent::None, _) => return "none".to_owned(),
    };
    let roles = route.vp_ids.iter().filter_map(|id| id.as_str().split('.').nth(1));
    std::iter::once(action).chain(roles).collect::<Vec<_>>().join(" ")
}
