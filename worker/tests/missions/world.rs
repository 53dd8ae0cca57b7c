//! A nats-server, a lane, workers, and missions whose objective is the shell script that is run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::harness::TestServer;
use vp_nats::mission_log::{LoggedMission, MissionLog};
use vp_nats::topology::{self, TopologyConfig};
use vp_shared::event::{Actor, ActorKind, Event, EventBody, Source};
use vp_shared::ids::{MissionId, VpId, WorkerId};
use vp_shared::lane::{LaneProfile, Lanes};
use vp_shared::mission::{Budget, EventKind, Mission, MissionSpec, Status};
use vp_shared::tier::Tier;
use vp_worker::{KeeperCommand, Worker, WorkerConfig};

/// Long enough for a busy machine, short enough to notice.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) conn: Connection,
    pub(crate) log: MissionLog,
    pub(crate) vp_id: VpId,
    pub(crate) lanes: Lanes,
    dir: TempDir,
}

/// A lane whose program is the mission's objective.
pub(crate) fn shell_lane() -> LaneProfile {
    lane(
        &serde_json::json!({"kind": "command", "argv": ["/bin/sh", "-c", r#"exec /bin/sh "$VP_OBJECTIVE_FILE""#]}),
    )
}

/// A lane whose missions end at once.
pub(crate) fn noop_lane() -> LaneProfile {
    LaneProfile { requires_deliverable: false, ..lane(&serde_json::json!({"kind": "noop"})) }
}

fn lane(executor: &serde_json::Value) -> LaneProfile {
    let mut lane: LaneProfile = serde_json::from_value(serde_json::json!({
        "display_name": "CODIE", "executor": executor, "slots": 4,
    }))
    .unwrap();
    lane.limits.kill_grace_seconds = 1;
    lane
}

/// What a test asks for.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) spec: MissionSpec,
    pub(crate) tier: Tier,
}

/// Asks for a script to be run.
pub(crate) fn script(objective: impl Into<String>) -> Ask {
    Ask {
        spec: MissionSpec {
            objective: objective.into(),
            mission_type: "task".into(),
            constraints: serde_json::Map::default(),
            budget: Budget::default(),
            inputs: Vec::new(),
            idempotency_key: None,
            not_before: None,
            deadline: clock::now().plus(Duration::from_hours(1)),
            max_attempts: None,
            content_sha256: "c".into(),
        },
        tier: Tier::Normal,
    }
}

impl World {
    pub(crate) async fn new(lane: LaneProfile) -> Self {
        let server = TestServer::start().await;
        let conn = server.connect().await;
        let vp_id = VpId::new("vp.coder.primary").unwrap();
        let lanes: Lanes = [(vp_id.clone(), lane)].into();
        topology::ensure(&conn, &TopologyConfig::default(), &lanes).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        Self { server, log: MissionLog::new(&conn), conn, vp_id, lanes, dir }
    }

    /// A directory for a test's own files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self, worker_id: &str) -> WorkerConfig {
        let keeper =
            KeeperCommand { program: env!("CARGO_BIN_EXE_vp-worker-test-keeper").into(), args: vec![] };
        let mut config = WorkerConfig::new(
            WorkerId::new(worker_id).unwrap(),
            "testhost",
            self.dir.path().join("workspaces"),
            self.lanes.clone(),
            keeper,
        );
        config.drain_timeout = Duration::from_secs(20);
        config
    }

    /// A worker on a connection of its own.
    pub(crate) async fn worker(&self, worker_id: &str) -> Worker {
        self.start(self.config(worker_id)).await
    }

    pub(crate) async fn start(&self, config: WorkerConfig) -> Worker {
        Worker::start(self.server.connect().await, config).await.unwrap()
    }

    pub(crate) async fn dispatch(&self, ask: Ask) -> MissionId {
        let mission_id = MissionId::fresh(&self.vp_id, clock::event_id().0);
        let event = self.event(&mission_id, EventBody::Dispatched { mission: ask.spec, tier: ask.tier });
        self.log.append(&event, 0).await.unwrap();
        mission_id
    }

    /// Writes to a mission as a dispatcher does.
    pub(crate) async fn write(&self, mission_id: &MissionId, body: EventBody) {
        let last = self.mission(mission_id).await.last_seq;
        self.log.append(&self.event(mission_id, body), last).await.unwrap();
    }

    pub(crate) async fn cancel(&self, mission_id: &MissionId) {
        self.write(
            mission_id,
            EventBody::CancelRequested { reason: "changed my mind".into(), by: "test".into() },
        )
        .await;
    }

    pub(crate) fn event(&self, mission_id: &MissionId, body: EventBody) -> Event {
        Event {
            id: clock::event_id(),
            mission_id: mission_id.clone(),
            vp_id: self.vp_id.clone(),
            attempt: 0,
            time: clock::now(),
            actor: Actor { kind: ActorKind::Dispatcher, id: "test".into() },
            source: Source::default(),
            body,
        }
    }

    pub(crate) async fn logged(&self, mission_id: &MissionId) -> LoggedMission {
        let logged = self.log.read(&self.vp_id, mission_id).await.unwrap().unwrap();
        assert!(logged.anomalies.is_empty(), "{:?}", logged.anomalies);
        logged
    }

    pub(crate) async fn mission(&self, mission_id: &MissionId) -> Mission {
        self.logged(mission_id).await.mission
    }

    pub(crate) async fn kinds(&self, mission_id: &MissionId) -> Vec<EventKind> {
        self.logged(mission_id).await.events.iter().map(|(_, event)| event.kind()).collect()
    }

    /// The mission once it is so.
    pub(crate) async fn until(
        &self,
        mission_id: &MissionId,
        what: &str,
        so: impl Fn(&Mission) -> bool,
    ) -> Mission {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let logged = self.logged(mission_id).await;
            if so(&logged.mission) {
                return logged.mission;
            }
            let kinds: Vec<_> = logged.events.iter().map(|(_, event)| event.kind().name()).collect();
            assert!(Instant::now() < deadline, "waited too long until {what}: {kinds:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The mission once it has ended.
    pub(crate) async fn ended(&self, mission_id: &MissionId) -> Mission {
        self.until(mission_id, "it has ended", |mission| mission.status.is_terminal()).await
    }

    pub(crate) async fn running(&self, mission_id: &MissionId) -> Mission {
        self.until(mission_id, "it runs", |mission| mission.status == Status::Running).await
    }

    /// Returns when every queue entry is settled.
    pub(crate) async fn all_acked(&self) {
        until("all entries are acked", async || {
            let state = topology::lane_state(&self.conn, &self.vp_id).await.unwrap();
            state.values().all(|queue| queue.waiting == 0 && queue.in_hand == 0)
        })
        .await;
    }

    /// Where an attempt's files are.
    pub(crate) fn work(&self, mission_id: &MissionId, attempt: u32) -> PathBuf {
        let lane = self.dir.path().join("workspaces").join(self.vp_id.as_str());
        lane.join(mission_id.as_str()).join(format!("attempt-{attempt}")).join("work")
    }

    /// The number in a file, once it is there.
    pub(crate) async fn number_in(&self, path: &Path) -> i32 {
        until("the script has written its number", async || {
            std::fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n'))
        })
        .await;
        std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }
}

pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A zombie has ended too.
pub(crate) fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

pub(crate) async fn is_gone(pid: i32) {
    until("the process is gone", async || !lives(pid)).await;
}

/// Stops a worker in good order.
pub(crate) async fn drained(worker: Worker) {
    worker.drain();
    tokio::time::timeout(PATIENCE, worker.stopped()).await.expect("the worker stops");
}
