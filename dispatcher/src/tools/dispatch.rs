//! `vp_dispatch_mission`: check, then one compare-and-set. Nothing is written before it, nothing after it.

mod admission;

use tokio::time::{Instant, sleep};
use vp_nats::clock::{event_id, now};
use vp_nats::mission_log::{AppendError, LoggedMission};
use vp_shared::api::{DispatchMission, Dispatched, ErrorCode, ToolError};
use vp_shared::event::{Event, EventBody, Source};
use vp_shared::ids::{MissionId, SessionId, VpId};
use vp_shared::mission::{Command, Effect, Mission, MissionSpec, Reply, Status, decide};
use vp_shared::tier::Tier;
use vp_shared::time::UtcTime;

use super::{WRITE_PATIENCE, contention};
use crate::config::Caller;
use crate::dispatcher::Dispatcher;
use crate::failure::{busy, unwritten};
use crate::schedule::{Schedule, schedule};
use admission::session;

/// Which mission is asked for, and what tells a repeat from a conflict.
struct Asked {
    vp_id: VpId,
    mission_id: MissionId,
    content_sha256: String,
    tier: Tier,
    keyed: bool,
}

impl Asked {
    fn of(input: &DispatchMission) -> Self {
        let vp_id = input.vp_id.clone();
        let mission_id = match &input.idempotency_key {
            Some(key) => MissionId::of_key(&vp_id, key),
            None => MissionId::fresh(&vp_id, event_id().0),
        };
        let content_sha256 = input.content_sha256();
        Self {
            vp_id,
            mission_id,
            content_sha256,
            tier: input.priority.0,
            keyed: input.idempotency_key.is_some(),
        }
    }
}

/// A mission ready to be stored.
struct Prepared {
    event: Event,
    /// What its timer publishes, and when; `None` queues it at once.
    timer: Option<(UtcTime, Event)>,
}

impl Dispatcher {
    /// Delegates a mission on behalf of the caller's session.
    ///
    /// The same idempotency key with the same content is the same mission, however often and from wherever it is
    /// sent; limits that only concern new missions (times, backlog, live workers) do not refuse a repeat.
    ///
    /// # Errors
    /// `validation_error`, `forbidden` (no session), `unknown_lane`, `unsupported_schedule`, `lane_backlogged`,
    /// `lane_unavailable`, `idempotency_conflict`: nothing was stored. `broker_unavailable`: it may be stored; the
    /// error names the mission, and the same call again does not store it twice if it has an idempotency key.
    pub async fn dispatch(&self, input: DispatchMission, caller: &Caller) -> Result<Dispatched, ToolError> {
        input.check()?;
        let session_id = session(caller)?;
        let lane = self.lane(&input.vp_id)?;
        self.fits_into_a_message(&input)?;
        let asked = Asked::of(&input);
        let accepted = match schedule(input.not_before, input.deadline, now()) {
            Ok(times) => self.admit(&input, lane).await.map(|warning| (times, warning)),
            Err(refusal) => Err(refusal),
        };
        let (times, warning) = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) => return self.store(&asked, Err(refusal), caller).await,
        };
        let live_worker = input.require_live_worker;
        let prepared = prepare(input, &asked, times, &session_id, caller);
        let no_worker = async { if live_worker { None } else { self.worker_warning(&asked.vp_id).await } };
        let (stored, no_worker, paused) = tokio::join!(
            self.store(&asked, Ok(&prepared), caller),
            no_worker,
            self.mode_warning(&asked.vp_id)
        );
        let mut dispatched = stored?;
        if !dispatched.status.is_terminal() {
            dispatched.warnings.extend(warning.into_iter().chain(no_worker).chain(paused));
        }
        Ok(dispatched)
    }

    /// Stores it, or finds out what is there instead. Another writer may be in flight: after a refused write "absent"
    /// is no answer, so it tries again. A mission that is refused as a new one may still be one that is known.
    async fn store(
        &self,
        asked: &Asked,
        new: Result<&Prepared, ToolError>,
        caller: &Caller,
    ) -> Result<Dispatched, ToolError> {
        let started = Instant::now();
        for delay in contention() {
            match &new {
                Ok(prepared) => match self.append_new(prepared, asked.tier).await {
                    Ok(()) => return Ok(dispatched_new(&prepared.event)),
                    Err(AppendError::Conflict { .. }) => {}
                    Err(error) => return Err(unwritten(&error)),
                },
                Err(refusal) if !asked.keyed => return Err(refusal.clone()),
                Err(_) => {}
            }
            match (self.logged(&asked.vp_id, &asked.mission_id).await?, &new) {
                (Some(known), _) => {
                    if let Some(done) = self.settle(&known, asked, caller).await? {
                        return Ok(done);
                    }
                }
                (None, Err(refusal)) => return Err(refusal.clone()),
                (None, Ok(_)) => {}
            }
            if started.elapsed() + delay > WRITE_PATIENCE {
                break;
            }
            sleep(delay).await;
        }
        Err(busy(&asked.mission_id))
    }

    async fn append_new(&self, prepared: &Prepared, tier: Tier) -> Result<(), AppendError> {
        let event = &prepared.event;
        let stored = match &prepared.timer {
            None => self.log().append(event, 0).await?,
            Some((at, fired)) => self.log().append_scheduled(event, fired, *at, 0).await?,
        };
        tracing::debug!(
            mission_id = %event.mission_id, vp_id = %event.vp_id, seq = stored.seq, tier = tier.name(),
            event = event.kind().name(), "mission stored"
        );
        Ok(())
    }

    /// What a dispatch of an existing mission comes to. `None`: it changed meanwhile, look again.
    async fn settle(
        &self,
        known: &LoggedMission,
        asked: &Asked,
        caller: &Caller,
    ) -> Result<Option<Dispatched>, ToolError> {
        let mission = &known.mission;
        let command = Command::Dispatch { content_sha256: &asked.content_sha256, tier: asked.tier };
        for effect in decide(Some(mission), command, now()) {
            match effect {
                Effect::Append { attempt, expected, body } => {
                    let event = event_of(mission, attempt, body, caller);
                    match self.log().append(&event, expected).await {
                        Ok(stored) => {
                            let (mission_id, tier) = (&mission.mission_id, asked.tier.name());
                            tracing::info!(%mission_id, seq = stored.seq, tier, "mission moved to another queue");
                        }
                        Err(AppendError::Conflict { .. }) => return Ok(None),
                        Err(error) => return Err(unwritten(&error)),
                    }
                }
                Effect::Answer(Reply::Duplicate) => return Ok(Some(duplicate(mission, caller))),
                Effect::Answer(Reply::Conflict) => return Err(conflict(mission)),
                other => {
                    tracing::error!(mission_id = %mission.mission_id, ?other, "effect that no dispatch has");
                }
            }
        }
        Ok(None)
    }
}

