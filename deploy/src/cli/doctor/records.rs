//! The ledger: how far it is behind, what it could not read, what was not delivered, what was stranded.

use std::collections::BTreeMap;
use std::time::Duration;

use vp_nats::connect::Connection;
use vp_nats::notices::unread;
use vp_shared::api::{BridgeReport, LedgerStatus};
use vp_shared::error::Chain;
use vp_shared::ids::SessionId;
use vp_shared::time::UtcTime;

use super::Finding;
use crate::cli::ledger::{reconciled, retained, standing_of};

/// More events behind than this is a lag.
const LAG: u64 = 10_000;
/// So are fewer, when the last one projected is older than this.
const LAG_FOR: Duration = Duration::from_mins(1);
/// More unsent notices than this are a jam.
const UNSENT: u64 = 100;
/// More notices than this that one session has not read: nobody reads them.
const UNREAD: u64 = 100;
/// The reconciler looks each few seconds.
const NOT_LOOKED_FOR: Duration = Duration::from_mins(2);

pub(super) fn judge(status: &LedgerStatus, now: UtcTime) -> Vec<Finding> {
    vec![lag(status, now), notices(status), anomalies(status), stranded(status, now), retention(status)]
}

/// Who works on the ledger, who stands by, and what is in their way.
pub(super) fn bridges(bridges: &[BridgeReport]) -> Finding {
    const CHECK: &str = "bridges";
    let works = bridges.iter().filter(|bridge| bridge.active).count();
    let said = format!("{works} works, {} stand by", bridges.len() - works);
    let troubles: Vec<String> = bridges
        .iter()
        .filter(|bridge| !bridge.trouble.is_empty())
        .map(|bridge| {
            let trouble = bridge.trouble.join("; ");
            format!("bridge {} on {} {}: {trouble}", bridge.pid, bridge.host, standing_of(bridge))
        })
        .collect();
    match (troubles.is_empty(), works) {
        (false, 0) => Finding::failed(CHECK, format!("none works; {}", troubles.join("; "))),
        (false, _) => Finding::warning(CHECK, format!("{said}; {}", troubles.join("; "))),
        (true, 0) => Finding::failed(CHECK, format!("{said}: `vp up` or `vp bridge` starts one")),
        (true, _) => Finding::ok(CHECK, said),
    }
}

fn lag(status: &LedgerStatus, now: UtcTime) -> Finding {
    const CHECK: &str = "ledger";
    let behind = status.stream_last.saturating_sub(status.cursor);
    let since = status.projected_at.map_or(Duration::ZERO, |at| now.since(at));
    let said = format!("{behind} events behind");
    if behind > LAG || (behind > 0 && since > LAG_FOR) {
        let found = format!(
            "{said}, the last one projected is {} s old: `vp ledger status` and the bridge's log say what stops it, \
             such as a full disk or a locked database",
            since.as_secs()
        );
        return Finding::warning(CHECK, found);
    }
    Finding::ok(CHECK, said)
}

fn notices(status: &LedgerStatus) -> Finding {
    const CHECK: &str = "notices";
    let said = format!("{} to send", status.notices_pending);
    if status.notices_pending > UNSENT {
        let found = format!("{said}: they are kept and sent later; see the bridge's log for what stops them");
        return Finding::warning(CHECK, found);
    }
    Finding::ok(CHECK, said)
}

/// Notices that are in the sessions' streams and that nobody has read.
pub(super) async fn delivered(conn: &Connection) -> Finding {
    match unread(conn).await {
        Ok(unread) => delivery(&unread),
        Err(error) => Finding::failed("unread notices", Chain(&error).to_string()),
    }
}

fn delivery(unread: &BTreeMap<SessionId, u64>) -> Finding {
    const CHECK: &str = "unread notices";
    let total: u64 = unread.values().sum();
    let said = format!("{total} in {} sessions", unread.len());
    match unread.iter().max_by_key(|(_, count)| **count) {
        Some((session, most)) if *most > UNREAD => {
            let found = format!(
                "{said}, {most} of them in `{session}`: does anybody read that session? \
                 `vp notices --session {session}` shows them"
            );
            Finding::warning(CHECK, found)
        }
        _ => Finding::ok(CHECK, said),
    }
}

