//! The faults: for each part of the world its own sequence, drawn from the seed; all at the same time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use vp_nats::connect::Connection;
use vp_nats::topology::{MISSIONS, queue_consumer};
use vp_shared::ids::VpId;
use vp_shared::lane::LaneMode;
use vp_shared::tier::Tier;

use super::actor::{Actor, Journal, Life};
use super::options::{FaultArg, Options};
use super::seeded::Seeded;
use super::stage::{Link, Stage, set_lane_mode};

/// The stream that fills the store.
const FILLER: &str = "FILLER";
/// What one of its messages holds, in bytes.
const CHUNK: usize = 900 * 1024;
/// How long filling, and then emptying, may take.
const FILL: Duration = Duration::from_secs(10);
const EMPTY: Duration = Duration::from_mins(1);

/// Where workers can be made to die.
const WORKER_POINTS: [&str; 4] = ["after_claim", "after_executor_end", "after_outcome", "after_terminal"];

/// One part's share of the storm.
struct Part {
    seeded: Seeded,
    until: Instant,
    /// Shorter rounds have shorter pauses.
    pace: f64,
    journal: Journal,
}

impl Part {
    /// Waits before the next fault; false when the storm is over.
    async fn pause(&mut self, low_ms: u64, high_ms: u64) -> bool {
        let pause = self.seeded.millis(low_ms, high_ms).mul_f64(self.pace);
        if Instant::now() + pause >= self.until {
            return false;
        }
        sleep(pause).await;
        true
    }
}

/// Lets faults come until the storm is over; what they broke and did not mend, [`Stage::calm`] does.
pub async fn storm(stage: &Stage, options: &Options, begun: Instant) {
    let kinds = options.kinds();
    let has = |kind| kinds.contains(&kind);
    let part = |name: &str| Part {
        seeded: Seeded::new(options.seed, name),
        until: begun + options.storm(),
        pace: (options.storm().as_secs_f64() / 120.0).clamp(0.35, 1.0),
        journal: stage.journal.clone(),
    };
    let mut parts = JoinSet::new();
    for (nth, worker) in stage.workers.iter().enumerate() {
        if has(FaultArg::Worker) || has(FaultArg::Clock) {
            let worker = Arc::clone(worker);
            let part = part(&format!("worker {nth}"));
            parts.spawn(suffer(
                worker,
                part,
                WORKER_POINTS.to_vec(),
                has(FaultArg::Worker),
                has(FaultArg::Clock),
            ));
        }
    }
    if has(FaultArg::Bridge) {
        for (nth, bridge) in stage.bridges.iter().enumerate() {
            let part = part(&format!("bridge {nth}"));
            parts.spawn(suffer(Arc::clone(bridge), part, vec!["after_commit"], true, false));
        }
        parts.spawn(suffer(Arc::clone(&stage.dispatcher), part("dispatcher"), Vec::new(), true, false));
    }
    if has(FaultArg::Link) {
        for link in &stage.links {
            parts.spawn(break_link(Arc::clone(link), part(&format!("link {}", link.name))));
        }
    }
    if has(FaultArg::Server) {
        parts.spawn(break_servers(Arc::clone(&stage.brokers), part("servers")));
        parts.spawn(disturb_streams(
            stage.connect("torture-chaos").await,
            part("streams"),
            options.cluster > 1,
            stage.lanes.keys().cloned().collect(),
        ));
    }
    if has(FaultArg::Lane) {
        for vp_id in stage.lanes.keys() {
            let conn = stage.connect("torture-operator").await;
            parts.spawn(close_lane(conn, part(&format!("lane {vp_id}")), vp_id.clone()));
        }
    }
    if has(FaultArg::Disk) {
        parts.spawn(fill_store(stage.connect("torture-filler").await, part("disk"), options.cluster));
    }
    while let Some(ended) = parts.join_next().await {
        ended.expect("a part of the storm broke");
    }
}

/// Kills, freezes and drains a process, and lets it come back with a crash point armed or a wrong clock.
async fn suffer(actor: Arc<Actor>, mut part: Part, points: Vec<&'static str>, breaks: bool, clock: bool) {
    #[derive(Clone, Copy)]
    enum Fault {
        Kill,
        Freeze,
        FreezeBriefly,
        Drain,
        KillChild,
    }
    while part.pause(5_000, 16_000).await {
        let faults: &[(u64, Fault)] = if breaks {
            &[
                (5, Fault::Kill),
                (2, Fault::Freeze),
                (1, Fault::FreezeBriefly),
                (1, Fault::Drain),
                (1, Fault::KillChild),
            ]
        } else {
            &[(1, Fault::Drain)]
        };
        let mut life = Life::default();
        let fault = part.seeded.weighted(faults);
        if breaks && !points.is_empty() && part.seeded.chance(40) {
            let point = part.seeded.pick(&points);
            life.crash_at = Some(format!("{point}:{}", part.seeded.between(1, 3)));
        }
        if clock && part.seeded.chance(40) {
            let by = i64::try_from(part.seeded.between(500, 120_000)).unwrap();
            life.clock_ms = if part.seeded.chance(50) { by } else { -by };
        }
        match fault {
            Fault::Kill => actor.kill(part.seeded.millis(0, 5_000), life).await,
            Fault::Drain => actor.drain(life).await,
            Fault::KillChild => actor.kill_child(part.seeded.number()).await,
            // Beyond the short lane's lease.
            Fault::Freeze => actor.freeze(part.seeded.millis(7_000, 11_000)).await,
            Fault::FreezeBriefly => actor.freeze(part.seeded.millis(500, 4_000)).await,
        }
    }
}

