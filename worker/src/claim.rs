//! A delivery, from its arrival to its settlement: asks `decide`, carries out what it says.

use std::time::Duration;

use tokio::time::sleep;
use vp_nats::clock;
use vp_nats::crash;
use vp_nats::delivery::{Delivery, SettleError};
use vp_nats::mission_log::AppendError;
use vp_nats::presence;
use vp_nats::retry::Delays;
use vp_shared::error::Chain;
use vp_shared::event::{BadEvent, Event, EventBody};
use vp_shared::ids::Attempt;
use vp_shared::mission::{Claimant, Command, Effect, EventKind, Liveness, Mission, Status, decide};
use vp_shared::retry::RetryDelay;

use crate::attempt;
use crate::held::Hold;
use crate::owner::{self, Owned};
use crate::run::{Lane, Slot};

/// How often a delivery is decided anew before it goes back. Each round means that somebody else wrote.
const ROUNDS: usize = 20;
/// Between rounds: 10 ms to 1 s.
const BETWEEN: RetryDelay = RetryDelay { initial_ms: 10, multiplier: 2.0, max_ms: 1_000, jitter: 0.5 };
/// When a delivery comes again that could not be decided now.
const LATER: Duration = Duration::from_secs(2);
/// When one comes again that the server has no room for, or that only a newer build can read.
const MUCH_LATER: Duration = Duration::from_secs(20);

/// What is to be done with a delivery in the end.
enum Settle {
    Ack,
    Nak(Duration),
    Leave,
    Run(Attempt),
    Finalize,
    /// Somebody wrote in between: read and decide again.
    Again,
}

/// Decides about a delivery and does what was decided, to the end of the attempt if there is one.
pub(crate) async fn deliver(lane: &Lane, delivery: Delivery, slot: Slot) {
    let event = match readable(lane, &delivery) {
        Ok(event) => event,
        Err(settle) => return settled(lane, delivery, settle).await,
    };
    let hold = lane.shared.held.take(&delivery, lane.terms);
    // The claim of a first delivery expects the delivery's own sequence: no read. One that was queued again after an
    // attempt does not tell the whole mission.
    let first = event.attempt == 0 && !delivery.fired_by_timer;
    let fresh = delivery.delivered == 1 && first && hold.is_some();
    let known = if fresh { Mission::fold([(delivery.seq, &event)]) } else { None };
    drop(event);
    let mut case = Case { lane, delivery, hold, mission: known, owner: Liveness::Unknown };
    let settle = case.decide().await;
    let Case { delivery, hold, mission, .. } = case;
    match (settle, mission, hold) {
        (Settle::Run(attempt), Some(mission), Some(hold)) => {
            hold.claimed(attempt);
            crash::point("after_claim");
            attempt::run(Owned { lane, mission, hold }, delivery, slot).await;
        }
        (Settle::Finalize, Some(mission), Some(hold)) => {
            attempt::finalize(Owned { lane, mission, hold }, delivery, slot).await;
        }
        (settle, _, hold) => {
            drop(hold);
            settled(lane, delivery, settle).await;
        }
    }
}

/// The event of a delivery, if it is one that this lane can run.
fn readable(lane: &Lane, delivery: &Delivery) -> Result<Event, Settle> {
    let (mission_id, vp_id, seq) = (&delivery.subject.mission_id, &lane.vp_id, delivery.seq);
    match delivery.event() {
        Ok(event)
            if event.kind() == EventKind::Dispatched
                && event.mission_id == *mission_id
                && event.vp_id == *vp_id
                && delivery.subject.vp_id == *vp_id =>
        {
            Ok(event)
        }
        Ok(_) => {
            tracing::error!(%mission_id, %vp_id, seq, "an entry does not fit its subject and can never run: acked away");
            Err(Settle::Ack)
        }
        Err(error @ BadEvent::FutureSchema { .. }) => {
            tracing::error!(%mission_id, %vp_id, seq, error = %Chain(&error), "an entry is left to newer workers");
            Err(Settle::Nak(MUCH_LATER))
        }
        Err(error) => {
            tracing::error!(%mission_id, %vp_id, seq, error = %Chain(&error), "an entry can never run: acked away");
            Err(Settle::Ack)
        }
    }
}

/// A delivery that is being decided about.
struct Case<'a> {
    lane: &'a Lane,
    delivery: Delivery,
    /// `None`: this process holds the mission by another delivery.
    hold: Option<Hold>,
    mission: Option<Mission>,
    owner: Liveness,
}

