//! The whole system in one process: a real server, the bridge, the dispatcher, workers, each with a connection of
//! its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use vp_bridge::harness::{LedgerKind, LedgerPlace};
use vp_bridge::{Bridge, BridgeConfig, ReconcileTimes};
use vp_dispatcher::{Caller, Dispatcher, DispatcherConfig};
use vp_nats::connect::{ConnectConfig, Connection, connect};
use vp_nats::harness::TestServer;
use vp_nats::mission_log::{LoggedMission, MissionLog};
use vp_nats::notices::NoticeReader;
use vp_nats::topology::{MISSIONS, TopologyConfig, ensure};
use vp_shared::api::{LedgerStatus, MissionDetails, MissionView, ToolError, ToolName};
use vp_shared::error::Chain;
use vp_shared::ids::{MissionId, SessionId, WorkerId};
use vp_shared::lane::{LaneProfile, Lanes};
use vp_shared::mission::{EventKind, Status};
use vp_shared::notice::Notice;
use vp_worker::{KeeperCommand, Worker, WorkerConfig};

use crate::lanes::lane_id;
use crate::until::{PATIENCE, until, until_true};

/// The session that delegates when a test says nothing else.
pub const SESSION: &str = "simone-1";
/// This host, as workers and dispatcher of a world call it.
pub const HOST: &str = "test-host";

/// A world to be.
#[derive(Debug, Default)]
pub struct Builder {
    lanes: Lanes,
    workers: usize,
    without_bridge: bool,
    recover_after: Option<Duration>,
    reconcile: ReconcileTimes,
    on_postgres: bool,
}

impl Builder {
    /// With this lane, served by every worker.
    pub fn lane(mut self, name: &str, profile: LaneProfile) -> Self {
        self.lanes.insert(lane_id(name), profile);
        self
    }

    /// With so many workers, `w1`, `w2` and so on.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// With a ledger of this kind; a file unless something else is said.
    pub fn ledger(mut self, kind: LedgerKind) -> Self {
        self.on_postgres = kind == LedgerKind::Postgres;
        self
    }

    /// Without a bridge until one is started.
    pub fn without_bridge(mut self) -> Self {
        self.without_bridge = true;
        self
    }

    /// With a bridge that takes a worker for dead when it is gone for so long. By default a second: workers in this
    /// process cannot die, only be dropped, and no keeper speaks for them.
    pub fn recover_after(mut self, after: Duration) -> Self {
        self.recover_after = Some(after);
        self
    }

    /// With a reconciler that takes its time like this.
    pub fn reconcile(mut self, times: ReconcileTimes) -> Self {
        self.reconcile = times;
        self
    }

    /// Starts it.
    pub async fn start(self) -> World {
        crate::log_if_wanted();
        let server = TestServer::start().await;
        let dir = tempfile::Builder::new().prefix("vp-world-").tempdir().unwrap();
        let kind = if self.on_postgres { LedgerKind::Postgres } else { LedgerKind::Sqlite };
        let ledger = LedgerPlace::new(kind, &dir.path().join("ledger.sqlite")).await;
        let conn = server.connect().await;
        ensure(&conn, &TopologyConfig::default(), &self.lanes).await.unwrap();
        let dispatcher = Dispatcher::new(conn.clone(), DispatcherConfig::new(self.lanes.clone(), HOST));
        let recover_after = self.recover_after.unwrap_or(Duration::from_secs(1));
        let mut world = World {
            workers: Vec::new(),
            bridge: None,
            recover_after,
            dispatcher,
            conn,
            lanes: self.lanes,
            reconcile: self.reconcile,
            server,
            ledger,
            dir,
        };
        if !self.without_bridge {
            world.start_bridge().await;
        }
        for n in 1..=self.workers {
            world.start_worker(&format!("w{n}")).await;
        }
        world
    }
}

