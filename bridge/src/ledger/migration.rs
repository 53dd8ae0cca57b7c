//! The schema's history. A migration that was released is never changed.

use sea_orm_migration::prelude::*;

mod m20261122_000001_ledger;
mod m20261123_000002_notices_by_session;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_ledger::Migration),
            Box::new(m20261123_000002_notices_by_session::Migration),
        ]
    }
}
