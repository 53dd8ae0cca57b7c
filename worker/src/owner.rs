//! A mission in the hand of who may write to it: appends what is decided, and learns when it is no longer so.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use vp_nats::clock;
use vp_nats::mission_log::AppendError;
use vp_nats::retry::Delays;
use vp_shared::error::Chain;
use vp_shared::event::{Actor, ActorKind, Event, EventBody};
use vp_shared::ids::Attempt;
use vp_shared::mission::{Command, Effect, Mission, StopReason, decide};
use vp_shared::retry::RetryDelay;

use crate::held::Hold;
use crate::run::Lane;

/// Delays between tries of what the server refuses or does not answer: 0.2 s to 10 s.
const AGAIN: RetryDelay = RetryDelay { initial_ms: 200, multiplier: 2.0, max_ms: 10_000, jitter: 0.5 };

/// How long the log must say that there is no such mission until that is believed: its stream was deleted, or has lost
/// its end.
const GONE_AFTER: Duration = Duration::from_secs(10);

/// Nothing more may be written, acked, naked or renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fenced;

/// A mission this process may write to, with the state it last saw.
#[derive(Debug)]
pub(crate) struct Owned<'a> {
    pub(crate) lane: &'a Lane,
    pub(crate) mission: Mission,
    pub(crate) hold: Hold,
}

impl Owned<'_> {
    /// Appends the event that `command` asks for, and returns the effects that are left to carry out.
    ///
    /// Refused, the mission is read and decided again: `cancel_requested` moves the sequence as well as a takeover,
    /// and only the fold tells which it was. Tried until it is stored or the mission is lost, however long the server is
    /// away: nobody can do better, and the worker's own end cuts it off. [`Fenced`] too when the log no longer knows the
    /// mission.
    pub(crate) async fn write(&mut self, command: Command<'_>) -> Result<Vec<Effect>, Fenced> {
        let mut delays = Delays::new(&AGAIN);
        loop {
            let mut effects = decide(Some(&self.mission), command.clone(), clock::now());
            match effects.first() {
                Some(Effect::Append { .. }) => {}
                Some(Effect::Stop(StopReason::Fenced)) => return Err(Fenced),
                _ => return Ok(effects),
            }
            let Effect::Append { attempt, expected, body } = effects.remove(0) else { return Ok(effects) };
            let event = event(self.lane, &self.mission, attempt, body);
            match self.lane.shared.log.append(&event, expected).await {
                Ok(stored) => {
                    self.mission.follow(&event, stored.seq);
                    return Ok(effects);
                }
                Err(AppendError::Conflict { .. }) => self.read_again().await?,
                Err(error @ AppendError::Unknown { .. }) => {
                    self.complain(&error);
                    self.read_again().await?;
                }
                Err(error @ AppendError::Refused { .. }) => {
                    self.complain(&error);
                    sleep(delays.next().unwrap_or(AGAIN.max())).await;
                }
            }
        }
    }

    /// Reads the mission from the log, however long that takes. A mission that the log no longer knows is nobody's.
    async fn read_again(&mut self) -> Result<(), Fenced> {
        let mut delays = Delays::new(&AGAIN);
        let mut unknown_since = None;
        loop {
            match self.lane.shared.log.read(&self.mission.vp_id, &self.mission.mission_id).await {
                Ok(Some(logged)) => {
                    self.mission = logged.mission;
                    return Ok(());
                }
                Ok(None) => {
                    // It has events: one of them brought us here.
                    tracing::warn!(
                        mission_id = %self.mission.mission_id, vp_id = %self.mission.vp_id, attempt = self.mission.attempt,
                        "the log says there is no such mission"
                    );
                    if unknown_since.get_or_insert_with(Instant::now).elapsed() >= GONE_AFTER {
                        return Err(Fenced);
                    }
                }
                Err(error) => {
                    self.complain(&error);
                    unknown_since = None;
                }
            }
            sleep(delays.next().unwrap_or(AGAIN.max())).await;
        }
    }

    fn complain(&self, error: &dyn std::error::Error) {
        tracing::error!(
            mission_id = %self.mission.mission_id, vp_id = %self.mission.vp_id, attempt = self.mission.attempt,
            error = %Chain(error), "could not write to the mission, trying again"
        );
    }
}

/// An event of `mission`, made by this worker.
pub(crate) fn event(lane: &Lane, mission: &Mission, attempt: Attempt, body: EventBody) -> Event {
    Event {
        id: clock::event_id(),
        mission_id: mission.mission_id.clone(),
        vp_id: mission.vp_id.clone(),
        attempt,
        time: clock::now(),
        actor: Actor { kind: ActorKind::Worker, id: lane.shared.me.worker_id.to_string() },
        source: mission.source.clone(),
        body,
    }
}
