//! Who holds the ledger: one bridge, or one rebuild.
//!
//! It keeps a second one from wasted work and from a rebuild's way. What is right does not rest on it: the cursor moves
//! by compare-and-set.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{self, Connection, PgConnection};
use sea_orm::{DbErr, RuntimeErr};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Location;
use super::error::LedgerError;
use super::location::{PostgresPlace, REBUILD_SCHEMA};

/// How often the holder of a server's ledger shows that it is there, and how long it waits for an answer.
const RENEW_EVERY: Duration = Duration::from_secs(1);
const RENEW_PATIENCE: Duration = Duration::from_secs(4);
/// The server takes the lock from who is silent for so long, frozen or cut off.
const SILENCE: [(&str, &str); 5] = [
    ("idle_session_timeout", "8s"),
    ("tcp_keepalives_idle", "3"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "8s"),
];
/// How often it is looked whether a ledger's file is still in its place.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A session that was just closed may still have the lock.
const TRIES: u32 = 5;
const TRY_AGAIN: Duration = Duration::from_millis(100);
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// `vpledger` and `vprebuil`, read as numbers: names of locks within one database.
const LEDGER_KEY: i64 = 0x7670_6c65_6467_6572;
const REBUILD_KEY: i64 = 0x7670_7265_6275_696c;

/// The ledger is held until this is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(crate) enum LedgerLock {
    /// A lock on a file, which stays: only the lock on it counts.
    File(FileLock),
    /// A lock of a session with the server.
    Session(SessionLock),
}

/// The locked file, and which ledger it stands beside.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
    ledger: PathBuf,
    /// The ledger's file as it was when it was locked, if it was there.
    was: Option<Inode>,
}

/// A file, whatever it is called.
type Inode = (u64, u64);

/// An advisory lock, and the task that keeps its session alive.
#[derive(Debug)]
pub(crate) struct SessionLock {
    keeper: JoinHandle<()>,
    lost: watch::Receiver<bool>,
}

impl LedgerLock {
    /// Takes the lock of the ledger at `location`, without waiting for who holds it.
    ///
    /// # Errors
    /// [`LedgerError::InUse`]; [`LedgerError::NotWritable`] when the lock file cannot be made;
    /// [`LedgerError::Database`] when the server cannot be reached.
    pub(crate) async fn take(location: &Location) -> Result<Self, LedgerError> {
        let held = match location {
            Location::Sqlite(path) => FileLock::take(path)?.map(Self::File),
            Location::Postgres(place) => SessionLock::take(place).await?.map(Self::Session),
        };
        held.ok_or_else(|| LedgerError::InUse { ledger: location.to_string(), holder: holder(location) })
    }

    /// Ends when the ledger may be another's: the session with the server is broken, or the file is no longer where it
    /// was, so that whoever looks there finds none, or another one.
    pub(crate) async fn lost(&self) {
        match self {
            Self::File(lock) => lock.moved().await,
            Self::Session(session) => {
                let mut lost = session.lost.clone();
                // A keeper that is gone keeps nothing.
                let _ = lost.wait_for(|lost| *lost).await;
            }
        }
    }
}

impl FileLock {
    /// `None`: another process has it.
    fn take(ledger: &Path) -> Result<Option<Self>, LedgerError> {
        let path = lock_path(ledger);
        let not_writable = |source| LedgerError::NotWritable { path: path.clone(), source };
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => {
                return Err(LedgerError::NotWritable { path: path.clone(), source });
            }
        }
        sign(&file, &path);
        let was = std::fs::metadata(ledger).ok().map(|found| inode(&found));
        Ok(Some(Self { file, ledger: ledger.to_owned(), was }))
    }

    /// Ends when the ledger's file, or this lock's, is gone from its place for longer than a moment.
    async fn moved(&self) {
        let mut missed = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let here = self.is_in_place().await;
            if missed && !here {
                tracing::error!(
                    ledger = %self.ledger.display(),
                    "the ledger's file is no longer in its place: was it moved, deleted or replaced?"
                );
                return;
            }
            missed = !here;
        }
    }

    async fn is_in_place(&self) -> bool {
        let ours = self.file.metadata().ok().map(|found| inode(&found));
        let lock = tokio::fs::metadata(lock_path(&self.ledger)).await.ok().map(|found| inode(&found));
        let ledger = tokio::fs::metadata(&self.ledger).await.ok().map(|found| inode(&found));
        lock == ours && (self.was.is_none() || ledger == self.was)
    }
}

fn inode(found: &Metadata) -> Inode {
    (found.dev(), found.ino())
}

/// Writes down who holds the ledger, for who waits for it. Only the lock itself counts.
fn sign(mut file: &File, path: &Path) {
    let signed = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = signed {
        tracing::warn!(path = %path.display(), %error, "could not note in the ledger's lock who holds it");
    }
}

/// The process that holds the ledger, as its lock file says; not known of a server's.
fn holder(location: &Location) -> Option<u32> {
    let Location::Sqlite(path) = location else { return None };
    std::fs::read_to_string(lock_path(path)).ok()?.trim().parse().ok()
}

/// Where the lock of a ledger file is.
pub(crate) fn lock_path(ledger: &Path) -> PathBuf {
    let mut path = ledger.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

impl SessionLock {
    async fn take(place: &PostgresPlace) -> Result<Option<Self>, LedgerError> {
        let failed = |error| LedgerError::Database {
            what: "take the ledger's lock on its server",
            source: DbErr::Conn(RuntimeErr::SqlxError(std::sync::Arc::new(error))),
        };
        let late = || failed(sqlx::Error::PoolTimedOut);
        let options: PgConnectOptions = place.options.clone().options(SILENCE);
        let connecting = timeout(CONNECT_PATIENCE, PgConnection::connect_with(&options));
        let mut session = connecting.await.map_err(|_| late())?.map_err(failed)?;
        let key = if place.schema == REBUILD_SCHEMA { REBUILD_KEY } else { LEDGER_KEY };
        let mut tries = 0;
        loop {
            let taking =
                sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(key).fetch_one(&mut session);
            let taken: bool = timeout(CONNECT_PATIENCE, taking).await.map_err(|_| late())?.map_err(failed)?;
            if taken {
                break;
            }
            tries += 1;
            if tries == TRIES {
                return Ok(None);
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        let (told, lost) = watch::channel(false);
        let keeper = tokio::spawn(async move {
            let why = keep(&mut session).await;
            tracing::error!(why, "the ledger's lock on its server is lost");
            told.send_replace(true);
        });
        Ok(Some(Self { keeper, lost }))
    }
}

/// Shows the server that the session lives, until it does not. Returns why.
async fn keep(session: &mut PgConnection) -> String {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        match timeout(RENEW_PATIENCE, sqlx::query("SELECT 1").execute(&mut *session)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("no answer for {} s", RENEW_PATIENCE.as_secs()),
        }
    }
}

impl Drop for SessionLock {
    /// The session is closed, not ended in order: the server frees its lock at once all the same.
    fn drop(&mut self) {
        self.keeper.abort();
    }
}
