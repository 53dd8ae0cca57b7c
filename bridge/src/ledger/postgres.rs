//! A ledger in a schema of a PostgreSQL database, with the same tables and statements as in a file.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::sqlx::{self, Connection as _, PgConnection};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement, TransactionTrait,
};

use super::error::LedgerError;
use super::location::{PostgresPlace, REBUILD_SCHEMA, SCHEMA};

/// How long to wait for one of the pool's connections, a new one to the server included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was idle for so long is tried before it is used: its server may have gone and come back.
const TRY_AFTER: Duration = Duration::from_millis(500);
/// Sessions end when the host of either side is gone, and no statement takes longer than this.
const GONE: [(&str, &str); 6] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
    ("statement_timeout", "30s"),
    ("jit", "off"),
];
/// A projector that freezes within a transaction holds the cursor's row: not for longer than this. Nor does one wait
/// longer for another's locks than it would for a file's.
const WRITER: [(&str, &str); 2] = [("idle_in_transaction_session_timeout", "8s"), ("lock_timeout", "5s")];
/// The first version with all these settings.
const OLDEST: i32 = 140_000;

/// What a pool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
}

/// A pool whose connections find the ledger's tables without their schema's name.
pub(super) async fn connect(
    place: &PostgresPlace,
    connections: u32,
    used_to: Use,
) -> Result<DatabaseConnection, LedgerError> {
    let mut settings = vec![("search_path", place.schema)];
    settings.extend(GONE);
    if used_to == Use::Write {
        settings.extend(WRITER);
    }
    let sqlx_options = place.options.clone().statement_cache_capacity(256).options(settings);
    // What is in the text is replaced as a whole.
    let mut options = ConnectOptions::new("postgres://ledger");
    options
        .min_connections(1)
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire_if_idle_for(TRY_AFTER)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_postgres_pool_opts(|pool| pool.after_release(|session, _| is_whole(session)))
        .map_sqlx_postgres_opts(move |_| sqlx_options.clone());
    Database::connect(options).await.map_err(LedgerError::db("connect to the ledger's server"))
}

/// False for a connection whose transaction could neither be committed nor rolled back: it is closed.
fn is_whole(session: &mut PgConnection) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    let whole = !session.is_in_transaction();
    Box::pin(async move { Ok(whole) })
}

/// Makes the schema when it is missing. The tables' order does not depend on the database's own collation, but what
/// can be stored depends on its encoding.
pub(super) async fn prepare(place: &PostgresPlace) -> Result<(), LedgerError> {
    let db = connect(place, 1, Use::Write).await?;
    let made = make_schema(&db, place).await;
    close(&db).await;
    made
}

async fn make_schema(db: &DatabaseConnection, place: &PostgresPlace) -> Result<(), LedgerError> {
    let unfit = |why: String| LedgerError::Unfit { ledger: place.to_string(), why };
    let version = text(db, "SELECT current_setting('server_version_num')").await?;
    if version.as_deref().and_then(|version| version.parse().ok()).is_none_or(|found: i32| found < OLDEST) {
        let found = text(db, "SELECT current_setting('server_version')").await?.unwrap_or_default();
        return Err(unfit(format!("the server is PostgreSQL {found}, want 14 or newer")));
    }
    let encoding = text(db, "SELECT current_setting('server_encoding')").await?.unwrap_or_default();
    if encoding != "UTF8" {
        return Err(unfit(format!("its encoding is {encoding}, want one made with ENCODING 'UTF8'")));
    }
    // Asked first: to make one, even if it is not there, needs a right that using it does not.
    if !has_schema(db, place.schema).await? {
        let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", place.schema);
        db.execute_unprepared(&sql).await.map_err(LedgerError::db("make the ledger's schema"))?;
    }
    Ok(())
}

/// True when the schema has a table.
pub(super) async fn exists(place: &PostgresPlace) -> Result<bool, LedgerError> {
    let db = connect(place, 1, Use::Read).await?;
    let sql = format!("SELECT tablename::text FROM pg_tables WHERE schemaname = '{}' LIMIT 1", place.schema);
    let found = text(&db, &sql).await;
    close(&db).await;
    Ok(found?.is_some())
}

/// Drops what a rebuild has left behind.
pub(crate) async fn drop_rebuild(place: &PostgresPlace) -> Result<(), LedgerError> {
    let db = connect(place, 1, Use::Write).await?;
    let dropped = db.execute_unprepared(&format!("DROP SCHEMA IF EXISTS {REBUILD_SCHEMA} CASCADE")).await;
    close(&db).await;
    dropped.map(drop).map_err(LedgerError::db("drop what a rebuild has left behind"))
}

/// Puts the rebuilt schema in the ledger's place, in one transaction: whoever looks sees the one or the other.
pub(crate) async fn swap_in(place: &PostgresPlace) -> Result<(), LedgerError> {
    let db = connect(place, 1, Use::Write).await?;
    let swapped = swap(&db).await;
    close(&db).await;
    swapped
}

async fn swap(db: &DatabaseConnection) -> Result<(), LedgerError> {
    const WHAT: &str = "put the rebuilt ledger in the ledger's place";
    let old = format!("{SCHEMA}_before");
    let there = has_schema(db, SCHEMA).await?;
    let tx = db.begin().await.map_err(LedgerError::db(WHAT))?;
    if there {
        let sql = format!("ALTER SCHEMA {SCHEMA} RENAME TO {old}");
        tx.execute_unprepared(&sql).await.map_err(LedgerError::db(WHAT))?;
    }
    let sql =
        format!("ALTER SCHEMA {REBUILD_SCHEMA} RENAME TO {SCHEMA}; DROP SCHEMA IF EXISTS {old} CASCADE");
    tx.execute_unprepared(&sql).await.map_err(LedgerError::db(WHAT))?;
    tx.commit().await.map_err(LedgerError::db(WHAT))
}

async fn has_schema(db: &DatabaseConnection, schema: &str) -> Result<bool, LedgerError> {
    let sql = format!("SELECT nspname::text FROM pg_namespace WHERE nspname = '{schema}'");
    Ok(text(db, &sql).await?.is_some())
}

/// The one text that `sql` gives, if any.
async fn text(db: &DatabaseConnection, sql: &str) -> Result<Option<String>, LedgerError> {
    const WHAT: &str = "ask the ledger's server about itself";
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await
        .map_err(LedgerError::db(WHAT))?;
    row.map(|row| row.try_get_by_index::<String>(0)).transpose().map_err(LedgerError::db(WHAT))
}

async fn close(db: &DatabaseConnection) {
    if let Err(error) = db.close_by_ref().await {
        tracing::warn!(error = %vp_shared::error::Chain(&error), "could not close a connection in good order");
    }
}
