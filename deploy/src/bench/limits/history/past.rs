//! The past: lawful lives of missions, written by the same append as everywhere.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use vp_nats::clock::{event_id, now};
use vp_nats::mission_log::MissionLog;
use vp_shared::artifact::{Artifact, Category, MissionResult};
use vp_shared::event::{
    Actor, ActorKind, Event, EventBody, Outcome, OutcomeStatus, Source, Usage, WorkerRef,
};
use vp_shared::ids::{MissionId, SessionId, VpId, WorkerId};
use vp_shared::mission::{Budget, MissionSpec, ReplyMode};
use vp_shared::tier::Tier;

use crate::bench::stage::Stage;
use crate::cli::say;
use crate::exit::{Exit, Failed};

/// Events of a mission.
pub const EVENTS: u64 = 4;
/// Missions written at a time.
const AT_ONCE: usize = 192;
/// Sessions that delegated them.
const SESSIONS: u64 = 1000;
/// How often it is said how far it is.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// The id of the past's nth mission.
pub fn id(lane: &VpId, nth: u64) -> MissionId {
    MissionId::of_key(lane, &key(nth))
}

/// One of the sessions that delegated them.
pub fn session_name(nth: u64) -> String {
    format!("past-{}", nth % SESSIONS)
}

fn key(nth: u64) -> String {
    format!("past-{nth}")
}

/// Writes so many missions, from the first on.
pub async fn write(stage: &Stage, lane: &VpId, missions: u64) -> Result<(), Failed> {
    let (began, mut said) = (Instant::now(), Instant::now());
    let log = MissionLog::new(&stage.conn);
    let mut lives = std::pin::pin!(
        stream::iter(0..missions).map(|nth| live(&log, lane, key(nth), nth)).buffer_unordered(AT_ONCE)
    );
    let mut done = 0_u64;
    while lives.try_next().await?.is_some() {
        done += 1;
        if said.elapsed() > SAY_EVERY {
            said = Instant::now();
            say(format!(
                "{done} of {missions} missions are in the log after {} s",
                began.elapsed().as_secs()
            ));
        }
    }
    Ok(())
}

/// Writes so many others.
pub async fn write_more(stage: &Stage, lane: &VpId, missions: u64) -> Result<(), Failed> {
    let log = MissionLog::new(&stage.conn);
    stream::iter(0..missions)
        .map(|nth| live(&log, lane, format!("more-{nth}"), nth))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// One mission from its dispatch to its end.
async fn live(log: &MissionLog, lane: &VpId, key: String, nth: u64) -> Result<(), Failed> {
    let mut expected = 0;
    for (attempt, body) in bodies(&key)? {
        let kind = if attempt == 0 { ActorKind::Dispatcher } else { ActorKind::Worker };
        let session = session_name(nth);
        let event = Event {
            id: event_id(),
            mission_id: MissionId::of_key(lane, &key),
            vp_id: lane.clone(),
            attempt,
            time: now(),
            actor: Actor { kind, id: if attempt == 0 { session.clone() } else { "past".to_owned() } },
            source: Source {
                session_id: Some(wrap(SessionId::new(session))?),
                turn_id: None,
                reply_mode: ReplyMode::Final,
            },
            body,
        };
        let stored = log.append(&event, expected).await;
        expected = stored.map_err(|error| Failed::from_error(Exit::Unavailable, &error))?.seq;
    }
    Ok(())
}

/// What is said of it, as of a mission that left a report.
fn bodies(key: &str) -> Result<[(u32, EventBody); 4], Failed> {
    let mission = MissionSpec {
        objective: format!("Look through the repository and write down what you find worth mending ({key})"),
        mission_type: "task".to_owned(),
        constraints: serde_json::Map::new(),
        budget: Budget::default(),
        inputs: Vec::new(),
        idempotency_key: Some(key.to_owned()),
        not_before: None,
        deadline: now().plus(Duration::from_hours(7 * 24)),
        max_attempts: None,
        content_sha256: "5".repeat(64),
    };
    let worker_id = wrap(WorkerId::new("past"))?;
    let worker = WorkerRef {
        worker_id: worker_id.clone(),
        incarnation: event_id().to_string(),
        host: "bench".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let lease = "$JS.ACK.MISSIONS.vp-bench-past-normal.1.1000000.1000000.1700000000000000000.0".to_owned();
    let (summary, usage) =
        ("Wrote down what is worth mending".to_owned(), Usage { wall_ms: 1500, ..Usage::default() });
    let outcome =
        Outcome { status: OutcomeStatus::Completed, failure: None, summary: summary.clone(), usage };
    let result = MissionResult {
        result_ref: Some(format!(
            "workspace://bench/var/lib/vp/workspaces/vp.bench.past/{key}/attempt-1/work"
        )),
        worker_id: Some(worker_id),
        artifacts: vec![Artifact {
            path: "report.md".to_owned(),
            category: Category::PrimaryWorkProduct,
            bytes: 2048,
            media_type: "text/markdown".to_owned(),
            sha256: "7".repeat(64),
            stored: false,
        }],
        artifacts_total: 1,
        primary_total: 1,
        receipt: Some("mission_receipt.json".to_owned()),
        sync_marker: Some("sync_ready.json".to_owned()),
        partial: false,
    };
    Ok([
        (0, EventBody::Dispatched { mission, tier: Tier::Normal }),
        (1, EventBody::Started { worker, lease, took_over: None }),
        (1, EventBody::OutcomeRecorded { outcome }),
        (1, EventBody::Completed { summary, result, usage }),
    ])
}

fn wrap<T, E: std::error::Error>(made: Result<T, E>) -> Result<T, Failed> {
    made.map_err(|error| Failed::from_error(Exit::Failure, &error))
}