fn prepare(
    input: DispatchMission,
    asked: &Asked,
    times: Schedule,
    session_id: &SessionId,
    caller: &Caller,
) -> Prepared {
    let spec = MissionSpec {
        objective: input.objective,
        mission_type: input.mission_type,
        constraints: input.constraints,
        budget: input.budget,
        inputs: input.inputs,
        idempotency_key: input.idempotency_key,
        not_before: input.not_before,
        deadline: times.deadline,
        max_attempts: input.max_attempts,
        content_sha256: asked.content_sha256.clone(),
    };
    let tier = asked.tier;
    let event = |time: UtcTime, body: EventBody| Event {
        id: event_id(),
        mission_id: asked.mission_id.clone(),
        vp_id: asked.vp_id.clone(),
        attempt: 0,
        time,
        actor: caller.as_actor(),
        source: Source {
            session_id: Some(session_id.clone()),
            turn_id: input.source_turn_id.clone(),
            reply_mode: input.reply_mode,
        },
        body,
    };
    match times.start_at {
        None => Prepared { event: event(now(), EventBody::Dispatched { mission: spec, tier }), timer: None },
        Some(at) => {
            let scheduled = event(now(), EventBody::Scheduled { mission: spec.clone(), tier });
            // What the timer fires was made now and happens then.
            let fired = event(at, EventBody::Dispatched { mission: spec, tier });
            Prepared { event: scheduled, timer: Some((at, fired)) }
        }
    }
}

/// An event of this dispatcher about an existing mission.
pub(super) fn event_of(mission: &Mission, attempt: u32, body: EventBody, caller: &Caller) -> Event {
    Event {
        id: event_id(),
        mission_id: mission.mission_id.clone(),
        vp_id: mission.vp_id.clone(),
        attempt,
        time: now(),
        actor: caller.as_actor(),
        source: mission.source.clone(),
        body,
    }
}

fn dispatched_new(event: &Event) -> Dispatched {
    let queued = matches!(event.body, EventBody::Dispatched { .. });
    Dispatched {
        mission_id: event.mission_id.clone(),
        status: if queued { Status::Queued } else { Status::Scheduled },
        vp_id: event.vp_id.clone(),
        queued_at: event.time,
        duplicate: false,
        warnings: Vec::new(),
    }
}

fn duplicate(mission: &Mission, caller: &Caller) -> Dispatched {
    let mut warnings = Vec::new();
    if mission.source.session_id != caller.session_id {
        warnings.push("it was delegated from another session, and that one is told how it ends".to_owned());
    }
    Dispatched {
        mission_id: mission.mission_id.clone(),
        status: mission.status,
        vp_id: mission.vp_id.clone(),
        queued_at: mission.created_at,
        duplicate: true,
        warnings,
    }
}

fn conflict(mission: &Mission) -> ToolError {
    let message = format!(
        "`idempotency_key`: it names mission {} ({}), which asks for something else",
        mission.mission_id, mission.status
    );
    ToolError::new(ErrorCode::IdempotencyConflict, message)
        .hint("choose another key for other content, or send exactly what was sent first")
        .about(&mission.mission_id)
}
