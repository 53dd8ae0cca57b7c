//! The lifecycle events: immutable facts about a mission, one envelope for all.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::artifact::MissionResult;
use crate::failure::Failure;
use crate::ids::{Attempt, EventId, MissionId, SessionId, VpId, WorkerId};
use crate::mission::{EventKind, MissionSpec, ReplyMode};
use crate::tier::Tier;
use crate::time::UtcTime;

/// The schema version this build writes. It reads this one and older ones.
pub const SCHEMA: u32 = 1;

/// One immutable fact about a mission.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// This event's id, by which a repeat is recognised.
    pub id: EventId,
    /// The mission it is about.
    pub mission_id: MissionId,
    /// The mission's lane.
    pub vp_id: VpId,
    /// The attempt it belongs to; 0 before the first.
    pub attempt: Attempt,
    /// When it was made, by the clock of its maker.
    pub time: UtcTime,
    /// Who made it.
    pub actor: Actor,
    /// Who asked for the mission, and which notices they want.
    pub source: Source,
    /// What happened.
    pub body: EventBody,
}

/// Who made an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// The kind of process.
    pub kind: ActorKind,
    /// Which one: a worker's id, a session's id, a host's name.
    pub id: String,
}

/// The kinds of process that make events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// Publishes dispatches and cancels.
    Dispatcher,
    /// Runs attempts.
    Worker,
    /// Repairs what got stuck.
    Bridge,
}

/// Who asked, and where the answer goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The session that is told. Set by the door, never by a model's arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The turn in which it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// Which notices it wants.
    #[serde(default)]
    pub reply_mode: ReplyMode,
}

/// A worker process, as `started` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerRef {
    /// Its id, the same after a restart.
    pub worker_id: WorkerId,
    /// This life of it, another after each restart.
    pub incarnation: String,
    /// The host it runs on.
    pub host: String,
    /// Its version.
    pub version: String,
}

/// How an executor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// It says it did what was asked.
    Completed,
    /// It failed, or was stopped at a limit.
    Failed,
    /// It was stopped on request.
    Cancelled,
}

/// What is known when an executor has ended for good. It is never run again after this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// How it ended.
    pub status: OutcomeStatus,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it says it did; at most 4 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

impl Outcome {
    /// The longest summary, in bytes.
    pub const MAX_SUMMARY_BYTES: usize = 4096;
}

/// What an attempt used, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Milliseconds from the executor's start to its end.
    #[serde(default)]
    pub wall_ms: u64,
    /// US dollars, as the executor reported them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Tokens, as the executor reported them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EventBody {
    /// To be queued at `not_before`.
    Scheduled {
        /// The whole mission.
        mission: MissionSpec,
        /// The queue it will wait in.
        tier: Tier,
    },
    /// Queued.
    Dispatched {
        /// The whole mission.
        mission: MissionSpec,
        /// The queue it waits in.
        tier: Tier,
    },
    /// A worker has claimed it.
    Started {
        /// Who.
        worker: WorkerRef,
        /// The exact ack subject of the delivery: who knows it can hand the delivery back once death is proven.
        lease: String,
        /// Why the attempt before is over, when its worker was proven gone.
        #[serde(skip_serializing_if = "Option::is_none")]
        took_over: Option<Failure>,
    },
    /// The attempt failed and another one follows.
    AttemptFailed {
        /// Why.
        failure: Failure,
        /// When the next attempt is due.
        retry_at: UtcTime,
    },
    /// Given back unharmed; the attempt does not count.
    Released {
        /// Why, such as `drain`.
        reason: String,
    },
    /// Asked to stop.
    CancelRequested {
        /// Why.
        reason: String,
        /// Who asked.
        by: String,
    },
    /// The executor has ended; what is left is finalising.
    OutcomeRecorded {
        /// How it ended.
        outcome: Outcome,
    },
    /// Done.
    Completed {
        /// What the executor says it did.
        summary: String,
        /// What it left behind.
        result: MissionResult,
        /// What it used.
        usage: Usage,
    },
    /// Failed for good.
    Failed {
        /// Why.
        failure: Failure,
        /// What it left behind.
        result: MissionResult,
        /// What it used.
        usage: Usage,
    },
    /// Ended on request.
    Cancelled {
        /// Why.
        reason: String,
        /// What it left behind.
        result: MissionResult,
        /// What it used.
        usage: Usage,
    },
}

impl EventBody {
    /// Which kind of event this is.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Scheduled { .. } => EventKind::Scheduled,
            Self::Dispatched { .. } => EventKind::Dispatched,
            Self::Started { .. } => EventKind::Started,
            Self::AttemptFailed { .. } => EventKind::AttemptFailed,
            Self::Released { .. } => EventKind::Released,
            Self::CancelRequested { .. } => EventKind::CancelRequested,
            Self::OutcomeRecorded { .. } => EventKind::OutcomeRecorded,
            Self::Completed { .. } => EventKind::Completed,
            Self::Failed { .. } => EventKind::Failed,
            Self::Cancelled { .. } => EventKind::Cancelled,
        }
    }
}

