//! Listens to an executor: log, words of the protocol, progress, last words.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use vp_nats::progress;
use vp_shared::event::Outcome;
use vp_shared::failure::{Failure, FailureClass};
use vp_shared::mission::Budget;
use vp_shared::text::{cut, one_line};

use super::Declared;
use super::logs::{Logs, Stream};
use super::outcome::{Heard, claimed};
use super::output::{Line, Lines};
use super::protocol::{Said, Word, read};
use super::redact::Redactor;
use crate::owner::Owned;
use crate::workspace::Workspace;

/// At most ten lines of progress a second for each mission.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
const MAX_PROGRESS_BYTES: usize = 1024;
/// How much of the end of its complaints goes into the failure.
const LAST_WORDS_BYTES: usize = 2048;
const MAX_DECLARED: usize = 1000;

/// Listens to one executor.
pub(super) struct Listener<'a> {
    own: &'a Owned<'a>,
    lines: [Lines; 2],
    ear: Ear,
    last_said: Instant,
    published: Option<Instant>,
}

/// What is made of lines.
struct Ear {
    redactor: Redactor,
    logs: Logs,
    heard: Heard,
    last_words: VecDeque<String>,
    last_words_bytes: usize,
    progress: Option<String>,
}

impl<'a> Listener<'a> {
    pub(super) fn new(own: &'a Owned<'a>, workspace: &Workspace, env: &BTreeMap<String, String>) -> Self {
        Self {
            own,
            lines: [Lines::default(), Lines::default()],
            ear: Ear {
                redactor: Redactor::of(env),
                logs: Logs::new(workspace.control(), own.lane.profile.limits.max_log_bytes),
                heard: Heard::default(),
                last_words: VecDeque::new(),
                last_words_bytes: 0,
                progress: None,
            },
            last_said: Instant::now(),
            published: None,
        }
    }

    /// When it last said anything.
    pub(super) fn last_said(&self) -> Instant {
        self.last_said
    }

    /// Takes some of its output.
    pub(super) async fn take(&mut self, stream: Stream, bytes: &[u8]) {
        self.last_said = Instant::now();
        let ear = &mut self.ear;
        self.lines[stream as usize].feed(bytes, |line| ear.line(stream, &line));
        self.ear.logs.flush().await;
        if self.published.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY) {
            self.publish().await;
        }
    }

    /// It has ended.
    pub(super) async fn end(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            let ear = &mut self.ear;
            self.lines[stream as usize].end(|line| ear.line(stream, &line));
        }
        self.ear.logs.end().await;
        self.publish().await;
    }

    /// What it said, and its last words of complaint.
    pub(super) fn heard(self) -> (Heard, String) {
        let last_words = self.ear.last_words.into_iter().collect::<Vec<_>>().join("\n");
        (self.ear.heard, last_words)
    }

    /// The failure of having used more than it may, by its own account.
    pub(super) fn over_budget(&self) -> Option<Failure> {
        over_budget(&self.own.mission.spec.budget, &self.ear.heard)
    }

    async fn publish(&mut self) {
        let Some(text) = self.ear.progress.take() else { return };
        self.published = Some(Instant::now());
        let (mission, conn) = (&self.own.mission, &self.own.lane.shared.conn);
        progress::publish(conn, &mission.vp_id, &mission.mission_id, &text).await;
    }
}

fn over_budget(budget: &Budget, heard: &Heard) -> Option<Failure> {
    let cost = heard.cost_usd.zip(budget.cost_usd).filter(|(used, limit)| used > limit);
    let tokens = heard.tokens.zip(budget.tokens).filter(|(used, limit)| used > limit);
    let message = match (cost, tokens) {
        (Some((used, limit)), _) => format!("the executor used {used} USD of a budget of {limit}"),
        (None, Some((used, limit))) => format!("the executor used {used} tokens of a budget of {limit}"),
        (None, None) => return None,
    };
    Some(Failure::new(FailureClass::BudgetExceeded, message))
}

impl Ear {
    fn line(&mut self, stream: Stream, line: &Line<'_>) {
        let text = self.redactor.clean(line.text);
        let word = if stream == Stream::Out && line.dropped == 0 { read(&text) } else { Word::Log };
        match word {
            Word::Said(said) => return self.said(said),
            Word::Garbled(why) => {
                let note = format!("[the next line is no word of the protocol: {}]", one_line(&why, 200));
                self.logs.line(stream, note.as_bytes(), 0);
            }
            Word::Log => {}
        }
        self.logs.line(stream, &text, line.dropped);
        if stream == Stream::Err {
            let text = cut(String::from_utf8_lossy(&text).into_owned(), LAST_WORDS_BYTES / 2);
            self.remember(text);
        }
    }

