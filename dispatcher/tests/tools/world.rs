//! One server, its streams, a dispatcher, and a hand that writes what a worker would.

use serde_json::{Value, json};
use vp_dispatcher::{Caller, Dispatcher, DispatcherConfig};
use vp_nats::clock::{event_id, now};
use vp_nats::connect::Connection;
use vp_nats::harness::TestServer;
use vp_nats::mission_log::{LoggedMission, MissionLog};
use vp_nats::topology::{MISSIONS, TopologyConfig, ensure};
use vp_shared::api::{ErrorCode, ToolError, ToolName};
use vp_shared::artifact::MissionResult;
use vp_shared::event::{Actor, ActorKind, Event, EventBody, Outcome, OutcomeStatus, Usage, WorkerRef};
use vp_shared::ids::{MissionId, SessionId, VpId, WorkerId};
use vp_shared::lane::{LaneProfile, Lanes};

pub(crate) const CODER: &str = "vp.coder.primary";
pub(crate) const GENERAL: &str = "vp.general.primary";
pub(crate) const HOST: &str = "test-host";

pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) conn: Connection,
    pub(crate) dispatcher: Dispatcher,
}

pub(crate) fn lanes(change: impl Fn(&mut LaneProfile)) -> Lanes {
    [CODER, GENERAL]
        .into_iter()
        .map(|name| {
            let profile = json!({"display_name": name, "executor": {"kind": "noop"}});
            let mut profile: LaneProfile = serde_json::from_value(profile).unwrap();
            change(&mut profile);
            (VpId::new(name).unwrap(), profile)
        })
        .collect()
}

pub(crate) fn session(name: &str) -> Caller {
    Caller::session(SessionId::new(name).unwrap())
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl Fn(&mut LaneProfile)) -> Self {
        let server = TestServer::start().await;
        let conn = server.connect().await;
        let lanes = lanes(change);
        ensure(&conn, &TopologyConfig::default(), &lanes).await.unwrap();
        let dispatcher = Dispatcher::new(conn.clone(), DispatcherConfig::new(lanes, HOST));
        Self { server, conn, dispatcher }
    }

    pub(crate) async fn call_as(
        &self,
        caller: &Caller,
        tool: ToolName,
        input: &Value,
    ) -> Result<Value, ToolError> {
        let answer = self.dispatcher.call(tool, input.to_string().as_bytes(), caller).await;
        result(&answer)
    }

    pub(crate) async fn call(&self, tool: ToolName, input: Value) -> Result<Value, ToolError> {
        self.call_as(&session("s1"), tool, &input).await
    }

    /// Dispatches to the coder with these fields beside the objective.
    pub(crate) async fn dispatch(&self, more: Value) -> Result<Value, ToolError> {
        let mut input = json!({"vp_id": CODER, "objective": "do it"});
        for (field, value) in more.as_object().unwrap() {
            input[field] = value.clone();
        }
        self.call(ToolName::Dispatch, input).await
    }

    /// Dispatches and returns the mission's id.
    pub(crate) async fn mission(&self) -> MissionId {
        id(&self.dispatch(json!({})).await.unwrap())
    }

    pub(crate) async fn get(&self, mission: &MissionId) -> Value {
        self.call(ToolName::Get, json!({"mission_id": mission})).await.unwrap()
    }

    pub(crate) async fn read(&self, mission: &MissionId) -> LoggedMission {
        read(&self.conn, mission).await
    }

    /// The last sequence of the missions' stream.
    pub(crate) async fn last_seq(&self) -> u64 {
        let stream = self.conn.jetstream().get_stream(MISSIONS).await.unwrap();
        stream.get_info().await.unwrap().state.last_sequence
    }
}

pub(crate) fn result(answer: &[u8]) -> Result<Value, ToolError> {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    if answer["ok"].as_bool().unwrap() {
        return Ok(answer);
    }
    Err(serde_json::from_value(answer["error"].clone()).unwrap())
}

pub(crate) fn id(dispatched: &Value) -> MissionId {
    MissionId::new(dispatched["mission_id"].as_str().unwrap()).unwrap()
}

pub(crate) fn code(result: &Result<Value, ToolError>) -> ErrorCode {
    result.as_ref().expect_err("an error was expected").code
}

pub(crate) async fn read(conn: &Connection, mission: &MissionId) -> LoggedMission {
    let log = MissionLog::new(conn);
    let vp_id = log.lane_of(mission).await.unwrap().expect("the mission has events");
    log.read(&vp_id, mission).await.unwrap().expect("the mission has events")
}

/// Appends to the mission what its worker would.
pub(crate) async fn append(conn: &Connection, mission: &MissionId, body: EventBody) {
    let known = read(conn, mission).await.mission;
    let attempt = if matches!(body, EventBody::Started { .. }) { known.attempt + 1 } else { known.attempt };
    let event = Event {
        id: event_id(),
        mission_id: known.mission_id.clone(),
        vp_id: known.vp_id.clone(),
        attempt,
        time: now(),
        actor: Actor { kind: ActorKind::Worker, id: "w1".into() },
        source: known.source.clone(),
        body,
    };
    MissionLog::new(conn).append(&event, known.last_seq).await.unwrap();
}

pub(crate) fn started() -> EventBody {
    let worker = WorkerRef {
        worker_id: WorkerId::new("w1").unwrap(),
        incarnation: "life".into(),
        host: HOST.into(),
        version: "0".into(),
    };
    EventBody::Started { worker, lease: "$JS.ACK.x".into(), took_over: None }
}

pub(crate) fn outcome() -> EventBody {
    let usage = Usage::default();
    let outcome = Outcome { status: OutcomeStatus::Completed, failure: None, summary: "done".into(), usage };
    EventBody::OutcomeRecorded { outcome }
}

pub(crate) fn completed(result: MissionResult) -> EventBody {
    EventBody::Completed { summary: "done".into(), result, usage: Usage::default() }
}

/// Runs the mission to its end.
pub(crate) async fn complete(conn: &Connection, mission: &MissionId, result: MissionResult) {
    for body in [started(), outcome(), completed(result)] {
        append(conn, mission, body).await;
    }
}
