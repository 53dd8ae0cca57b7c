//! What the executor of a mission says: asked of its worker while it runs, wherever that is; read afterwards where the
//! worker has left it, as every artifact.

use std::time::Duration;

use askama::Template;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use vp_nats::presence::ask_log;
use vp_shared::api::{LedgerMission, LogTail, MAX_LOG_TAIL_BYTES, StreamTail};
use vp_shared::artifact::{LOGS_DIR, MissionResult, STDERR_LOG, STDOUT_LOG};
use vp_shared::error::Chain;
use vp_shared::ids::WorkerId;
use vp_shared::mission::Status;

use super::desk::Desk;
use super::files::{NoTail, end_of};
use super::live::mark;
use super::refused::{Refused, fragment};
use super::view;

/// How long a worker may take to answer: one that lives does within milliseconds.
const PATIENCE: Duration = Duration::from_millis(400);

/// How often a worker is asked at most, for one open page.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Template)]
#[template(path = "log.html")]
struct Part {
    streams: Vec<Stream>,
    word: Word,
    /// The mission has ended.
    has_ended: bool,
}

impl Part {
    /// It will not be another one.
    fn is_final(&self) -> bool {
        self.has_ended && !matches!(self.word, Word::Busy)
    }
}

/// The end of one of the two streams.
struct Stream {
    is_error: bool,
    text: String,
    skipped: u64,
}

/// What is said where there is no log, or not all of it.
enum Word {
    None,
    /// No attempt runs.
    NotRunning,
    /// The executor has said nothing.
    Silent,
    /// Its worker gave no answer.
    Unreachable {
        worker_id: WorkerId,
        host: String,
    },
    /// Its worker does not hold it just now, or cannot tell.
    Untold {
        worker_id: WorkerId,
    },
    /// The mission has more files than its end lists, so there may be more of it.
    Unlisted {
        result_ref: Option<String>,
    },
    /// Too many files are read just now.
    Busy,
    /// It cannot be read.
    Unreadable {
        why: String,
    },
}

/// The log of a mission as a part of its page.
pub(super) async fn of(desk: &Desk, found: LedgerMission) -> Result<String, Refused> {
    fragment(&look(desk, found).await)
}

async fn look(desk: &Desk, found: LedgerMission) -> Part {
    let LedgerMission { mission, attempts, .. } = found;
    let has_ended = mission.status.is_terminal();
    let (streams, word) = match (mission.status, mission.worker_id, mission.result) {
        (Status::Running | Status::Cancelling | Status::Finalizing, Some(worker_id), _) => {
            match ask_log(&desk.conn, &worker_id, &mission.mission_id, PATIENCE).await {
                Ok(Some(LogTail { stdout, stderr, .. })) => shown(stdout, stderr, Word::Silent),
                Ok(None) => (Vec::new(), Word::Untold { worker_id }),
                Err(error) => {
                    tracing::debug!(mission_id = %mission.mission_id, error = %Chain(&error), "no log from a worker");
                    let host = attempts.last().map(|attempt| attempt.host.clone()).unwrap_or_default();
                    (Vec::new(), Word::Unreachable { worker_id, host })
                }
            }
        }
        (_, _, Some(result)) if has_ended => left_behind(desk, &result).await,
        _ => (Vec::new(), Word::NotRunning),
    };
    Part { streams, word, has_ended }
}

/// What an ended mission has left behind.
async fn left_behind(desk: &Desk, result: &MissionResult) -> (Vec<Stream>, Word) {
    let half = MAX_LOG_TAIL_BYTES / 2;
    let end = async |name: &str| end_of(desk, result, format!("{LOGS_DIR}/{name}"), half).await;
    let tail = |end: Option<(String, u64)>| {
        end.map(|(text, skipped)| StreamTail { text, skipped }).unwrap_or_default()
    };
    match (end(STDOUT_LOG).await, end(STDERR_LOG).await) {
        (Ok(stdout), Ok(stderr)) => {
            let lacks = stdout.is_none() || stderr.is_none();
            let (streams, word) = shown(tail(stdout), tail(stderr), Word::Silent);
            let word = if lacks && lists_not_all(result) {
                Word::Unlisted { result_ref: result.result_ref.clone() }
            } else {
                word
            };
            (streams, word)
        }
        (Err(NoTail::Busy), _) | (_, Err(NoTail::Busy)) => (Vec::new(), Word::Busy),
        (Err(NoTail::Unreadable(why)), _) | (_, Err(NoTail::Unreadable(why))) => {
            (Vec::new(), Word::Unreadable { why })
        }
    }
}

fn lists_not_all(result: &MissionResult) -> bool {
    result.artifacts_total > result.artifacts.len() as u64
}

fn shown(stdout: StreamTail, stderr: StreamTail, when_empty: Word) -> (Vec<Stream>, Word) {
    let streams = [(false, stdout), (true, stderr)].into_iter().filter(|(_, tail)| !tail.text.is_empty());
    let streams: Vec<_> =
        streams.map(|(is_error, StreamTail { text, skipped })| Stream { is_error, text, skipped }).collect();
    let word = if streams.is_empty() { when_empty } else { Word::None };
    (streams, word)
}

/// The log of a mission that is kept up to date: asked for beside everything else, so that a worker that does not answer
/// holds nothing up.
#[derive(Default)]
pub(super) struct LogWatch {
    asked: Option<Instant>,
    asking: Option<BoxFuture<'static, Part>>,
    /// The mission has ended, and its log with it; that has been told.
    is_whole: bool,
    seen: String,
}

impl LogWatch {
    pub(super) fn ask_if_due(&mut self, desk: &Desk, found: LedgerMission) {
        let has_ended = found.mission.status.is_terminal();
        let rested = self.asked.is_none_or(|last| last.elapsed() >= EVERY);
        if self.asking.is_some() || self.is_whole || !(rested || has_ended) {
            return;
        }
        self.asked = Some(Instant::now());
        let desk = desk.clone();
        self.asking = Some(Box::pin(async move { look(&desk, found).await }));
    }

    /// The log as a part of the page; never, while nothing is asked. Cancel safe.
    pub(super) async fn answered(&mut self) -> Result<String, Refused> {
        let part = match &mut self.asking {
            Some(asking) => asking.await,
            None => std::future::pending().await,
        };
        self.asking = None;
        self.is_whole = part.is_final();
        fragment(&part)
    }

    /// Whether it is another one than the last.
    pub(super) fn is_news(&mut self, html: &str) -> bool {
        let now = mark(html);
        let news = now != self.seen;
        self.seen = now;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(word: Word, has_ended: bool) -> Part {
        Part { streams: Vec::new(), word, has_ended }
    }

    #[test]
    fn the_log_of_an_ended_mission_is_final_unless_too_many_files_were_read() {
        assert!(part(Word::Silent, true).is_final());
        assert!(!part(Word::Busy, true).is_final());
        assert!(!part(Word::Silent, false).is_final());
    }

    #[test]
    fn a_log_that_is_not_listed_is_said_to_be_in_the_workspace() {
        let word = Word::Unlisted { result_ref: Some("workspace://here/w".to_owned()) };
        assert!(fragment(&part(word, true)).is_ok_and(|html| html.contains("workspace://here/w")));
        let more = MissionResult { artifacts_total: 51, ..MissionResult::default() };
        assert!(lists_not_all(&more) && !lists_not_all(&MissionResult::default()));
    }
}
