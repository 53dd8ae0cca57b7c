//! A thousand lanes in one worker.

use std::time::{Duration, Instant};

use vp_shared::ids::VpId;
use vp_shared::lane::Lanes;

use super::{Scale, pace};
use crate::bench::sheet::{Sheet, mib};
use crate::bench::stage::{Stage, disk_bytes, lane_id, mission, noop_lane};
use crate::exit::Failed;

fn lanes_of(scale: Scale) -> u64 {
    scale.pick(20, 1_000)
}

fn name(nth: u64) -> Result<VpId, Failed> {
    lane_id(&format!("vp.bench.l{nth:04}"))
}

pub fn asked(scale: Scale) -> String {
    format!("{} lanes, all served by one worker", lanes_of(scale))
}

pub fn lanes(scale: Scale) -> Result<Lanes, Failed> {
    (1..=lanes_of(scale)).map(|nth| Ok((name(nth)?, noop_lane(1)?))).collect()
}

pub async fn push(stage: &mut Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
    let began = Instant::now();
    stage.make_topology().await?;
    sheet.at_most("streams and queues made", began.elapsed().as_secs_f64(), "s", 120.0);
    let began = Instant::now();
    stage.make_topology().await?;
    sheet.figure("found as they must be, again", began.elapsed().as_secs_f64(), "s");
    stage.start_bridge().await?;
    let began = Instant::now();
    stage.start_worker("w1").await?;
    sheet.at_most("from the worker's start until it is seen", began.elapsed().as_secs_f64(), "s", 30.0);
    let first = name(1)?;
    let last = name(lanes_of(scale))?;
    let all = [&first, &last];
    for (what, lane) in ["first", "last"].into_iter().zip(all) {
        let noop = mission(lane, "x", &serde_json::json!({}))?;
        let (began, _) = pace::start(stage, lane, noop.clone()).await?;
        sheet.figure(
            &format!("the {what} lane's first mission, dispatch to start"),
            began.as_secs_f64() * 1000.0,
            "ms",
        );
        let samples = pace::starts(stage, lane, &noop, 50).await?;
        pace::quantiles(
            sheet,
            &format!("the {what} lane, dispatch to start"),
            &samples,
            Duration::from_secs(1),
        );
    }
    idle(stage, scale, sheet).await?;
    sheet.figure("the server's files", mib(disk_bytes(&stage.settings.data_dir.join("nats"))), "MiB");
    let began = Instant::now();
    stage.take("w1")?.stop().await?;
    sheet.at_most("the worker's end in good order", began.elapsed().as_secs_f64(), "s", 30.0);
    let (ended, started) = stage.restart_server(false).await?;
    sheet.figure("nats-server, orderly end", ended.as_secs_f64(), "s");
    sheet.figure("nats-server, start", started.as_secs_f64(), "s");
    Ok(())
}

/// What it all costs when there is nothing to do.
async fn idle(stage: &Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
    let watched = Duration::from_secs(scale.pick(1, 30));
    tokio::time::sleep(Duration::from_secs(scale.pick(0, 10))).await;
    let parts = ["w1", "bridge", "server"];
    let mut before = Vec::new();
    for part in parts {
        before.push(stage.usage(part)?);
    }
    tokio::time::sleep(watched).await;
    for ((part, name), before) in parts.into_iter().zip(["worker", "bridge", "server"]).zip(before) {
        let after = stage.usage(part)?;
        let share = (after.cpu_seconds - before.cpu_seconds) * 100.0 / watched.as_secs_f64();
        sheet.at_most(&format!("{name} at rest, of a processor"), share, "%", 50.0);
        sheet.figure(&format!("{name} at rest, resident"), after.rss_mib, "MiB");
    }
    Ok(())
}
