//! Missions that have not ended, with what the reconciler judges them by.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use vp_shared::ids::{Attempt, MissionId, VpId, WorkerId};
use vp_shared::mission::Status;
use vp_shared::tier::Tier;
use vp_shared::time::UtcTime;

use super::Ledger;
use super::entity::mission;
use super::error::LedgerError;
use super::place::Place;
use super::row::damaged;

/// How many missions' first events are read at a time.
const SPECS_AT_ONCE: usize = 256;

/// A mission that has not ended, as far as the ledger knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub(crate) born_pos: i64,
    pub(crate) mission_id: MissionId,
    pub(crate) vp_id: VpId,
    pub(crate) status: Status,
    pub(crate) tier: Tier,
    pub(crate) attempt: Attempt,
    pub(crate) queue_seq: Option<u64>,
    pub(crate) retry_at: Option<UtcTime>,
    pub(crate) owner: Option<(WorkerId, String)>,
}

/// When a mission may begin and must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) not_before: Option<UtcTime>,
    pub(crate) deadline: UtcTime,
}

/// The columns, as they are read.
type Columns =
    (i64, String, String, String, String, i64, Option<i64>, Option<i64>, Option<String>, Option<String>);

impl Ledger {
    /// All missions of that life of the stream that have not ended.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn unfinished(&self, epoch: u16) -> Result<Vec<Unfinished>, LedgerError> {
        let unfinished = Status::ALL.into_iter().filter(|status| !status.is_terminal()).map(Status::name);
        let rows: Vec<Columns> = mission::Entity::find()
            .select_only()
            .columns([
                mission::Column::BornPos,
                mission::Column::MissionId,
                mission::Column::VpId,
                mission::Column::Status,
                mission::Column::Tier,
                mission::Column::Attempt,
                mission::Column::QueueSeq,
                mission::Column::RetryAtUs,
                mission::Column::WorkerId,
                mission::Column::Incarnation,
            ])
            .filter(mission::Column::Status.is_in(unfinished))
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("read which missions have not ended"))?;
        let rows = rows.into_iter().filter(|row| Place::of(row.0).epoch == epoch);
        rows.map(unfinished_of).collect()
    }

    /// How many missions of each lane wait for a free slot.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn waiting_by_lane(&self) -> Result<BTreeMap<String, u64>, LedgerError> {
        let rows: Vec<(String, i64)> = mission::Entity::find()
            .select_only()
            .column(mission::Column::VpId)
            .column_as(mission::Column::MissionId.count(), "missions")
            .filter(mission::Column::Status.eq(Status::Queued.name()))
            .group_by(mission::Column::VpId)
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(LedgerError::db("count waiting missions by lane"))?;
        Ok(rows.into_iter().map(|(lane, count)| (lane, count.unsigned_abs())).collect())
    }

    /// When these missions may begin and must end, by the places of their first events.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn times(&self, born: &[i64]) -> Result<HashMap<i64, Times>, LedgerError> {
        let mut times = HashMap::with_capacity(born.len());
        for places in born.chunks(SPECS_AT_ONCE) {
            let specs = self.specs_at(places).await?;
            times.extend(specs.into_iter().map(|(place, spec)| {
                (place, Times { not_before: spec.not_before, deadline: spec.deadline })
            }));
        }
        Ok(times)
    }
}

fn unfinished_of(row: Columns) -> Result<Unfinished, LedgerError> {
    let (born_pos, mission_id, vp_id, status, tier, attempt, queue_seq, retry_at, worker, incarnation) = row;
    let bad = |column| damaged("missions", &mission_id, column);
    let owner = match (worker, incarnation) {
        (Some(worker), Some(incarnation)) => {
            Some((WorkerId::new(worker).map_err(|_| bad("worker_id"))?, incarnation))
        }
        _ => None,
    };
    Ok(Unfinished {
        born_pos,
        vp_id: VpId::new(vp_id).map_err(|_| bad("vp_id"))?,
        status: Status::from_name(&status).ok_or_else(|| bad("status"))?,
        tier: Tier::from_name(&tier).ok_or_else(|| bad("tier"))?,
        attempt: u32::try_from(attempt).map_err(|_| bad("attempt"))?,
        queue_seq: queue_seq.map(u64::try_from).transpose().map_err(|_| bad("queue_seq"))?,
        retry_at: retry_at.map(UtcTime::from_micros),
        owner,
        mission_id: MissionId::new(&mission_id).map_err(|_| bad("mission_id"))?,
    })
}
