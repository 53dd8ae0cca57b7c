//! What can go wrong with the ledger.

use std::path::PathBuf;

use sea_orm::DbErr;

/// Why the ledger could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The location is of a kind that this build does not know.
    #[error(
        "`{location}` is not a ledger this build can open: want a file path or `postgres://user@host/database`"
    )]
    UnknownKind {
        /// The location, without credentials.
        location: String,
    },
    /// The URL of a server's database cannot be used.
    #[error("the ledger's url cannot be used: {why}; want `postgres://user:password@host:port/database`")]
    BadUrl {
        /// What is wrong with it, without credentials.
        why: String,
    },
    /// The server or its database cannot hold a ledger.
    #[error("the database `{ledger}` cannot hold a ledger: {why}")]
    Unfit {
        /// The database, without credentials.
        ledger: String,
        /// What is wrong, and what it needs.
        why: String,
    },
    /// The file's directory could not be made.
    #[error("could not make the directory `{}` for the ledger: check its parent and permissions", path.display())]
    NoDirectory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("could not open the ledger file `{}` for writing: check its path, permissions and disk", path.display())]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is gone from where this bridge had it.
    #[error(
        "the ledger file `{}` is gone from its place: put it back, or, if it is lost, restart the bridge, \
             which makes a new one from the log", path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the ledger.
    #[error(
        "the ledger `{ledger}` is held by another process{}: stop the bridge that runs on it",
        holder.map(|pid| format!(" ({pid})")).unwrap_or_default()
    )]
    InUse {
        /// The ledger, without credentials.
        ledger: String,
        /// Its process id, where that is known.
        holder: Option<u32>,
    },
    /// The file is something else.
    #[error("`{ledger}` is not a ledger ({why}): name another place")]
    NotALedger {
        /// The ledger, without credentials.
        ledger: String,
        /// What it is, as far as known.
        why: String,
    },
    /// A newer build has written it.
    #[error("the ledger `{ledger}` has the schema step `{step}`, which this build does not know: upgrade it")]
    NewerSchema {
        /// The ledger, without credentials.
        ledger: String,
        /// The newest unknown step.
        step: String,
    },
    /// The database refused or failed.
    #[error("could not {what} ({})", advice(source))]
    Database {
        /// What was attempted.
        what: &'static str,
        /// The database's words.
        #[source]
        source: DbErr,
    },
    /// A stored row is not what this build wrote.
    #[error("the ledger's row `{key}` in `{table}` is damaged at `{column}`: run `vp ledger rebuild`")]
    Damaged {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// The column.
        column: &'static str,
    },
}

/// What the reader can do; the log keeps everything meanwhile.
fn advice(source: &DbErr) -> &'static str {
    let text = source.to_string().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["is full", "disk i/o", "no space", "could not extend", "too large"]) {
        "is its disk full or failing? make room; nothing is lost, what waits in the log is caught up with"
    } else if says(&["readonly", "read-only", "permission denied", "unable to open"]) {
        "give this user the right to write it, and look whether its file system or server is read-only"
    } else if says(&["locked", "lock timeout", "lock_timeout", "busy"]) {
        "another program holds a lock on it: find it and end it"
    } else if says(&[
        "refused",
        "timed out",
        "closed",
        "reset",
        "shutting down",
        "starting up",
        "broken pipe",
    ]) {
        "is its server running, and can it be reached from here? it is tried again"
    } else {
        "it is tried again"
    }
}

impl LedgerError {
    /// True when trying again later can help without anybody doing anything.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Database { .. } | Self::InUse { .. } | Self::NotWritable { .. } | Self::Gone { .. }
        )
    }

    /// For `map_err`: a failure of the database while attempting `what`.
    pub(crate) fn db(what: &'static str) -> impl FnOnce(DbErr) -> Self {
        move |source| Self::Database { what, source }
    }
}
