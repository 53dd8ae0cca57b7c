//! Lanes and workers: queues, who serves them, what waits, which versions.

use std::collections::{BTreeMap, BTreeSet};

use vp_nats::connect::Connection;
use vp_nats::lane_modes;
use vp_nats::{presence, topology};
use vp_shared::api::{LedgerStatus, Presence};
use vp_shared::error::Chain;
use vp_shared::ids::VpId;
use vp_shared::lane::LaneModeRecord;

use super::Finding;
use crate::config::Settings;

pub(super) async fn look(
    conn: &Connection,
    settings: &Settings,
    status: Option<&LedgerStatus>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What waits by the queues; by the ledger also in lanes that are not configured here.
    let mut waiting: BTreeMap<String, u64> = status.map(|status| status.waiting.clone()).unwrap_or_default();
    for vp_id in settings.lanes.keys() {
        match topology::lane_state(conn, vp_id).await {
            Ok(queues) => {
                let entries: u64 = queues.values().map(|queue| queue.waiting).sum();
                findings.push(Finding::ok("lane queues", format!("{vp_id}: {entries} waiting")));
                let known = waiting.entry(vp_id.to_string()).or_default();
                *known = entries.max(*known);
            }
            Err(error) => findings.push(Finding::failed("lane queues", Chain(&error).to_string())),
        }
    }
    for vp_id in settings.lanes.keys() {
        match lane_modes::lookup(conn, vp_id).await {
            Ok(record) => findings.extend(paused(vp_id, record, &waiting)),
            Err(error) => {
                findings.push(Finding::failed("lane modes", Chain(&error).to_string()));
                break;
            }
        }
    }
    match presence::list(conn).await {
        Ok(workers) => {
            let lanes: Vec<&VpId> = settings.lanes.keys().collect();
            findings.extend(served(&lanes, &waiting, &workers));
            findings.extend(starved(&workers));
            findings.extend(uncleaned(&workers));
            findings.push(versions(&workers, env!("CARGO_PKG_VERSION")));
        }
        Err(error) => findings.push(Finding::failed("live workers", Chain(&error).to_string())),
    }
    findings
}

/// A lane that is paused: somebody wants it so, and may have forgotten it while missions wait.
fn paused(vp_id: &VpId, record: Option<LaneModeRecord>, waiting: &BTreeMap<String, u64>) -> Option<Finding> {
    const CHECK: &str = "lane modes";
    let record = record?.if_closed()?;
    Some(match waiting.get(vp_id.as_str()) {
        None | Some(0) => Finding::ok(CHECK, format!("{vp_id} is {record}")),
        Some(waits) => {
            let found =
                format!("{vp_id} is {record}; {waits} missions wait until `vp lanes --resume {vp_id}`");
            Finding::warning(CHECK, found)
        }
    })
}

fn served(lanes: &[&VpId], waiting: &BTreeMap<String, u64>, workers: &[Presence]) -> Vec<Finding> {
    const CHECK: &str = "live workers";
    let names: BTreeSet<&str> =
        lanes.iter().map(|lane| lane.as_str()).chain(waiting.keys().map(String::as_str)).collect();
    let of_lane = |name: &str| {
        let serves = |worker: &&Presence| worker.lanes.iter().any(|lane| lane.vp_id.as_str() == name);
        workers.iter().filter(serves).count()
    };
    let judged = names.into_iter().map(|name| {
        let (count, waits) = (of_lane(name), waiting.get(name).copied().unwrap_or_default());
        match (count, waits) {
            (0, 0) => Finding::warning(CHECK, format!("{name}: nobody serves it; start `vp worker --lane {name}`")),
            (0, waits) => {
                let configured = lanes.iter().any(|lane| lane.as_str() == name);
                let also = if configured { "" } else { ", which is not configured here" };
                let found = format!(
                    "{name}{also}: {waits} missions wait and nobody serves it; start `vp worker --lane {name}`, or \
                     cancel them"
                );
                Finding::warning(CHECK, found)
            }
            (count, _) => Finding::ok(CHECK, format!("{name}: {count}")),
        }
    });
    judged.collect()
}

/// The alarms of workers.
fn starved(workers: &[Presence]) -> Vec<Finding> {
    let alarms = workers.iter().flat_map(|worker| worker.lanes.iter().map(move |lane| (worker, lane)));
    let alarms = alarms.filter_map(|(worker, lane)| {
        let since = lane.starved_since?;
        let found = format!(
            "{} of {}: slots are free and entries wait, and none has come since before {since}; see whether the \
             lane's consumer is paused (`nats consumer info`), else restart the worker",
            lane.vp_id, worker.worker.worker_id
        );
        Some(Finding::warning("starved lanes", found))
    });
    alarms.collect()
}

/// Workers that cannot clean up as the policy says.
fn uncleaned(workers: &[Presence]) -> Vec<Finding> {
    let troubled = workers.iter().filter_map(|worker| {
        let (id, status) = (&worker.worker.worker_id, worker.workspaces.as_ref()?);
        let found = match &status.error {
            Some(error) => format!("{id} cannot look through its workspaces: {error}"),
            None if status.failed > 0 => format!(
                "{id} keeps {} workspaces because of a trouble; `vp prune workspaces --dry-run` on its host tells which",
                status.failed
            ),
            None => return None,
        };
        Some(Finding::warning("workspaces", found))
    });
    troubled.collect()
}

