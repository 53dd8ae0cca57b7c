//! A million finished missions in the log.
//!
//! They are written by this process, each event by the same compare-and-set append as everywhere, a hundred and more
//! missions at a time; what a worker and a dispatcher would do besides is left out.

mod past;

use std::time::{Duration, Instant};

use vp_nats::raw;
use vp_nats::reader::identity;
use vp_nats::topology::{self, MISSIONS};
use vp_shared::ids::{MissionId, VpId};
use vp_shared::lane::Lanes;
use vp_shared::tier::Tier;

use super::{Scale, pace};
use crate::bench::process::Usage;
use crate::bench::sheet::{Sheet, count, mib};
use crate::bench::stage::{Stage, disk_bytes, lane_id, mission, noop_lane};
use crate::cli::{ask_status, say};
use crate::exit::{Exit, Failed};

/// The lane whose missions fill the log.
const PAST: &str = "vp.bench.past";
/// A lane with nothing to do, in which new missions are timed.
const NOW: &str = "vp.bench.now";
/// How long the bridge, or a rebuild, may take for all of it.
const PATIENCE: Duration = Duration::from_hours(1);
const ANSWER: Duration = Duration::from_secs(1);

fn missions(scale: Scale) -> u64 {
    scale.pick(300, 1_000_000)
}

pub fn asked(scale: Scale) -> String {
    format!("{} finished missions in the log, {} events each", missions(scale), past::EVENTS)
}

pub fn lanes() -> Result<Lanes, Failed> {
    Ok([(lane_id(PAST)?, noop_lane(4)?), (lane_id(NOW)?, noop_lane(4)?)].into())
}

pub async fn push(stage: &mut Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
    let now: Lanes = [(lane_id(NOW)?, noop_lane(4)?)].into();
    topology::ensure(&stage.conn, &stage.settings.topology(), &now).await.map_err(|error| refused(&error))?;
    let samples = usize::try_from(scale.pick(20, 200)).unwrap_or(20);
    empty_log(stage, samples, sheet).await?;
    fill(stage, scale, sheet).await?;
    catch_up(stage, scale, sheet).await?;
    full_log(stage, scale, samples, sheet).await?;
    if scale == Scale::Full {
        // The worker's own tests have it in small.
        queue_again(stage, sheet).await?;
    }
    check(stage, sheet).await?;
    restarts(stage, sheet).await
}

/// The times to compare with.
async fn empty_log(stage: &mut Stage, samples: usize, sheet: &mut Sheet) -> Result<(), Failed> {
    stage.start_bridge().await?;
    stage.start_worker_of("w1", NOW).await?;
    let lane = lane_id(NOW)?;
    let noop = mission(&lane, "x", &serde_json::json!({}))?;
    let starts = pace::starts(stage, &lane, &noop, samples).await?;
    pace::quantiles(sheet, "empty log: dispatch to start", &starts, ANSWER);
    stage.take("w1")?.stop().await?;
    stage.take("bridge")?.stop().await
}

/// The past. Its lane has no queues meanwhile: they are made behind it, as queues are made again from a known place.
async fn fill(stage: &Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
    let lane = lane_id(PAST)?;
    let began = Instant::now();
    past::write(stage, &lane, missions(scale)).await?;
    sheet.figure("written to the log", rate(missions(scale) * past::EVENTS, began.elapsed()), "events/s");
    let end = identity(&stage.conn, MISSIONS).await.map_err(|error| refused(&error))?.last_seq;
    let profile = &stage.settings.lanes[&lane];
    topology::ensure_lane(&stage.conn, &lane, profile, end + 1).await.map_err(|error| refused(&error))?;
    let server = stage.usage("server")?;
    sheet.figure("the log on disk", mib(disk_bytes(&stage.settings.data_dir.join("nats"))), "MiB");
    sheet.figure("server, resident with the log", server.rss_mib, "MiB");
    Ok(())
}

