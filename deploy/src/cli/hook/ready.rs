//! Whether a delegation is possible now: the broker answers, and a live worker serves each lane.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use vp_nats::connect::Connection;
use vp_nats::presence;
use vp_shared::api::Presence;
use vp_shared::error::Chain;
use vp_shared::ids::VpId;

use crate::config::Settings;
use crate::link;

/// How often it is looked whether a worker has come.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What is kept back of the time to answer.
const RESERVE: Duration = Duration::from_millis(400);

/// What is in the way, in words; empty when nothing is.
pub(super) async fn troubles(settings: &Settings, lanes: &[VpId], deadline: Instant) -> Vec<String> {
    let deadline = deadline - RESERVE;
    let connected = timeout_at(deadline, link::connect(settings, "vp-hook")).await;
    let conn = match connected {
        Ok(Ok(conn)) => conn,
        Ok(Err(failed)) => return vec![format!("the broker is not reached: {}", failed.message)],
        Err(_) => {
            let seconds = settings.hook.answer_seconds;
            return vec![format!("the broker is not reached: no connection within {seconds} s")];
        }
    };
    if !settings.hook.require_live_worker {
        return Vec::new();
    }
    let wait = Duration::from_secs(settings.hook.worker_wait_seconds);
    let until = deadline.min(Instant::now() + wait);
    match timeout_at(deadline, unserved(&conn, lanes, until)).await {
        Ok(found) => found,
        Err(_) => vec!["who serves the lanes could not be learned in time".to_owned()],
    }
}

async fn unserved(conn: &Connection, lanes: &[VpId], until: Instant) -> Vec<String> {
    let began = Instant::now();
    loop {
        let found = match presence::list(conn).await {
            Ok(workers) => missing(lanes, &workers),
            Err(error) => vec![format!("who serves the lanes could not be learned: {}", Chain(&error))],
        };
        if found.is_empty() {
            return found;
        }
        if Instant::now() + LOOK_EVERY >= until {
            let waited = began.elapsed().as_secs_f64();
            return found.into_iter().map(|what| format!("{what} (waited {waited:.1} s)")).collect();
        }
        sleep(LOOK_EVERY).await;
    }
}

fn missing(lanes: &[VpId], workers: &[Presence]) -> Vec<String> {
    let serves = |worker: &&Presence, lane: &VpId| {
        !worker.draining && worker.lanes.iter().any(|served| served.vp_id == *lane)
    };
    let missing = lanes.iter().filter(|lane| !workers.iter().any(|worker| serves(&worker, lane)));
    let draining = |lane: &VpId| {
        workers
            .iter()
            .any(|worker| worker.draining && worker.lanes.iter().any(|served| served.vp_id == *lane))
    };
    missing
        .map(|lane| match (draining(lane), workers.len()) {
            (true, _) => format!("the worker of {lane} is draining and takes no new mission"),
            (false, 0) => format!("no live worker serves {lane}: none is alive"),
            (false, alive) => format!("no live worker serves {lane}: {alive} alive serve other lanes"),
        })
        .collect()
}