    fn remember(&mut self, text: String) {
        self.last_words_bytes += text.len() + 1;
        self.last_words.push_back(text);
        while self.last_words_bytes > LAST_WORDS_BYTES {
            let Some(first) = self.last_words.pop_front() else { return };
            self.last_words_bytes -= first.len() + 1;
        }
    }

    fn said(&mut self, said: Said) {
        let heard = &mut self.heard;
        match said {
            Said::Progress { text } => self.progress = Some(one_line(&text, MAX_PROGRESS_BYTES)),
            Said::Summary { text } => heard.summary = cut(text, Outcome::MAX_SUMMARY_BYTES),
            Said::NoDeliverable { because } => {
                heard.no_deliverable = Some(cut(because, Outcome::MAX_SUMMARY_BYTES));
            }
            Said::Failed { class, message } => heard.failed = Some(claimed(class, &message)),
            Said::Usage { cost_usd, tokens } => {
                heard.cost_usd = cost_usd.or(heard.cost_usd);
                heard.tokens = tokens.or(heard.tokens);
            }
            Said::Deliverable { path, category } => {
                if heard.declared.len() < MAX_DECLARED {
                    heard.declared.push(Declared { path, category });
                } else {
                    self.logs.line(
                        Stream::Out,
                        b"[too many deliverables are declared: the rest is found by looking]",
                        0,
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ear() -> Ear {
        let env = [("MY_TOKEN".to_owned(), "s3cr3t-value".to_owned())].into();
        Ear {
            redactor: Redactor::of(&env),
            logs: Logs::new(std::path::Path::new("/nonexistent"), 1 << 20),
            heard: Heard::default(),
            last_words: VecDeque::new(),
            last_words_bytes: 0,
            progress: None,
        }
    }

    fn hear(ear: &mut Ear, stream: Stream, text: &str) {
        ear.line(stream, &Line { text: text.as_bytes(), dropped: 0 });
    }

    #[test]
    fn words_are_kept_and_secrets_are_not() {
        let mut ear = ear();
        hear(&mut ear, Stream::Out, r#"{"vp":"summary","text":"used s3cr3t-value"}"#);
        hear(&mut ear, Stream::Out, r#"{"vp":"progress","text":"at s3cr3t-value"}"#);
        hear(&mut ear, Stream::Out, r#"{"vp":"usage","cost_usd":0.5}"#);
        hear(&mut ear, Stream::Out, r#"{"vp":"usage","tokens":7}"#);
        hear(&mut ear, Stream::Err, "cannot log in with s3cr3t-value");
        assert_eq!(ear.heard.summary, "used [redacted]");
        assert_eq!(ear.progress.as_deref(), Some("at [redacted]"));
        assert_eq!((ear.heard.cost_usd, ear.heard.tokens), (Some(0.5), Some(7)));
        assert_eq!(ear.last_words, ["cannot log in with [redacted]"]);
    }

    #[test]
    fn what_stderr_says_is_never_a_word() {
        let mut ear = ear();
        hear(&mut ear, Stream::Err, r#"{"vp":"summary","text":"no"}"#);
        assert_eq!(ear.heard.summary, "");
    }

    #[test]
    fn only_the_end_of_its_complaints_is_remembered() {
        let mut ear = ear();
        for n in 0..10_000 {
            hear(&mut ear, Stream::Err, &format!("line {n}"));
        }
        assert!(ear.last_words_bytes <= LAST_WORDS_BYTES);
        assert_eq!(ear.last_words.back().unwrap(), "line 9999");
    }

    #[test]
    fn the_budget_is_exceeded_by_more_than_it() {
        let budget = Budget { cost_usd: Some(1.0), tokens: Some(10), ..Budget::default() };
        let used = |cost_usd, tokens| {
            over_budget(&budget, &Heard { cost_usd, tokens, ..Heard::default() }).map(|failure| failure.class)
        };
        assert_eq!(used(Some(1.0), Some(10)), None);
        assert_eq!(used(None, None), None);
        assert_eq!(used(Some(1.01), None), Some(FailureClass::BudgetExceeded));
        assert_eq!(used(None, Some(11)), Some(FailureClass::BudgetExceeded));
    }
}
