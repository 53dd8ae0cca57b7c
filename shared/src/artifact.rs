//! What is known of a file that an attempt produced, and which of four kinds it is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The receipt's file name, at the top of the workspace.
pub const RECEIPT_FILE: &str = "mission_receipt.json";
/// The sync marker's file name, at the top of the workspace.
pub const SYNC_MARKER_FILE: &str = "sync_ready.json";
/// Where an attempt's logs are found when it has ended.
pub const LOGS_DIR: &str = "logs";
/// The log of an executor's standard output.
pub const STDOUT_LOG: &str = "stdout.log";
/// The log of an executor's standard error.
pub const STDERR_LOG: &str = "stderr.log";

/// What an artifact is to the session. The order is the order of showing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// What was asked for.
    PrimaryWorkProduct,
    /// What stands behind it: logs, traces, tables.
    SupportingArtifact,
    /// `mission_receipt.json`.
    Receipt,
    /// `sync_ready.json`.
    SyncMarker,
}

impl Category {
    /// All categories, first shown first.
    pub const ALL: [Self; 4] =
        [Self::PrimaryWorkProduct, Self::SupportingArtifact, Self::Receipt, Self::SyncMarker];

    /// The category's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrimaryWorkProduct => "primary_work_product",
            Self::SupportingArtifact => "supporting_artifact",
            Self::Receipt => "receipt",
            Self::SyncMarker => "sync_marker",
        }
    }

    /// The category of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }

    /// What a notice puts before a path of this category.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PrimaryWorkProduct => "Primary work product",
            Self::SupportingArtifact => "Supporting artifact",
            Self::Receipt => "Receipt",
            Self::SyncMarker => "Sync marker",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A file that an attempt produced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// Where it is, relative to the workspace, with `/` between names.
    pub path: String,
    /// What it is to the session.
    pub category: Category,
    /// Its size.
    pub bytes: u64,
    /// Its media type, by its name.
    pub media_type: String,
    /// SHA-256 of its content, lower-case hex.
    pub sha256: String,
    /// True when it is in the object store; else it is read where the worker left it.
    #[serde(default)]
    pub stored: bool,
}

/// A lane's rule: files that match the glob are of this category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryRule {
    /// A glob over the relative path: `*` within a name, `**` over folders, `?` one character.
    pub glob: String,
    /// The category of what matches.
    pub category: Category,
}

/// The category of the file at `path`: what the executor declared wins, then the lane's first matching rule,
/// then the defaults (logs, traces, transcripts and capability dumps are supporting).
pub fn categorize(path: &str, declared: Option<Category>, rules: &[CategoryRule]) -> Category {
    match path {
        RECEIPT_FILE => return Category::Receipt,
        SYNC_MARKER_FILE => return Category::SyncMarker,
        _ => {}
    }
    let fits_anywhere =
        |category: &Category| matches!(category, Category::PrimaryWorkProduct | Category::SupportingArtifact);
    if let Some(category) = declared.filter(fits_anywhere) {
        return category;
    }
    if let Some(rule) =
        rules.iter().find(|rule| fits_anywhere(&rule.category) && glob_matches(&rule.glob, path))
    {
        return rule.category;
    }
    if supporting_by_name(path) { Category::SupportingArtifact } else { Category::PrimaryWorkProduct }
}

fn supporting_by_name(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let known = ["transcript", "trace", "trace_catalog", "capabilities", "stdout", "stderr", "session"];
    matches!(extension, "log" | "jsonl" | "trace")
        || known.contains(&stem)
        || name.starts_with('.')
        || matches!(name, RECEIPT_FILE | SYNC_MARKER_FILE)
        || folders
            .split('/')
            .any(|folder| matches!(folder, "logs" | "traces" | "transcripts" | "logfire-eval"))
}

/// True when `glob` matches the whole of `path`. Linear in both but for `**`, which tries each folder.
pub fn glob_matches(glob: &str, path: &str) -> bool {
    let glob: Vec<&str> = glob.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    folders_match(&glob, &path)
}

fn folders_match(glob: &[&str], path: &[&str]) -> bool {
    // Greedy with one point of return, as for `*` in a name.
    let (mut g, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if g < glob.len() && glob[g] == "**" {
            retry = Some((g + 1, p));
            g += 1;
        } else if p == path.len() && g == glob.len() {
            return true;
        } else if g < glob.len() && p < path.len() && name_matches(glob[g].as_bytes(), path[p].as_bytes()) {
            g += 1;
            p += 1;
        } else if let Some((after, from)) = retry.filter(|(_, from)| *from < path.len()) {
            retry = Some((after, from + 1));
            g = after;
            p = from + 1;
        } else {
            return false;
        }
    }
}

