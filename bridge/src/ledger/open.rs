//! Opening a ledger: where it is, whether it is one, and its two pools.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use sea_orm_migration::MigratorTrait;

use super::Ledger;
use super::error::LedgerError;
use super::lock::LedgerLock;
use super::migration::Migrator;

/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for one of the pool's connections; longer than a statement may wait.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;
/// How much of the file the writer keeps in memory at most, and each reader.
const WRITER_CACHE_KIB: u32 = 32 * 1024;
const READER_CACHE_KIB: u32 = 4 * 1024;
/// Most rows are appended: larger pages than usual are fewer writes.
const PAGE_BYTES: u32 = 8 * 1024;
/// The log of writes is worked in after 16 MiB: what is written often is worked in once.
const CHECKPOINT_PAGES: u32 = 2_000;

/// Where a ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A SQLite file. A server's database will be another variant, with the same tables and queries.
    Sqlite(PathBuf),
}

impl Location {
    /// Reads a file path, or `sqlite://<path>`.
    ///
    /// # Errors
    /// [`LedgerError::UnknownKind`].
    pub(crate) fn parse(text: &str) -> Result<Self, LedgerError> {
        let unknown = |shown: &str| LedgerError::UnknownKind { location: shown.to_owned() };
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            // Parameters would be obeyed by nobody.
            if path.is_empty() || path.contains('?') || path.starts_with(':') {
                return Err(unknown(text));
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        match text.split_once("://") {
            Some((scheme, _)) => Err(unknown(&format!("{scheme}://..."))),
            None if text.trim().is_empty() => Err(unknown(text)),
            None => Ok(Self::Sqlite(PathBuf::from(text))),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        let Self::Sqlite(path) = self;
        path
    }
}

impl Ledger {
    /// Opens the ledger at `location`, making the file and its directory when they are missing, and brings its schema
    /// up to date. It is held by this process alone until dropped.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn open(location: &Location) -> Result<Self, LedgerError> {
        let path = location.path();
        writable(path)?;
        let lock = LedgerLock::take(path)?;
        let mut ledger = Self::open_unlocked(location).await?;
        ledger.lock = Some(lock);
        Ok(ledger)
    }

    /// As [`Self::open`], for who holds the lock already or needs none.
    pub(crate) async fn open_unlocked(location: &Location) -> Result<Self, LedgerError> {
        let path = location.path();
        writable(path)?;
        // First the one writer, so that no two connections bring the file into WAL mode at a time.
        let writer = connect(path, 1, WRITER_CACHE_KIB).await?;
        check_schema(&writer, path).await?;
        Migrator::up(&writer, None).await.map_err(LedgerError::db("bring the ledger's schema up to date"))?;
        let reader = connect(path, READERS, READER_CACHE_KIB).await?;
        Ok(Self { writer, reader, lock: None })
    }
}

fn writable(path: &Path) -> Result<(), LedgerError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)
            .map_err(|source| LedgerError::NoDirectory { path: parent.to_owned(), source })?;
    }
    // SQLite would silently fall back to reading only.
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map(|_| ())
        .map_err(|source| LedgerError::NotWritable { path: path.to_owned(), source })
}

/// A pool whose connections are all opened now: opening one later, under load, can block on the switch to WAL.
async fn connect(path: &Path, connections: u32, cache_kib: u32) -> Result<DatabaseConnection, LedgerError> {
    let file = path.to_owned();
    let mut options = ConnectOptions::new("sqlite://ledger");
    options
        .min_connections(connections)
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_sqlite_opts(move |options: SqliteConnectOptions| {
            options
                .filename(&file)
                .create_if_missing(true)
                .page_size(PAGE_BYTES)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
                .statement_cache_capacity(256)
                // A batch touches many pages: none of them should be written twice, nor its undo log to a file.
                .pragma("cache_size", format!("-{cache_kib}"))
                .pragma("temp_store", "memory")
                .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        });
    Database::connect(options).await.map_err(|source| {
        let text = source.to_string();
        if text.contains("file is not a database") {
            return LedgerError::NotALedger { path: path.to_owned(), why: "not a SQLite file".to_owned() };
        }
        LedgerError::Database { what: "open the ledger", source }
    })
}

/// An empty file becomes a ledger; anything else must be one, and not a newer one.
async fn check_schema(db: &DatabaseConnection, path: &Path) -> Result<(), LedgerError> {
    let names = |sql: &'static str, what: &'static str| async move {
        let rows = db
            .query_all_raw(Statement::from_string(DbBackend::Sqlite, sql))
            .await
            .map_err(LedgerError::db(what))?;
        rows.iter()
            .map(|row| row.try_get_by_index::<String>(0))
            .collect::<Result<Vec<_>, _>>()
            .map_err(LedgerError::db(what))
    };
    let tables =
        names("SELECT name FROM sqlite_master WHERE type = 'table'", "read the ledger's tables").await?;
    if tables.is_empty() {
        return Ok(());
    }
    let steps = if tables.iter().any(|table| table == "seaql_migrations") {
        names("SELECT version FROM seaql_migrations ORDER BY version", "read the ledger's schema version")
            .await?
    } else {
        Vec::new()
    };
    let known: Vec<String> = Migrator::migrations().iter().map(|step| step.name().to_owned()).collect();
    match steps.iter().rev().find(|step| !known.contains(step)) {
        Some(step) if steps.iter().any(|step| known.contains(step)) => {
            Err(LedgerError::NewerSchema { path: path.to_owned(), step: step.clone() })
        }
        None if !steps.is_empty() => Ok(()),
        // Interrupted before its first step: there is nothing in it.
        None if tables == ["seaql_migrations"] => Ok(()),
        _ => Err(LedgerError::NotALedger { path: path.to_owned(), why: "it has other tables".to_owned() }),
    }
}
