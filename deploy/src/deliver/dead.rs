//! Dead letters: what a target did not take, kept in a file until somebody sends it again.
//!
//! Two locks: one for as long as the file is touched, and one for as long as its letters are sent again, so that no two
//! send them and neither ends what the other one took. Letters are kept meanwhile all the same.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use vp_shared::notice::Notice;
use vp_shared::time::UtcTime;

/// More is not kept: the line stands still then, and nothing is lost.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// How long the file may be in another's hand.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether it still is.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A notice that was not delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was given up.
    pub time: UtcTime,
    /// The last reason.
    pub why: String,
    /// How often it was tried.
    pub tries: u32,
    /// The notice.
    pub notice: Notice,
}

/// A target's dead letters.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    path: PathBuf,
}

/// Letters that were taken out to be sent again. Who dies before [`settle`](Self::settle) has them again.
#[derive(Debug)]
pub struct Resend {
    /// The letters, oldest first.
    pub letters: Vec<DeadLetter>,
    /// Lines that are no letters: kept, as they may be to another release.
    unread: Vec<u8>,
    dead: DeadLetters,
    /// Nobody else sends them again.
    _alone: File,
}

impl DeadLetters {
    /// Those of that target.
    pub fn new(data_dir: &Path, target: &str) -> Self {
        Self { path: data_dir.join("deliver").join(format!("{target}.dead.ndjson")) }
    }

    /// Keeps one; it is on the disk when this returns.
    ///
    /// # Errors
    /// The file and why; nothing of the letter is left in it then.
    pub async fn put(&self, notice: &Notice, why: &str, tries: u32) -> Result<(), String> {
        let letter =
            DeadLetter { time: vp_nats::clock::now(), why: why.to_owned(), tries, notice: notice.clone() };
        let put = async {
            let text = lines(&[letter])?;
            let _lock = self.lock("lock", PATIENCE).await?;
            append(&self.path, &text)
        };
        put.await.map_err(|error| self.failed(&error))
    }

    /// All of them, oldest first; those of a re-sending that is under way or was interrupted too.
    ///
    /// # Errors
    /// The file and why.
    pub fn list(&self) -> Result<Vec<DeadLetter>, String> {
        let (mut letters, _) = read(&self.taken()).map_err(|error| self.failed(&error))?;
        letters.extend(read(&self.path).map_err(|error| self.failed(&error))?.0);
        Ok(letters)
    }

    /// Takes all of them out, to be sent again.
    ///
    /// # Errors
    /// The file and why; that somebody else sends them again at the moment.
    pub async fn take(&self) -> Result<Resend, String> {
        let take = async {
            let alone = self.lock("resend.lock", Duration::ZERO).await?;
            // Who keeps a letter has the file open: it is finished before the file gets another name.
            let _lock = self.lock("lock", PATIENCE).await?;
            let taken = self.taken();
            if !taken.exists() && self.path.exists() {
                fs::rename(&self.path, &taken)?;
            }
            let (letters, unread) = read(&taken)?;
            Ok::<_, io::Error>(Resend { letters, unread, dead: self.clone(), _alone: alone })
        };
        take.await.map_err(|error| self.failed(&error))
    }

    fn taken(&self) -> PathBuf {
        self.path.with_extension("resend")
    }

    /// A lock on a file beside the letters', held until it is dropped.
    async fn lock(&self, extension: &str, patience: Duration) -> io::Result<File> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(self.path.with_extension(extension))?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::other("another process has them in hand at the moment"));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn failed(&self, error: &io::Error) -> String {
        format!("dead letters in `{}`: {error}", self.path.display())
    }
}

impl Resend {
    /// Ends it: `left` were not delivered this time either.
    ///
    /// # Errors
    /// The file and why; all of them are there again then.
    pub async fn settle(self, left: &[DeadLetter]) -> Result<(), String> {
        let settle = async {
            let mut text = self.unread.clone();
            text.extend(lines(left)?);
            let _lock = self.dead.lock("lock", PATIENCE).await?;
            if !text.is_empty() {
                append(&self.dead.path, &text)?;
            }
            match fs::remove_file(self.dead.taken()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        };
        settle.await.map_err(|error| self.dead.failed(&error))
    }
}

fn lines(letters: &[DeadLetter]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for letter in letters {
        serde_json::to_writer(&mut text, letter)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Appends whole lines, or nothing. What a crash has left of a line is taken away first: its notice was not acked, and
/// what is written behind it would be lost with it.
fn append(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_FILE {
        return Err(io::Error::other("there are too many dead letters: send them again, or remove the file"));
    }
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    let whole = if last == *b"\n" { length } else { whole(&fs::read(path)?).len() as u64 };
    if whole < length {
        tracing::warn!(path = %path.display(), "took away a dead letter that was not written to its end");
        file.set_len(whole)?;
    }
    let appended = file.write_all(text).and_then(|()| file.sync_data());
    // A new file is there after a crash only when its directory's entry is.
    let appended = match path.parent() {
        Some(dir) if length == 0 => appended.and_then(|()| File::open(dir)?.sync_all()),
        _ => appended,
    };
    if appended.is_err()
        && let Err(error) = file.set_len(whole)
    {
        tracing::error!(path = %path.display(), %error, "half a dead letter stays behind until the next one");
    }
    appended
}

/// The letters in a file, and its lines that are none. What is not written to its end is neither.
fn read(path: &Path) -> io::Result<(Vec<DeadLetter>, Vec<u8>)> {
    let there = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        there => there?,
    };
    let (mut letters, mut unread) = (Vec::new(), Vec::new());
    for line in whole(&there).split_inclusive(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(letter) => letters.push(letter),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "stepped over a line that is no dead letter");
                unread.extend_from_slice(line);
            }
        }
    }
    Ok((letters, unread))
}

