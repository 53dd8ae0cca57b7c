//! What worker and keeper say to each other: one line each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vp_nats::presence::Testament;

/// The longest line: a job with its environment.
pub(crate) const MAX_LINE: u64 = 8 * 1024 * 1024;

/// The first line to a keeper, as JSON: what to run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Job {
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// The whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// Where it runs.
    pub(crate) cwd: PathBuf,
    /// What it reads as standard input.
    pub(crate) stdin: PathBuf,
    /// Milliseconds between the polite and the forcible end.
    pub(crate) kill_grace_ms: u64,
    /// Milliseconds the lease is good for, as [`Word::Alive`].
    pub(crate) alive_ms: u64,
    /// The worker's process.
    pub(crate) worker_pid: i32,
    /// What to do for the worker when its process has died.
    #[serde(default)]
    pub(crate) testament: Option<Testament>,
}

/// Every later line to a keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The worker lives, and its lease is good for so long from now.
    Alive(Duration),
    /// TERM to the tree, after the grace KILL.
    Stop,
    /// KILL to the tree.
    Kill,
    /// The attempt is concluded: nothing is left to do.
    Done,
}

impl Word {
    /// The word as a line.
    pub(crate) fn line(self) -> String {
        match self {
            Self::Alive(left) => format!("alive {}\n", left.as_millis()),
            Self::Stop => "stop\n".into(),
            Self::Kill => "kill\n".into(),
            Self::Done => "done\n".into(),
        }
    }

    /// Reads a line; `None` for what is no word.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        match line.trim_end().split_once(' ') {
            Some(("alive", ms)) => Some(Self::Alive(Duration::from_millis(ms.parse().ok()?))),
            None if line.trim_end() == "stop" => Some(Self::Stop),
            None if line.trim_end() == "kill" => Some(Self::Kill),
            None if line.trim_end() == "done" => Some(Self::Done),
            _ => None,
        }
    }
}

/// A line from a keeper, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The executor runs.
    Started {
        /// Its process id, which is also its process group.
        pid: i32,
    },
    /// It could not be started.
    NotStarted {
        /// Why.
        why: String,
        /// True when there is no such program.
        not_found: bool,
    },
    /// It has ended and its tree is gone.
    Ended {
        /// Its exit code, if it exited.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// Its first process had ended before anybody asked it to.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_itself: bool,
        /// It was killed because nobody vouched for the lease any more.
        lapsed: bool,
        /// How many processes withstood even KILL (in an uninterruptible wait).
        survivors: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for word in [Word::Alive(Duration::from_millis(24_999)), Word::Stop, Word::Kill, Word::Done] {
            assert_eq!(Word::parse(&word.line()), Some(word));
        }
        for bad in ["", "alive", "alive x", "alive -1", "stop now", "Kill"] {
            assert_eq!(Word::parse(bad), None, "{bad}");
        }
    }
}
