//! Opening a ledger: whether it is one, its schema, and its two pools.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use sea_orm_migration::MigratorTrait;

use super::error::LedgerError;
use super::lock::LedgerLock;
use super::migration::Migrator;
use super::{Ledger, Location, postgres, sqlite};

const READERS: u32 = 4;

impl Ledger {
    /// As [`Self::open`], but a file that is missing is not made: there was one.
    ///
    /// # Errors
    /// [`LedgerError::Gone`] when there is none now, and as [`Self::open`].
    pub(crate) async fn reopen(location: &Location) -> Result<Self, LedgerError> {
        match location {
            Location::Sqlite(path) if !path.exists() => Err(LedgerError::Gone { path: path.clone() }),
            _ => Self::open(location).await,
        }
    }

    /// Opens the ledger at `location`, making the file and its directory, or the schema, when they are missing, and
    /// brings its tables up to date. It is held by this process alone until dropped.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn open(location: &Location) -> Result<Self, LedgerError> {
        if let Location::Sqlite(path) = location {
            sqlite::writable(path)?;
        }
        let lock = LedgerLock::take(location).await?;
        let mut ledger = Self::open_unlocked(location).await?;
        ledger.lock = Some(lock);
        Ok(ledger)
    }

    /// As [`Self::open`], for who holds the lock already or needs none.
    pub(crate) async fn open_unlocked(location: &Location) -> Result<Self, LedgerError> {
        // First the one writer, so that no two connections bring a file into WAL mode at a time.
        let writer = match location {
            Location::Sqlite(path) => {
                sqlite::writable(path)?;
                sqlite::connect(path, 1, sqlite::WRITER_CACHE_KIB).await?
            }
            Location::Postgres(place) => {
                postgres::prepare(place).await?;
                postgres::connect(place, 1, postgres::Use::Write).await?
            }
        };
        check_schema(&writer, location).await?;
        Migrator::up(&writer, None).await.map_err(LedgerError::db("bring the ledger's schema up to date"))?;
        let reader = match location {
            Location::Sqlite(path) => sqlite::connect(path, READERS, sqlite::READER_CACHE_KIB).await?,
            Location::Postgres(place) => postgres::connect(place, READERS, postgres::Use::Read).await?,
        };
        Ok(Self { writer, reader, lock: None })
    }

    /// True when there is a ledger at `location`, or something else that is in its place.
    ///
    /// # Errors
    /// [`LedgerError::Database`] when the server cannot be asked.
    pub(crate) async fn exists(location: &Location) -> Result<bool, LedgerError> {
        match location {
            Location::Sqlite(path) => Ok(path.exists()),
            Location::Postgres(place) => postgres::exists(place).await,
        }
    }
}

/// What is empty becomes a ledger; anything else must be one, and not a newer one.
async fn check_schema(db: &DatabaseConnection, location: &Location) -> Result<(), LedgerError> {
    let names = |sql: &'static str, what: &'static str| async move {
        let rows = db
            .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
            .await
            .map_err(LedgerError::db(what))?;
        rows.iter()
            .map(|row| row.try_get_by_index::<String>(0))
            .collect::<Result<Vec<_>, _>>()
            .map_err(LedgerError::db(what))
    };
    let listing = match location {
        Location::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table'",
        Location::Postgres(_) => "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
    };
    let tables = names(listing, "read the ledger's tables").await?;
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
            Err(LedgerError::NewerSchema { ledger: location.to_string(), step: step.clone() })
        }
        None if !steps.is_empty() => Ok(()),
        // Interrupted before its first step: there is nothing in it.
        None if tables == ["seaql_migrations"] => Ok(()),
        _ => Err(LedgerError::NotALedger {
            ledger: location.to_string(),
            why: "it has other tables".to_owned(),
        }),
    }
}
