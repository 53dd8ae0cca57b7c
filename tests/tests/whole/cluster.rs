//! Three servers with the production configuration, and any of them killed at any time under load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use vp_bridge::{Bridge, BridgeConfig};
use vp_dispatcher::{Caller, Dispatcher, DispatcherConfig};
use vp_nats::harness::TestCluster;
use vp_nats::health;
use vp_nats::mission_log::MissionLog;
use vp_nats::topology::{MISSIONS, NOTICES};
use vp_shared::api::ToolName;
use vp_shared::ids::{MissionId, SessionId, WorkerId};
use vp_shared::mission::{EventKind, Status};
use vp_tests::lanes::{CODER, DELIVERS, Runs, lane_id, lanes, shell_lane};
use vp_tests::until::until_true;
use vp_tests::world::{HOST, Inbox, SESSION, keeper_command};
use vp_worker::{Worker, WorkerConfig};

const STREAMS: [&str; 4] = [MISSIONS, NOTICES, "KV_WORKERS", "KV_LANES"];

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_configuration_starts_three_servers_with_three_synced_copies() {
    let cluster = TestCluster::start(&lanes([(CODER, shell_lane(DELIVERS))])).await;
    let conn = cluster.connect().await;
    cluster.whole(&conn, &STREAMS).await;
    for name in STREAMS {
        let stream = health::stream(&conn, name).await.unwrap().unwrap();
        assert_eq!((stream.replicas, stream.peers.len()), (3, 2), "{stream:?}");
        assert!(stream.peers.iter().all(|peer| peer.current && !peer.offline), "{stream:?}");
        assert!(stream.clock_ahead_ms.unwrap().abs() < 2_000, "one host has one clock: {stream:?}");
        assert_eq!(stream.version.as_deref(), Some(conn.server_version().to_string().as_str()));
    }
    assert_eq!(health::max_payload(&conn), 1024 * 1024);
}

/// A system on a cluster, each part with a connection of its own.
struct Load {
    dispatcher: Arc<Dispatcher>,
    _workers: Vec<Worker>,
    bridge: Bridge,
    dir: tempfile::TempDir,
}

impl Load {
    async fn start(cluster: &TestCluster, runs: &Runs) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let all = lanes([(CODER, shell_lane(&runs.script(&format!("sleep 0.3; {DELIVERS}"))))]);
        let ledger = dir.path().join("ledger.sqlite").display().to_string();
        let bridge =
            Bridge::start(cluster.connect().await, BridgeConfig::new(ledger, all.clone())).await.unwrap();
        let mut workers = Vec::new();
        for name in ["w1", "w2"] {
            let (id, root) = (WorkerId::new(name).unwrap(), dir.path().join("workspaces"));
            let config = WorkerConfig::new(id, HOST, root, all.clone(), keeper_command());
            workers.push(Worker::start(cluster.connect().await, config).await.unwrap());
        }
        let dispatcher = Dispatcher::new(cluster.connect().await, DispatcherConfig::new(all, HOST));
        Self { dispatcher: Arc::new(dispatcher), _workers: workers, bridge, dir }
    }

    fn ledger(&self) -> String {
        self.dir.path().join("ledger.sqlite").display().to_string()
    }
}

/// Dispatches until told to stop, each mission with a key and again after an error, as a caller does.
async fn dispatch(dispatcher: Arc<Dispatcher>, stop: Arc<AtomicBool>) -> Vec<MissionId> {
    let caller = Caller::session(SessionId::new(SESSION).unwrap());
    let mut missions = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let key = format!("k{}", missions.len());
        let input =
            json!({"vp_id": CODER, "objective": "Do it", "idempotency_key": key, "reply_mode": "final"});
        let answer = dispatcher.call(ToolName::Dispatch, input.to_string().as_bytes(), &caller).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        if answer["ok"] == true {
            missions.push(MissionId::new(answer["mission_id"].as_str().unwrap()).unwrap());
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    missions
}

#[tokio::test(flavor = "multi_thread")]
async fn any_server_killed_at_any_time_loses_and_repeats_nothing() {
    const KILLS: usize = 5;
    let runs = Runs::default();
    let mut cluster = TestCluster::start(&lanes([(CODER, shell_lane(""))])).await;
    let conn = cluster.connect().await;
    cluster.whole(&conn, &STREAMS).await;
    let load = Load::start(&cluster, &runs).await;
    let stop = Arc::new(AtomicBool::new(false));
    let dispatching = tokio::spawn(dispatch(Arc::clone(&load.dispatcher), Arc::clone(&stop)));
    for kill in 0..KILLS {
        let before = runs.all().len();
        until_true("missions run before the kill", async || runs.all().len() >= before + 5).await;
        // The leader of the log each second time, else one after the other.
        let victim = if kill % 2 == 0 { cluster.leader(&conn, MISSIONS).await } else { kill % 3 };
        cluster.kill(victim).await;
        let before = runs.all().len();
        until_true("missions run without it", async || runs.all().len() >= before + 3).await;
        cluster.restart(victim);
        cluster.whole(&conn, &STREAMS).await;
    }
    stop.store(true, Ordering::Relaxed);
    let missions = dispatching.await.unwrap();
    let log = MissionLog::new(&conn);
    for mission in &missions {
        until_true(&format!("{mission} ends"), async || {
            let logged = log.read(&lane_id(CODER), mission).await.unwrap().unwrap();
            logged.mission.status.is_terminal()
        })
        .await;
        let logged = log.read(&lane_id(CODER), mission).await.unwrap().unwrap();
        assert_eq!((logged.mission.status, logged.mission.attempt), (Status::Completed, 1), "{logged:#?}");
        assert!(logged.anomalies.is_empty(), "{logged:#?}");
        let kinds: Vec<_> = logged.events.iter().map(|(_, event)| event.kind()).collect();
        assert_eq!(
            kinds,
            [EventKind::Dispatched, EventKind::Started, EventKind::OutcomeRecorded, EventKind::Completed]
        );
    }
    let ran = runs.all();
    let different: BTreeSet<_> = ran.iter().map(|run| &run.mission_id).collect();
    assert_eq!((ran.len(), different.len()), (missions.len(), missions.len()), "each ran once");
    let mut inbox = Inbox::open(&conn, SESSION).await;
    let mut told = BTreeSet::new();
    while told.len() < missions.len() {
        assert!(told.insert(inbox.next().await.mission_id), "a notice twice");
    }
    assert!(inbox.next_within(Duration::from_secs(2)).await.is_none(), "a notice too many");
    assert_eq!(load.bridge.status().borrow().reconciler.repaired, 0);
    let all = lanes([(CODER, shell_lane(""))]);
    let report = vp_bridge::rebuild::rebuild(&conn, &load.ledger(), &all, true).await.unwrap();
    assert!(report.is_equal(), "{report:#?}");
    eprintln!("{} missions through {KILLS} kills", missions.len());
}
