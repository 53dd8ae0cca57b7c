//! `vp_dispatch_mission`: check, then one compare-and-set. Nothing is written before it, nothing after it.

use tokio::time::{Instant, sleep};
use vp_nats::clock::{event_id, now};
use vp_nats::mission_log::{AppendError, LoggedMission};
use vp_shared::api::{DispatchMission, Dispatched, ErrorCode, ToolError};
use vp_shared::event::{Event, EventBody, Source};
use vp_shared::ids::{MissionId, SessionId};
use vp_shared::lane::LaneProfile;
use vp_shared::mission::{Command, Effect, InputSource, Mission, MissionSpec, Reply, Status, decide};
use vp_shared::tier::Tier;

use super::{WRITE_PATIENCE, contention};
use crate::config::Caller;
use crate::dispatcher::Dispatcher;
use crate::failure::{busy, unwritten};
use crate::lookups::{LaneQueues, LaneWorkers};
use crate::schedule::{Schedule, schedule};

/// What a caller is told to wait when a lane has too much to do.
const BACKLOG_RETRY_SECONDS: u64 = 30;
/// Room for the envelope and the headers of a `dispatched` event beside the mission itself.
const ENVELOPE_BYTES: usize = 8 * 1024;

/// A mission ready to be stored.
struct Prepared {
    event: Event,
    spec: MissionSpec,
    tier: Tier,
    /// When its timer fires; `None` queues it at once.
    timer: Option<vp_shared::time::UtcTime>,
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
        let lane = self.lane(&input)?;
        let mission_id = mission_id(&input);
        let tier = input.priority.0;
        let accepted = match schedule(input.not_before, input.deadline, now()) {
            Ok(times) => self.admit(&input, lane).await.map(|warning| (times, warning)),
            Err(refusal) => Err(refusal),
        };
        let (times, warning) = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) => return self.refuse_unless_known(&input, &mission_id, refusal, caller).await,
        };
        let warn_of_workers = !input.require_live_worker;
        let prepared = self.prepare(input, mission_id, tier, times, session_id, caller)?;
        let (stored, no_worker) = tokio::join!(self.store(&prepared, caller), async {
            if warn_of_workers { self.worker_warning(&prepared.event.vp_id).await } else { None }
        });
        let mut dispatched = stored?;
        if !dispatched.status.is_terminal() {
            dispatched.warnings.extend(warning.into_iter().chain(no_worker));
        }
        Ok(dispatched)
    }

    fn lane(&self, input: &DispatchMission) -> Result<&LaneProfile, ToolError> {
        let lanes = &self.config().lanes;
        lanes.get(&input.vp_id).ok_or_else(|| {
            let known: Vec<_> = lanes.keys().map(|vp_id| format!("`{vp_id}`")).collect();
            let hint = if known.is_empty() {
                "no lane is configured".into()
            } else {
                format!("known lanes: {}", known.join(", "))
            };
            ToolError::new(ErrorCode::UnknownLane, format!("`vp_id`: there is no lane `{}`", input.vp_id))
                .hint(hint)
        })
    }

    /// Whether the lane takes another mission now; a warning, if there is one.
    async fn admit(&self, input: &DispatchMission, lane: &LaneProfile) -> Result<Option<String>, ToolError> {
        if input.require_live_worker {
            self.require_worker(&input.vp_id).await?;
        }
        if lane.max_backlog == 0 {
            return Ok(None);
        }
        match self.lookups().queues(&input.vp_id).await {
            LaneQueues::Known(queues) => {
                let waiting: u64 = queues.values().map(|queue| queue.waiting).sum();
                if waiting >= lane.max_backlog {
                    Err(backlogged(input, waiting, lane.max_backlog))
                } else {
                    Ok(None)
                }
            }
            LaneQueues::Missing => Ok(Some(format!(
                "lane {} has no queue yet: run `vp up`, or `vp lanes --apply` with admin credentials",
                input.vp_id
            ))),
            LaneQueues::Unknown => {
                Ok(Some(format!("how many missions wait in {} could not be learned", input.vp_id)))
            }
        }
    }

    async fn require_worker(&self, vp_id: &vp_shared::ids::VpId) -> Result<(), ToolError> {
        let Some(all) = self.lookups().presence().await else {
            return Err(ToolError::new(
                ErrorCode::BrokerUnavailable,
                "could not learn which workers are alive",
            )
            .hint("call again, or without `require_live_worker`"));
        };
        if LaneWorkers::of(vp_id, &all).pulling > 0 {
            return Ok(());
        }
        Err(ToolError::new(ErrorCode::LaneUnavailable, format!("no live worker serves {vp_id}")).hint(
            "start one (`vp worker`), or dispatch without `require_live_worker`: the mission waits then",
        ))
    }

    async fn worker_warning(&self, vp_id: &vp_shared::ids::VpId) -> Option<String> {
        let all = self.lookups().presence().await?;
        let workers = LaneWorkers::of(vp_id, &all);
        (workers.pulling == 0)
            .then(|| format!("no live worker serves {vp_id}: the mission waits until one does"))
    }

    /// A repeat of a known mission is answered as such, even when a new one would be refused now.
    async fn refuse_unless_known(
        &self,
        input: &DispatchMission,
        mission_id: &MissionId,
        refusal: ToolError,
        caller: &Caller,
    ) -> Result<Dispatched, ToolError> {
        if input.idempotency_key.is_none() {
            return Err(refusal);
        }
        let Some(known) = self.logged(&input.vp_id, mission_id).await? else { return Err(refusal) };
        let content = input.content_sha256();
        let command = Command::Dispatch { content_sha256: &content, tier: input.priority.0 };
        let started = Instant::now();
        let mut known = known;
        for delay in contention() {
            if let Some(done) = self.settle(&known, command.clone(), caller).await? {
                return Ok(done);
            }
            if started.elapsed() + delay > WRITE_PATIENCE {
                break;
            }
            sleep(delay).await;
            match self.logged(&input.vp_id, mission_id).await? {
                Some(again) => known = again,
                None => break,
            }
        }
        Err(busy(mission_id))
    }

    fn prepare(
        &self,
        input: DispatchMission,
        mission_id: MissionId,
        tier: Tier,
        times: Schedule,
        session_id: SessionId,
        caller: &Caller,
    ) -> Result<Prepared, ToolError> {
        self.fits_into_a_message(&input)?;
        let content_sha256 = input.content_sha256();
        let source = Source {
            session_id: Some(session_id),
            turn_id: input.source_turn_id,
            reply_mode: input.reply_mode,
        };
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
            content_sha256,
        };
        let body = match times.start_at {
            Some(_) => EventBody::Scheduled { mission: spec.clone(), tier },
            None => EventBody::Dispatched { mission: spec.clone(), tier },
        };
        let event = Event {
            id: event_id(),
            mission_id,
            vp_id: input.vp_id,
            attempt: 0,
            time: now(),
            actor: caller.as_actor(),
            source,
            body,
        };
        Ok(Prepared { event, spec, tier, timer: times.start_at })
    }

    /// JSON may write one byte as six; what the server would refuse is refused here, by name.
    fn fits_into_a_message(&self, input: &DispatchMission) -> Result<(), ToolError> {
        let max = self.connection().client().server_info().max_payload;
        let written = |bytes: usize| bytes * 6 + ENVELOPE_BYTES;
        let inputs: usize = input
            .inputs
            .iter()
            .map(|input| match &input.source {
                InputSource::Text(content) | InputSource::Object(content) => input.path.len() + content.len(),
            })
            .sum();
        let constraints = if input.constraints.is_empty() { 0 } else { json_bytes(&input.constraints) };
        if written(inputs + input.objective.len()) + constraints <= max {
            return Ok(());
        }
        let inputs = json_bytes(&input.inputs);
        let total = inputs + json_bytes(&input.objective) + constraints + ENVELOPE_BYTES;
        if total <= max {
            return Ok(());
        }
        let field = if inputs > constraints { "inputs" } else { "constraints" };
        Err(ToolError::field(
            field,
            format_args!("as JSON the mission has {total} bytes, and nats-server takes at most {max}"),
        ))
    }

    /// Stores it, or finds out what is there instead. Another writer may be in flight: "absent" is not an answer
    /// to a refusal, so it tries again.
    async fn store(&self, prepared: &Prepared, caller: &Caller) -> Result<Dispatched, ToolError> {
        let event = &prepared.event;
        let command =
            Command::Dispatch { content_sha256: &prepared.spec.content_sha256, tier: prepared.tier };
        let started = Instant::now();
        for delay in contention() {
            match self.append_new(prepared).await {
                Ok(()) => return Ok(dispatched_new(prepared)),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(unwritten(&error)),
            }
            if let Some(known) = self.logged(&event.vp_id, &event.mission_id).await?
                && let Some(done) = self.settle(&known, command.clone(), caller).await?
            {
                return Ok(done);
            }
            if started.elapsed() + delay > WRITE_PATIENCE {
                break;
            }
            sleep(delay).await;
        }
        Err(busy(&event.mission_id))
    }

    async fn append_new(&self, prepared: &Prepared) -> Result<(), AppendError> {
        let event = &prepared.event;
        match prepared.timer {
            None => self.log().append(event, 0).await?,
            Some(at) => {
                let body = EventBody::Dispatched { mission: prepared.spec.clone(), tier: prepared.tier };
                let fired = Event { id: event_id(), time: at, body, ..event.clone() };
                self.log().append_scheduled(event, &fired, at, 0).await?
            }
        };
        tracing::info!(
            mission_id = %event.mission_id, vp_id = %event.vp_id, event = event.kind().name(),
            tier = prepared.tier.name(), "mission stored"
        );
        Ok(())
    }

    /// What a dispatch of an existing mission comes to. `None`: it changed meanwhile, look again.
    async fn settle(
        &self,
        known: &LoggedMission,
        command: Command<'_>,
        caller: &Caller,
    ) -> Result<Option<Dispatched>, ToolError> {
        let mission = &known.mission;
        for effect in decide(Some(mission), command, now()) {
            match effect {
                Effect::Append { attempt, expected, body } => {
                    let event = event_of(mission, attempt, body, caller);
                    match self.log().append(&event, expected).await {
                        Ok(_) => {
                            tracing::info!(mission_id = %mission.mission_id, "mission moved to another queue")
                        }
                        Err(AppendError::Conflict { .. }) => return Ok(None),
                        Err(error) => return Err(unwritten(&error)),
                    }
                }
                Effect::Answer(Reply::Duplicate) => return Ok(Some(duplicate(mission, caller))),
                Effect::Answer(Reply::Conflict) => return Err(conflict(mission)),
                other => {
                    tracing::error!(mission_id = %mission.mission_id, ?other, "effect that no dispatch has")
                }
            }
        }
        Ok(None)
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

fn session(caller: &Caller) -> Result<SessionId, ToolError> {
    caller.session_id.clone().ok_or_else(|| {
        ToolError::new(ErrorCode::Forbidden, "a mission needs a session that is told how it ends, and this call has none").hint(
            "the door says who asks: `--session` or VP_SESSION at the command line, the header `Vp-Session` on NATS",
        )
    })
}

fn mission_id(input: &DispatchMission) -> MissionId {
    match &input.idempotency_key {
        Some(key) => MissionId::of_key(&input.vp_id, key),
        None => MissionId::fresh(&input.vp_id, event_id().0),
    }
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX / 2, |json| json.len())
}

fn backlogged(input: &DispatchMission, waiting: u64, max: u64) -> ToolError {
    let message = format!("{waiting} missions wait in lane {}, and it takes at most {max}", input.vp_id);
    let mut error =
        ToolError::new(ErrorCode::LaneBacklogged, message).hint("call again later, or choose another lane");
    error.retry_after_seconds = Some(BACKLOG_RETRY_SECONDS);
    error
}

fn dispatched_new(prepared: &Prepared) -> Dispatched {
    let event = &prepared.event;
    Dispatched {
        mission_id: event.mission_id.clone(),
        status: if prepared.timer.is_some() { Status::Scheduled } else { Status::Queued },
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
