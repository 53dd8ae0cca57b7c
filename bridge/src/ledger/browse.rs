//! The console's questions. Each reads a bounded number of rows, from the end of an index.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use vp_shared::ids::{MissionId, SessionId, VpId};
use vp_shared::mission::{Mission, Status};
use vp_shared::notice::Notice;
use vp_shared::time::UtcTime;

use super::Ledger;
use super::entity::{mission, notice};
use super::error::LedgerError;
use super::row::{damaged, mission_of};

/// A session that has delegated lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionSeen {
    pub(crate) session_id: SessionId,
    /// How many missions it has among those that were looked at.
    pub(crate) missions: u64,
    /// How many of them have not ended.
    pub(crate) unfinished: u64,
    /// How many of them failed.
    pub(crate) failed: u64,
    /// When it delegated last.
    pub(crate) last_at: UtcTime,
}

/// A notice and its place, which grows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) pos: i64,
    pub(crate) notice: Notice,
}

impl Ledger {
    /// The sessions of the newest `missions` missions, the one that delegated last first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn sessions(&self, missions: u64) -> Result<Vec<SessionSeen>, LedgerError> {
        let rows: Vec<(Option<String>, String, i64)> = mission::Entity::find()
            .select_only()
            .columns([mission::Column::SessionId, mission::Column::Status, mission::Column::CreatedAtUs])
            .order_by_desc(mission::Column::CreatedAtUs)
            .order_by_desc(mission::Column::MissionId)
            .limit(missions)
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read the newest missions' sessions"))?;
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut seen: Vec<SessionSeen> = Vec::new();
        for (session_id, status, created_at_us) in rows {
            let Some(session_id) = session_id else { continue };
            let status =
                Status::from_name(&status).ok_or_else(|| damaged("missions", &session_id, "status"))?;
            let place = match places.get(&session_id) {
                Some(place) => *place,
                None => {
                    seen.push(SessionSeen {
                        session_id: SessionId::new(&session_id)
                            .map_err(|_| damaged("missions", &session_id, "session_id"))?,
                        missions: 0,
                        unfinished: 0,
                        failed: 0,
                        last_at: UtcTime::from_micros(created_at_us),
                    });
                    places.insert(session_id, seen.len() - 1);
                    seen.len() - 1
                }
            };
            seen[place].missions += 1;
            seen[place].unfinished += u64::from(!status.is_terminal());
            seen[place].failed += u64::from(status == Status::Failed);
        }
        Ok(seen)
    }

    /// The newest `limit` notices of a session before a place, newest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn told_before(
        &self,
        session_id: &SessionId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Told>, LedgerError> {
        let rows = notice::Entity::find()
            .filter(notice::Column::SessionId.eq(session_id.as_str()))
            .filter(notice::Column::Pos.lt(before.unwrap_or(i64::MAX)))
            .order_by_desc(notice::Column::Pos)
            .limit(limit)
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read a session's notices"))?;
        rows.iter().map(told).collect()
    }

    /// The first `limit` notices of a session after a place, in order.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn told_after(
        &self,
        session_id: &SessionId,
        after: i64,
        limit: u64,
    ) -> Result<Vec<Told>, LedgerError> {
        let rows = notice::Entity::find()
            .filter(notice::Column::SessionId.eq(session_id.as_str()))
            .filter(notice::Column::Pos.gt(after))
            .order_by_asc(notice::Column::Pos)
            .limit(limit)
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read a session's new notices"))?;
        rows.iter().map(told).collect()
    }

    /// A mission with all that it asks for.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn whole(&self, mission_id: &MissionId) -> Result<Option<Mission>, LedgerError> {
        let row = mission::Entity::find()
            .filter(mission::Column::MissionId.eq(mission_id.as_str()))
            .one(&self.reader)
            .await
            .map_err(LedgerError::db("read a mission from the ledger"))?;
        let Some(row) = row else { return Ok(None) };
        let mut specs = self.specs(std::slice::from_ref(&row)).await?;
        let spec = specs.remove(&row.born_pos);
        let spec = spec.ok_or_else(|| damaged("missions", mission_id.as_str(), "born_pos"))?;
        mission_of(row, spec).map(Some)
    }

    /// Since when the oldest mission of a lane waits for a slot.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn oldest_waiting(&self, vp_id: &VpId) -> Result<Option<UtcTime>, LedgerError> {
        let oldest: Option<(i64, Option<i64>)> = mission::Entity::find()
            .select_only()
            .columns([mission::Column::CreatedAtUs, mission::Column::QueuedAtUs])
            .filter(mission::Column::Status.eq(Status::Queued.name()))
            .filter(mission::Column::VpId.eq(vp_id.as_str()))
            .order_by_asc(mission::Column::CreatedAtUs)
            .order_by_asc(mission::Column::MissionId)
            .limit(1)
            .into_tuple()
            .one(&self.reader)
            .await
            .map_err(LedgerError::db("read a lane's oldest waiting mission"))?;
        Ok(oldest.map(|(created, queued)| UtcTime::from_micros(queued.unwrap_or(created))))
    }
}

fn told(row: &notice::Model) -> Result<Told, LedgerError> {
    let notice = serde_json::from_str(&row.body).map_err(|_| damaged("notices", &row.notice_id, "body"))?;
    Ok(Told { pos: row.pos, notice })
}