/// A running world. Its parts end before its server, and that before its directory.
#[derive(Debug)]
pub struct World {
    workers: Vec<(String, Worker)>,
    bridge: Option<Bridge>,
    recover_after: Duration,
    dispatcher: Dispatcher,
    conn: Connection,
    lanes: Lanes,
    reconcile: ReconcileTimes,
    /// The server, to be killed, stopped, frozen and restarted.
    pub server: TestServer,
    /// Where the ledger is; its server too can be killed and started again.
    pub ledger: LedgerPlace,
    dir: TempDir,
}

/// Its parts.
impl World {
    /// One without lanes and workers yet.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A connection of the test's own.
    pub fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The dispatcher.
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// The lanes.
    pub fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// The directory that is removed at the end.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The ledger's file, or its server's URL.
    pub fn ledger(&self) -> &str {
        &self.ledger.location
    }

    /// Starts the bridge on the world's ledger. While one that was killed a moment ago still has it, it stands by:
    /// unlike a process, its tasks end one by one.
    pub async fn start_bridge(&mut self) {
        let mut config = BridgeConfig::new(self.ledger(), self.lanes.clone());
        config.recover_after = self.recover_after;
        config.reconcile = self.reconcile;
        let started = Bridge::start(self.server.connect().await, config).await;
        self.bridge =
            Some(started.unwrap_or_else(|error| panic!("the bridge does not start: {}", Chain(&error))));
    }

    /// Stops the bridge in good order.
    pub async fn stop_bridge(&mut self) {
        self.bridge.take().expect("no bridge runs").stop().await;
    }

    /// Ends the bridge as a crash would.
    pub fn kill_bridge(&mut self) {
        drop(self.bridge.take().expect("no bridge runs"));
    }

    /// The bridge, while it runs.
    pub fn bridge(&self) -> Option<&Bridge> {
        self.bridge.as_ref()
    }

    /// What a worker of this world is told.
    pub fn worker_config(&self, worker_id: &str) -> WorkerConfig {
        let root = self.dir.path().join("workspaces");
        WorkerConfig::new(WorkerId::new(worker_id).unwrap(), HOST, root, self.lanes.clone(), keeper_command())
    }

    /// Starts a worker that serves all lanes.
    pub async fn start_worker(&mut self, worker_id: &str) {
        self.start_worker_over(worker_id, &self.server.connect_config()).await;
    }

    /// Starts a worker that serves all lanes over this link.
    pub async fn start_worker_over(&mut self, worker_id: &str, link: &ConnectConfig) {
        let conn = connect(link).await.unwrap();
        let worker = Worker::start(conn, self.worker_config(worker_id)).await.unwrap();
        self.workers.push((worker_id.to_owned(), worker));
    }

    /// A worker of this world.
    pub fn worker(&self, worker_id: &str) -> &Worker {
        &self.workers.iter().find(|(id, _)| id == worker_id).expect("no such worker runs").1
    }

    /// Drains a worker and waits until it has stopped.
    pub async fn stop_worker(&mut self, worker_id: &str) {
        let worker = self.take_worker(worker_id);
        worker.drain();
        tokio::time::timeout(PATIENCE, worker.stopped()).await.expect("the worker drains");
    }

    /// Ends a worker as a crash would: nothing is given back, its keepers kill the executors.
    pub fn kill_worker(&mut self, worker_id: &str) {
        drop(self.take_worker(worker_id));
    }

    fn take_worker(&mut self, worker_id: &str) -> Worker {
        let place = self.workers.iter().position(|(id, _)| id == worker_id).expect("no such worker runs");
        self.workers.remove(place).1
    }
}

/// What callers do.
impl World {
    /// Calls a tool on behalf of this session.
    ///
    /// # Errors
    /// The tool's error.
    pub async fn call_as(&self, session: &str, tool: ToolName, input: &Value) -> Result<Value, ToolError> {
        let caller = Caller::session(SessionId::new(session).unwrap());
        let answer = self.dispatcher.call(tool, input.to_string().as_bytes(), &caller).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        if answer["ok"].as_bool().unwrap() {
            return Ok(answer);
        }
        Err(serde_json::from_value(answer["error"].clone()).unwrap())
    }