/// The lines that were written to their end.
fn whole(there: &[u8]) -> &[u8] {
    let end = there.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    &there[..end]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use tempfile::TempDir;

    use super::super::sample::notice;
    use super::*;

    async fn put(dead: &DeadLetters, key: &str) {
        dead.put(&notice(key), "the answer was 500", 20).await.unwrap();
    }

    fn keys(letters: &[DeadLetter]) -> Vec<String> {
        letters.iter().map(|letter| letter.notice.objective.clone()).collect()
    }

    fn dead_letters() -> (TempDir, DeadLetters) {
        let dir = tempfile::tempdir().unwrap();
        let dead = DeadLetters::new(dir.path(), "ops");
        (dir, dead)
    }

    /// What a crash leaves when the letter's line is cut inside a character.
    fn tear(dead: &DeadLetters) {
        let there = fs::read(&dead.path).unwrap();
        let inside = there.iter().position(|byte| !byte.is_ascii()).unwrap() + 1;
        OpenOptions::new().append(true).open(&dead.path).unwrap().write_all(&there[..inside]).unwrap();
    }

    #[tokio::test]
    async fn a_letter_behind_one_that_was_not_written_to_its_end_is_sent_again() {
        let (_dir, dead) = dead_letters();
        put(&dead, "a").await;
        tear(&dead);
        put(&dead, "b").await;
        let resend = dead.take().await.unwrap();
        assert_eq!(keys(&resend.letters), ["a", "b"]);
        resend.settle(&[]).await.unwrap();
        assert!(dead.list().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_letter_cut_inside_a_character_hides_no_other_one() {
        let (_dir, dead) = dead_letters();
        put(&dead, "a").await;
        tear(&dead);
        assert_eq!(keys(&dead.list().unwrap()), ["a"]);
        assert_eq!(keys(&dead.take().await.unwrap().letters), ["a"]);
    }

    #[tokio::test]
    async fn a_line_that_is_no_letter_is_kept_when_the_others_are_sent_again() {
        let (_dir, dead) = dead_letters();
        put(&dead, "a").await;
        append(&dead.path, b"{\"of\":\"another release\"}\n").unwrap();
        put(&dead, "b").await;
        let resend = dead.take().await.unwrap();
        let left = resend.letters[1..].to_vec();
        resend.settle(&left).await.unwrap();
        assert!(fs::read_to_string(&dead.path).unwrap().contains("another release"));
        assert_eq!(keys(&dead.list().unwrap()), ["b"]);
    }

    #[tokio::test]
    async fn letters_are_sent_again_by_one_at_a_time() {
        let (_dir, dead) = dead_letters();
        put(&dead, "a").await;
        let resend = dead.take().await.unwrap();
        assert!(dead.take().await.unwrap_err().contains("another process has them in hand"));
        put(&dead, "b").await;
        resend.settle(&[]).await.unwrap();
        assert_eq!(keys(&dead.take().await.unwrap().letters), ["b"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn letters_kept_while_others_are_sent_again_are_not_lost() {
        const EACH: usize = 150;
        let (_dir, dead) = dead_letters();
        let mut writers = tokio::task::JoinSet::new();
        for writer in ["a", "b"] {
            let dead = dead.clone();
            writers.spawn(async move {
                for number in 0..EACH {
                    put(&dead, &format!("{writer}{number}")).await;
                }
            });
        }
        let mut sent = BTreeSet::new();
        loop {
            let written = writers.is_empty();
            let resend = dead.take().await.unwrap();
            sent.extend(keys(&resend.letters));
            resend.settle(&[]).await.unwrap();
            if written {
                break;
            }
            while let Some(ended) = writers.try_join_next() {
                ended.unwrap();
            }
        }
        assert_eq!(sent.len(), 2 * EACH);
    }
}