impl Case<'_> {
    async fn decide(&mut self) -> Settle {
        let claimant =
            Claimant { worker: self.lane.shared.me.clone(), lease: self.delivery.lease().to_owned() };
        for delay in Delays::new(&BETWEEN).take(ROUNDS) {
            let mission = match self.mission.take() {
                Some(mission) => mission,
                None => match self.read().await {
                    Ok(mission) => mission,
                    Err(settle) => return settle,
                },
            };
            if let Some(attempt) = self.claimed_unheard(&mission, &claimant) {
                self.mission = Some(mission);
                return Settle::Run(attempt);
            }
            let command = Command::Deliver {
                seq: self.delivery.seq,
                claimant: &claimant,
                holding: self.hold.is_none(),
                owner: self.owner,
                policy: &self.lane.profile.retry,
            };
            let effects = decide(Some(&mission), command, clock::now());
            match self.carry_out(mission, effects).await {
                Settle::Again => {}
                settle => return settle,
            }
            if self.mission.is_none() {
                sleep(delay).await;
            }
        }
        tracing::warn!(
            mission_id = %self.delivery.subject.mission_id, vp_id = %self.lane.vp_id,
            "others kept writing to the mission; its entry comes again"
        );
        Settle::Nak(LATER)
    }

    /// The attempt that this very delivery has claimed by an append whose answer was lost.
    fn claimed_unheard(&self, mission: &Mission, claimant: &Claimant) -> Option<Attempt> {
        let owner = mission.owner.as_ref()?;
        let mine = owner.lease == claimant.lease && owner.worker.incarnation == claimant.worker.incarnation;
        let runs = matches!(mission.status, Status::Running | Status::Cancelling);
        (mine && runs && self.hold.is_some()).then_some(mission.attempt)
    }

    async fn read(&self) -> Result<Mission, Settle> {
        let (vp_id, mission_id) = (&self.lane.vp_id, &self.delivery.subject.mission_id);
        match self.lane.shared.log.read(vp_id, mission_id).await {
            Ok(Some(logged)) => Ok(logged.mission),
            Ok(None) => {
                tracing::warn!(%mission_id, %vp_id, seq = self.delivery.seq, "the log has no event of a delivered mission");
                Err(Settle::Nak(LATER))
            }
            Err(error) => {
                tracing::warn!(%mission_id, %vp_id, error = %Chain(&error), "an entry goes back undecided");
                Err(Settle::Nak(LATER))
            }
        }
    }

    async fn carry_out(&mut self, mut mission: Mission, effects: Vec<Effect>) -> Settle {
        for effect in effects {
            match effect {
                Effect::Append { attempt, expected, body } => {
                    if let EventBody::Started { .. } = body {
                        if self.hold.is_none() {
                            // Another delivery of it is being claimed by this very process.
                            return Settle::Nak(LATER);
                        }
                        if !self.lane.mode().is_open() {
                            // Closed since it was handed out: it waits in its queue.
                            return Settle::Nak(Duration::ZERO);
                        }
                    }
                    if let Err(settle) = self.append(&mut mission, attempt, expected, body).await {
                        return settle;
                    }
                }
                Effect::Run { attempt } => {
                    self.mission = Some(mission);
                    return Settle::Run(attempt);
                }
                Effect::Finalize { .. } => {
                    self.mission = Some(mission);
                    return Settle::Finalize;
                }
                Effect::Probe => {
                    self.owner = self.probe(&mission).await;
                    self.mission = Some(mission);
                    return Settle::Again;
                }
                Effect::Leave => return Settle::Leave,
                Effect::Ack => return Settle::Ack,
                Effect::Nak { delay } => return Settle::Nak(delay),
                Effect::Create | Effect::Stop(_) | Effect::Answer(_) => {
                    tracing::error!(mission_id = %mission.mission_id, ?effect, "a delivery was decided in a way that is not for workers");
                    return Settle::Leave;
                }
            }
        }
        Settle::Leave
    }

    async fn append(
        &mut self,
        mission: &mut Mission,
        attempt: Attempt,
        expected: u64,
        body: EventBody,
    ) -> Result<(), Settle> {
        let event = owner::event(self.lane, mission, attempt, body);
        match self.lane.shared.log.append(&event, expected).await {
            Ok(stored) => {
                mission.follow(&event, stored.seq);
                Ok(())
            }
            Err(AppendError::Conflict { .. }) => {
                self.owner = Liveness::Unknown;
                Err(Settle::Again)
            }
            Err(error @ AppendError::Unknown { .. }) => {
                tracing::warn!(
                    mission_id = %mission.mission_id, vp_id = %mission.vp_id, attempt, error = %Chain(&error), "looking whether it is stored"
                );
                Err(Settle::Again)
            }
            Err(error @ AppendError::Refused { .. }) => {
                tracing::error!(
                    mission_id = %mission.mission_id, vp_id = %mission.vp_id, attempt, error = %Chain(&error), "an entry goes back"
                );
                Err(Settle::Nak(MUCH_LATER))
            }
        }
    }

    async fn probe(&self, mission: &Mission) -> Liveness {
        let Some(owner) = &mission.owner else { return Liveness::Gone };
        let found = presence::prove_gone(
            &self.lane.shared.conn,
            &owner.worker,
            &mission.mission_id,
            self.lane.terms.self_kill_after,
        )
        .await;
        tracing::info!(
            mission_id = %mission.mission_id, vp_id = %mission.vp_id, attempt = mission.attempt,
            owner = %owner.worker.worker_id, ?found, "looked for the owner of a mission that came again"
        );
        found
    }
}

async fn settled(lane: &Lane, delivery: Delivery, settle: Settle) {
    let mission_id = delivery.subject.mission_id.clone();
    let done: Result<(), SettleError> = match settle {
        Settle::Ack => delivery.ack().await,
        Settle::Nak(delay) => delivery.nak(delay).await,
        Settle::Leave => {
            delivery.leave();
            Ok(())
        }
        Settle::Run(_) | Settle::Finalize | Settle::Again => {
            tracing::error!(%mission_id, vp_id = %lane.vp_id, "a decision could not be carried out; the entry comes again");
            delivery.leave();
            Ok(())
        }
    };
    if let Err(error) = done {
        tracing::warn!(%mission_id, vp_id = %lane.vp_id, error = %Chain(&error), "a delivery was not settled");
    }
}
