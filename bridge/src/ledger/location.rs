//! Where a ledger is, and how that is shown without its password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;

use super::error::LedgerError;

/// The schema of a server's database that holds the ledger's tables.
pub(crate) const SCHEMA: &str = "vp_ledger";
/// The one in which a ledger is rebuilt.
pub(crate) const REBUILD_SCHEMA: &str = "vp_ledger_rebuild";
/// What a URL may say beside the place: all of it is obeyed.
const PARAMETERS: [&str; 5] = ["host", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// Where a ledger is.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(PostgresPlace),
}

/// A schema of a database, and how to reach it.
#[derive(Clone)]
pub(crate) struct PostgresPlace {
    pub(crate) options: PgConnectOptions,
    pub(crate) schema: &'static str,
}

impl Location {
    /// Reads a file path, `sqlite://<path>` or `postgres://user:password@host:port/database`.
    ///
    /// # Errors
    /// [`LedgerError::UnknownKind`] or [`LedgerError::BadUrl`], neither with a password in it.
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
        if text.starts_with("postgres:") && !text.starts_with("postgres://") {
            return Err(unknown("postgres:..."));
        }
        match text.split_once("://") {
            Some(("postgres" | "postgresql", _)) => PostgresPlace::parse(text).map(Self::Postgres),
            Some((scheme, _)) => Err(unknown(&format!("{scheme}://..."))),
            None if text.trim().is_empty() => Err(unknown(text)),
            None => Ok(Self::Sqlite(PathBuf::from(text))),
        }
    }

    /// The place where this ledger is rebuilt.
    pub(crate) fn for_rebuild(&self) -> Self {
        match self {
            Self::Sqlite(path) => {
                let mut path = path.as_os_str().to_owned();
                path.push(".rebuild");
                Self::Sqlite(PathBuf::from(path))
            }
            Self::Postgres(place) => {
                Self::Postgres(PostgresPlace { options: place.options.clone(), schema: REBUILD_SCHEMA })
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(place) => place.fmt(f),
        }
    }
}

impl PostgresPlace {
    fn parse(text: &str) -> Result<Self, LedgerError> {
        let bad = |why: String| LedgerError::BadUrl { why };
        let query = text.split_once('?').map_or("", |(_, query)| query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            if !PARAMETERS.contains(&name) {
                // A misspelt password is not shown either.
                return Err(bad(format!("want no parameters but {}", PARAMETERS.join(", "))));
            }
        }
        let options = PgConnectOptions::from_str(text).map_err(|error| bad(error.to_string()))?;
        if options.get_database().is_none() {
            return Err(bad("it names no database".to_owned()));
        }
        Ok(Self { options: options.application_name("vp-bridge"), schema: SCHEMA })
    }
}

impl fmt::Display for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let (user, database) = (options.get_username(), options.get_database().unwrap_or_default());
        match options.get_socket() {
            Some(socket) => write!(f, "postgres://{user}@/{database}?host={}", socket.display()),
            None => write!(f, "postgres://{user}@{}:{}/{database}", options.get_host(), options.get_port()),
        }
    }
}

impl fmt::Debug for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} in {}", self.schema)
    }
}

/// A ledger's location as it may be shown: without a password.
///
/// # Errors
/// [`LedgerError`] when it is none, without a password too.
pub fn shown(location: &str) -> Result<String, LedgerError> {
    Location::parse(location).map(|location| location.to_string())
}
