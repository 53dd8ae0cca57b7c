//! How fast the system answers, whatever else it holds.

use std::time::{Duration, Instant};

use vp_nats::watch::MissionWatch;
use vp_shared::api::{DispatchMission, GetMission, ListMissions};
use vp_shared::ids::{MissionId, VpId};
use vp_shared::mission::EventKind;

use crate::bench::quantile_ms;
use crate::bench::sheet::Sheet;
use crate::bench::stage::Stage;
use crate::exit::{Exit, Failed};

/// How long a mission may take to start.
const PATIENCE: Duration = Duration::from_mins(2);

/// Puts the median and the 99th percentile of `samples` on the sheet; the latter is bounded.
pub fn quantiles(sheet: &mut Sheet, what: &str, samples: &[Duration], most: Duration) {
    sheet.figure(&format!("{what}, p50 of {}", samples.len()), quantile_ms(samples, 0.50), "ms");
    sheet.at_most(
        &format!("{what}, p99 of {}", samples.len()),
        quantile_ms(samples, 0.99),
        "ms",
        most.as_secs_f64() * 1000.0,
    );
}

/// From the call of dispatch until its `started` event is seen published, one mission after the other.
pub async fn starts(
    stage: &Stage,
    lane: &VpId,
    mission: &DispatchMission,
    missions: usize,
) -> Result<Vec<Duration>, Failed> {
    let mut samples = Vec::with_capacity(missions);
    for _ in 0..missions {
        let (took, mission_id) = start(stage, lane, mission.clone()).await?;
        stage.ended(&mission_id, PATIENCE).await?;
        samples.push(took);
    }
    Ok(samples)
}

/// From the call of dispatch until its `started` event is seen published.
pub async fn start(
    stage: &Stage,
    lane: &VpId,
    mission: DispatchMission,
) -> Result<(Duration, MissionId), Failed> {
    let mut watch = MissionWatch::lane(&stage.conn, lane, &[EventKind::Started])
        .await
        .map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
    let flushed = stage.conn.flush().await;
    flushed.map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
    let began = Instant::now();
    let mission_id = stage.dispatch(mission).await?;
    let seen = async {
        while let Some(hint) = watch.next().await {
            if hint.mission_id == mission_id {
                return true;
            }
        }
        false
    };
    match tokio::time::timeout(PATIENCE, seen).await {
        Ok(true) => Ok((began.elapsed(), mission_id)),
        _ => {
            let why = format!("mission {mission_id} did not start within {} s", PATIENCE.as_secs());
            Err(Failed::new(Exit::TimedOut, why))
        }
    }
}

/// How long `vp_get_mission` takes, for each of these.
pub async fn gets(stage: &Stage, missions: &[MissionId]) -> Result<Vec<Duration>, Failed> {
    let mut samples = Vec::with_capacity(missions.len());
    for mission_id in missions {
        let began = Instant::now();
        stage.dispatcher.get(GetMission { mission_id: mission_id.clone() }).await?;
        samples.push(began.elapsed());
    }
    Ok(samples)
}

/// How long `vp_list_missions` takes: so many pages, each behind the one before.
pub async fn lists(stage: &Stage, filter: &serde_json::Value, pages: usize) -> Result<Vec<Duration>, Failed> {
    let mut samples = Vec::with_capacity(pages);
    let mut cursor = None;
    for _ in 0..pages {
        let input: ListMissions = vp_shared::api::parse(filter.to_string().as_bytes())?;
        let began = Instant::now();
        let page = stage.dispatcher.list(ListMissions { cursor, ..input }).await?;
        samples.push(began.elapsed());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(samples)
}
