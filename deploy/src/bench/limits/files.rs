//! A hundred thousand files in a workspace.

use std::time::{Duration, Instant};

use vp_shared::api::ReadResultArtifacts;
use vp_shared::artifact::MissionResult;
use vp_shared::ids::{MissionId, VpId};
use vp_shared::lane::Lanes;
use vp_shared::mission::{EventKind, Status};

use super::Scale;
use crate::bench::sheet::{Sheet, mib};
use crate::bench::stage::{Stage, disk_bytes, lane_id, mission, objective_lane};
use crate::exit::{Exit, Failed};

const LANE: &str = "vp.bench.files";
const PATIENCE: Duration = Duration::from_mins(10);
/// Files of a folder.
const FOLDER: u64 = 1000;

fn files(scale: Scale) -> u64 {
    scale.pick(2_000, 100_000)
}

pub fn asked(scale: Scale) -> String {
    format!("an attempt that leaves {} files", files(scale))
}

pub fn lanes() -> Result<Lanes, Failed> {
    Ok([(lane_id(LANE)?, objective_lane(1)?)].into())
}

pub async fn push(stage: &mut Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
    stage.make_topology().await?;
    stage.start_bridge().await?;
    stage.start_worker("w1").await?;
    let before = stage.usage("w1")?;
    let (lane, wanted) = (lane_id(LANE)?, files(scale));
    let folders = wanted / FOLDER;
    let script = format!(
        "d=0; while [ $d -lt {folders} ]; do mkdir d$d; f=0; \
         while [ $f -lt {FOLDER} ]; do echo $f > d$d/f$f.txt; f=$((f+1)); done; d=$((d+1)); done; \
         echo '# The product' > report.md; echo '{{\"vp\":\"deliverable\",\"path\":\"report.md\"}}'"
    );
    let mission_id = stage.dispatch(mission(&lane, &script, &serde_json::json!({}))?).await?;
    let ended = stage.ended(&mission_id, PATIENCE).await?;
    sheet.must("completed", ended.status == Status::Completed);
    sheet.figure(
        "the executor itself",
        f64::from(u32::try_from(ended.usage.wall_ms).unwrap_or(u32::MAX)) / 1000.0,
        "s",
    );
    sheet.at_most(
        "from its end to the terminal event",
        finalising(stage, &lane, &mission_id).await?,
        "s",
        30.0,
    );
    let result = ended.result.unwrap_or_default();
    sheet.exactly("artifacts counted", result.artifacts_total, wanted + 1);
    sheet.exactly("artifacts listed", result.artifacts.len() as u64, MissionResult::MAX_LISTED as u64);
    let first = result.artifacts.first().is_some_and(|artifact| artifact.path == "report.md");
    sheet.must("the declared one is first", first);
    let began = Instant::now();
    let input = ReadResultArtifacts { mission_id, category: None, max_files: 200, max_bytes: 2_000_000 };
    let read = stage.dispatcher.read_artifacts(input).await?;
    sheet.at_most("vp_read_result_artifacts", began.elapsed().as_secs_f64() * 1000.0, "ms", 5000.0);
    // Receipt and marker count too.
    sheet.exactly("it says how many there are", read.files_total, wanted + 3);
    sheet.must("and that it shows fewer", read.files_listed < read.files_total);
    sheet.figure("worker before, resident", before.rss_mib, "MiB");
    sheet.peak("worker", stage.usage("w1")?, 128.0);
    sheet.figure(
        "workspaces on disk, by their lengths",
        mib(disk_bytes(&stage.settings.workspace_root())),
        "MiB",
    );
    Ok(())
}

/// Seconds from `outcome_recorded` to the terminal event.
async fn finalising(stage: &Stage, lane: &VpId, mission_id: &MissionId) -> Result<f64, Failed> {
    let log = vp_nats::mission_log::MissionLog::new(&stage.conn);
    let read = log.read(lane, mission_id).await;
    let read = read.map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
    let events = read.map(|logged| logged.events).unwrap_or_default();
    let at = |wanted: fn(EventKind) -> bool| {
        events.iter().find(|(_, event)| wanted(event.kind())).map(|(_, event)| event.time)
    };
    match (at(|kind| kind == EventKind::OutcomeRecorded), at(EventKind::is_terminal)) {
        (Some(outcome), Some(end)) => Ok(end.since(outcome).as_secs_f64()),
        _ => Err(Failed::new(Exit::Failure, "the log lacks the mission's outcome or its end")),
    }
}
