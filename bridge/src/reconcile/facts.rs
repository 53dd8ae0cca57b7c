//! The facts of one look: what has not ended, how far the queues have come, which timers there are, who lives.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;
use vp_nats::connect::Connection;
use vp_nats::mission_log::MissionLog;
use vp_nats::presence;
use vp_nats::reader::identity;
use vp_nats::topology::{MISSIONS, QueueProgress, queue_progress};
use vp_shared::ids::{MissionId, VpId, WorkerId};
use vp_shared::mission::{Liveness, Place, Standing, Status, Timer};
use vp_shared::tier::Tier;

use super::BoxError;
use super::watchlist::{Sight, Watchlist};
use crate::ledger::{Ledger, Times, Unfinished};

/// Gathers them; keeps what never changes.
#[derive(Debug)]
pub(super) struct Facts {
    conn: Connection,
    ledger: Arc<Ledger>,
    times: HashMap<i64, Times>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rows: Vec<Unfinished>,
    times: HashMap<i64, Times>,
    queues: HashMap<(VpId, Tier), Option<QueueProgress>>,
    timers: HashSet<MissionId>,
    alive: HashSet<(WorkerId, String)>,
}

impl Facts {
    pub(super) fn new(conn: Connection, ledger: Arc<Ledger>) -> Self {
        Self { conn, ledger, times: HashMap::new() }
    }

    /// Gathers the facts of now; `None` while the ledger knows nothing of this stream. The missions are read first:
    /// what happens to them meanwhile makes them look better or is refused later.
    pub(super) async fn gather(&mut self) -> Result<Option<Found>, BoxError> {
        let stream = identity(&self.conn, MISSIONS).await?;
        let cursors = self.ledger.cursors().await?;
        let Some(cursor) = cursors.iter().find(|cursor| cursor.created_at == stream.created_at) else {
            return Ok(None);
        };
        let rows = self.ledger.unfinished(cursor.epoch).await?;
        self.times_of(&rows).await?;
        let queues = self.queues_of(&rows).await?;
        let timers = if rows.iter().any(|row| row.status == Status::Scheduled) {
            MissionLog::new(&self.conn).all_timers().await?
        } else {
            HashSet::new()
        };
        let alive = if rows.iter().any(|row| row.owner.is_some()) {
            let living = presence::list(&self.conn).await?.into_iter();
            living.map(|one| (one.worker.worker_id, one.worker.incarnation)).collect()
        } else {
            HashSet::new()
        };
        Ok(Some(Found { rows, times: self.times.clone(), queues, timers, alive }))
    }

    async fn times_of(&mut self, rows: &[Unfinished]) -> Result<(), BoxError> {
        let unfinished: HashSet<i64> = rows.iter().map(|row| row.born_pos).collect();
        self.times.retain(|born, _| unfinished.contains(born));
        let unknown: Vec<i64> =
            unfinished.into_iter().filter(|born| !self.times.contains_key(born)).collect();
        self.times.extend(self.ledger.times(&unknown).await?);
        Ok(())
    }

    async fn queues_of(
        &self,
        rows: &[Unfinished],
    ) -> Result<HashMap<(VpId, Tier), Option<QueueProgress>>, BoxError> {
        let mut queues = HashMap::new();
        for row in rows.iter().filter(|row| row.status != Status::Scheduled) {
            let queue = (row.vp_id.clone(), row.tier);
            if let Entry::Vacant(unseen) = queues.entry(queue) {
                unseen.insert(queue_progress(&self.conn, &row.vp_id, row.tier).await?);
            }
        }
        Ok(queues)
    }
}

impl Found {
    /// How a mission stands; `None` when its first event is not in the ledger.
    pub(super) fn standing(
        &self,
        row: &Unfinished,
        watchlist: &mut Watchlist,
        now: Instant,
    ) -> Option<Standing> {
        let Times { not_before, deadline } = *self.times.get(&row.born_pos)?;
        let lives = row.owner.as_ref().is_some_and(|owner| self.alive.contains(owner));
        let entry = self.entry(row, lives, watchlist, now);
        // A worker that lives may yet have dropped the mission; then its entry brings it back, if there is one.
        let owner = if lives && entry != Place::Lost { Liveness::Alive } else { Liveness::Unknown };
        let timer = if self.timers.contains(&row.mission_id) { Timer::Set } else { Timer::Gone };
        Some(Standing {
            status: row.status,
            deadline,
            not_before,
            retry_at: row.retry_at,
            entry,
            timer,
            owner,
        })
    }

    fn entry(&self, row: &Unfinished, lives: bool, watchlist: &mut Watchlist, now: Instant) -> Place {
        let progress = self.queues.get(&(row.vp_id.clone(), row.tier)).copied().flatten();
        let Some(progress) = progress else { return Place::NoQueue };
        match progress.place_of(row.queue_seq.unwrap_or_default()) {
            Place::InHand if !lives && is_due(row) => {
                watchlist.in_hand(&row.mission_id, Sight::of(row), &progress, now)
            }
            place => place,
        }
    }
}

/// True unless the mission waits for its next attempt.
fn is_due(row: &Unfinished) -> bool {
    row.retry_at.is_none_or(|at| vp_nats::clock::now() >= at)
}
