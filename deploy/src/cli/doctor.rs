//! `vp doctor`: everything a working system needs, one line each.

use serde::Serialize;
use vp_nats::connect::Connection;
use vp_nats::{presence, server, topology};
use vp_shared::error::Chain;

use super::{Context, Format, ledger, output};
use crate::config::Settings;
use crate::exit::{Exit, Failed};
use crate::link;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

/// What was looked at, and what was found.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
}

/// `vp doctor`. Exits 1 when something has failed; warnings are no failure.
pub async fn run(context: &Context) -> Result<Exit, Failed> {
    let findings = look(&context.settings).await;
    if context.format == Format::Table {
        let rows = findings.iter().map(|finding| {
            let verdict = match finding.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Failed => "FAILED",
            };
            vec![finding.check.to_owned(), verdict.to_owned(), finding.found.clone()]
        });
        output::table(&["CHECK", "VERDICT", "FOUND"], rows)?;
    } else {
        output::json(&serde_json::json!({"checks": findings}), context.format)?;
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Failed);
    Ok(if failed { Exit::Failure } else { Exit::Ok })
}

async fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |check, verdict, found: String| findings.push(Finding { check, verdict, found });
    add("configuration", Verdict::Ok, format!("{} lanes", settings.lanes.len()));
    match server::find_binary().await {
        Ok(binary) => {
            add("nats-server binary", Verdict::Ok, format!("{} {}", binary.version, binary.path.display()));
        }
        Err(error) => {
            // Only a managed server needs it.
            let verdict = if settings.is_managed() { Verdict::Failed } else { Verdict::Warning };
            add("nats-server binary", verdict, Chain(&error).to_string());
        }
    }
    let conn = match link::connect(settings, "vp-doctor").await {
        Ok(conn) => conn,
        Err(failed) => {
            add("nats-server", Verdict::Failed, failed.message);
            return findings;
        }
    };
    add("nats-server", Verdict::Ok, format!("version {}", conn.server_version()));
    add_durability(settings, &mut add);
    look_at_streams(&conn, settings, &mut add).await;
    look_at_ledger(&conn, &mut add).await;
    findings
}

fn add_durability(settings: &Settings, add: &mut impl FnMut(&'static str, Verdict, String)) {
    if !settings.is_managed() {
        let found =
            "an existing server: see that it runs with `sync_interval: always`, or with 3 replicas".into();
        add("durability", Verdict::Warning, found);
    } else if settings.server_config().sync == server::SyncMode::Always {
        add("durability", Verdict::Ok, "every acked write is on disk (sync always)".into());
    } else {
        let found =
            "flush deferred: a power cut can lose the last acked writes; set `server.sync = \"always\"`"
                .into();
        add("durability", Verdict::Warning, found);
    }
}

async fn look_at_streams(
    conn: &Connection,
    settings: &Settings,
    add: &mut impl FnMut(&'static str, Verdict, String),
) {
    for vp_id in settings.lanes.keys() {
        match topology::lane_state(conn, vp_id).await {
            Ok(queues) => {
                let waiting: u64 = queues.values().map(|queue| queue.waiting).sum();
                add("lane queues", Verdict::Ok, format!("{vp_id}: {waiting} waiting"));
            }
            Err(error) => add("lane queues", Verdict::Failed, Chain(&error).to_string()),
        }
    }
    match presence::list(conn).await {
        Ok(workers) => {
            for vp_id in settings.lanes.keys() {
                let count =
                    workers.iter().filter(|w| w.lanes.iter().any(|lane| lane.vp_id == *vp_id)).count();
                let verdict = if count == 0 { Verdict::Warning } else { Verdict::Ok };
                add("live workers", verdict, format!("{vp_id}: {count}"));
            }
        }
        Err(error) => add("live workers", Verdict::Failed, Chain(&error).to_string()),
    }
}

async fn look_at_ledger(conn: &Connection, add: &mut impl FnMut(&'static str, Verdict, String)) {
    match ledger::ask_status(conn).await {
        Ok(status) => {
            let lag = status.stream_last.saturating_sub(status.cursor);
            let verdict = if lag > 10_000 { Verdict::Warning } else { Verdict::Ok };
            add(
                "ledger",
                verdict,
                format!("{lag} events behind, {} notices to send", status.notices_pending),
            );
            let verdict = if status.anomalies_total == 0 { Verdict::Ok } else { Verdict::Warning };
            add("anomalies", verdict, status.anomalies_total.to_string());
        }
        Err(failed) => add("ledger", Verdict::Failed, failed.message),
    }
}
