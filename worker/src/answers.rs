//! What this worker answers on its own subject: whether it holds a mission, and what that one's executor says.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;
use vp_shared::api::{LogTail, MAX_LOG_TAIL_BYTES, StreamTail, WorkerAnswer, WorkerQuestion};
use vp_shared::artifact::{STDERR_LOG, STDOUT_LOG};
use vp_shared::ids::{Attempt, MissionId};
use vp_shared::text::last_lines;

use crate::artifacts::open_beneath;
use crate::held::HeldMissions;
use crate::workspace::attempt_dir;

/// How many logs are read at a time; who asks for more gets no answer and asks again.
const READS: usize = 4;

/// Answers for a worker.
#[derive(Debug)]
pub(crate) struct Answers {
    held: Arc<HeldMissions>,
    root: PathBuf,
    reads: Semaphore,
}

impl Answers {
    pub(crate) fn new(held: &Arc<HeldMissions>, root: &Path) -> Self {
        Self { held: Arc::clone(held), root: root.to_owned(), reads: Semaphore::new(READS) }
    }

    pub(crate) async fn to(&self, question: WorkerQuestion) -> Option<WorkerAnswer> {
        match question {
            WorkerQuestion::Holds { mission_id, .. } => Some(match self.held.attempt_of(&mission_id) {
                Some((_, attempt)) => WorkerAnswer::Holds { attempt },
                None => WorkerAnswer::DoesNotHold,
            }),
            WorkerQuestion::Log { mission_id, max_bytes } => self.log(&mission_id, max_bytes).await,
        }
    }

    async fn log(&self, mission_id: &MissionId, max_bytes: u64) -> Option<WorkerAnswer> {
        let Some((vp_id, attempt)) = self.held.attempt_of(mission_id) else {
            return Some(WorkerAnswer::DoesNotHold);
        };
        let _place = self.reads.try_acquire().ok()?;
        let dir = attempt_dir(&self.root, &vp_id, mission_id, attempt);
        let max = max_bytes.min(MAX_LOG_TAIL_BYTES);
        let read = tokio::task::spawn_blocking(move || tail(&dir, attempt, max)).await;
        match read {
            Ok(Ok(tail)) => Some(WorkerAnswer::Log(tail)),
            Ok(Err(error)) => {
                tracing::debug!(%mission_id, %error, "an attempt's log could not be read");
                Some(WorkerAnswer::Unknown)
            }
            Err(error) => {
                tracing::error!(%mission_id, %error, "reading an attempt's log ended abnormally");
                None
            }
        }
    }
}

/// The ends of both logs, of at most `max` bytes together.
fn tail(dir: &Path, attempt: Attempt, max: u64) -> io::Result<LogTail> {
    let dir = match File::open(dir) {
        Ok(dir) => dir,
        // It has claimed, and made no directory yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(LogTail { attempt, stdout: StreamTail::default(), stderr: StreamTail::default() });
        }
        Err(error) => return Err(error),
    };
    let [out, err] = [STDOUT_LOG, STDERR_LOG].map(|name| Log::open(&dir, name));
    let (out, err) = (out?, err?);
    let (out_share, err_share) = shares(out.bytes, err.bytes, max);
    Ok(LogTail { attempt, stdout: out.end(out_share)?, stderr: err.end(err_share)? })
}

/// Half for each, and what one does not need for the other.
fn shares(out: u64, err: u64, max: u64) -> (u64, u64) {
    let half = max / 2;
    let (out_needs, err_needs) = (out.min(half), err.min(half));
    (out.min(max - err_needs), err.min(max - out_needs))
}

struct Log {
    file: Option<File>,
    bytes: u64,
}

impl Log {
    /// One that is not there has said nothing.
    fn open(dir: &File, name: &str) -> io::Result<Self> {
        match open_beneath(dir, name) {
            Ok(file) => Ok(Self { bytes: file.metadata()?.len(), file: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { file: None, bytes: 0 }),
            Err(error) => Err(error),
        }
    }

    fn end(self, share: u64) -> io::Result<StreamTail> {
        let Some(mut file) = self.file else { return Ok(StreamTail::default()) };
        let start = self.bytes - share;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(share).read_to_end(&mut bytes)?;
        let (text, cut) = last_lines(&bytes, start == 0);
        Ok(StreamTail { text, skipped: start + cut })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_end_of_both_logs_begins_with_a_line_and_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(STDOUT_LOG), "one\ntwo\nthree\n").unwrap();
        let found = tail(dir.path(), 2, 8).unwrap();
        assert_eq!(found.stdout, StreamTail { text: "three\n".into(), skipped: 8 });
        assert_eq!(found.stderr, StreamTail::default());
        std::fs::write(dir.path().join(STDERR_LOG), b"\xff\n").unwrap();
        let found = tail(dir.path(), 2, 1024).unwrap();
        assert_eq!((found.stdout.skipped, found.stderr.text.as_str()), (0, "\u{fffd}\n"));
        assert_eq!(tail(&dir.path().join("none"), 1, 8).unwrap().stdout, StreamTail::default());
    }

    #[test]
    fn what_one_log_does_not_need_the_other_has() {
        assert_eq!(shares(10, 100, 64), (10, 54));
        assert_eq!(shares(100, 10, 64), (54, 10));
        assert_eq!(shares(100, 100, 64), (32, 32));
        assert_eq!(shares(0, 0, 64), (0, 0));
    }

    #[test]
    fn a_link_in_the_place_of_a_log_is_not_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), dir.path().join(STDOUT_LOG)).unwrap();
        assert!(tail(dir.path(), 1, 8).is_err());
    }
}