fn versions(workers: &[Presence], mine: &str) -> Finding {
    const CHECK: &str = "worker versions";
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for worker in workers {
        seen.entry(&worker.worker.version).or_default().push(worker.worker.worker_id.as_str());
    }
    let said: Vec<_> =
        seen.iter().map(|(version, workers)| format!("{version} ({})", workers.join(", "))).collect();
    if seen.keys().any(|version| *version != mine) {
        let found =
            format!("{}, and this is {mine}: bring all to one version, workers last", said.join(", "));
        return Finding::warning(CHECK, found);
    }
    Finding::ok(CHECK, if said.is_empty() { "no workers".to_owned() } else { said.join(", ") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use vp_shared::api::LanePresence;
    use vp_shared::event::WorkerRef;
    use vp_shared::ids::WorkerId;
    use vp_shared::lane::LaneMode;
    use vp_shared::time::UtcTime;

    use super::super::Verdict;
    use super::*;

    fn lane(name: &str) -> VpId {
        VpId::new(name).unwrap()
    }

    fn worker(version: &str, vp_id: &VpId, starved_since: Option<UtcTime>) -> Presence {
        Presence {
            worker: WorkerRef {
                worker_id: WorkerId::new("w1").unwrap(),
                incarnation: "life".into(),
                host: "host".into(),
                version: version.into(),
            },
            lanes: vec![LanePresence {
                vp_id: vp_id.clone(),
                slots: 1,
                busy: 0,
                starved_since,
                mode: LaneMode::Open,
            }],
            since: UtcTime::from_micros(0),
            draining: false,
            workspaces: None,
            process: None,
        }
    }

    #[test]
    fn a_paused_lane_is_warned_of_while_missions_wait() {
        let coder = lane("vp.coder.primary");
        let record = |mode| {
            Some(LaneModeRecord { mode, by: "me".into(), reason: None, since: UtcTime::from_micros(0) })
        };
        let waits = |count| BTreeMap::from([(coder.to_string(), count)]);
        assert_eq!(paused(&coder, None, &waits(3)), None);
        assert_eq!(paused(&coder, record(LaneMode::Open), &waits(3)), None);
        assert_eq!(paused(&coder, record(LaneMode::Paused), &waits(0)).unwrap().verdict, Verdict::Ok);
        let found = paused(&coder, record(LaneMode::Draining), &waits(3)).unwrap();
        assert!(found.verdict == Verdict::Warning && found.found.contains("3 missions wait"), "{found:?}");
    }

    #[test]
    fn a_worker_that_cannot_clean_up_is_told_of() {
        let lane = VpId::new("vp.coder.primary").unwrap();
        let mut worker = worker("0.1.0", &lane, None);
        assert!(uncleaned(std::slice::from_ref(&worker)).is_empty());
        worker.workspaces = Some(vp_shared::api::WorkspaceStatus::default());
        assert!(uncleaned(std::slice::from_ref(&worker)).is_empty());
        for (failed, error) in [(2, None), (0, Some("denied".to_owned()))] {
            let status = vp_shared::api::WorkspaceStatus { failed, error, ..Default::default() };
            worker.workspaces = Some(status);
            assert_eq!(uncleaned(std::slice::from_ref(&worker))[0].verdict, Verdict::Warning);
        }
    }

    #[test]
    fn missions_that_wait_in_a_lane_nobody_serves_are_warned_of_configured_or_not() {
        let (coder, general) = (lane("vp.coder.primary"), lane("vp.general.primary"));
        let waiting = BTreeMap::from([(general.to_string(), 3), ("vp.former.one".to_owned(), 2)]);
        let found = served(&[&coder, &general], &waiting, &[worker("1", &coder, None)]);
        let by = |name: &str| found.iter().find(|finding| finding.found.starts_with(name)).unwrap();
        assert_eq!(by("vp.coder.primary").verdict, Verdict::Ok);
        let unserved = by("vp.general.primary");
        assert!(unserved.verdict == Verdict::Warning && unserved.found.contains("3 missions wait"));
        assert!(by("vp.former.one").found.contains("not configured here"));
    }

    #[test]
    fn alarms_and_mixed_versions_are_shown() {
        let coder = lane("vp.coder.primary");
        assert!(starved(&[worker("1", &coder, None)]).is_empty());
        let alarm = &starved(&[worker("1", &coder, Some(UtcTime::from_micros(0)))])[0];
        assert!(alarm.verdict == Verdict::Warning && alarm.found.contains("paused"), "{alarm:?}");
        assert_eq!(versions(&[], "1").verdict, Verdict::Ok);
        assert_eq!(versions(&[worker("1", &coder, None)], "1").verdict, Verdict::Ok);
        let mixed = versions(&[worker("1", &coder, None), worker("2", &coder, None)], "1");
        assert!(mixed.verdict == Verdict::Warning && mixed.found.contains("2 (w1)"), "{mixed:?}");
    }
}
