//! The ledger: a database of missions, projected from the log. Only this module opens it.
//!
//! - `open`, `lock`, `migration`: a file becomes a ledger, held by one process.
//! - `entity`, `row`, `place`: its tables, and our types as rows.
//! - `load`, `commit`, `write`: the projector's way in: missions out, one transaction back.
//! - `ask`: the doors' questions. `outbox`: notices to be sent. `compare`: two ledgers, row by row.
//! - `unfinished`: what the reconciler looks through.

mod ask;
mod commit;
mod compare;
mod entity;
mod error;
mod load;
mod lock;
mod migration;
mod open;
mod outbox;
mod place;
mod row;
mod unfinished;
mod write;

use sea_orm::DatabaseConnection;

pub(crate) use ask::Held;
pub(crate) use commit::{Changes, Committed};
pub use compare::TableReport;
pub(crate) use compare::compare;
pub(crate) use entity::{anomaly, artifact, attempt, event, notice};
pub use error::LedgerError;
pub(crate) use load::Cursor;
pub(crate) use lock::LedgerLock;
pub(crate) use open::Location;
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
    /// Closes the connections, which leaves one file behind: the log of writes is worked into it.
    pub(crate) async fn close(&self) {
        for pool in [&self.reader, &self.writer] {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(error = %vp_shared::error::Chain(&error), "could not close the ledger in good order");
            }
        }
    }
}
