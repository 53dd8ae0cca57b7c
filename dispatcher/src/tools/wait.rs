//! `vp_wait_mission`: pushed by the mission's own events, with a slow look beside for what no push tells.
//!
//! A hint is no fact: it also comes for a publish that the stream refuses, and may come a moment before the event
//! can be read. Only the log says that a mission has ended.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use vp_nats::connect::ConnectionState;
use vp_nats::mission_log::LoggedMission;
use vp_nats::subject::Token;
use vp_nats::watch::MissionWatch;
use vp_shared::api::{ErrorCode, MissionView, ToolError, WaitMission, Waited};
use vp_shared::ids::{MissionId, VpId};

use crate::dispatcher::Dispatcher;
use crate::failure::not_found;

/// Looks that nothing pushed, each so long after the one before; the last one again and again. The first ones are
/// soon: an event that was published just before the subscription and stored just after the first look is not hinted.
const LOOK_AFTER: [Duration; 4] = [
    Duration::from_millis(3),
    Duration::from_millis(30),
    Duration::from_millis(300),
    Duration::from_secs(10),
];
/// After a hint of the end: so many looks, 1, 2, 4 ... 64 ms apart.
const LOOKS_AFTER_A_HINT: u32 = 7;
/// How long the last look may take when the time is over.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// How long the last progress may take to be read.
const PROGRESS_PATIENCE: Duration = Duration::from_millis(500);

/// What ended a standstill.
enum Woken {
    /// An event was published that ends the mission, if the stream took it.
    HintOfEnd,
    /// The time for a look has come, or the connection is a new one and may have lost a hint.
    Look,
    /// The time is over.
    TimeOver,
}

/// One caller's wait for one mission.
struct Wait<'a> {
    dispatcher: &'a Dispatcher,
    vp_id: VpId,
    mission_id: MissionId,
    hints: MissionWatch,
    connection: watch::Receiver<ConnectionState>,
    /// The connection on which the hints were heard last.
    generation: u64,
    until: Instant,
}

impl Dispatcher {
    /// Waits until the mission has ended or the time is over, whichever is first; both are a success.
    ///
    /// # Errors
    /// `validation_error`; `not_found`; `broker_unavailable` when the mission could not be read.
    pub async fn wait(&self, input: WaitMission) -> Result<Waited, ToolError> {
        input.check()?;
        let until = Instant::now() + Duration::from_secs(input.timeout_seconds);
        let mission_id = input.mission_id;
        let Some(vp_id) = in_time(until, &mission_id, self.lane_of(&mission_id)).await? else {
            return self.ended_long_ago(&mission_id).await;
        };
        let connection = self.connection().state();
        let generation = connection.borrow().generation;
        // Subscribed before the first read, on the same connection: what is stored after it is heard.
        let hints = MissionWatch::mission(self.connection(), &vp_id, &mission_id).await.map_err(|error| {
            ToolError::new(ErrorCode::BrokerUnavailable, error.to_string()).about(&mission_id)
        })?;
        let wait = Wait { dispatcher: self, vp_id, mission_id, hints, connection, generation, until };
        wait.run().await
    }

    /// A mission that the log no longer has is one that ended, if the ledger remembers it.
    async fn ended_long_ago(&self, mission_id: &MissionId) -> Result<Waited, ToolError> {
        let known = self.ledger_mission(mission_id).await?.ok_or_else(|| not_found(mission_id))?;
        let terminal = known.mission.status.is_terminal();
        Ok(Waited { timed_out: !terminal, terminal, mission: known.mission, progress: None })
    }
}

impl Wait<'_> {
    async fn run(mut self) -> Result<Waited, ToolError> {
        let mut known = self.look().await?;
        let mut pauses = LOOK_AFTER.into_iter();
        let mut look_at = next_look(&mut pauses);
        while !known.mission.status.is_terminal() {
            known = match self.woken(look_at).await {
                Woken::HintOfEnd => self.look_after_hint(known).await?,
                Woken::Look => {
                    look_at = next_look(&mut pauses);
                    self.look().await?
                }
                Woken::TimeOver => return self.time_over().await,
            };
        }
        Ok(Waited {
            timed_out: false,
            terminal: true,
            mission: MissionView::from(&known.mission),
            progress: None,
        })
    }

    async fn woken(&mut self, look_at: Instant) -> Woken {
        loop {
            tokio::select! {
                hint = self.hints.next() => {
                    let Some(subject) = hint else {
                        // The client is shut down: nothing more will be pushed.
                        sleep_until(self.until.min(look_at)).await;
                        return if Instant::now() >= self.until { Woken::TimeOver } else { Woken::Look };
                    };
                    if matches!(subject.token, Token::Event(kind) if kind.is_terminal()) {
                        return Woken::HintOfEnd;
                    }
                }
                () = reconnected(&mut self.connection, &mut self.generation) => return Woken::Look,
                () = sleep_until(self.until) => return Woken::TimeOver,
                () = sleep_until(look_at) => return Woken::Look,
            }
        }
    }

    /// Looks until the end can be seen, or for so long that the hint was of a refused publish.
    async fn look_after_hint(&mut self, mut known: LoggedMission) -> Result<LoggedMission, ToolError> {
        for n in 0..LOOKS_AFTER_A_HINT {
            known = self.look().await?;
            if known.mission.status.is_terminal() {
                break;
            }
            sleep(Duration::from_millis(1 << n)).await;
        }
        Ok(known)
    }

    async fn look(&self) -> Result<LoggedMission, ToolError> {
        let read = self.dispatcher.logged(&self.vp_id, &self.mission_id);
        in_time(self.until, &self.mission_id, read).await?.ok_or_else(|| not_found(&self.mission_id))
    }

    async fn time_over(self) -> Result<Waited, ToolError> {
        let known = self.look().await?;
        let terminal = known.mission.status.is_terminal();
        let conn = self.dispatcher.connection();
        let progress = if terminal {
            None
        } else {
            let last = vp_nats::progress::last(conn, &self.vp_id, &self.mission_id);
            timeout(PROGRESS_PATIENCE, last).await.ok().flatten()
        };
        Ok(Waited { timed_out: !terminal, terminal, mission: MissionView::from(&known.mission), progress })
    }
}

fn next_look(pauses: &mut impl Iterator<Item = Duration>) -> Instant {
    Instant::now() + pauses.next().unwrap_or(LOOK_AFTER[LOOK_AFTER.len() - 1])
}

/// Reads, not much longer than the wait may take.
async fn in_time<T>(
    until: Instant,
    mission_id: &MissionId,
    read: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, ToolError> {
    let limit = until.max(Instant::now() + LAST_LOOK);
    timeout_at(limit, read).await.unwrap_or_else(|_| {
        let message = format!("mission {mission_id} could not be read before the time was over");
        Err(ToolError::new(ErrorCode::BrokerUnavailable, message)
            .hint("see whether nats-server runs and is reachable, then call again")
            .about(mission_id))
    })
}

/// Returns when there is another connection than the one last seen: the client renews the subscription, but what
/// was published in between was not heard. Cancel safe.
async fn reconnected(connection: &mut watch::Receiver<ConnectionState>, seen: &mut u64) {
    loop {
        let generation = connection.borrow_and_update().generation;
        if generation != *seen {
            *seen = generation;
            return;
        }
        if connection.changed().await.is_err() {
            // Closed for good; the other branches end the wait.
            std::future::pending::<()>().await;
        }
    }
}
