//! What only a replicated stream shows: the filter's text, writes in flight, elections.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use async_nats::HeaderMap;
use common::{dispatched, event, lane_id, lanes, started};
use futures_util::future::join_all;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use vp_nats::connect::{ConnectConfig, Connection, connect};
use vp_nats::lane_modes::{self, LaneModeWatch};
use vp_nats::mission_log::{AppendError, MissionLog};
use vp_nats::server::find_binary;
use vp_nats::subject::MissionFilter;
use vp_nats::topology::{self, TopologyConfig};
use vp_shared::event::Event;
use vp_shared::ids::MissionId;
use vp_shared::lane::{LaneMode, LaneModeRecord};

/// Three servers that replicate everything.
struct Cluster {
    servers: Vec<Child>,
    urls: Vec<String>,
    _dir: tempfile::TempDir,
}

fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

impl Cluster {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let binary = find_binary().await.unwrap().path;
        let (clients, routes) = (free_ports(3), free_ports(3));
        let all_routes: Vec<_> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let mut servers = Vec::new();
        for i in 0..3 {
            let (client, route, home) = (clients[i], routes[i], dir.path().join(format!("n{i}")));
            std::fs::create_dir(&home).unwrap();
            let text = format!(
                "listen: \"127.0.0.1:{client}\"\nserver_name: n{i}\njetstream {{ store_dir: \"{}\" }}\n\
                 cluster {{ name: c, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n",
                home.display(),
                all_routes.join(", ")
            );
            let config = home.join("server.conf");
            std::fs::write(&config, text).unwrap();
            let server = Command::new(&binary)
                .arg("-c")
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn();
            servers.push(server.unwrap());
        }
        let urls = clients.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        Self { servers, urls, _dir: dir }
    }

    async fn connect(&self, i: usize) -> Connection {
        // The one it begins with first, then the others.
        let urls: Vec<_> = (0..3).map(|k| self.urls[(i + k) % 3].as_str()).collect();
        let config = ConnectConfig::new(urls.join(","), "test");
        let deadline = Instant::now() + common::PATIENCE;
        loop {
            match connect(&config).await {
                Ok(conn) => return conn,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ready() -> (Self, Vec<Connection>) {
        let cluster = Self::start().await;
        let conns = join_all((0..3).map(|i| cluster.connect(i))).await;
        let config = TopologyConfig { replicas: 3, ..TopologyConfig::default() };
        let deadline = Instant::now() + common::PATIENCE;
        while let Err(error) = topology::ensure(&conns[0], &config, &lanes(30)).await {
            assert!(Instant::now() < deadline, "{error}");
            sleep(Duration::from_millis(100)).await;
        }
        (cluster, conns)
    }
}

/// The name of the stream's leader, such as `n1`.
async fn leader(conn: &Connection) -> Option<String> {
    let info: serde_json::Value = conn.jetstream().request("STREAM.INFO.MISSIONS", &()).await.ok()?;
    Some(info["cluster"]["leader"].as_str()?.to_owned())
}

async fn claim_with(conn: Connection, key: String, expected: u64, filter: String) -> bool {
    let claim: Event = event(&key, 1, started("w", "lease"));
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
    headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", filter);
    let subject = format!("missions.{}.{}.started", claim.vp_id, claim.mission_id);
    let sent = conn.jetstream().publish_with_headers(subject, headers, claim.to_json().into()).await.unwrap();
    sent.await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_filter_text_lets_one_writer_win_and_a_second_spelling_would_let_two() {
    const ROUNDS: usize = 60;
    let (_cluster, conns) = Cluster::ready().await;
    let log = MissionLog::new(&conns[0]);
    let (mut doubles, mut singles) = (0, 0);
    for round in 0..ROUNDS {
        // Ours: two writers through two servers.
        let ours = format!("ours{round}");
        let seq = log.append(&event(&ours, 0, dispatched()), 0).await.unwrap().seq;
        let claims = (1..3).map(|i| {
            let (log, ours) = (MissionLog::new(&conns[i]), &ours);
            async move { log.append(&event(ours, 1, started(&format!("w{i}"), "lease")), seq).await }
        });
        let results = join_all(claims).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(
            results.iter().any(|result| matches!(result, Err(AppendError::Conflict { .. }))),
            "{results:?}"
        );

        // Why it must be one text: the same race with two spellings of the same filter.
        let theirs = format!("theirs{round}");
        let seq = log.append(&event(&theirs, 0, dispatched()), 0).await.unwrap().seq;
        let mission = MissionId::of_key(&lane_id(), &theirs);
        let one = MissionFilter::new(&lane_id(), &mission).as_str().to_owned();
        let other = format!("missions.*.*.*.{mission}.>");
        let (a, b) = tokio::join!(
            tokio::spawn(claim_with(conns[1].clone(), theirs.clone(), seq, one)),
            tokio::spawn(claim_with(conns[2].clone(), theirs, seq, other)),
        );
        match (a.unwrap(), b.unwrap()) {
            (true, true) => doubles += 1,
            _ => singles += 1,
        }
    }
    eprintln!("two spellings: both accepted {doubles} times, one {singles} times of {ROUNDS}");
    assert!(doubles > 0, "the danger is gone: the rule of the one filter text may be looked at again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_without_the_expectation_gets_in_and_is_an_anomaly_that_changes_nothing() {
    let (_cluster, conns) = Cluster::ready().await;
    let log = MissionLog::new(&conns[0]);
    let seq = log.append(&event("k", 0, dispatched()), 0).await.unwrap().seq;
    let first = log.append(&event("k", 1, started("winner", "lease")), seq).await.unwrap().seq;
    let stranger = event("k", 1, started("stranger", "lease"));
    let subject = format!("missions.{}.{}.started", stranger.vp_id, stranger.mission_id);
    let sent = conns[1].jetstream().publish(subject, stranger.to_json().into()).await.unwrap();
    // The server cannot know: this is why there is one place that publishes (`one_place.rs`).
    let second = sent.await.unwrap().sequence;
    assert!(second > first);
    let read = log.read(&lane_id(), &MissionId::of_key(&lane_id(), "k")).await.unwrap().unwrap();
    assert_eq!(read.mission.owner.unwrap().worker.worker_id.as_str(), "winner");
    assert_eq!(read.anomalies.len(), 1, "it is seen: {:?}", read.anomalies);
    // And whoever expects what was before it is told to look again.
    let late = log.append(&event("k", 1, common::cancelled()), first).await;
    assert!(matches!(late, Err(AppendError::Conflict { .. })), "{late:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_writers_through_three_servers_exactly_one_wins_each_time() {
    let (_cluster, conns) = Cluster::ready().await;
    let log = MissionLog::new(&conns[0]);
    for round in 0..20 {
        let key = format!("k{round}");
        // A dispatch by many at once, too.
        let dispatches = (0..20).map(|i| {
            let (log, key) = (MissionLog::new(&conns[i % 3]), &key);
            async move { log.append(&event(key, 0, dispatched()), 0).await }
        });
        let results = join_all(dispatches).await;
        let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{results:?}");
        let seq = won[0].seq;
        let claims = (0..20).map(|i| {
            let (log, key) = (MissionLog::new(&conns[i % 3]), &key);
            async move { log.append(&event(key, 1, started(&format!("w{i}"), "lease")), seq).await }
        });
        let claimed = join_all(claims).await;
        assert_eq!(claimed.iter().filter(|result| result.is_ok()).count(), 1, "{claimed:?}");
        let read = log.read(&lane_id(), &MissionId::of_key(&lane_id(), &key)).await.unwrap().unwrap();
        assert_eq!((read.events.len(), read.anomalies.len()), (2, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_through_the_death_of_the_leader_are_stored_exactly_once() {
    let (mut cluster, conns) = Cluster::ready().await;
    let writers = (0..3).map(|w| {
        let log = MissionLog::new(&conns[w]);
        tokio::spawn(async move {
            let (begun, mut written) = (Instant::now(), 0_u32);
            while begun.elapsed() < Duration::from_secs(9) {
                let key = format!("w{w}-{written}");
                let seq = log.append(&event(&key, 0, dispatched()), 0).await.unwrap().seq;
                log.append(&event(&key, 1, started("w", "lease")), seq).await.unwrap();
                written += 1;
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    // Not to prove anything: the kill has to fall among appends.
    sleep(Duration::from_secs(1)).await;
    let name = leader(&conns[0]).await.unwrap();
    let dead: usize = name.trim_start_matches('n').parse().unwrap();
    cluster.servers[dead].kill().await.unwrap();
    let written = timeout(common::PATIENCE, join_all(writers)).await.unwrap();
    let log = MissionLog::new(&conns[(dead + 1) % 3]);
    let mut missions = 0;
    for (w, written) in written.into_iter().map(Result::unwrap).enumerate() {
        assert!(written > 10, "writer {w} wrote {written}");
        for i in 0..written {
            let mission_id = MissionId::of_key(&lane_id(), &format!("w{w}-{i}"));
            let read = log.read(&lane_id(), &mission_id).await.unwrap().unwrap();
            assert_eq!((read.events.len(), read.anomalies.len()), (2, 0));
            missions += 1;
        }
    }
    eprintln!("{missions} missions through the death of {name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_stays_paused_over_elections_and_the_loss_of_a_server_and_its_follower_hears_of_the_end() {
    let (mut cluster, conns) = Cluster::ready().await;
    let set = async |mode| {
        let record = LaneModeRecord { mode, by: "me".into(), reason: None, since: vp_nats::clock::now() };
        let deadline = Instant::now() + common::PATIENCE;
        while let Err(error) = lane_modes::set(&conns[1], &lane_id(), record.clone()).await {
            assert!(Instant::now() < deadline, "{error}");
            sleep(Duration::from_millis(100)).await;
        }
    };
    set(LaneMode::Paused).await;
    let mut watch = LaneModeWatch::new(&conns[1]);
    assert_eq!(watch.next().await.of(&lane_id()), LaneMode::Paused);
    let told = async |watch: &mut LaneModeWatch, mode| {
        let seen = async {
            loop {
                let now = watch.next().await.of(&lane_id());
                if now == mode {
                    return;
                }
                assert_eq!(now, LaneMode::Paused, "it is never open in between");
            }
        };
        timeout(common::PATIENCE, seen).await.unwrap_or_else(|_| panic!("it is never told of {mode}"));
    };
    for _ in 0..3 {
        // An election may be under way, and nobody answers then.
        let deadline = Instant::now() + common::PATIENCE;
        let step_down = || conns[1].jetstream().request("STREAM.LEADER.STEPDOWN.KV_LANES", &());
        while step_down().await.map_or(true, |answer: serde_json::Value| !answer["error"].is_null()) {
            assert!(Instant::now() < deadline, "nobody steps down");
            sleep(Duration::from_millis(100)).await;
        }
    }
    cluster.servers[0].kill().await.unwrap();
    set(LaneMode::Draining).await;
    told(&mut watch, LaneMode::Draining).await;
    assert_eq!(lane_modes::lookup(&conns[2], &lane_id()).await.unwrap().unwrap().mode, LaneMode::Draining);
}