/// A bridge with an empty ledger, until it holds everything and has told everybody.
async fn catch_up(stage: &mut Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
    let ledger = std::path::PathBuf::from(stage.settings.ledger());
    remove_ledger(&ledger)?;
    let log = identity(&stage.conn, MISSIONS).await.map_err(|error| refused(&error))?;
    let began = Instant::now();
    stage.start_bridge().await?;
    let mut held = None;
    let told = stage.until("all of it is in the ledger, and told", PATIENCE, async |stage| {
        tokio::time::sleep(Duration::from_millis(scale.pick(10, 1000))).await;
        // Busy, it may not answer in time.
        let Ok(status) = ask_status(&stage.conn).await else { return Ok(None) };
        if status.cursor >= log.last_seq {
            held.get_or_insert_with(|| began.elapsed());
        }
        Ok((held.is_some() && status.notices_pending == 0).then(|| (began.elapsed(), status.anomalies_total)))
    });
    let (told, anomalies) = told.await?;
    let held = held.unwrap_or(told);
    sheet.figure("catching up from an empty ledger", held.as_secs_f64(), "s");
    sheet.at_least("catch-up rate", rate(log.last_seq, held), "events/s", scale.pick(100, 2_000));
    sheet.figure("until the last notice is in its stream", told.as_secs_f64(), "s");
    sheet.exactly("anomalies", anomalies, 0);
    sheet.peak("bridge", stage.usage("bridge")?, 512.0);
    sheet.figure("the ledger on disk", mib(ledger_bytes(&ledger)), "MiB");
    sheet.figure("log and notices on disk", mib(disk_bytes(&stage.settings.data_dir.join("nats"))), "MiB");
    sheet.figure("server, resident with log and notices", stage.usage("server")?.rss_mib, "MiB");
    Ok(())
}

/// The same times as with an empty log, and what looks at the past.
async fn full_log(stage: &mut Stage, scale: Scale, samples: usize, sheet: &mut Sheet) -> Result<(), Failed> {
    let began = Instant::now();
    stage.start_worker("w1").await?;
    sheet.at_most(
        "full log: from a worker's start until it is seen",
        began.elapsed().as_secs_f64(),
        "s",
        10.0,
    );
    for lane in [NOW, PAST] {
        let lane = lane_id(lane)?;
        let noop = mission(&lane, "x", &serde_json::json!({}))?;
        let (first, _) = pace::start(stage, &lane, noop.clone()).await?;
        sheet.figure(
            &format!("full log: {lane}'s first mission, dispatch to start"),
            first.as_secs_f64() * 1000.0,
            "ms",
        );
        let starts = pace::starts(stage, &lane, &noop, samples).await?;
        pace::quantiles(sheet, &format!("full log: {lane}, dispatch to start"), &starts, ANSWER);
    }
    let lane = lane_id(PAST)?;
    let step = usize::try_from(missions(scale)).unwrap_or(samples) / samples;
    let some: Vec<MissionId> = (0..samples).map(|nth| past::id(&lane, (nth * step) as u64)).collect();
    pace::quantiles(sheet, "full log: vp_get_mission", &pace::gets(stage, &some).await?, ANSWER);
    for (what, filter) in [
        ("the newest", serde_json::json!({"limit": 50})),
        ("completed of a lane", serde_json::json!({"limit": 50, "vp_id": PAST, "status": "completed"})),
        ("of a session", serde_json::json!({"limit": 50, "session_id": past::session_name(7)})),
        ("failed, of which there are none", serde_json::json!({"limit": 50, "status": "failed"})),
    ] {
        let lists = pace::lists(stage, &filter, 20).await?;
        pace::quantiles(sheet, &format!("full log: vp_list_missions, {what}"), &lists, ANSWER);
    }
    let began = Instant::now();
    ask_status(&stage.conn).await?;
    sheet.at_most("full log: ledger status", began.elapsed().as_secs_f64() * 1000.0, "ms", 5000.0);
    sheet.peak("worker", stage.usage("w1")?, 128.0);
    Ok(())
}

/// A queue of the past's lane is deleted under a running worker, which makes it again from where the ledger says that
/// missions live: no entry of the past comes once more.
async fn queue_again(stage: &Stage, sheet: &mut Sheet) -> Result<(), Failed> {
    say("a lane's queue is deleted");
    let lane = lane_id(PAST)?;
    let name = topology::queue_consumer(&lane, Tier::Normal);
    raw::delete_queue(&stage.conn, &name).await.map_err(|why| Failed::new(Exit::Failure, why))?;
    let began = Instant::now();
    let next = stage.dispatch(mission(&lane, "x", &serde_json::json!({}))?).await?;
    stage.ended(&next, Duration::from_mins(2)).await?;
    sheet.figure("queue deleted: until its next mission is done", began.elapsed().as_secs_f64(), "s");
    let left = waiting(stage, &lane).await?;
    sheet.at_most("queue made again: entries of the past in it", count(left), "", 0.0);
    sheet.peak("worker", stage.usage("w1")?, 128.0);
    Ok(())
}