/// Why bytes are not an event that this build knows.
#[derive(Debug, thiserror::Error)]
pub enum BadEvent {
    /// Not an envelope.
    #[error("the message is not an event envelope")]
    Envelope(#[source] serde_json::Error),
    /// Written by a newer build.
    #[error("the event has schema version {found}, and this build knows versions up to {SCHEMA}: upgrade it")]
    FutureSchema {
        /// The version it has.
        found: u32,
    },
    /// A type that does not exist in this schema version.
    #[error("the event has the unknown type `{0}`")]
    UnknownType(String),
    /// A body that does not fit its type.
    #[error("the body of the `{kind}` event does not fit its type")]
    Body {
        /// The event's kind.
        kind: EventKind,
        /// What did not fit.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize)]
struct Written<'a> {
    schema: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    id: EventId,
    mission_id: &'a MissionId,
    vp_id: &'a VpId,
    attempt: Attempt,
    time: UtcTime,
    actor: &'a Actor,
    source: &'a Source,
    body: &'a EventBody,
}

#[derive(Deserialize)]
struct Read<'a> {
    schema: u32,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    id: EventId,
    mission_id: MissionId,
    vp_id: VpId,
    attempt: Attempt,
    time: UtcTime,
    actor: Actor,
    #[serde(default)]
    source: Source,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The schema version alone, readable in every future envelope.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

impl Event {
    /// Which kind of event this is.
    pub const fn kind(&self) -> EventKind {
        self.body.kind()
    }

    /// The event as JSON.
    ///
    /// # Panics
    /// Never: every field has a JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        let written = Written {
            schema: SCHEMA,
            kind: self.kind().type_name(),
            id: self.id,
            mission_id: &self.mission_id,
            vp_id: &self.vp_id,
            attempt: self.attempt,
            time: self.time,
            actor: &self.actor,
            source: &self.source,
            body: &self.body,
        };
        let mut bytes = Vec::with_capacity(512);
        // Maps have text keys and numbers are finite, so writing to memory cannot fail.
        if let Err(error) = serde_json::to_writer(&mut bytes, &written) {
            unreachable!("an event has no JSON form: {error}");
        }
        bytes
    }

    /// Reads an event.
    ///
    /// # Errors
    /// [`BadEvent`]: not an envelope, a newer schema, an unknown type, a body that does not fit. Each is an
    /// anomaly to record and step over, never a reason to stop.
    pub fn from_json(bytes: &[u8]) -> Result<Self, BadEvent> {
        let read: Read<'_> = match serde_json::from_slice(bytes) {
            Ok(read) => read,
            Err(error) => {
                return Err(match serde_json::from_slice::<Version>(bytes) {
                    Ok(version) if version.schema > SCHEMA => {
                        BadEvent::FutureSchema { found: version.schema }
                    }
                    _ => BadEvent::Envelope(error),
                });
            }
        };
        if read.schema > SCHEMA {
            return Err(BadEvent::FutureSchema { found: read.schema });
        }
        let kind = read
            .kind
            .strip_prefix("vp.mission.")
            .and_then(EventKind::from_name)
            .ok_or_else(|| BadEvent::UnknownType(crate::text::cut(read.kind.clone().into_owned(), 80)))?;
        let body = read_body(kind, read.body.get()).map_err(|source| BadEvent::Body { kind, source })?;
        Ok(Self {
            id: read.id,
            mission_id: read.mission_id,
            vp_id: read.vp_id,
            attempt: read.attempt,
            time: read.time,
            actor: read.actor,
            source: read.source,
            body,
        })
    }
}

