//! The doors' questions: one mission, a page of missions, how the ledger stands.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use vp_shared::api::{Anomaly, EventView, LedgerList, LedgerMission, LedgerPage, MissionView, PageCursor};
use vp_shared::event::Event;
use vp_shared::ids::{MissionId, VpId, WorkerId};
use vp_shared::mission::Status;

use super::Ledger;
use super::entity::{anomaly, attempt, event, mission};
use super::error::LedgerError;
use super::place::Place;
use super::row::{attempt_view, damaged, mission_of};

/// How many of a mission's events an answer holds.
const EVENTS_SHOWN: u64 = 100;
/// How many anomalies a status holds.
const ANOMALIES_SHOWN: u64 = 20;

/// A mission that a worker holds, as far as the ledger knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) mission_id: MissionId,
    pub(crate) vp_id: VpId,
    pub(crate) worker_id: WorkerId,
    pub(crate) incarnation: String,
}

impl Ledger {
    /// A mission with its attempts and newest events.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn mission(&self, mission_id: &MissionId) -> Result<Option<LedgerMission>, LedgerError> {
        let row = mission::Entity::find()
            .filter(mission::Column::MissionId.eq(mission_id.as_str()))
            .one(&self.reader)
            .await
            .map_err(LedgerError::db("read a mission from the ledger"))?;
        let Some(row) = row else { return Ok(None) };
        let attempts = attempt::Entity::find()
            .filter(attempt::Column::BornPos.eq(row.born_pos))
            .order_by_asc(attempt::Column::Attempt)
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read a mission's attempts from the ledger"))?;
        let events = event::Entity::find().filter(event::Column::BornPos.eq(row.born_pos));
        let total =
            events.clone().count(&self.reader).await.map_err(LedgerError::db("count a mission's events"))?;
        let mut newest = events
            .order_by_desc(event::Column::Pos)
            .limit(EVENTS_SHOWN)
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read a mission's events from the ledger"))?;
        newest.reverse();
        let mission = self.views(vec![row]).await?.pop();
        Ok(Some(LedgerMission {
            mission: mission.ok_or_else(|| damaged("missions", mission_id.as_str(), "born_pos"))?,
            attempts: attempts.into_iter().map(attempt_view).collect::<Result<_, _>>()?,
            events: newest.iter().map(event_view).collect::<Result<_, _>>()?,
            events_total: total,
        }))
    }

    /// A page of missions, newest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn list(&self, wanted: &LedgerList) -> Result<LedgerPage, LedgerError> {
        let limit = u64::from(wanted.limit);
        let mut rows = Vec::new();
        // A query per status walks an index from its newest end and stops at the limit, however many there are.
        for query in queries(wanted) {
            let found = query
                .limit(limit + 1)
                .all(&self.reader)
                .await
                .map_err(LedgerError::db("read a page of missions from the ledger"))?;
            rows.extend(found);
        }
        rows.sort_unstable_by(|a, b| (b.created_at_us, &b.mission_id).cmp(&(a.created_at_us, &a.mission_id)));
        let more = rows.len() as u64 > limit;
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let missions = self.views(rows).await?;
        let next = missions
            .last()
            .filter(|_| more)
            .map(|last| PageCursor { created_at: last.created_at, mission_id: last.mission_id.clone() });
        Ok(LedgerPage { missions, next })
    }

    async fn views(&self, rows: Vec<mission::Model>) -> Result<Vec<MissionView>, LedgerError> {
        let specs = self.specs(&rows).await?;
        rows.into_iter()
            .map(|row| {
                let spec = specs.get(&row.born_pos).cloned();
                let spec = spec.ok_or_else(|| damaged("missions", &row.mission_id, "born_pos"))?;
                Ok(MissionView::from(&mission_of(row, spec)?))
            })
            .collect()
    }

    /// How many missions are in each state.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn counts(&self) -> Result<BTreeMap<String, u64>, LedgerError> {
        let rows: Vec<(String, i64)> = mission::Entity::find()
            .select_only()
            .column(mission::Column::Status)
            .column_as(mission::Column::MissionId.count(), "missions")
            .group_by(mission::Column::Status)
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("count missions by status"))?;
        Ok(rows.into_iter().map(|(status, count)| (status, count.unsigned_abs())).collect())
    }

    /// How many anomalies there are, and the newest.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn anomalies(&self) -> Result<(u64, Vec<Anomaly>), LedgerError> {
        let read = LedgerError::db("read anomalies from the ledger");
        let total =
            anomaly::Entity::find().count(&self.reader).await.map_err(LedgerError::db("count anomalies"))?;
        let newest = anomaly::Entity::find()
            .order_by_desc(anomaly::Column::Pos)
            .limit(ANOMALIES_SHOWN)
            .all(&self.reader)
            .await
            .map_err(read)?;
        let view = |row: anomaly::Model| Anomaly {
            seq: Place::of(row.pos).seq,
            subject: row.subject,
            what: row.what,
        };
        Ok((total, newest.into_iter().map(view).collect()))
    }

    /// Which lives of which workers hold missions.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn owners(&self) -> Result<Vec<(WorkerId, String)>, LedgerError> {
        let rows: Vec<(String, String)> = mission::Entity::find()
            .select_only()
            .columns([mission::Column::WorkerId, mission::Column::Incarnation])
            .filter(mission::Column::WorkerId.is_not_null())
            .distinct()
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read which workers hold missions"))?;
        rows.into_iter()
            .map(|(worker_id, incarnation)| {
                let worker_id =
                    WorkerId::new(&worker_id).map_err(|_| damaged("missions", &worker_id, "worker_id"))?;
                Ok((worker_id, incarnation))
            })
            .collect()
    }

    /// The missions that this life of a worker holds, at most `limit`.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn held(
        &self,
        worker_id: &WorkerId,
        incarnation: &str,
        limit: u64,
    ) -> Result<Vec<Held>, LedgerError> {
        let rows: Vec<(String, String)> = mission::Entity::find()
            .select_only()
            .columns([mission::Column::MissionId, mission::Column::VpId])
            .filter(mission::Column::WorkerId.eq(worker_id.as_str()))
            .filter(mission::Column::Incarnation.eq(incarnation))
            .limit(limit)
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read which missions a worker holds"))?;
        rows.into_iter()
            .map(|(mission_id, vp_id)| {
                let bad = |column| damaged("missions", &mission_id, column);
                Ok(Held {
                    vp_id: VpId::new(vp_id).map_err(|_| bad("vp_id"))?,
                    mission_id: MissionId::new(&mission_id).map_err(|_| bad("mission_id"))?,
                    worker_id: worker_id.clone(),
                    incarnation: incarnation.to_owned(),
                })
            })
            .collect()
    }
}