    /// Calls a tool on behalf of [`SESSION`].
    ///
    /// # Errors
    /// The tool's error.
    pub async fn call(&self, tool: ToolName, input: Value) -> Result<Value, ToolError> {
        self.call_as(SESSION, tool, &input).await
    }

    /// Dispatches a mission to a lane, with these fields beside; panics when it is refused.
    pub async fn dispatch(&self, lane: &str, more: Value) -> MissionId {
        self.dispatch_as(SESSION, lane, more).await
    }

    /// Dispatches on behalf of this session.
    pub async fn dispatch_as(&self, session: &str, lane: &str, more: Value) -> MissionId {
        let mut input = json!({"vp_id": lane, "objective": "Do the work"});
        for (field, value) in more.as_object().unwrap() {
            input[field] = value.clone();
        }
        let answer = self.call_as(session, ToolName::Dispatch, &input).await.unwrap();
        MissionId::new(answer["mission_id"].as_str().unwrap()).unwrap()
    }

    /// Waits for the end of a mission and returns it; panics when it does not end.
    pub async fn wait(&self, mission: &MissionId) -> MissionView {
        let input = json!({"mission_id": mission, "timeout_seconds": PATIENCE.as_secs()});
        let waited = self.call(ToolName::Wait, input).await.unwrap();
        assert!(
            waited["terminal"] == true,
            "mission {mission} has not ended: {:#?}",
            self.log(mission).await
        );
        serde_json::from_value(waited["mission"].clone()).unwrap()
    }

    /// One mission with its attempts and events.
    pub async fn get(&self, mission: &MissionId) -> MissionDetails {
        let answer = self.call(ToolName::Get, json!({"mission_id": mission})).await.unwrap();
        serde_json::from_value(answer).unwrap()
    }

    /// Stops a mission.
    ///
    /// # Errors
    /// The tool's error.
    pub async fn cancel(&self, mission: &MissionId) -> Result<Value, ToolError> {
        self.call(ToolName::Cancel, json!({"mission_id": mission, "reason": "no longer needed"})).await
    }

    /// The mission as its log tells it; panics when it has no event.
    pub async fn log(&self, mission: &MissionId) -> LoggedMission {
        let log = MissionLog::new(&self.conn);
        let vp_id = log.lane_of(mission).await.unwrap().expect("the mission has events");
        log.read(&vp_id, mission).await.unwrap().expect("the mission has events")
    }

    /// The kinds of the mission's events, in order.
    pub async fn kinds(&self, mission: &MissionId) -> Vec<EventKind> {
        self.log(mission).await.events.iter().map(|(_, event)| event.kind()).collect()
    }

    /// Waits until the mission is in this state, by its log.
    pub async fn until_status(&self, mission: &MissionId, status: Status) -> LoggedMission {
        until(&format!("mission {mission} is {status}"), async || {
            let logged = self.log(mission).await;
            assert!(
                !logged.mission.status.is_terminal() || logged.mission.status == status,
                "mission {mission} should be {status} and has ended: {:#?}",
                logged.mission
            );
            (logged.mission.status == status).then_some(logged)
        })
        .await
    }

    /// Where the attempt's executor ran.
    pub fn workspace(&self, lane: &str, mission: &MissionId, attempt: u32) -> PathBuf {
        let root = self.dir.path().join("workspaces");
        root.join(lane).join(mission.as_str()).join(format!("attempt-{attempt}/work"))
    }
}

/// What the ledger and the sessions have.
impl World {
    /// The last sequence of the missions' stream.
    pub async fn last_seq(&self) -> u64 {
        vp_nats::reader::identity(&self.conn, MISSIONS).await.unwrap().last_seq
    }

