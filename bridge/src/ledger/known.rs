//! What a ledger knows of the log: to tell whether the log is still the one it was projected from, and what it would
//! cost to begin anew.

use std::collections::{BTreeMap, HashSet};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use vp_nats::topology::MISSIONS;

use super::Ledger;
use super::entity::{anomaly, event, mission};
use super::error::LedgerError;
use super::load::Cursor;
use super::place::Place;
use super::write::padded;

/// How many missions are looked at a time.
const AT_ONCE: u64 = 1_000;

/// What a ledger has of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// An event.
    Event {
        /// Its id.
        event_id: String,
    },
    /// An anomaly.
    Anomaly {
        /// Where it was published, cut.
        subject: String,
    },
}

/// A mission that one ledger has and another one lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lacking {
    pub(crate) mission_id: String,
    pub(crate) status: String,
}

impl Ledger {
    /// The newest messages that it knows up to `cursor`, by their sequences, at most `limit`: all it knows from the first
    /// of them on. Timers are not known.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn newest_known(
        &self,
        cursor: &Cursor,
        limit: u64,
    ) -> Result<BTreeMap<u64, Known>, LedgerError> {
        let failed = || LedgerError::db("read what the ledger knows of the log's end");
        let (from, to) = (Place::new(cursor.epoch, 1).pos(), Place::new(cursor.epoch, cursor.seq).pos());
        let events: Vec<(i64, String)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Pos, event::Column::EventId])
            .filter(event::Column::Pos.between(from, to))
            .order_by_desc(event::Column::Pos)
            .limit(limit)
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(failed())?;
        let anomalies: Vec<(i64, String)> = anomaly::Entity::find()
            .select_only()
            .columns([anomaly::Column::Pos, anomaly::Column::Subject])
            .filter(anomaly::Column::Pos.between(from, to))
            // What was noted about the stream itself is no message in it.
            .filter(anomaly::Column::Subject.ne(MISSIONS))
            .order_by_desc(anomaly::Column::Pos)
            .limit(limit)
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(failed())?;
        let events = events.into_iter().map(|(pos, event_id)| (pos, Known::Event { event_id }));
        let anomalies = anomalies.into_iter().map(|(pos, subject)| (pos, Known::Anomaly { subject }));
        let mut known: BTreeMap<u64, Known> =
            events.chain(anomalies).map(|(pos, known)| (Place::of(pos).seq, known)).collect();
        while known.len() as u64 > limit {
            known.pop_first();
        }
        Ok(known)
    }

    /// The missions that were born here in that life of the stream and are not in `other`, in the order of their births.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn lacking_in(&self, other: &Self, epoch: u16) -> Result<Vec<Lacking>, LedgerError> {
        let failed = || LedgerError::db("read which missions the log does not hold");
        let (mut after, end) = (Place::new(epoch, 0).pos(), Place::new(epoch + 1, 0).pos());
        let mut lacking = Vec::new();
        loop {
            let born: Vec<(i64, String, String)> = mission::Entity::find()
                .select_only()
                .columns([mission::Column::BornPos, mission::Column::MissionId, mission::Column::Status])
                .filter(mission::Column::BornPos.gt(after))
                .filter(mission::Column::BornPos.lt(end))
                .order_by_asc(mission::Column::BornPos)
                .limit(AT_ONCE)
                .into_tuple()
                .all(&self.reader)
                .await
                .map_err(failed())?;
            let Some((last, ..)) = born.last() else { return Ok(lacking) };
            after = *last;
            let ids: Vec<&str> = born.iter().map(|(_, mission_id, _)| mission_id.as_str()).collect();
            let mut there = HashSet::new();
            for list in padded(&ids) {
                let found: Vec<String> = mission::Entity::find()
                    .select_only()
                    .column(mission::Column::MissionId)
                    .filter(mission::Column::MissionId.is_in(list))
                    .into_tuple()
                    .all(&other.reader)
                    .await
                    .map_err(failed())?;
                there.extend(found);
            }
            let gone = born.into_iter().filter(|(_, mission_id, _)| !there.contains(mission_id));
            lacking.extend(gone.map(|(_, mission_id, status)| Lacking { mission_id, status }));
        }
    }
}
