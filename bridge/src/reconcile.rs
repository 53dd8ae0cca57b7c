//! Finds missions that nothing would bring on any more, and brings them back or ends them. In a healthy world it has
//! nothing to do.
//!
//! Every few seconds: what has not ended (by the ledger), how far the queues have come, which timers there are and who
//! lives. The plan is pure (`vp_shared::mission::plan`); what it wants must stay so for a while, then the log is read
//! from the leader, planned once more, and written with compare-and-set. A crash leaves nothing behind but the memory
//! of how long something has looked stranded.

mod facts;
mod watchlist;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::delivery::hand_back;
use vp_nats::mission_log::{AppendError, MissionLog};
use vp_nats::presence::prove_gone;
use vp_shared::api::Repaired;
use vp_shared::error::Chain;
use vp_shared::lane::{LaneProfile, Lanes};
use vp_shared::mission::{Mission, Plan, Repair, Standing, Status, Timer, plan};

use crate::config::ReconcileTimes;
use crate::event::event_by;
use crate::ledger::{Ledger, Unfinished};
use crate::status::StatusBoard;
use facts::Facts;
use watchlist::{Sight, Watchlist};

/// How many missions are looked after at a time.
const AT_ONCE: usize = 16;
/// How many missions one look repairs at most; the next one repairs the rest.
const REPAIRS_A_LOOK: usize = 2_000;
/// How many repairs the status names.
const SHOWN: usize = 20;
/// What its events name as their actor.
const NAME: &str = "reconciler";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Looks after stranded missions.
#[derive(Debug)]
pub(crate) struct Reconciler {
    pub(crate) conn: Connection,
    pub(crate) log: MissionLog,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) status: StatusBoard,
    pub(crate) times: ReconcileTimes,
    pub(crate) lanes: Lanes,
}

/// A mission that looks stranded, and for how long enough.
#[derive(Debug)]
struct Suspect {
    row: Unfinished,
    standing: Standing,
}

