//! Old missions: found by a page, deleted with all their rows.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use vp_shared::ids::MissionId;
use vp_shared::mission::Status;
use vp_shared::time::UtcTime;

use super::Ledger;
use super::entity::{artifact, attempt, event, mission, notice};
use super::error::LedgerError;
use super::place::Place;
use super::row::damaged;
use crate::retain::Ended;

/// The columns, as they are read.
type Columns = (i64, String, i64, Option<i64>, i64);

impl Ledger {
    /// Missions of that status that ended before `before`, oldest first, after the one given.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn ended_before(
        &self,
        status: Status,
        before: UtcTime,
        after: Option<(UtcTime, MissionId)>,
        limit: usize,
    ) -> Result<Vec<Ended>, LedgerError> {
        use mission::Column as C;
        let mut query = mission::Entity::find()
            .select_only()
            .columns([C::BornPos, C::MissionId, C::CreatedAtUs, C::FinishedAtUs, C::LastSeq])
            .filter(C::Status.eq(status.name()))
            // It cannot have ended before it was made; this is what the index finds.
            .filter(C::CreatedAtUs.lt(before.as_micros()))
            .filter(C::FinishedAtUs.lt(before.as_micros()));
        if let Some((created_at, mission_id)) = after {
            let key = Expr::tuple([Expr::col(C::CreatedAtUs), Expr::col(C::MissionId)]);
            let last: [sea_orm::Value; 2] =
                [created_at.as_micros().into(), mission_id.as_str().to_owned().into()];
            query = query.filter(key.gt(Expr::tuple(last.map(Expr::value))));
        }
        let rows: Vec<Columns> = query
            .order_by_asc(C::CreatedAtUs)
            .order_by_asc(C::MissionId)
            .limit(limit as u64)
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read which missions ended long ago"))?;
        let last_events = self.last_events(rows.iter().map(|row| row.0).collect()).await?;
        let ended = |(born_pos, id, created, finished, last_seq): Columns| {
            let mission_id = MissionId::new(&id).map_err(|_| damaged("missions", &id, "mission_id"))?;
            let last_seq = u64::try_from(last_seq).map_err(|_| damaged("missions", &id, "last_seq"))?;
            let last = Place::new(Place::of(born_pos).epoch, last_seq).pos();
            Ok(Ended {
                born_pos,
                mission_id,
                status,
                created_at: UtcTime::from_micros(created),
                finished_at: finished.map(UtcTime::from_micros),
                last_pos: last_events.get(&born_pos).map_or(last, |event| Ord::max(last, *event)),
            })
        };
        rows.into_iter().map(ended).collect()
    }

    async fn last_events(&self, born: Vec<i64>) -> Result<HashMap<i64, i64>, LedgerError> {
        let rows: Vec<(i64, i64)> = event::Entity::find()
            .select_only()
            .column(event::Column::BornPos)
            .column_as(event::Column::Pos.max(), "last")
            .filter(event::Column::BornPos.is_in(born))
            .group_by(event::Column::BornPos)
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read old missions' last events"))?;
        Ok(rows.into_iter().collect())
    }

    /// The place of the first notice that is not sent.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn first_unsent(&self) -> Result<Option<i64>, LedgerError> {
        let sent = self.sent().await?;
        Ok(self.unsent(sent, 1).await?.first().map(|row| row.pos))
    }

    /// Deletes these missions with all their rows, in one transaction, and returns how many rows those were. Only
    /// terminal ones; one that is not there any more is none.
    ///
    /// # Errors
    /// [`LedgerError::Database`]: nothing was deleted.
    pub(crate) async fn delete_missions(&self, born: &[i64]) -> Result<u64, LedgerError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let begun = self.writer.begin_with_options(options).await;
        let tx = begun.map_err(LedgerError::db("begin to delete old missions"))?;
        let rows = delete(&tx, born).await.map_err(LedgerError::db("delete old missions"))?;
        tx.commit().await.map_err(LedgerError::db("commit the deletion of old missions"))?;
        Ok(rows)
    }
}

async fn delete(tx: &DatabaseTransaction, born: &[i64]) -> Result<u64, DbErr> {
    let terminal = Status::ALL.into_iter().filter(|status| status.is_terminal()).map(Status::name);
    // First, so that whoever is about to write to one of them waits or has written.
    let born: Vec<i64> = mission::Entity::find()
        .select_only()
        .column(mission::Column::BornPos)
        .filter(mission::Column::BornPos.is_in(born.iter().copied()))
        .filter(mission::Column::Status.is_in(terminal))
        .into_tuple()
        .all(tx)
        .await?;
    let ids = || born.iter().copied();
    // A notice's place is that of its event.
    let mut places = Query::select();
    places
        .column(event::Column::Pos)
        .from(event::Entity)
        .and_where(Expr::col(event::Column::BornPos).is_in(ids()));
    let notices =
        notice::Entity::delete_many().filter(notice::Column::Pos.in_subquery(places)).exec(tx).await?;
    let artifacts =
        artifact::Entity::delete_many().filter(artifact::Column::BornPos.is_in(ids())).exec(tx).await?;
    let attempts =
        attempt::Entity::delete_many().filter(attempt::Column::BornPos.is_in(ids())).exec(tx).await?;
    let events = event::Entity::delete_many().filter(event::Column::BornPos.is_in(ids())).exec(tx).await?;
    let missions =
        mission::Entity::delete_many().filter(mission::Column::BornPos.is_in(ids())).exec(tx).await?;
    Ok([notices, artifacts, attempts, events, missions].iter().map(|done| done.rows_affected).sum())
}
