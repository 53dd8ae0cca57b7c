//! What the projector reads: where it stands, and missions it does not remember.

use std::collections::HashMap;

use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use vp_nats::topology::MISSIONS;
use vp_shared::event::{Event, EventBody};
use vp_shared::ids::MissionId;
use vp_shared::mission::MissionSpec;
use vp_shared::time::UtcTime;

use super::Ledger;
use super::entity::{attempt, cursor, event, mission};
use super::error::LedgerError;
use super::place::Place;
use super::row::{attempt_view, damaged, mission_of, number};
use super::write::padded;
use crate::project::Live;

/// Where the ledger stands in one life of the MISSIONS stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// When the stream was created.
    pub(crate) created_at: UtcTime,
    /// Which life of it this is.
    pub(crate) epoch: u16,
    /// The last sequence that is projected.
    pub(crate) seq: u64,
    /// The time of the last event that is projected.
    pub(crate) event_at: Option<UtcTime>,
}

impl Ledger {
    /// Every life of the MISSIONS stream that the ledger knows, first first.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn cursors(&self) -> Result<Vec<Cursor>, LedgerError> {
        cursors(&self.reader).await
    }

    /// Begins to project a life of the MISSIONS stream; does nothing when it is known.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn add_cursor(&self, cursor: Cursor) -> Result<(), LedgerError> {
        let row = cursor::ActiveModel {
            stream: ActiveValue::Set(MISSIONS.to_owned()),
            created_us: ActiveValue::Set(cursor.created_at.as_micros()),
            epoch: ActiveValue::Set(i64::from(cursor.epoch)),
            seq: ActiveValue::Set(number(cursor.seq)),
            event_us: ActiveValue::Set(cursor.event_at.map(UtcTime::as_micros)),
        };
        cursor::Entity::insert(row)
            .on_conflict_do_nothing_on([cursor::Column::Stream, cursor::Column::CreatedUs])
            .exec_without_returning(&self.writer)
            .await
            .map_err(LedgerError::db("store the ledger's cursor"))?;
        Ok(())
    }

    /// The missions of that life of the stream that the ledger has, of those asked for.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn load(&self, missions: &[MissionId], epoch: u16) -> Result<Vec<Live>, LedgerError> {
        let mut rows = Vec::new();
        let ids: Vec<&str> = missions.iter().map(MissionId::as_str).collect();
        for list in padded(&ids) {
            let found = mission::Entity::find()
                .filter(mission::Column::MissionId.is_in(list))
                .all(&self.reader)
                .await
                .map_err(LedgerError::db("read missions from the ledger"))?;
            rows.extend(found.into_iter().filter(|row| Place::of(row.born_pos).epoch == epoch));
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut specs = self.specs(&rows).await?;
        let mut attempts = self.last_attempts(&rows).await?;
        rows.into_iter()
            .map(|row| {
                let spec = specs
                    .remove(&row.born_pos)
                    .ok_or_else(|| damaged("missions", &row.mission_id, "born_pos"))?;
                let attempt = attempts.remove(&row.born_pos).map(attempt_view).transpose()?;
                let born = Place::of(row.born_pos);
                Ok(Live { mission: mission_of(row, spec)?, born, attempt })
            })
            .collect()
    }

    /// What these missions ask for, by the place of their first event.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(super) async fn specs(
        &self,
        rows: &[mission::Model],
    ) -> Result<HashMap<i64, MissionSpec>, LedgerError> {
        let places: Vec<i64> = rows.iter().map(|row| row.born_pos).collect();
        self.specs_at(&places).await
    }

    /// What the missions ask for whose first events are at these places.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(super) async fn specs_at(&self, places: &[i64]) -> Result<HashMap<i64, MissionSpec>, LedgerError> {
        let mut specs = HashMap::with_capacity(places.len());
        for list in padded(places) {
            let events = event::Entity::find()
                .filter(event::Column::Pos.is_in(list))
                .all(&self.reader)
                .await
                .map_err(LedgerError::db("read missions' first events from the ledger"))?;
            for row in events {
                let spec = spec_of(&row.payload)
                    .ok_or_else(|| damaged("events", &row.pos.to_string(), "payload"))?;
                specs.insert(row.pos, spec);
            }
        }
        Ok(specs)
    }

    async fn last_attempts(
        &self,
        rows: &[mission::Model],
    ) -> Result<HashMap<i64, attempt::Model>, LedgerError> {
        let last: HashMap<i64, i64> =
            rows.iter().filter(|row| row.attempt > 0).map(|row| (row.born_pos, row.attempt)).collect();
        let started: Vec<i64> = last.keys().copied().collect();
        let mut found = HashMap::with_capacity(started.len());
        for list in padded(&started) {
            let attempts = attempt::Entity::find()
                .filter(attempt::Column::BornPos.is_in(list))
                .all(&self.reader)
                .await
                .map_err(LedgerError::db("read attempts from the ledger"))?;
            let attempts = attempts.into_iter().filter(|row| last.get(&row.born_pos) == Some(&row.attempt));
            found.extend(attempts.map(|row| (row.born_pos, row)));
        }
        Ok(found)
    }
}

/// Every life of the MISSIONS stream that is known there, first first.
///
/// # Errors
/// [`LedgerError`].
pub(super) async fn cursors<C: ConnectionTrait>(db: &C) -> Result<Vec<Cursor>, LedgerError> {
    let rows = cursor::Entity::find()
        .filter(cursor::Column::Stream.eq(MISSIONS))
        .order_by_asc(cursor::Column::Epoch)
        .all(db)
        .await
        .map_err(LedgerError::db("read the ledger's cursor"))?;
    rows.iter().map(cursor_of).collect()
}

fn spec_of(payload: &str) -> Option<MissionSpec> {
    match Event::from_json(payload.as_bytes()).ok()?.body {
        EventBody::Scheduled { mission, .. } | EventBody::Dispatched { mission, .. } => Some(mission),
        _ => None,
    }
}

fn cursor_of(row: &cursor::Model) -> Result<Cursor, LedgerError> {
    let bad = |column| damaged("cursors", &row.stream, column);
    Ok(Cursor {
        created_at: UtcTime::from_micros(row.created_us),
        epoch: u16::try_from(row.epoch).ok().filter(|epoch| *epoch < 0x8000).ok_or_else(|| bad("epoch"))?,
        seq: u64::try_from(row.seq).map_err(|_| bad("seq"))?,
        event_at: row.event_us.map(UtcTime::from_micros),
    })
}
