//! Missions of dead workers, handed back before their lease is over.
//!
//! A worker whose process dies is told by the keepers of its executors, at once. What is left for here: a worker that
//! lives another life, of whose former one nobody spoke, and one that is gone with its host. The first is sure at once;
//! the second looks like a cut link for as long as the longest cut that must disturb nothing, and like a frozen process
//! for as long as its executor may run on.
//!
//! A hint says where to look (a presence that is gone or is another life, or the sweep); the log says who owns the
//! mission; a proof says that the owner is gone. A wrong hand-back is harmless: the next claim is a compare-and-set.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vp_nats::connect::Connection;
use vp_nats::delivery::hand_back;
use vp_nats::mission_log::MissionLog;
use vp_nats::presence::{PresenceChange, PresenceWatch, absent_for, prove_dead};
use vp_nats::retry::Delays;
use vp_shared::error::Chain;
use vp_shared::ids::{MissionId, WorkerId};
use vp_shared::lane::{LaneProfile, Lanes};
use vp_shared::mission::Liveness;
use vp_shared::retry::RetryDelay;

use crate::ledger::{Held, Ledger};
use crate::status::StatusBoard;

/// How many missions are looked after at a time.
const AT_ONCE: usize = 16;
/// How many missions of a worker one look brings up at most; the next one brings the rest.
const LOOK_AT: u64 = 10_000;
/// A lease is handed back again after so long when nobody has taken the mission.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

/// The watch has said by then who lives; a wrong guess costs a look and changes nothing.
const FIRST_SWEEP_AFTER: Duration = Duration::from_secs(1);

/// Who lives, and who is gone since when.
#[derive(Debug, Default)]
struct Living {
    /// Which life each living worker lives.
    lives: HashMap<WorkerId, String>,
    gone: HashMap<WorkerId, Instant>,
}

impl Living {
    /// Notes a change; the worker whose missions are worth a look because of it.
    fn note(&mut self, change: PresenceChange) -> Option<WorkerId> {
        match change {
            PresenceChange::Gone(worker_id) => {
                self.lives.remove(&worker_id);
                self.gone.entry(worker_id).or_insert_with(Instant::now);
                None
            }
            PresenceChange::Alive(presence) => {
                let (worker_id, life) = (presence.worker.worker_id, presence.worker.incarnation);
                self.gone.remove(&worker_id);
                // Said again whenever it takes a mission: only another life is news.
                let known = self.lives.insert(worker_id.clone(), life.clone());
                (known != Some(life)).then_some(worker_id)
            }
        }
    }

    /// Whether that life of a worker can be over: it lives another one, or is gone for so long.
    fn may_be_dead(&mut self, worker_id: &WorkerId, life: &str, after: Duration) -> bool {
        match self.lives.get(worker_id) {
            Some(now) => now != life,
            None => self.gone.entry(worker_id.clone()).or_insert_with(Instant::now).elapsed() >= after,
        }
    }

    /// When the next one will have been gone for so long.
    fn next_due(&self, after: Duration) -> Option<Instant> {
        let now = Instant::now();
        self.gone.values().map(|since| *since + after).filter(|due| *due > now).min()
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Looks after missions of dead workers.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) conn: Connection,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) status: StatusBoard,
    pub(crate) sweep_every: Duration,
    pub(crate) recover_after: Duration,
    pub(crate) lanes: Lanes,
}

/// What was handed back, so that it is not handed back again and again while no worker is there to take it.
type Done = HashMap<(MissionId, String), Instant>;