impl Reconciler {
    /// Looks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut facts = Facts::new(self.conn.clone(), Arc::clone(&self.ledger));
        let mut watchlist = Watchlist::new(self.times);
        loop {
            if stop.run_until_cancelled(sleep(self.times.every)).await.is_none() {
                return;
            }
            let Some(looked) = stop.run_until_cancelled(self.look(&mut facts, &mut watchlist)).await else {
                return;
            };
            if let Err(error) = looked {
                let error = Chain(&*error).to_string();
                tracing::warn!(error, "looking for stranded missions has failed, trying again");
                self.status.update(|status| status.reconciler.error = Some(error));
            }
        }
    }

    /// Looks once through all missions that have not ended.
    async fn look(&self, facts: &mut Facts, watchlist: &mut Watchlist) -> Result<(), BoxError> {
        let Some(found) = facts.gather().await? else { return Ok(()) };
        watchlist.begin_turn();
        let (now, tick) = (clock::now(), Instant::now());
        let total = found.rows.len() as u64;
        let mut suspects = Vec::new();
        for row in &found.rows {
            let Some(standing) = found.standing(row, watchlist, tick) else { continue };
            let planned = plan(&standing, now);
            let stranded = planned != Plan::Nothing;
            if stranded && watchlist.is_due(&row.mission_id, Sight::of(row), planned, tick) {
                suspects.push(Suspect { row: row.clone(), standing });
            }
        }
        watchlist.end_turn();
        suspects.truncate(REPAIRS_A_LOOK);
        let repaired = self.repair_all(&suspects, watchlist).await;
        self.status.update(|status| {
            let reconciler = &mut status.reconciler;
            reconciler.looked_at = Some(now);
            reconciler.looked_through = total;
            reconciler.watched = watchlist.watched();
            reconciler.repaired += repaired.len() as u64;
            reconciler.newest.splice(0..0, repaired.into_iter().take(SHOWN));
            reconciler.newest.truncate(SHOWN);
            reconciler.error = None;
        });
        Ok(())
    }

    async fn repair_all(&self, suspects: &[Suspect], watchlist: &mut Watchlist) -> Vec<Repaired> {
        let judged: Vec<BoxFuture<'_, Option<(Repair, Mission)>>> =
            suspects.iter().map(|suspect| self.judge(suspect).boxed()).collect();
        let mut judged = stream::iter(judged).buffer_unordered(AT_ONCE);
        let mut repaired = Vec::new();
        while let Some(verdict) = judged.next().await {
            let Some((repair, mission)) = verdict else { continue };
            if repair == Repair::HandBack && !watchlist.first_hand_back(&mission.mission_id) {
                continue;
            }
            repaired.extend(self.repair(repair, &mission).await);
        }
        repaired
    }

    /// Reads the mission from the leader and plans once more. `None`: the ledger was behind, or it is all right.
    async fn judge(&self, suspect: &Suspect) -> Option<(Repair, Mission)> {
        let (row, mut standing) = (&suspect.row, suspect.standing);
        let mission = match self.log.read(&row.vp_id, &row.mission_id).await {
            Ok(Some(logged)) => logged.mission,
            Ok(None) => return None,
            Err(error) => {
                tracing::warn!(mission_id = %row.mission_id, vp_id = %row.vp_id, error = %Chain(&error), "could not look at a mission that looks stranded");
                return None;
            }
        };
        if Sight::new(mission.status, mission.attempt, mission.queue_seq) != Sight::of(row) {
            return None;
        }
        standing.retry_at = mission.retry_at;
        if mission.status == Status::Scheduled {
            standing.timer = self.timer(&mission).await;
        }
        loop {
            match plan(&standing, clock::now()) {
                Plan::Repair(repair) => return Some((repair, mission)),
                Plan::FindOwner => {
                    let owner = mission.owner.as_ref()?;
                    let lane = self.lanes.get(&mission.vp_id);
                    let kills_after = lane.map_or(Duration::ZERO, LaneProfile::self_kill_after);
                    let kills_after = kills_after.max(self.times.in_hand_for);
                    standing.owner =
                        prove_gone(&self.conn, &owner.worker, &mission.mission_id, kills_after).await;
                }
                // Looked for above: unknown because the log did not answer.
                Plan::FindTimer | Plan::Nothing => return None,
            }
        }
    }

    async fn timer(&self, mission: &Mission) -> Timer {
        match self.log.has_timer(&mission.vp_id, &mission.mission_id).await {
            Ok(true) => Timer::Set,
            Ok(false) => Timer::Gone,
            Err(error) => {
                tracing::warn!(mission_id = %mission.mission_id, vp_id = %mission.vp_id, error = %Chain(&error), "could not look for a timer");
                Timer::Unknown
            }
        }
    }

    async fn repair(&self, repair: Repair, mission: &Mission) -> Option<Repaired> {
        let (mission_id, vp_id, expected) = (&mission.mission_id, &mission.vp_id, mission.last_seq);
        let Some(event) = repair.event(mission).map(|body| event_by(NAME, mission, body)) else {
            let owner = mission.owner.as_ref()?;
            return match hand_back(&self.conn, &owner.lease).await {
                Ok(()) => Some(note(repair, mission)),
                Err(error) => {
                    tracing::warn!(%mission_id, %vp_id, error = %Chain(&error), "could not hand back a dead worker's mission");
                    None
                }
            };
        };
        let stored = match repair {
            Repair::SetTimer { at } => self.log.append_timer(&event, at, expected).await,
            _ if mission.status == Status::Scheduled => self.log.append_purging_timer(&event, expected).await,
            _ => self.log.append(&event, expected).await,
        };
        match stored {
            Ok(_) => Some(note(repair, mission)),
            // Somebody brought it on in this moment: nothing is left to do.
            Err(AppendError::Conflict { .. }) => None,
            Err(error) => {
                tracing::warn!(%mission_id, %vp_id, repair = repair.name(), error = %Chain(&error), "could not repair a stranded mission, looking again");
                None
            }
        }
    }
}

fn note(repair: Repair, mission: &Mission) -> Repaired {
    tracing::warn!(
        mission_id = %mission.mission_id, vp_id = %mission.vp_id, attempt = mission.attempt,
        status = %mission.status, repair = repair.name(), why = repair.why(), "repaired a stranded mission"
    );
    let (mission_id, at) = (mission.mission_id.clone(), clock::now());
    Repaired { mission_id, at, what: repair.name().to_owned(), why: repair.why().to_owned() }
}
