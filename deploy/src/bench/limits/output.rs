//! Executors that say too much: lines of 10 MiB, and a gigabyte.

use std::time::Duration;

use vp_nats::reader::identity;
use vp_nats::topology::PROGRESS;
use vp_shared::api::MissionView;
use vp_shared::lane::{LaneLimits, Lanes};
use vp_shared::mission::Status;

use super::Scale;
use crate::bench::sheet::{Sheet, count, mib};
use crate::bench::stage::{Stage, disk_bytes, lane_id, mission, objective_lane};
use crate::exit::{Exit, Failed};

const LANE: &str = "vp.bench.output";
const PATIENCE: Duration = Duration::from_mins(10);
const LINE_BYTES: u64 = 10 << 20;
/// What an attempt leaves beside what its executor said: receipts, markers, the mission.
const BESIDE: u64 = 256 << 10;

const fn lines(scale: Scale) -> u64 {
    scale.pick(2, 20)
}

const fn bytes(scale: Scale) -> u64 {
    scale.pick(30_000_000, 1_000_000_000)
}

pub fn asked_lines(scale: Scale) -> String {
    format!("{} lines of {LINE_BYTES} bytes on each of stdout and stderr", lines(scale))
}

pub fn asked_bytes(scale: Scale) -> String {
    format!("{} bytes of output, a tenth of them words of progress", bytes(scale))
}

pub fn lanes() -> Result<Lanes, Failed> {
    Ok([(lane_id(LANE)?, objective_lane(1)?)].into())
}

pub async fn push_lines(stage: &mut Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
    let script = format!(
        "line() {{ head -c {LINE_BYTES} /dev/zero | tr '\\0' x; echo; }}; i=0; \
         while [ $i -lt {} ]; do line; line >&2; i=$((i+1)); done; \
         echo '{{\"vp\":\"summary\",\"text\":\"heard to the end\"}}'",
        lines(scale)
    );
    let ended = run(stage, sheet, &script).await?;
    sheet.must("what was said behind them is heard", ended.summary == "heard to the end");
    Ok(())
}

pub async fn push_bytes(stage: &mut Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
    let tenth = bytes(scale) / 10;
    let script = format!(
        "yes 'one more line of output that nobody is going to read' | head -c {}; echo; \
         yes '{{\"vp\":\"progress\",\"text\":\"still at it\"}}' | head -c {tenth}; echo; \
         echo '{{\"vp\":\"summary\",\"text\":\"heard to the end\"}}'",
        tenth * 9
    );
    let ended = run(stage, sheet, &script).await?;
    sheet.must("what was said behind it is heard", ended.summary == "heard to the end");
    let seconds = count(ended.usage.wall_ms) / 1000.0;
    sheet.figure("output taken", mib(bytes(scale)) / seconds, "MiB/s");
    let progress = identity(&stage.conn, PROGRESS).await;
    let progress = progress.map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
    // Ten a second, one at the start and one at the end.
    sheet.at_most("lines of progress published", count(progress.last_seq), "", seconds * 10.0 + 2.0);
    Ok(())
}

/// Runs the script as a mission and looks at what every talkative one must leave.
async fn run(stage: &mut Stage, sheet: &mut Sheet, script: &str) -> Result<MissionView, Failed> {
    stage.make_topology().await?;
    stage.start_bridge().await?;
    stage.start_worker("w1").await?;
    let before = stage.usage("w1")?;
    let mission = mission(&lane_id(LANE)?, script, &serde_json::json!({}))?;
    let mission_id = stage.dispatch(mission).await?;
    let ended = stage.ended(&mission_id, PATIENCE).await?;
    sheet.must("completed", ended.status == Status::Completed);
    sheet.figure("from the executor's start to its end", count(ended.usage.wall_ms) / 1000.0, "s");
    let kept = disk_bytes(&stage.settings.workspace_root());
    let most = LaneLimits::default().max_log_bytes + BESIDE;
    sheet.at_most("kept on disk", mib(kept), "MiB", mib(most));
    let after = stage.usage("w1")?;
    sheet.figure("worker before, resident", before.rss_mib, "MiB");
    sheet.peak("worker", after, 128.0);
    sheet.figure("worker, processor time", after.cpu_seconds - before.cpu_seconds, "s");
    sheet.peak("bridge", stage.usage("bridge")?, 128.0);
    Ok(ended)
}