    /// Waits until the ledger has everything that is in the log, and every notice is sent.
    pub async fn until_projected(&self) {
        let last = self.last_seq().await;
        let mut seen = None;
        let caught_up = async {
            loop {
                let status = self.dispatcher.ledger_status().await;
                if status.as_ref().is_ok_and(|status| status.cursor >= last && status.notices_pending == 0) {
                    return;
                }
                seen = Some(status);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, caught_up).await.is_err() {
            let bridge = self.bridge.as_ref().map(|bridge| bridge.status().borrow().clone());
            panic!("the ledger has not caught up with sequence {last}: {seen:#?}, {bridge:#?}");
        }
    }

    /// Waits until every mission that the ledger knows has ended, and every notice is sent.
    pub async fn until_all_ended(&self) {
        let lives = |status: &LedgerStatus| {
            Status::ALL
                .iter()
                .any(|s| !s.is_terminal() && status.missions.get(s.name()).is_some_and(|n| *n > 0))
        };
        until_true("every mission has ended", async || {
            self.until_projected().await;
            self.dispatcher.ledger_status().await.is_ok_and(|status| !lives(&status))
        })
        .await;
    }

    /// The session's notices up to and with so many terminal ones, each acked.
    pub async fn notices_until(&self, session: &str, terminal: usize) -> Vec<Notice> {
        let mut inbox = Inbox::open(&self.conn, session).await;
        let mut notices: Vec<Notice> = Vec::new();
        while notices.iter().filter(|notice| notice.terminal).count() < terminal {
            notices.push(inbox.next().await);
        }
        notices
    }

    /// All of the session's notices that are in the ledger now, each acked: those before the one of a last mission
    /// that this dispatches, so that nothing has to be waited for in vain.
    pub async fn all_notices(&self, session: &str, lane: &str) -> Vec<Notice> {
        let last = self.dispatch_as(session, lane, json!({"reply_mode": "final"})).await;
        let mut inbox = Inbox::open(&self.conn, session).await;
        let mut notices = Vec::new();
        loop {
            let notice = inbox.next().await;
            if notice.mission_id == last {
                return notices;
            }
            notices.push(notice);
        }
    }

    /// Panics unless the ledger is what the log says.
    pub async fn assert_ledger_equals_log(&self) {
        self.until_projected().await;
        let report = vp_bridge::rebuild::rebuild(&self.conn, self.ledger(), &self.lanes, true).await.unwrap();
        assert!(report.is_equal(), "{report:#?}");
    }
}

/// A session's notices as it reads them.
#[derive(Debug)]
pub struct Inbox {
    reader: NoticeReader,
}

impl Inbox {
    /// The inbox of this session.
    pub async fn open(conn: &Connection, session: &str) -> Self {
        let session = SessionId::new(session).unwrap();
        Self { reader: NoticeReader::open(conn, &session).await.unwrap() }
    }

    /// The next notice, acked; panics when none comes.
    pub async fn next(&mut self) -> Notice {
        let next = self.reader.next(PATIENCE).await.unwrap();
        let delivery = next.unwrap_or_else(|| panic!("no notice came within {PATIENCE:?}"));
        let notice = delivery.notice.clone();
        delivery.ack().await.unwrap();
        notice
    }

    /// The next notice, acked, if one comes in that time.
    pub async fn next_within(&mut self, time: Duration) -> Option<Notice> {
        let delivery = self.reader.next(time).await.unwrap()?;
        let notice = delivery.notice.clone();
        delivery.ack().await.unwrap();
        Some(notice)
    }
}

/// A world that several tasks use.
pub type SharedWorld = Arc<World>;

/// How workers outside a world start their keepers.
pub fn keeper_command() -> KeeperCommand {
    KeeperCommand { program: keeper(), args: Vec::new() }
}

fn keeper() -> PathBuf {
    crate::process::binary_beside_tests("vp-test-keeper", "cargo builds it with this package's tests")
}
