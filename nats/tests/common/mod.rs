//! A server with the streams and one lane, and events to put into it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic; not every test uses all"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::delivery::{Delivery, LaneQueue, PullError, PullWait};
use vp_nats::harness::TestServer;
use vp_nats::mission_log::MissionLog;
use vp_nats::topology::{self, TopologyConfig};
use vp_shared::artifact::MissionResult;
use vp_shared::event::{
    Actor, ActorKind, Event, EventBody, Outcome, OutcomeStatus, Source, Usage, WorkerRef,
};
use vp_shared::ids::{Attempt, MissionId, VpId, WorkerId};
use vp_shared::lane::{LaneProfile, Lanes};
use vp_shared::mission::{Budget, MissionSpec};
use vp_shared::tier::Tier;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn lane_id() -> VpId {
    VpId::new("vp.coder.primary").unwrap()
}

pub(crate) fn profile(ack_wait_seconds: u64) -> LaneProfile {
    serde_json::from_value(serde_json::json!({
        "display_name": "CODIE", "executor": { "kind": "noop" }, "ack_wait_seconds": ack_wait_seconds,
    }))
    .unwrap()
}

pub(crate) fn lanes(ack_wait_seconds: u64) -> Lanes {
    BTreeMap::from([(lane_id(), profile(ack_wait_seconds))])
}

/// A server with everything that `ensure` makes.
pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) conn: Connection,
    pub(crate) log: MissionLog,
    pub(crate) lane: VpId,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_ack_wait(30).await
    }

    pub(crate) async fn with_ack_wait(seconds: u64) -> Self {
        let server = TestServer::start().await;
        let conn = server.connect().await;
        topology::ensure(&conn, &TopologyConfig::default(), &lanes(seconds)).await.unwrap();
        let log = MissionLog::new(&conn);
        Self { server, conn, log, lane: lane_id() }
    }

    pub(crate) fn mission(&self, key: &str) -> MissionId {
        MissionId::of_key(&self.lane, key)
    }

    pub(crate) fn queue(&self) -> LaneQueue {
        LaneQueue::new(&self.conn, &self.lane, Tier::Normal)
    }

    /// Dispatches the mission of this key; gives its sequence.
    pub(crate) async fn dispatch(&self, key: &str) -> u64 {
        self.log.append(&event(key, 0, dispatched()), 0).await.unwrap().seq
    }
}

pub(crate) fn spec() -> MissionSpec {
    MissionSpec {
        objective: "write it down".into(),
        mission_type: "task".into(),
        constraints: serde_json::Map::new(),
        budget: Budget::default(),
        inputs: vec![],
        idempotency_key: None,
        not_before: None,
        deadline: clock::now().plus(Duration::from_hours(24)),
        max_attempts: None,
        content_sha256: "digest".into(),
    }
}

pub(crate) fn event(key: &str, attempt: Attempt, body: EventBody) -> Event {
    Event {
        id: clock::event_id(),
        mission_id: MissionId::of_key(&lane_id(), key),
        vp_id: lane_id(),
        attempt,
        time: clock::now(),
        actor: Actor { kind: ActorKind::Worker, id: "w".into() },
        source: Source::default(),
        body,
    }
}

pub(crate) fn dispatched() -> EventBody {
    EventBody::Dispatched { mission: spec(), tier: Tier::Normal }
}

pub(crate) fn scheduled() -> EventBody {
    EventBody::Scheduled { mission: spec(), tier: Tier::Normal }
}

pub(crate) fn worker(name: &str, incarnation: &str) -> WorkerRef {
    WorkerRef {
        worker_id: WorkerId::new(name).unwrap(),
        incarnation: incarnation.into(),
        host: "host".into(),
        version: "0".into(),
    }
}

pub(crate) fn started(name: &str, lease: &str) -> EventBody {
    EventBody::Started { worker: worker(name, "1"), lease: lease.into(), took_over: None }
}

pub(crate) fn outcome() -> EventBody {
    let outcome = Outcome {
        status: OutcomeStatus::Completed,
        failure: None,
        summary: "done".into(),
        usage: Usage::default(),
    };
    EventBody::OutcomeRecorded { outcome }
}

pub(crate) fn completed() -> EventBody {
    EventBody::Completed { summary: "done".into(), result: MissionResult::default(), usage: Usage::default() }
}

pub(crate) fn cancelled() -> EventBody {
    EventBody::Cancelled {
        reason: "enough".into(),
        result: MissionResult::default(),
        usage: Usage::default(),
    }
}

/// Pulls until an entry comes, through interruptions.
pub(crate) async fn pull_one(queue: &LaneQueue) -> Delivery {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no entry within {PATIENCE:?}");
        match queue.pull(1, PullWait::Expires(Duration::from_secs(2))).next().await {
            Some(Ok(delivery)) => return delivery,
            None => {}
            Some(Err(PullError::Interrupted { .. })) => sleep(Duration::from_millis(20)).await,
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

/// True when nothing comes within `wait`.
pub(crate) async fn stays_empty(queue: &LaneQueue, wait: Duration) -> bool {
    queue.pull(1, PullWait::Expires(wait)).next().await.is_none()
}

/// Polls until `look` finds something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