fn queries(wanted: &LedgerList) -> Vec<Select<mission::Entity>> {
    let mut query = mission::Entity::find()
        .order_by_desc(mission::Column::CreatedAtUs)
        .order_by_desc(mission::Column::MissionId);
    if let Some(vp_id) = &wanted.vp_id {
        query = query.filter(mission::Column::VpId.eq(vp_id.as_str()));
    }
    if let Some(session_id) = &wanted.session_id {
        query = query.filter(mission::Column::SessionId.eq(session_id.as_str()));
    }
    if let Some(after) = &wanted.after {
        let seen = [Expr::value(after.created_at.as_micros()), Expr::value(after.mission_id.as_str())];
        let place = [Expr::col(mission::Column::CreatedAtUs), Expr::col(mission::Column::MissionId)];
        query = query.filter(Expr::tuple(place).lt(Expr::tuple(seen)));
    }
    if wanted.status.is_empty() {
        return vec![query];
    }
    let asked = Status::ALL.into_iter().filter(|status| wanted.status.contains(status));
    asked.map(|status| query.clone().filter(mission::Column::Status.eq(status.name()))).collect()
}

fn event_view(row: &event::Model) -> Result<EventView, LedgerError> {
    let event = Event::from_json(row.payload.as_bytes())
        .map_err(|_| damaged("events", &row.pos.to_string(), "payload"))?;
    Ok(EventView::of(&event, Place::of(row.pos).seq))
}