fn read_body(kind: EventKind, json: &str) -> Result<EventBody, serde_json::Error> {
    /// One struct per kind, and the variant it becomes.
    macro_rules! body {
        ($variant:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* }) => {{
            #[derive(Deserialize)]
            struct Body { $($(#[$attr])* $field: $type),* }
            let Body { $($field),* } = serde_json::from_str(json)?;
            EventBody::$variant { $($field),* }
        }};
    }
    Ok(match kind {
        EventKind::Scheduled => body!(Scheduled { mission: MissionSpec, tier: Tier }),
        EventKind::Dispatched => body!(Dispatched { mission: MissionSpec, tier: Tier }),
        EventKind::Started => {
            body!(Started { worker: WorkerRef, lease: String, #[serde(default)] took_over: Option<Failure> })
        }
        EventKind::AttemptFailed => body!(AttemptFailed { failure: Failure, retry_at: UtcTime }),
        EventKind::Released => body!(Released { reason: String }),
        EventKind::CancelRequested => body!(CancelRequested { reason: String, by: String }),
        EventKind::OutcomeRecorded => body!(OutcomeRecorded { outcome: Outcome }),
        EventKind::Completed => body!(Completed { summary: String, result: MissionResult, usage: Usage }),
        EventKind::Failed => body!(Failed { failure: Failure, result: MissionResult, usage: Usage }),
        EventKind::Cancelled => body!(Cancelled { reason: String, result: MissionResult, usage: Usage }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureClass;
    use serde_json::{Value, json};

    fn spec() -> Value {
        json!({
            "objective": "o", "mission_type": "task", "deadline": "2026-11-29T09:00:00.000000Z",
            "content_sha256": "d", "inputs": [{"path": "a.txt", "text": "x"}], "budget": {"wall_seconds": 5},
        })
    }

    fn envelope(kind: &str, body: &Value) -> Value {
        json!({
            "schema": 1, "type": format!("vp.mission.{kind}"), "id": "0193a1b2-0000-7000-8000-000000000000",
            "mission_id": "m-aaaaaaaaaaaaaaaaaaaaaaaaaa", "vp_id": "vp.coder.primary", "attempt": 1,
            "time": "2026-11-22T09:00:00.000001Z", "actor": {"kind": "worker", "id": "w"},
            "source": {"session_id": "demo", "reply_mode": "final"}, "body": body,
        })
    }

    fn bodies() -> Vec<(&'static str, Value)> {
        let result = json!({"artifacts_total": 1, "primary_total": 0});
        let usage = json!({"wall_ms": 7, "cost_usd": 0.25});
        let failure = json!({"class": "timeout", "message": "too long"});
        let worker = json!({"worker_id": "w", "incarnation": "i", "host": "h", "version": "v"});
        vec![
            ("scheduled", json!({"mission": spec(), "tier": "low"})),
            ("dispatched", json!({"mission": spec(), "tier": "urgent"})),
            ("started", json!({"worker": worker, "lease": "$JS.ACK.x", "took_over": failure})),
            ("attempt_failed", json!({"failure": failure, "retry_at": "2026-11-22T09:00:09.000000Z"})),
            ("released", json!({"reason": "drain"})),
            ("cancel_requested", json!({"reason": "r", "by": "s"})),
            (
                "outcome_recorded",
                json!({"outcome": {"status": "failed", "failure": failure, "usage": usage}}),
            ),
            ("completed", json!({"summary": "s", "result": result, "usage": usage})),
            ("failed", json!({"failure": failure, "result": result, "usage": usage})),
            ("cancelled", json!({"reason": "r", "result": result, "usage": usage})),
        ]
    }

    #[test]
    fn every_kind_of_event_is_read_and_written_the_same() {
        let all = bodies();
        assert_eq!(all.len(), EventKind::ALL.len());
        for (kind, body) in all {
            let json = envelope(kind, &body);
            let event = Event::from_json(json.to_string().as_bytes())
                .unwrap_or_else(|error| panic!("{kind}: {error:?}"));
            assert_eq!(event.kind().name(), kind);
            let written: Value = serde_json::from_slice(&event.to_json()).unwrap();
            assert_eq!(written, json, "{kind}");
        }
    }

    #[test]
    fn what_is_no_event_is_told_apart() {
        let read = |json: &Value| Event::from_json(json.to_string().as_bytes()).unwrap_err();
        let good = envelope("released", &json!({"reason": "r"}));
        assert!(matches!(Event::from_json(b"").unwrap_err(), BadEvent::Envelope(_)));
        assert!(matches!(Event::from_json(b"{}").unwrap_err(), BadEvent::Envelope(_)));
        let mut future = good.clone();
        future["schema"] = json!(2);
        assert!(matches!(read(&future), BadEvent::FutureSchema { found: 2 }));
        // A future envelope may look quite different.
        assert!(matches!(read(&json!({"schema": 9, "what": []})), BadEvent::FutureSchema { found: 9 }));
        assert!(
            matches!(read(&envelope("exploded", &json!({}))), BadEvent::UnknownType(name) if name == "vp.mission.exploded")
        );
        assert!(matches!(
            read(&envelope("released", &json!({}))),
            BadEvent::Body { kind: EventKind::Released, .. }
        ));
        let mut lane = good.clone();
        lane["vp_id"] = json!("vp.*.primary");
        assert!(matches!(read(&lane), BadEvent::Envelope(_)));
    }

    #[test]
    fn an_unknown_field_of_a_later_build_is_stepped_over() {
        let mut json = envelope("released", &json!({"reason": "r", "mood": "calm"}));
        json["weather"] = json!("fine");
        assert!(Event::from_json(json.to_string().as_bytes()).is_ok());
    }

    #[test]
    fn a_failure_message_is_bounded() {
        let failure = Failure::new(FailureClass::ExecutorError, "x".repeat(100_000));
        assert!(failure.message.len() <= Failure::MAX_MESSAGE_BYTES);
    }
}
