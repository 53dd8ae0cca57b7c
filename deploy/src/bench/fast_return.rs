//! `vp bench return`: a worker process is killed in the middle of a mission; how long until its next attempt starts.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use vp_nats::reader::{Reader, Start};
use vp_nats::{subject, topology};
use vp_shared::event::{Event, EventBody};
use vp_shared::ids::{MissionId, VpId};
use vp_shared::lane::Lanes;

use super::quantile_ms;
use super::stage::{Stage, lane_id, mission, script_lane};
use crate::cli::{Context, Format, json, say, table};
use crate::config::Settings;
use crate::exit::{Exit, Failed};

const LANE: &str = "vp.bench.return";
/// The first attempt works until it is ended; the next one is done at once.
const SCRIPT: &str = "[ \"$VP_ATTEMPT\" -gt 1 ] || exec sleep 600";
/// Within this the promise holds.
const PROMISED: Duration = Duration::from_secs(5);
/// Whoever connected a moment ago is slow to take others for dead: a worker that was just started is given this time.
const SETTLED: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(1);

/// Kill workers in the middle of missions and time the return; exits with 1 when the p99 is above 5 s.
#[derive(Debug, Args)]
pub struct FastReturn {
    /// Kills of each kind
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    kills: u32,
}

/// What one kind of death came to.
#[derive(Debug, Serialize)]
struct Found {
    what: &'static str,
    kills: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    ok: bool,
}

impl Found {
    fn of(what: &'static str, samples: &[Duration]) -> Self {
        let p99_ms = quantile_ms(samples, 0.99);
        Self {
            what,
            kills: samples.len(),
            p50_ms: quantile_ms(samples, 0.50),
            p99_ms,
            max_ms: quantile_ms(samples, 1.0),
            ok: p99_ms <= PROMISED.as_secs_f64() * 1000.0,
        }
    }
}

/// `vp bench return`.
pub async fn run(context: &Context, args: FastReturn) -> Result<Exit, Failed> {
    say(format!("{} kills with another worker in the lane", args.kills));
    let elsewhere = staged(&context.settings, &["w1", "w2"], args.kills).await?;
    say(format!("{} kills of the only worker, started again at once", args.kills));
    let again = staged(&context.settings, &["w1"], args.kills).await?;
    let found = [
        Found::of("another worker of the lane takes over", &elsewhere),
        Found::of("the only worker, started again at once under its id", &again),
    ];
    if context.format == Format::Table {
        let rows = found.iter().map(|found| {
            vec![
                found.what.to_owned(),
                found.kills.to_string(),
                format!("{:.0}", found.p50_ms),
                format!("{:.0}", found.p99_ms),
                format!("{:.0}", found.max_ms),
                if found.ok { "ok" } else { "BROKEN" }.to_owned(),
            ]
        });
        table(&["FROM KILL TO THE NEXT ATTEMPT", "KILLS", "P50 MS", "P99 MS", "MAX MS", "5 S"], rows)?;
    } else {
        json(&found, context.format)?;
    }
    if found.iter().all(|found| found.ok) {
        Ok(Exit::Ok)
    } else {
        Err(Failed::new(Exit::Failure, "a mission came back later than within 5 s"))
    }
}

async fn staged(base: &Settings, workers: &[&str], kills: u32) -> Result<Vec<Duration>, Failed> {
    let lanes: Lanes = [(lane_id(LANE)?, script_lane(SCRIPT, 1)?)].into();
    let mut stage = Stage::start(base, "return", lanes).await?;
    let measured = measure(&mut stage, workers, kills).await;
    if measured.is_err() {
        stage.tell_logs();
    }
    stage.stop().await;
    measured
}

async fn measure(stage: &mut Stage, workers: &[&str], kills: u32) -> Result<Vec<Duration>, Failed> {
    stage.make_topology().await?;
    stage.start_bridge().await?;
    for worker in workers {
        stage.start_worker(worker).await?;
    }
    let lane = lane_id(LANE)?;
    let all = [subject::lane_all(&lane)];
    let mut log = Reader::open(&stage.conn, topology::MISSIONS, &all, Start::New)
        .await
        .map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
    let mut samples = Vec::new();
    for nth in 0..kills {
        if nth > 0 && workers.len() > 1 {
            tokio::time::sleep(SETTLED).await;
        }
        samples.push(one(stage, &lane, &mut log, workers.len() > 1).await?);
    }
    Ok(samples)
}

/// One death: from the moment the kill was sent until the next attempt's `started` event is read back from the log.
async fn one(stage: &mut Stage, lane: &VpId, log: &mut Reader, others: bool) -> Result<Duration, Failed> {
    let mission_id = stage.dispatch(mission(lane, "x", &serde_json::json!({}))?).await?;
    let owner = started(log, &mission_id, 1).await?;
    // So that the executor runs and its keeper is settled.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let process = stage.take(&owner)?;
    let killed = Instant::now();
    process.kill().await?;
    if !others {
        stage.spawn_worker(&owner)?;
    }
    started(log, &mission_id, 2).await?;
    let returned = killed.elapsed();
    stage.ended(&mission_id, PATIENCE).await?;
    if others {
        stage.start_worker(&owner).await?;
    }
    Ok(returned)
}

/// Which worker has started this attempt, as soon as it has.
async fn started(log: &mut Reader, mission_id: &MissionId, attempt: u32) -> Result<String, Failed> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let records = log.next_batch(1, Duration::from_secs(1)).await;
        for record in records.map_err(|error| Failed::from_error(Exit::Unavailable, &error))? {
            let Ok(event) = Event::from_json(&record.payload) else { continue };
            if let EventBody::Started { worker, .. } = &event.body
                && event.mission_id == *mission_id
                && event.attempt == attempt
            {
                return Ok(worker.worker_id.to_string());
            }
        }
    }
    let why = format!("attempt {attempt} of mission {mission_id} did not start in {} s", PATIENCE.as_secs());
    Err(Failed::new(Exit::TimedOut, why))
}