async fn break_link(link: Arc<Link>, mut part: Part) {
    #[derive(Clone, Copy)]
    enum Fault {
        Freeze,
        Cut,
        Reset,
    }
    while part.pause(9_000, 25_000).await {
        let fault = part.seeded.weighted(&[(2, Fault::Freeze), (2, Fault::Cut), (3, Fault::Reset)]);
        let time = match fault {
            Fault::Reset => Duration::from_millis(10),
            _ => part.seeded.millis(300, 12_000),
        };
        match fault {
            Fault::Freeze => link.freeze(),
            Fault::Cut | Fault::Reset => link.cut(),
        }
        part.journal.note(
            "link",
            &format!(
                "{} is {} for {time:?}",
                link.name,
                match fault {
                    Fault::Freeze => "frozen",
                    Fault::Cut => "cut",
                    Fault::Reset => "reset",
                }
            ),
        );
        sleep(time).await;
        link.restore();
    }
}

async fn break_servers(brokers: Arc<tokio::sync::Mutex<super::brokers::Brokers>>, mut part: Part) {
    while part.pause(12_000, 35_000).await {
        let (kills, time) = (part.seeded.chance(70), part.seeded.millis(100, 4_000));
        let mut brokers = brokers.lock().await;
        let count = u64::try_from(brokers.count()).unwrap();
        let i = usize::try_from(part.seeded.between(0, count - 1)).unwrap();
        part.journal
            .note("server", &format!("n{i} is {} for {time:?}", if kills { "killed" } else { "frozen" }));
        if kills {
            brokers.kill(i).await;
            sleep(time).await;
            brokers.revive(i);
            brokers.until_listening(i).await;
        } else {
            brokers.freeze(i);
            sleep(time).await;
            brokers.thaw(i);
        }
        part.journal.note("server", &format!("n{i} is back"));
    }
}

/// Deletes consumers, and in a cluster makes leaders step down.
async fn disturb_streams(conn: Connection, mut part: Part, cluster: bool, lanes: Vec<VpId>) {
    while part.pause(12_000, 30_000).await {
        let subject = if cluster && part.seeded.chance(60) {
            format!(
                "STREAM.LEADER.STEPDOWN.{}",
                part.seeded.pick(&[MISSIONS, "NOTICES", "KV_WORKERS", "KV_LANES"])
            )
        } else {
            let consumer = queue_consumer(part.seeded.pick(&lanes), *part.seeded.pick(&Tier::ALL));
            format!("CONSUMER.DELETE.{MISSIONS}.{consumer}")
        };
        let asked: Result<Value, _> = conn.jetstream().request(subject.clone(), &json!({})).await;
        let said = asked.map_or_else(|error| error.to_string(), |answer| answer.to_string());
        part.journal.note("stream", &format!("{subject}: {said}"));
    }
}

/// Pauses or drains a lane and opens it again, as an operator does.
async fn close_lane(conn: Connection, mut part: Part, vp_id: VpId) {
    while part.pause(20_000, 45_000).await {
        let mode = *part.seeded.pick(&[LaneMode::Paused, LaneMode::Draining]);
        let time = part.seeded.millis(300, 9_000);
        set_noted(&conn, &part.journal, &vp_id, mode).await;
        sleep(time).await;
        set_noted(&conn, &part.journal, &vp_id, LaneMode::Open).await;
    }
}

async fn set_noted(conn: &Connection, journal: &Journal, vp_id: &VpId, mode: LaneMode) {
    let said = set_lane_mode(conn, vp_id, mode).await.map_or_else(|error| error, |()| "ok".to_owned());
    journal.note("lane", &format!("{vp_id} is {mode}: {said}"));
}

/// Fills the store until the server refuses, and empties it again a while later.
async fn fill_store(conn: Connection, mut part: Part, replicas: usize) {
    while part.pause(20_000, 45_000).await {
        let config = json!({
            "name": FILLER, "subjects": ["filler"], "storage": "file", "num_replicas": replicas,
            "retention": "limits", "discard": "new",
        });
        let made: Result<Value, _> =
            conn.jetstream().request(format!("STREAM.CREATE.{FILLER}"), &config).await;
        if !made.is_ok_and(|answer| answer["error"].is_null()) {
            continue;
        }
        let chunk = Bytes::from(vec![b'x'; CHUNK]);
        let filled = timeout(FILL, async {
            let mut stored = 0_u32;
            loop {
                let Ok(sent) = conn.jetstream().publish("filler", chunk.clone()).await else { return stored };
                if sent.await.is_err() {
                    return stored;
                }
                stored += 1;
            }
        })
        .await;
        let time = part.seeded.millis(1_000, 6_000);
        part.journal.note("disk", &format!("filled ({filled:?} chunks) for {time:?}"));
        sleep(time).await;
        let deadline = Instant::now() + EMPTY;
        loop {
            let gone: Result<Value, _> =
                conn.jetstream().request(format!("STREAM.DELETE.{FILLER}"), &json!({})).await;
            // 10059: it is not there (any more).
            if gone.is_ok_and(|answer| answer["error"].is_null() || answer["error"]["err_code"] == 10_059) {
                break;
            }
            assert!(Instant::now() < deadline, "the store cannot be emptied again");
            sleep(Duration::from_millis(200)).await;
        }
        part.journal.note("disk", "emptied");
    }
}
