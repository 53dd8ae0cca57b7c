//! What stands in a target's way, in a file beside its lock: who delivers writes it, whoever asks reads it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use vp_shared::ids::{NoticeId, SessionId};
use vp_shared::time::UtcTime;

/// Why a session's notices do not get on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when.
    pub since: UtcTime,
    /// When it was seen last.
    pub last: UtcTime,
    /// How often.
    pub tries: u32,
    /// The last reason.
    pub why: String,
    /// The notice that was not accepted; none when the notices could not be read.
    pub notice_id: Option<NoticeId>,
}

/// The troubles of a target that this process serves.
#[derive(Debug)]
pub struct Troubles {
    path: PathBuf,
    of_sessions: Mutex<BTreeMap<SessionId, Trouble>>,
}

impl Troubles {
    /// Begins with none: those of a former life are over, or come again.
    pub fn new(data_dir: &Path, target: &str) -> Self {
        let troubles = Self { path: path(data_dir, target), of_sessions: Mutex::default() };
        troubles.change(|_| true);
        troubles
    }

    /// It was tried in vain once more.
    pub fn note(&self, session_id: &SessionId, notice_id: Option<&NoticeId>, why: &str) {
        let now = vp_nats::clock::now();
        self.change(|of_sessions| {
            let known = of_sessions.remove(session_id).filter(|known| known.notice_id.as_ref() == notice_id);
            let (since, tries) = known.map_or((now, 1), |known| (known.since, known.tries.saturating_add(1)));
            let notice_id = notice_id.cloned();
            let trouble = Trouble { since, last: now, tries, why: why.to_owned(), notice_id };
            of_sessions.insert(session_id.clone(), trouble);
            true
        });
    }

    /// The session's notices get on.
    pub fn over(&self, session_id: &SessionId) {
        self.change(|of_sessions| of_sessions.remove(session_id).is_some());
    }

    /// Writes them down when they changed. That nobody can read them is no reason not to deliver.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<SessionId, Trouble>) -> bool) {
        let mut of_sessions = self.of_sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if change(&mut of_sessions)
            && let Err(error) = write(&self.path, &of_sessions)
        {
            tracing::warn!(path = %self.path.display(), %error, "what stands in the way could not be written down");
        }
    }
}

/// What stands in the way of who serves this target, as far as it was written down.
///
/// # Errors
/// The file and why.
pub fn troubles(data_dir: &Path, target: &str) -> Result<BTreeMap<SessionId, Trouble>, String> {
    let path = path(data_dir, target);
    let failed = |why: String| format!("troubles in `{}`: {why}", path.display());
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| failed(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn path(data_dir: &Path, target: &str) -> PathBuf {
    data_dir.join("deliver").join(format!("{target}.trouble.json"))
}

/// Whole or not at all, for who reads; it need not survive a power cut.
fn write(path: &Path, of_sessions: &BTreeMap<SessionId, Trouble>) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec(of_sessions)?)?;
    fs::rename(new, path)
}
