//! Who holds the ledger: one bridge, or one rebuild.
//!
//! It keeps a second one from wasted work and from a rebuild's way. What is right does not rest on it: the cursor moves
//! by compare-and-set.

use std::fs::{File, OpenOptions, TryLockError};
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
    File(#[allow(dead_code, reason = "open is all it has to be")] File),
    /// A lock of a session with the server.
    Session(SessionLock),
}

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
            Location::Sqlite(path) => take_file(path)?.map(Self::File),
            Location::Postgres(place) => SessionLock::take(place).await?.map(Self::Session),
        };
        held.ok_or_else(|| LedgerError::InUse { ledger: location.to_string() })
    }

    /// Ends when the ledger may be another's: the session with the server is broken. A file is never lost.
    pub(crate) async fn lost(&self) {
        match self {
            Self::File(_) => std::future::pending().await,
            Self::Session(session) => {
                let mut lost = session.lost.clone();
                // A keeper that is gone keeps nothing.
                let _ = lost.wait_for(|lost| *lost).await;
            }
        }
    }
}

/// `None`: another process has it.
fn take_file(ledger: &Path) -> Result<Option<File>, LedgerError> {
    let path = lock_path(ledger);
    let not_writable = |source| LedgerError::NotWritable { path: path.clone(), source };
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(LedgerError::NotWritable { path: path.clone(), source }),
    }
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