fn anomalies(status: &LedgerStatus) -> Finding {
    const CHECK: &str = "anomalies";
    let Some(newest) = status.anomalies.first() else { return Finding::ok(CHECK, "none") };
    let found = format!(
        "{} messages of the log were stepped over, the newest at sequence {}: {}; find out who writes to `{}` \
         (`vp ledger status` lists them), and upgrade the bridge if the schema is newer",
        status.anomalies_total, newest.seq, newest.what, newest.subject
    );
    Finding::warning(CHECK, found)
}

fn retention(status: &LedgerStatus) -> Finding {
    const CHECK: &str = "old missions";
    let said = retained(&status.retention);
    if status.retention.error.is_some() { Finding::warning(CHECK, said) } else { Finding::ok(CHECK, said) }
}

fn stranded(status: &LedgerStatus, now: UtcTime) -> Finding {
    const CHECK: &str = "stranded missions";
    let said = reconciled(&status.reconciler);
    let looks = status.reconciler.looked_at.is_some_and(|at| now.since(at) < NOT_LOOKED_FOR);
    if status.reconciler.error.is_some() || (!looks && status.cursor > 0) {
        let found = format!("{said}; nobody looks for them now, see the bridge's log, or restart it");
        return Finding::warning(CHECK, found);
    }
    if let Some(newest) = status.reconciler.newest.first() {
        let found =
            format!("{said}; the newest, {}: {}; find out who did that", newest.mission_id, newest.why);
        return Finding::warning(CHECK, found);
    }
    Finding::ok(CHECK, said)
}

#[cfg(test)]
mod tests {
    use vp_shared::api::{Anomaly, ReconcilerStatus};

    use super::super::Verdict;
    use super::*;

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
    }

    fn healthy() -> LedgerStatus {
        LedgerStatus {
            retention: vp_shared::api::RetentionStatus::default(),
            cursor: 100,
            stream_last: 100,
            projected_at: Some(at(0)),
            missions: std::collections::BTreeMap::new(),
            waiting: std::collections::BTreeMap::new(),
            notices_pending: 0,
            anomalies_total: 0,
            anomalies: Vec::new(),
            lag_events: 0,
            lag_seconds: 0,
            reconciler: ReconcilerStatus { looked_at: Some(at(995)), ..ReconcilerStatus::default() },
        }
    }

    fn warned(status: &LedgerStatus) -> Vec<&'static str> {
        let judged = judge(status, at(1_000)).into_iter();
        judged.filter(|finding| finding.verdict == Verdict::Warning).map(|finding| finding.check).collect()
    }

    #[test]
    fn a_healthy_ledger_has_no_warning_however_long_nothing_happened() {
        assert_eq!(warned(&healthy()), Vec::<&str>::new());
    }

    #[test]
    fn a_session_that_nobody_reads_is_named() {
        let session = |name: &str| SessionId::new(name).unwrap_or_else(|error| panic!("{error}"));
        let few = BTreeMap::from([(session("a"), 100), (session("b"), 100)]);
        assert_eq!(delivery(&few).verdict, Verdict::Ok);
        let many = BTreeMap::from([(session("a"), 1), (session("lost"), 101)]);
        let found = delivery(&many);
        assert!(found.verdict == Verdict::Warning && found.found.contains("--session lost"), "{found:?}");
    }

    #[test]
    fn what_is_wrong_is_warned_of() {
        assert_eq!(warned(&LedgerStatus { stream_last: 101, ..healthy() }), ["ledger"], "for 1,000 s");
        assert_eq!(
            warned(&LedgerStatus { stream_last: 101, projected_at: Some(at(999)), ..healthy() }),
            [""; 0]
        );
        assert_eq!(warned(&LedgerStatus { notices_pending: 101, ..healthy() }), ["notices"]);
        let anomaly = Anomaly { seq: 7, subject: "missions.x".into(), what: "the body is not UTF-8".into() };
        let odd = LedgerStatus { anomalies_total: 1, anomalies: vec![anomaly], ..healthy() };
        assert_eq!(warned(&odd), ["anomalies"]);
        let late = ReconcilerStatus { looked_at: Some(at(0)), ..ReconcilerStatus::default() };
        assert_eq!(warned(&LedgerStatus { reconciler: late, ..healthy() }), ["stranded missions"]);
    }
}
