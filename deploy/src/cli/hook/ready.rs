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
    lanes.iter().filter_map(|lane| trouble(lane, workers)).collect()
}

/// What keeps a lane from starting a mission now.
fn trouble(lane: &VpId, workers: &[Presence]) -> Option<String> {
    let of_lane =
        |worker: &Presence| worker.lanes.iter().find(|served| served.vp_id == *lane).map(|it| it.mode);
    let serving: Vec<_> =
        workers.iter().filter_map(|worker| Some((worker.draining, of_lane(worker)?))).collect();
    if serving.iter().any(|(draining, mode)| !draining && mode.is_open()) {
        return None;
    }
    let closed = serving.iter().find(|(_, mode)| !mode.is_open());
    Some(match (closed, serving.is_empty(), workers.len()) {
        (Some((_, mode)), ..) => format!("lane {lane} is {mode}: `vp lanes` tells by whom, and why"),
        (None, false, _) => format!("the worker of {lane} is draining and takes no new mission"),
        (None, true, 0) => format!("no live worker serves {lane}: none is alive"),
        (None, true, alive) => format!("no live worker serves {lane}: {alive} alive serve other lanes"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    fn worker(lane: &str, draining: bool, mode: &str) -> Presence {
        serde_json::from_value(json!({
            "worker_id": "w", "incarnation": "i", "host": "h", "version": "1", "draining": draining,
            "lanes": [{"vp_id": lane, "slots": 1, "busy": 0, "mode": mode}], "since": "2026-11-28T09:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn a_lane_can_take_a_mission_when_one_worker_serves_it_and_it_is_not_paused() {
        let (coder, other) = ("vp.coder.primary", "vp.general.primary");
        let said = |workers: &[Presence]| trouble(&VpId::new(coder).unwrap(), workers);
        assert_eq!(said(&[worker(coder, true, "open"), worker(coder, false, "open")]), None);
        assert!(said(&[worker(coder, false, "paused")]).unwrap().contains("is paused"));
        assert!(said(&[worker(coder, true, "open")]).unwrap().contains("is draining and takes"));
        assert!(said(&[worker(other, false, "open")]).unwrap().contains("1 alive serve other lanes"));
        assert!(said(&[]).unwrap().contains("none is alive"));
    }
}
