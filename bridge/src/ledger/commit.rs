//! One batch, one transaction, and the cursor as a compare-and-set on its old value.

use std::collections::HashMap;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, Iterable,
    QueryFilter, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use vp_nats::topology::MISSIONS;
use vp_shared::ids::MissionId;
use vp_shared::mission::Mission;

use super::Ledger;
use super::entity::{anomaly, artifact, attempt, cursor, event, mission, notice};
use super::error::LedgerError;
use super::load::Cursor;
use super::place::Place;
use super::row::{mission_row, number};
use super::write::Texts;
use crate::project::Change;

/// What a batch changes.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    /// Where the ledger must stand for this to be right.
    pub(crate) from: Cursor,
    /// Where it stands after.
    pub(crate) to: Cursor,
    pub(crate) anomalies: Vec<anomaly::Model>,
    events: Vec<event::Model>,
    missions: Vec<mission::Model>,
    attempts: HashMap<(i64, i64), attempt::Model>,
    artifacts: Vec<artifact::Model>,
    notices: Vec<notice::Model>,
    reborn: Vec<String>,
}

impl Changes {
    pub(crate) fn new(from: Cursor) -> Self {
        Self {
            from,
            to: from,
            anomalies: Vec::new(),
            events: Vec::new(),
            missions: Vec::new(),
            attempts: HashMap::new(),
            artifacts: Vec::new(),
            notices: Vec::new(),
            reborn: Vec::new(),
        }
    }

    /// Adds what one message of `mission_id` changes.
    pub(crate) fn add(&mut self, change: Change, mission_id: &MissionId) {
        // In the first life of a stream no row can be there before its mission, but for one that the log has forgotten.
        if change.born && (change.again || self.from.epoch > 0) {
            self.reborn.push(mission_id.as_str().to_owned());
        }
        self.events.extend(change.event);
        self.artifacts.extend(change.artifacts);
        self.notices.extend(change.notice);
        self.anomalies.extend(change.anomaly);
        // Of two rows of one attempt the later one holds.
        for row in change.attempts {
            self.attempts.insert((row.born_pos, row.attempt), row);
        }
    }

    /// Adds the row of a mission as it is after the batch.
    pub(crate) fn add_mission(&mut self, mission: &Mission, born: Place) {
        self.missions.push(mission_row(mission, born));
    }

    pub(crate) fn notices(&self) -> usize {
        self.notices.len()
    }

    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Committed {
    /// It is in the ledger.
    Done,
    /// Another projector has moved the cursor: nothing of it was written.
    Lost,
}

impl Ledger {
    /// Writes a batch. All of it or, on an error, nothing; the same batch once more is [`Committed::Lost`].
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn commit(&self, changes: Changes, texts: &mut Texts) -> Result<Committed, LedgerError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = self
            .writer
            .begin_with_options(options)
            .await
            .map_err(LedgerError::db("begin to write a batch"))?;
        let moved = move_cursor(&tx, &changes).await.map_err(LedgerError::db("move the ledger's cursor"))?;
        if !moved {
            tx.rollback().await.map_err(LedgerError::db("leave a batch to another projector"))?;
            return Ok(Committed::Lost);
        }
        write(&tx, changes, texts).await.map_err(LedgerError::db("write a batch to the ledger"))?;
        tx.commit().await.map_err(LedgerError::db("commit a batch to the ledger"))?;
        Ok(Committed::Done)
    }
}

async fn move_cursor(tx: &DatabaseTransaction, changes: &Changes) -> Result<bool, DbErr> {
    let (from, to) = (&changes.from, &changes.to);
    let moved = cursor::Entity::update_many()
        .set(cursor::ActiveModel {
            seq: ActiveValue::Set(number(to.seq)),
            event_us: ActiveValue::Set(to.event_at.map(vp_shared::time::UtcTime::as_micros)),
            ..Default::default()
        })
        .filter(cursor::Column::Stream.eq(MISSIONS))
        .filter(cursor::Column::CreatedUs.eq(from.created_at.as_micros()))
        .filter(cursor::Column::Seq.eq(number(from.seq)))
        .exec(tx)
        .await?;
    Ok(moved.rows_affected == 1)
}

async fn write(tx: &DatabaseTransaction, changes: Changes, texts: &mut Texts) -> Result<(), DbErr> {
    forget(tx, &changes.reborn).await?;
    texts.insert::<event::ActiveModel, _>(tx, "events", changes.events, None).await?;
    texts.insert::<mission::ActiveModel, _>(tx, "missions", changes.missions, Some(replace_mission)).await?;
    let attempts = changes.attempts.into_values().collect();
    texts.insert::<attempt::ActiveModel, _>(tx, "attempts", attempts, Some(replace_attempt)).await?;
    texts.insert::<artifact::ActiveModel, _>(tx, "artifacts", changes.artifacts, Some(keep_artifact)).await?;
    texts.insert::<notice::ActiveModel, _>(tx, "notices", changes.notices, None).await?;
    texts.insert::<anomaly::ActiveModel, _>(tx, "anomalies", changes.anomalies, None).await
}

/// The missions that had the same ids in an earlier life of the stream, or that the log has forgotten. Their events, attempts and artifacts stay, under
/// the numbers they had.
async fn forget<C: ConnectionTrait>(tx: &C, missions: &[String]) -> Result<(), DbErr> {
    for chunk in missions.chunks(128) {
        mission::Entity::delete_many().filter(mission::Column::MissionId.is_in(chunk)).exec(tx).await?;
    }
    Ok(())
}

fn replace_mission() -> OnConflict {
    use mission::Column as C;
    let fixed = |column: &C| {
        let birth = matches!(column, C::BornPos | C::MissionId | C::VpId | C::CreatedAtUs);
        birth || matches!(column, C::SessionId | C::TurnId | C::ReplyMode)
    };
    let columns = C::iter().filter(|column| !fixed(column));
    OnConflict::column(C::BornPos).update_columns(columns).to_owned()
}

fn replace_attempt() -> OnConflict {
    use attempt::Column as C;
    let columns = C::iter().filter(|column| !matches!(column, C::BornPos | C::Attempt | C::MissionId));
    OnConflict::columns([C::BornPos, C::Attempt]).update_columns(columns).to_owned()
}

/// A list that names one path twice holds it once. The key is not named: a server's is made from the path's hash.
fn keep_artifact() -> OnConflict {
    OnConflict::new().do_nothing().to_owned()
}
