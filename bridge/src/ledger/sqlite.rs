//! A ledger in a file: one connection that writes, some that read.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, Connection as _, SqliteConnection};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use super::error::LedgerError;

/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for one of the pool's connections; longer than a statement may wait.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of the file the writer keeps in memory at most, and each reader.
pub(super) const WRITER_CACHE_KIB: u32 = 32 * 1024;
pub(super) const READER_CACHE_KIB: u32 = 4 * 1024;
/// Most rows are appended: larger pages than usual are fewer writes.
const PAGE_BYTES: u32 = 8 * 1024;
/// The log of writes is worked in after 16 MiB: what is written often is worked in once.
const CHECKPOINT_PAGES: u32 = 2_000;

/// False for a connection whose transaction could neither be committed nor rolled back, as on a full disk: it is closed.
/// What follows on it would be written inside that transaction, seem stored, and be lost.
fn is_whole(session: &mut SqliteConnection) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    let whole = !session.is_in_transaction();
    Box::pin(async move { Ok(whole) })
}

/// Makes the file and its directory when they are missing.
pub(super) fn writable(path: &Path) -> Result<(), LedgerError> {
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
pub(super) async fn connect(
    path: &Path,
    connections: u32,
    cache_kib: u32,
) -> Result<DatabaseConnection, LedgerError> {
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
        .map_sqlx_sqlite_pool_opts(|pool| pool.after_release(|session, _| is_whole(session)))
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
            return LedgerError::NotALedger {
                ledger: path.display().to_string(),
                why: "not a SQLite file".to_owned(),
            };
        }
        LedgerError::Database { what: "open the ledger", source }
    })
}
