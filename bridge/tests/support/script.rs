//! Events of missions as a script writes them: fixed ids, a clock that moves a second at a time.

use serde_json::Map;
use uuid::Uuid;
use vp_shared::artifact::{Artifact, Category, MissionResult};
use vp_shared::event::{
    Actor, ActorKind, Event, EventBody, Outcome, OutcomeStatus, Source, Usage, WorkerRef,
};
use vp_shared::failure::{Failure, FailureClass};
use vp_shared::ids::{EventId, MissionId, SessionId, VpId, WorkerId};
use vp_shared::mission::{Budget, MissionSpec, ReplyMode};
use vp_shared::tier::Tier;
use vp_shared::time::UtcTime;

pub const CODER: &str = "vp.coder.primary";
pub const GENERAL: &str = "vp.general.primary";

/// Writes the events of one mission.
#[derive(Debug, Clone)]
pub struct Script {
    pub vp_id: VpId,
    pub mission_id: MissionId,
    pub source: Source,
    pub objective: String,
    attempt: u32,
    micros: i64,
    made: u128,
}

impl Script {
    pub fn new(vp_id: &str, key: &str) -> Self {
        let vp_id = VpId::new(vp_id).unwrap();
        let mission_id = MissionId::of_key(&vp_id, key);
        let source = Source {
            session_id: Some(SessionId::new("simone-1").unwrap()),
            turn_id: Some("turn-7".into()),
            reply_mode: ReplyMode::Async,
        };
        let objective = format!("Do {key}\nand do it well");
        Self { vp_id, mission_id, source, objective, attempt: 0, micros: 1_700_000_000_000_000, made: 0 }
    }

    pub fn at(mut self, micros: i64) -> Self {
        self.micros = micros;
        self
    }

    pub fn session(mut self, session_id: Option<&str>) -> Self {
        self.source.session_id = session_id.map(|id| SessionId::new(id).unwrap());
        self
    }

    pub fn reply(mut self, reply_mode: ReplyMode) -> Self {
        self.source.reply_mode = reply_mode;
        self
    }

    pub fn spec(&self) -> MissionSpec {
        let mut constraints = Map::new();
        constraints.insert("branch".into(), "main".into());
        MissionSpec {
            objective: self.objective.clone(),
            mission_type: "task".into(),
            constraints,
            budget: Budget { cost_usd: Some(0.1), ..Budget::default() },
            inputs: Vec::new(),
            idempotency_key: Some("k".into()),
            not_before: None,
            deadline: UtcTime::from_micros(self.micros + 86_400_000_000),
            max_attempts: None,
            content_sha256: "00".repeat(32),
        }
    }

    pub fn event(&mut self, body: EventBody) -> Event {
        self.micros += 1_000_000;
        self.made += 1;
        if matches!(body, EventBody::Started { .. }) {
            self.attempt += 1;
        }
        let mission = self
            .mission_id
            .as_str()
            .bytes()
            .fold(0_u128, |sum, byte| sum.wrapping_mul(31) + u128::from(byte));
        Event {
            id: EventId(Uuid::from_u128(mission << 32 | self.made)),
            mission_id: self.mission_id.clone(),
            vp_id: self.vp_id.clone(),
            attempt: self.attempt,
            time: UtcTime::from_micros(self.micros),
            actor: Actor { kind: ActorKind::Worker, id: "w-1".into() },
            source: self.source.clone(),
            body,
        }
    }

    pub fn dispatched(&mut self) -> Event {
        self.queued(Tier::Normal)
    }

    pub fn queued(&mut self, tier: Tier) -> Event {
        let mission = self.spec();
        self.event(EventBody::Dispatched { mission, tier })
    }

    pub fn scheduled(&mut self) -> Event {
        let mission =
            MissionSpec { not_before: Some(UtcTime::from_micros(self.micros + 60_000_000)), ..self.spec() };
        self.event(EventBody::Scheduled { mission, tier: Tier::High })
    }

    pub fn started(&mut self) -> Event {
        self.started_by(&worker("w-1", "life-1"), "lease")
    }

    pub fn started_by(&mut self, worker: &WorkerRef, lease: &str) -> Event {
        self.event(EventBody::Started { worker: worker.clone(), lease: lease.into(), took_over: None })
    }

    pub fn took_over(&mut self) -> Event {
        let took_over = Some(Failure::new(FailureClass::WorkerLost, "worker w-1 is gone"));
        self.event(EventBody::Started { worker: worker("w-2", "life-9"), lease: "lease-2".into(), took_over })
    }

    pub fn attempt_failed(&mut self) -> Event {
        let retry_at = UtcTime::from_micros(self.micros + 5_000_000);
        self.event(EventBody::AttemptFailed {
            failure: Failure::new(FailureClass::Timeout, "too slow"),
            retry_at,
        })
    }

    pub fn released(&mut self) -> Event {
        self.event(EventBody::Released { reason: "drain".into() })
    }

    pub fn cancel_requested(&mut self) -> Event {
        self.event(EventBody::CancelRequested { reason: "not needed".into(), by: "simone-1".into() })
    }

    pub fn outcome(&mut self) -> Event {
        let outcome = Outcome {
            status: OutcomeStatus::Completed,
            failure: None,
            summary: "all done".into(),
            usage: usage(),
        };
        self.event(EventBody::OutcomeRecorded { outcome })
    }

    pub fn completed(&mut self) -> Event {
        self.event(EventBody::Completed { summary: "all done".into(), result: result(), usage: usage() })
    }

    pub fn failed(&mut self, class: FailureClass) -> Event {
        let failure = Failure::new(class, "it did not work");
        self.event(EventBody::Failed { failure, result: MissionResult::default(), usage: usage() })
    }

    pub fn cancelled(&mut self) -> Event {
        self.event(EventBody::Cancelled {
            reason: "not needed".into(),
            result: MissionResult::default(),
            usage: Usage::default(),
        })
    }

    /// The four events of a mission that goes well.
    pub fn well(&mut self) -> Vec<Event> {
        vec![self.dispatched(), self.started(), self.outcome(), self.completed()]
    }
}

pub fn worker(worker_id: &str, incarnation: &str) -> WorkerRef {
    WorkerRef {
        worker_id: WorkerId::new(worker_id).unwrap(),
        incarnation: incarnation.into(),
        host: "host-1".into(),
        version: "0.1.0".into(),
    }
}

pub fn usage() -> Usage {
    Usage { wall_ms: 1_234, cost_usd: Some(0.123_456_789_012_345_68), tokens: Some(99) }
}

pub fn result() -> MissionResult {
    let artifact = |path: &str, category, bytes| Artifact {
        path: path.into(),
        category,
        bytes,
        media_type: "text/markdown".into(),
        sha256: "ab".repeat(32),
        stored: false,
    };
    MissionResult {
        result_ref: Some("workspace://host-1/missions/m/1".into()),
        worker_id: Some(WorkerId::new("w-1").unwrap()),
        artifacts: vec![
            artifact("report.md", Category::PrimaryWorkProduct, 1_000),
            artifact("run.log", Category::SupportingArtifact, 20),
        ],
        artifacts_total: 2,
        primary_total: 1,
        receipt: Some("mission_receipt.json".into()),
        sync_marker: Some("sync_ready.json".into()),
        partial: false,
    }
}
