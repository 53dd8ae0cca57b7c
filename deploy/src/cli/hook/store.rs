//! What is kept between two hooks of a session: a small file each, replaced whole, under a lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};
use vp_shared::turn::TurnState;

use super::hex;
use crate::config::Settings;

/// A state is a few hundred bytes.
const MAX_STATE: u64 = 64 * 1024;
const LOCK_AGAIN: Duration = Duration::from_millis(5);
/// Sessions that are kept at most; the oldest go first.
const MAX_SESSIONS: usize = 2000;

/// A session's state.
#[derive(Debug)]
pub(super) struct Store {
    state: PathBuf,
    lock: PathBuf,
}

/// Held while the state is replaced; released when dropped, or by the kernel.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "closing it releases the lock")] File);

/// Where all of it is.
pub(super) fn dir(settings: &Settings) -> PathBuf {
    settings.data_dir.join("hook")
}

impl Store {
    /// The state of that session.
    pub(super) fn new(settings: &Settings, session: &str) -> Self {
        let name = &hex(&Sha256::digest(session.as_bytes()))[..32];
        let turns = dir(settings).join("turns");
        Self { state: turns.join(format!("{name}.json")), lock: turns.join(format!("{name}.lock")) }
    }

    /// What is kept; the beginning of a session when nothing is.
    pub(super) fn read(&self) -> Result<TurnState, String> {
        let failed = |why: String| format!("could not read `{}`: {why}", self.state.display());
        let mut text = Vec::new();
        match File::open(&self.state).and_then(|file| file.take(MAX_STATE).read_to_end(&mut text)) {
            Ok(_) => serde_json::from_slice(&text).map_err(|error| failed(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(TurnState::default()),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Replaces it whole: a reader sees the old one or the new one.
    pub(super) fn write(&self, state: &TurnState) -> Result<(), String> {
        let text = serde_json::to_vec(state).map_err(|error| error.to_string())?;
        replace(&self.state, &text)
            .map_err(|error| format!("could not write `{}`: {error}", self.state.display()))
    }

    /// Alone with it.
    pub(super) async fn lock(&self, deadline: Instant) -> Result<Lock, String> {
        lock(&self.lock, deadline).await
    }
}

/// Waits for the lock of that file until the deadline.
pub(super) async fn lock(path: &Path, deadline: Instant) -> Result<Lock, String> {
    let failed = |why: String| format!("could not lock `{}`: {why}", path.display());
    let file = open_lock(path).map_err(|error| failed(error.to_string()))?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Lock(file)),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if Instant::now() < deadline => {
                sleep(LOCK_AGAIN).await;
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().create(true).append(true).open(path);
    open().or_else(|error| match (error.kind(), path.parent()) {
        (io::ErrorKind::NotFound, Some(dir)) => {
            fs::create_dir_all(dir)?;
            open()
        }
        _ => Err(error),
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, path)
}

fn announced(settings: &Settings) -> PathBuf {
    dir(settings).join("announced")
}

/// Says that these words will come as a message and are no user's, before they are handed over.
///
/// # Errors
/// The file and why.
pub(crate) fn announce_words(settings: &Settings, words: &str) -> Result<(), String> {
    let dir = announced(settings);
    let path = dir.join(hex(&Sha256::digest(words.as_bytes())));
    let made = fs::create_dir_all(&dir).and_then(|()| File::create(&path));
    made.map(drop).map_err(|error| format!("could not make `{}`: {error}", path.display()))
}

/// Whether the words with that digest were announced.
pub(super) fn were_announced(settings: &Settings, digest: &str) -> Result<bool, String> {
    let path = announced(settings).join(digest);
    path.try_exists().map_err(|error| format!("could not look for `{}`: {error}", path.display()))
}

/// Removes what has been silent for long, and the oldest when there are too many. What fails is tried again by the next.
pub(super) fn clean(settings: &Settings) {
    let keep = Duration::from_secs(settings.hook.keep_days * 86_400);
    for dir in [dir(settings).join("turns"), announced(settings)] {
        if let Err(error) = clean_dir(&dir, keep) {
            tracing::warn!(dir = %dir.display(), %error, "old states could not be removed");
        }
    }
}

fn clean_dir(dir: &Path, keep: Duration) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in entries {
        let entry = entry?;
        // A lock goes with the state of its session, never before: two holders of two files would both be alone.
        if entry.path().extension().is_none_or(|extension| extension != "lock") {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    files.sort();
    let too_many = files.len().saturating_sub(MAX_SESSIONS);
    for (index, (changed, path)) in files.iter().enumerate() {
        let old = changed.elapsed().is_ok_and(|age| age > keep);
        if old || index < too_many {
            fs::remove_file(path)?;
            match fs::remove_file(path.with_extension("lock")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