/// How many entries wait in a lane.
async fn waiting(stage: &Stage, lane: &VpId) -> Result<u64, Failed> {
    let states = topology::lane_state(&stage.conn, lane).await.map_err(|error| refused(&error))?;
    Ok(states.values().map(|state| state.waiting).sum())
}

/// `vp ledger rebuild --check` beside the running bridge.
async fn check(stage: &mut Stage, sheet: &mut Sheet) -> Result<(), Failed> {
    say("comparing the ledger with one made from the log");
    let began = Instant::now();
    stage.spawn("check", &["ledger", "rebuild", "--check"])?;
    let deadline = began + PATIENCE;
    let mut peak = 0.0_f64;
    let status = loop {
        let process = stage.process("check")?;
        if let Some(status) = process.ended()? {
            break status;
        }
        // One that is just ending has nothing to show.
        peak = Usage::of(process.pid()).map_or(peak, |usage| usage.peak_mib.max(peak));
        if Instant::now() > deadline {
            return Err(Failed::new(Exit::TimedOut, "`vp ledger rebuild --check` did not end"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    sheet.figure("vp ledger rebuild --check", began.elapsed().as_secs_f64(), "s");
    sheet.at_most("vp ledger rebuild --check, peak resident", peak, "MiB", 1024.0);
    sheet.must("the ledger is what the log says", status.success());
    stage.take("check").map(drop)
}

/// The server, ended in good order and killed; everybody else stays.
async fn restarts(stage: &mut Stage, sheet: &mut Sheet) -> Result<(), Failed> {
    // Nobody but us may write to the past.
    stage.take("w1")?.stop().await?;
    stage.start_worker_of("w1", NOW).await?;
    let lane = lane_id(NOW)?;
    for (what, crash) in [("orderly", false), ("killed", true)] {
        if crash {
            // Written since the server last saved where everything is.
            past::write_more(stage, &lane_id(PAST)?, 1_000).await?;
        }
        say(format!("restarting nats-server, {what}"));
        let (ended, started) = stage.restart_server(crash).await?;
        sheet.figure(&format!("nats-server {what}: its end"), ended.as_secs_f64(), "s");
        sheet.at_most(
            &format!("nats-server {what}: until it answers again"),
            started.as_secs_f64(),
            "s",
            120.0,
        );
        sheet.figure(&format!("nats-server {what}: resident"), stage.usage("server")?.rss_mib, "MiB");
        let began = Instant::now();
        let mission_id = dispatch_again(stage, &lane).await?;
        stage.ended(&mission_id, Duration::from_mins(2)).await?;
        sheet.at_most(
            &format!("nats-server {what}: until the next mission is done"),
            began.elapsed().as_secs_f64(),
            "s",
            60.0,
        );
    }
    Ok(())
}

/// A mission as soon as one is taken again.
async fn dispatch_again(stage: &Stage, lane: &VpId) -> Result<MissionId, Failed> {
    let noop =
        mission(lane, "x", &serde_json::json!({"idempotency_key": vp_nats::clock::event_id().to_string()}))?;
    stage
        .until("a mission is taken", Duration::from_mins(2), async |stage| {
            match stage.dispatch(noop.clone()).await {
                Ok(mission_id) => Ok(Some(mission_id)),
                Err(error) if error.exit == Exit::Unavailable => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
}

fn remove_ledger(ledger: &std::path::Path) -> Result<(), Failed> {
    for ending in ["", "-wal", "-shm"] {
        let path = with_ending(ledger, ending);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let why = format!("could not remove `{}`: {error}", path.display());
                return Err(Failed::new(Exit::Failure, why));
            }
            _ => {}
        }
    }
    Ok(())
}

fn ledger_bytes(ledger: &std::path::Path) -> u64 {
    ["", "-wal", "-shm"].iter().map(|ending| disk_bytes(&with_ending(ledger, ending))).sum()
}

fn with_ending(ledger: &std::path::Path, ending: &str) -> std::path::PathBuf {
    let mut path = ledger.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn rate(events: u64, took: Duration) -> f64 {
    count(events) / took.as_secs_f64()
}

fn refused(error: &dyn std::error::Error) -> Failed {
    Failed::from_error(Exit::Unavailable, error)
}