impl Recovery {
    /// Looks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        let mut done = Done::new();
        loop {
            let Some(ended) = stop.run_until_cancelled(self.watch(&mut done)).await else { return };
            if let Err(error) = ended {
                let delay = delays.next().unwrap_or(RetryDelay::REQUEST.max());
                tracing::warn!(error = %Chain(&*error), "looking after dead workers has failed, trying again");
                if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                    return;
                }
            }
        }
    }

    async fn watch(&self, done: &mut Done) -> Result<(), BoxError> {
        let mut watch = PresenceWatch::open(&self.conn).await?;
        let mut living = Living::default();
        // The watch first says who lives.
        let mut sweep_at = Instant::now() + FIRST_SWEEP_AFTER;
        loop {
            let next = living.next_due(self.recover_after).map_or(sweep_at, |due| due.min(sweep_at));
            for change in watch.next(next.saturating_duration_since(Instant::now())).await? {
                if let Some(worker_id) = living.note(change) {
                    self.look(&mut living, done, |owner| *owner == worker_id).await?;
                }
            }
            if Instant::now() >= next {
                // Finds who died while nobody watched, and what was not in the ledger yet when a death was told.
                done.retain(|_, at| at.elapsed() < AGAIN_AFTER);
                self.look(&mut living, done, |_| true).await?;
                sweep_at = Instant::now() + self.sweep_every;
            }
        }
    }

    async fn look(
        &self,
        living: &mut Living,
        done: &mut Done,
        wanted: impl Fn(&WorkerId) -> bool + Send,
    ) -> Result<(), BoxError> {
        let owners = self.ledger.owners().await?;
        living.gone.retain(|worker_id, _| owners.iter().any(|(owner, _)| owner == worker_id));
        for (worker_id, life) in owners {
            if wanted(&worker_id) && living.may_be_dead(&worker_id, &life, self.recover_after) {
                let held = self.ledger.held(&worker_id, &life, LOOK_AT).await?;
                self.recover(held, done).await;
            }
        }
        Ok(())
    }

    async fn recover(&self, orphans: Vec<Held>, done: &mut Done) {
        let now = Instant::now();
        let fresh = orphans.into_iter().filter(|held| !done.contains_key(&key(held))).collect::<Vec<_>>();
        let work: Vec<BoxFuture<'_, Option<(MissionId, String)>>> = fresh
            .into_iter()
            .map(|held| async move { self.recover_one(&held).await.then(|| key(&held)) }.boxed())
            .collect();
        let recovered: Vec<_> =
            stream::iter(work).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
        self.status.update(|status| status.handed_back += recovered.len() as u64);
        done.extend(recovered.into_iter().map(|key| (key, now)));
    }

    /// Hands one mission back, if its log says that the owner is the one that was thought dead, and it is. True when
    /// it was handed back.
    async fn recover_one(&self, held: &Held) -> bool {
        let (mission_id, vp_id) = (&held.mission_id, &held.vp_id);
        let logged = match MissionLog::new(&self.conn).read(vp_id, mission_id).await {
            Ok(Some(logged)) => logged,
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(%mission_id, %vp_id, error = %Chain(&error), "could not look whose mission it is");
                return false;
            }
        };
        let Some(owner) = logged.mission.owner else { return false };
        if owner.worker.worker_id != held.worker_id || owner.worker.incarnation != held.incarnation {
            return false;
        }
        // No earlier than whoever gets it can prove it too: one who cannot keeps it for a whole lease.
        let kills_after = self.lanes.get(vp_id).map_or(Duration::ZERO, LaneProfile::self_kill_after);
        let after = self.recover_after.max(absent_for(kills_after));
        if prove_dead(&self.conn, &owner.worker, mission_id, after).await != Liveness::Gone {
            return false;
        }
        match hand_back(&self.conn, &owner.lease).await {
            Ok(()) => {
                let worker_id = &held.worker_id;
                tracing::info!(%mission_id, %vp_id, %worker_id, "handed back the mission of a dead worker");
                true
            }
            Err(error) => {
                tracing::warn!(%mission_id, %vp_id, error = %Chain(&error), "could not hand back a dead worker's mission");
                false
            }
        }
    }
}

fn key(held: &Held) -> (MissionId, String) {
    (held.mission_id.clone(), held.incarnation.clone())
}