fn name_matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                retry = Some((g + 1, n));
                g += 1;
            }
            Some(b'?') => {
                g += 1;
                n += 1;
            }
            Some(byte) if *byte == name[n] => {
                g += 1;
                n += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    g = after;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

/// What a mission left behind, as the terminal event tells it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct MissionResult {
    /// `workspace://<host>/<path>`; absent when no workspace was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_ref: Option<String>,
    /// The worker whose disk it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<crate::ids::WorkerId>,
    /// The first 50 of the artifacts, primary work products first; fewer when their paths are very long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// How many there are, listed or not.
    #[serde(default)]
    pub artifacts_total: u64,
    /// How many of them are primary work products.
    #[serde(default)]
    pub primary_total: u64,
    /// The receipt's path in the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// The sync marker's path in the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_marker: Option<String>,
    /// Said when the worker that ran it stayed away and another one told what is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

impl MissionResult {
    /// How many artifacts a terminal event lists; the rest are counted.
    pub const MAX_LISTED: usize = 50;
    /// How many bytes of JSON those take at most, so that the event and the notice made of it fit into a message whatever
    /// the files are called.
    pub const MAX_LISTED_BYTES: usize = 128 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn defaults_tell_work_from_what_stands_behind_it() {
        use Category::{PrimaryWorkProduct as P, Receipt, SupportingArtifact as S, SyncMarker};
        for (path, want) in [
            ("report.md", P),
            ("out/story.txt", P),
            ("data.json", P),
            ("run.log", S),
            ("logs/build.txt", S),
            ("a/trace.json", S),
            ("Transcript.MD", S),
            ("capabilities.md", S),
            ("events.jsonl", S),
            (".hidden", S),
            ("mission_receipt.json", Receipt),
            ("sync_ready.json", SyncMarker),
            // A file that only looks like the receipt is not the receipt.
            ("sub/mission_receipt.json", S),
        ] {
            assert_eq!(categorize(path, None, &[]), want, "{path}");
        }
    }

    #[test]
    fn declared_wins_over_rules_and_rules_over_defaults() {
        let rules = [CategoryRule { glob: "tables/**".into(), category: Category::SupportingArtifact }];
        assert_eq!(categorize("tables/a.csv", None, &rules), Category::SupportingArtifact);
        assert_eq!(
            categorize("tables/a.csv", Some(Category::PrimaryWorkProduct), &rules),
            Category::PrimaryWorkProduct
        );
        assert_eq!(
            categorize("run.log", Some(Category::PrimaryWorkProduct), &rules),
            Category::PrimaryWorkProduct
        );
        // Nobody can declare a file to be the receipt, nor the receipt to be something else.
        assert_eq!(categorize("x.md", Some(Category::Receipt), &[]), Category::PrimaryWorkProduct);
        assert_eq!(categorize(RECEIPT_FILE, Some(Category::PrimaryWorkProduct), &[]), Category::Receipt);
    }

    #[test]
    fn globs_match_as_written() {
        for (glob, path, want) in [
            ("*.md", "a.md", true),
            ("*.md", "d/a.md", false),
            ("**/*.md", "a.md", true),
            ("**/*.md", "d/e/a.md", true),
            ("d/**", "d/e/f", true),
            ("d/**", "d", true),
            ("d/**", "dd/e", false),
            ("**", "anything/at/all", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xxaxxb", true),
            ("**/x/**/y", "x/1/2/y", true),
            ("**/x/**/y", "x/1/2/z", false),
            ("", "a", false),
        ] {
            assert_eq!(glob_matches(glob, path), want, "{glob} on {path}");
        }
    }

    proptest! {
        #[test]
        fn a_path_matches_itself_and_both_stars(path in "[a-z.]{1,8}(/[a-z.]{1,8}){0,4}") {
            prop_assert!(glob_matches(&path, &path));
            prop_assert!(glob_matches("**", &path));
            let anywhere = format!("**/{path}");
            prop_assert!(glob_matches(&anywhere, &path));
        }

        #[test]
        fn no_glob_takes_long(glob in "[*a/?]{0,40}", path in "[a/]{0,60}") {
            let _ = glob_matches(&glob, &path);
        }
    }
}
