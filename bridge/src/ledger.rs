//! The ledger: a database of missions, projected from the log. Only this module opens it.
//!
//! - `location`, `open`, `sqlite`, `postgres`, `migration`: a file or a server's schema becomes a ledger.
//! - `lock`: it is held by one process.
//! - `entity`, `row`, `place`: its tables, and our types as rows.
//! - `load`, `commit`, `write`: the projector's way in: missions out, one transaction back.
//! - `ask`: the doors' questions. `browse`: the console's. `outbox`: notices to be sent. `compare`: two ledgers, row by row.
//! - `known`: what it knows of the log, to be compared with it. `unfinished`: what the reconciler looks through.
//! - `retain`: old missions, found and deleted.

mod ask;
mod browse;
mod commit;
mod compare;
mod entity;
mod error;
mod known;
mod load;
mod location;
mod lock;
mod migration;
mod open;
mod outbox;
mod place;
pub(crate) mod postgres;
mod retain;
mod row;
mod sqlite;
mod unfinished;
mod write;

use sea_orm::DatabaseConnection;

pub(crate) use ask::Held;
pub(crate) use browse::{SessionSeen, Told};
pub(crate) use commit::{Changes, Committed};
pub use compare::TableReport;
pub(crate) use compare::compare;
pub(crate) use entity::{anomaly, artifact, attempt, event, notice};
pub use error::LedgerError;
pub(crate) use known::{Known, Lacking};
pub(crate) use load::Cursor;
pub(crate) use location::Location;
pub use location::shown;
pub(crate) use lock::{LedgerLock, lock_path};
pub(crate) use place::Place;
pub(crate) use row::{attempt_row, json, number};
pub(crate) use unfinished::{Times, Unfinished};
pub(crate) use write::Texts;

#[cfg(test)]
pub(crate) mod rows_for_tests {
    pub(crate) use super::row::{attempt_view, mission_of, mission_row};
}

/// An open ledger: one connection that writes, four that read, so that no question ever waits behind the projector nor
/// the projector behind a question.
#[derive(Debug)]
pub(crate) struct Ledger {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    lock: Option<LedgerLock>,
}

impl Ledger {
    /// Ends when the ledger may be another process's. What this one writes then is refused by the cursor, not by this.
    pub(crate) async fn lost(&self) {
        match &self.lock {
            Some(lock) => lock.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Closes the connections, which leaves one file behind: SQLite works its log of writes into it.
    pub(crate) async fn close(&self) {
        for pool in [&self.reader, &self.writer] {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(error = %vp_shared::error::Chain(&error), "could not close the ledger in good order");
            }
        }
    }
}
