//! Ten thousand missions waiting in one lane, and one that is urgent.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use vp_nats::topology::lane_state;
use vp_shared::lane::Lanes;

use super::{Scale, pace};
use crate::bench::sheet::{Sheet, count};
use crate::bench::stage::{Stage, lane_id, mission, objective_lane};
use crate::cli::ask_status;
use crate::exit::{Exit, Failed};

const LANE: &str = "vp.bench.waiting";
const SLOTS: u32 = 4;
/// What each mission takes: slots come free often, and the backlog lasts.
const SCRIPT: &str = "sleep 0.2";
const ANSWER: Duration = Duration::from_secs(1);

fn missions(scale: Scale) -> u64 {
    scale.pick(200, 10_000)
}

/// How often a mission is timed.
fn samples(scale: Scale) -> usize {
    if scale == Scale::Full { 20 } else { 3 }
}

pub fn asked(scale: Scale) -> String {
    format!("{} missions waiting in a lane of {SLOTS} slots", missions(scale))
}

pub fn lanes() -> Result<Lanes, Failed> {
    Ok([(lane_id(LANE)?, objective_lane(SLOTS)?)].into())
}

pub async fn push(stage: &mut Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
    stage.make_topology().await?;
    stage.start_bridge().await?;
    let (lane, wanted) = (lane_id(LANE)?, missions(scale));
    let normal = mission(&lane, SCRIPT, &serde_json::json!({}))?;
    let began = Instant::now();
    let shared = &*stage;
    let ids: Vec<_> = stream::iter(0..wanted)
        .map(|_| shared.dispatch(normal.clone()))
        .buffer_unordered(64)
        .try_collect()
        .await?;
    sheet.figure("dispatched", count(wanted) / began.elapsed().as_secs_f64(), "missions/s");
    projected(stage).await?;
    let states = lane_state(&stage.conn, &lane).await;
    let states = states.map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
    sheet.exactly("waiting", states.values().map(|state| state.waiting).sum(), wanted);

    stage.start_worker("w1").await?;
    let idle = stage.usage("w1")?;
    let urgent = mission(&lane, SCRIPT, &serde_json::json!({"priority": "urgent"}))?;
    let samples = pace::starts(stage, &lane, &urgent, samples(scale)).await?;
    pace::quantiles(sheet, "an urgent one, dispatch to start", &samples, Duration::from_secs(2));
    let some: Vec<_> = ids.iter().step_by(ids.len() / 100).cloned().collect();
    pace::quantiles(sheet, "vp_get_mission", &pace::gets(stage, &some).await?, ANSWER);
    let listed = pace::lists(stage, &serde_json::json!({"status": "queued", "limit": 500}), 20).await?;
    pace::quantiles(sheet, "vp_list_missions, queued, 500 a page", &listed, ANSWER);
    let mut asked = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        ask_status(&stage.conn).await?;
        asked.push(began.elapsed());
    }
    pace::quantiles(sheet, "ledger status", &asked, ANSWER);
    sheet.figure("worker at its start, resident", idle.rss_mib, "MiB");
    sheet.peak("worker", stage.usage("w1")?, 128.0);
    sheet.peak("bridge", stage.usage("bridge")?, 256.0);
    sheet.figure("server, peak resident", stage.usage("server")?.peak_mib, "MiB");
    Ok(())
}

/// Waits until the ledger holds all of the log.
pub async fn projected(stage: &Stage) -> Result<(), Failed> {
    stage
        .until("the ledger holds the log", Duration::from_mins(5), async |stage| {
            let status = ask_status(&stage.conn).await?;
            Ok((status.lag_events == 0).then_some(()))
        })
        .await
}
