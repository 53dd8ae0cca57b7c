//! Notices that are written and not yet sent. They are sent in the order of their places, so one number says which.

use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use vp_nats::topology::NOTICES;
use vp_shared::time::UtcTime;

use super::Ledger;
use super::entity::{notice, outbox};
use super::error::LedgerError;

impl Ledger {
    /// The place of the last notice that was sent; 0 when none was.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn sent(&self) -> Result<i64, LedgerError> {
        let row = outbox::Entity::find_by_id(NOTICES)
            .one(&self.reader)
            .await
            .map_err(LedgerError::db("read how far notices are sent"))?;
        Ok(row.map_or(0, |row| row.sent_pos))
    }

    /// The first `limit` notices after `sent`, in order.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn unsent(&self, sent: i64, limit: u64) -> Result<Vec<notice::Model>, LedgerError> {
        notice::Entity::find()
            .filter(notice::Column::Pos.gt(sent))
            .order_by_asc(notice::Column::Pos)
            .limit(limit)
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read unsent notices"))
    }

    /// How many notices wait to be sent.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn unsent_total(&self) -> Result<u64, LedgerError> {
        let sent = self.sent().await?;
        notice::Entity::find()
            .filter(notice::Column::Pos.gt(sent))
            .count(&self.reader)
            .await
            .map_err(LedgerError::db("count unsent notices"))
    }

    /// Notes that all notices up to `sent` are sent. Never goes back.
    ///
    /// # Errors
    /// [`LedgerError::Database`]: they stay unsent here, and are recognised when they are sent again.
    pub(crate) async fn mark_sent(&self, sent: i64, now: UtcTime) -> Result<(), LedgerError> {
        let row = |sent_pos, sent_at_us| outbox::ActiveModel {
            stream: ActiveValue::NotSet,
            sent_pos: ActiveValue::Set(sent_pos),
            sent_at_us: ActiveValue::Set(sent_at_us),
        };
        let first = outbox::ActiveModel { stream: ActiveValue::Set(NOTICES.to_owned()), ..row(0, None) };
        let moved = outbox::Entity::update_many()
            .set(row(sent, Some(now.as_micros())))
            .filter(outbox::Column::Stream.eq(NOTICES))
            .filter(outbox::Column::SentPos.lt(sent))
            .exec(&self.writer)
            .await
            .map_err(LedgerError::db("note that notices are sent"))?;
        if moved.rows_affected == 0 {
            // The first time ever, or nothing to move.
            outbox::Entity::insert(outbox::ActiveModel { sent_pos: ActiveValue::Set(sent), ..first })
                .on_conflict_do_nothing_on([outbox::Column::Stream])
                .exec_without_returning(&self.writer)
                .await
                .map_err(LedgerError::db("note that notices are sent"))?;
        }
        Ok(())
    }
}
