//! What is done for a worker that has died, by a process of its host that saw it die.
//!
//! Death cannot be told from a cut-off link by anybody elsewhere, not for the length of a lease. The keeper of an
//! executor can: it holds the dead process in its hand and has killed the executor. So it speaks for the dead one, on the
//! dead one's own subject ("this life does not hold the mission"), and hands its delivery back. Whoever gets that asks,
//! is answered, and takes the mission over. A wrong word would be harmless to the log: the claim is a compare-and-set.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, ready, select};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until, timeout_at};
use vp_shared::api::{WorkerAnswer, WorkerQuestion};
use vp_shared::event::WorkerRef;
use vp_shared::ids::{MissionId, VpId};
use vp_shared::mission::{Mission, Status};
use vp_shared::retry::RetryDelay;

use super::{PresenceError, Questions};
use crate::connect::{ConnectConfig, Connection, connect};
use crate::delivery::hand_back;
use crate::mission_log::MissionLog;
use crate::retry::Delays;
use crate::watch::MissionWatch;

/// How long the server is looked for, and how long questions are answered until somebody has the mission. Later ones
/// find a presence key that has expired.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the log is read although nothing hints at a change.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Everything needed to give back one mission of one worker.
///
/// It holds the credentials of the worker: it is written into a pipe to the worker's own child and nowhere else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Testament {
    link: ConnectConfig,
    worker: WorkerRef,
    vp_id: VpId,
    mission_id: MissionId,
    lease: String,
}

impl Testament {
    /// For this mission, which its worker has claimed; `None` when the log does not say by which delivery.
    pub fn new(conn: &Connection, mission: &Mission) -> Option<Self> {
        let owner = mission.owner.as_ref()?;
        let mut link = conn.config().clone();
        link.name = format!("vp-keeper {}", owner.worker.worker_id);
        Some(Self {
            link,
            worker: owner.worker.clone(),
            lease: owner.lease.clone(),
            vp_id: mission.vp_id.clone(),
            mission_id: mission.mission_id.clone(),
        })
    }

    /// Gives the mission back and speaks for the worker until somebody has it, for at most two minutes.
    ///
    /// # Errors
    /// [`PresenceError`]: nobody was told, and the mission waits for its lease to run out.
    pub async fn execute(&self) -> Result<(), PresenceError> {
        let conn = self.connect().await?;
        let mut questions = Questions::open(&conn, &self.worker.worker_id).await?;
        let answers = questions.serve(|question| {
            let this_life = matches!(
                question, WorkerQuestion::Holds { incarnation, .. } if incarnation == self.worker.incarnation
            );
            ready(this_life.then_some(WorkerAnswer::DoesNotHold))
        });
        // Answers end with the connection; the other one ends by itself.
        first(answers.map(Ok), self.give_back(&conn)).await
    }

    async fn connect(&self) -> Result<Connection, PresenceError> {
        let deadline = Instant::now() + PATIENCE;
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        loop {
            match connect(&self.link).await {
                Ok(conn) => return Ok(conn),
                Err(error) if Instant::now() >= deadline => return Err(failed(error.to_string())),
                Err(_) => {
                    let delay = delays.next().unwrap_or(RetryDelay::REQUEST.max());
                    sleep_until(deadline.min(Instant::now() + delay)).await;
                }
            }
        }
    }

    async fn give_back(&self, conn: &Connection) -> Result<(), PresenceError> {
        let deadline = Instant::now() + PATIENCE;
        let (vp_id, mission_id) = (&self.vp_id, &self.mission_id);
        let opened = MissionWatch::mission(conn, vp_id, mission_id).await;
        let mut watch = opened.map_err(|error| failed(error.to_string()))?;
        conn.flush().await.map_err(|error| failed(error.to_string()))?;
        let log = MissionLog::new(conn);
        let mut given = false;
        while Instant::now() < deadline {
            match log.read(vp_id, mission_id).await {
                Ok(Some(logged)) if !self.is_still_his(&logged.mission) => return Ok(()),
                Ok(None) => return Ok(()),
                Ok(Some(_)) if !given => {
                    hand_back(conn, &self.lease).await.map_err(|error| failed(error.to_string()))?;
                    given = true;
                }
                // Read again soon.
                Ok(Some(_)) | Err(_) => {}
            }
            let again = deadline.min(Instant::now() + LOOK_EVERY);
            // A hint or not, the log is read.
            let _ = timeout_at(again, watch.next()).await;
        }
        Ok(())
    }

    /// The mission still waits for the dead worker.
    fn is_still_his(&self, mission: &Mission) -> bool {
        let waits = matches!(mission.status, Status::Running | Status::Cancelling | Status::Finalizing);
        waits
            && mission.owner.as_ref().is_some_and(|owner| owner.worker.incarnation == self.worker.incarnation)
    }
}

async fn first<T>(one: impl Future<Output = T> + Send, other: impl Future<Output = T> + Send) -> T {
    match select(pin!(one), pin!(other)).await {
        Either::Left((done, _)) | Either::Right((done, _)) => done,
    }
}

fn failed(why: String) -> PresenceError {
    PresenceError { what: "give back the mission of a dead worker", why }
}
