//! `vp ledger`: how the ledger stands, and making it anew from the log.

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::time::Duration;
use vp_nats::bridges::ask_bridges;
use vp_nats::{service, subject};
use vp_shared::api::{Answer, BridgeReport, LedgerQuestion, LedgerStatus, ReconcilerStatus, RetentionStatus};

use super::{Context, Format, output};
use crate::exit::{Exit, Failed};
use crate::link;

/// Look after the ledger.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Show how far it is, and what was odd
    Status,
    /// Make it anew from the log; stop the bridge first
    Rebuild(Rebuild),
}

/// Make the ledger anew.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// Change nothing: compare the ledger with one made from the log, table by table
    #[arg(long)]
    check: bool,
}

/// `vp ledger`.
pub async fn run(context: &Context, command: Ledger) -> Result<Exit, Failed> {
    match command {
        Ledger::Status => status(context).await,
        Ledger::Rebuild(args) => rebuild(context, args).await,
    }
}

/// Asks the bridge how its ledger stands.
pub async fn ask_status(conn: &vp_nats::connect::Connection) -> Result<LedgerStatus, Failed> {
    let subject = subject::ledger(LedgerQuestion::Status);
    let reply = service::request(conn, &subject, Bytes::from_static(b"{}"), None, Duration::from_secs(5))
        .await
        .map_err(|error| {
            Failed::from_error(Exit::Unavailable, &error)
                .hint("is a bridge running? `vp up` or `vp bridge` starts one")
        })?;
    let answer: Answer<LedgerStatus> = Answer::from_json(&reply).map_err(|error| {
        Failed::new(Exit::Failure, format!("the ledger's answer is not readable: {error}"))
    })?;
    Ok(answer.0?)
}

/// How the ledger stands, and the bridges.
#[derive(Debug, Serialize)]
struct Standing {
    /// Not when no bridge works.
    #[serde(flatten)]
    ledger: Option<LedgerStatus>,
    bridges: Vec<BridgeReport>,
}

async fn status(context: &Context) -> Result<Exit, Failed> {
    let conn = link::connect(&context.settings, "vp-ledger").await?;
    let (asked, bridges) = tokio::join!(ask_status(&conn), ask_bridges(&conn));
    let bridges = bridges.map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
    // Without a ledger the bridges still say what they know.
    let (ledger, failed) = match asked {
        Ok(status) => (Some(status), None),
        Err(failed) if bridges.is_empty() => return Err(failed),
        Err(failed) => (None, Some(failed.hint("what the bridges above say is in the way"))),
    };
    let standing = Standing { ledger, bridges };
    if context.format == Format::Table {
        show(&standing)?;
    } else {
        output::json(&standing, context.format)?;
    }
    failed.map_or(Ok(Exit::Ok), Err)
}

fn show(standing: &Standing) -> Result<(), Failed> {
    let mut rows = standing.ledger.as_ref().map(ledger_rows).unwrap_or_default();
    for bridge in &standing.bridges {
        rows.push(vec![format!("bridge {} on {}", bridge.pid, bridge.host), standing_of(bridge)]);
        rows.extend(bridge.trouble.iter().map(|trouble| vec!["its trouble".to_owned(), trouble.clone()]));
    }
    output::table(&["WHAT", "VALUE"], rows)
}

/// What a bridge does, and how far it knows the ledger to be behind.
pub fn standing_of(bridge: &BridgeReport) -> String {
    let does = if bridge.active { "works" } else { "stands by" };
    let lag = match (bridge.active, bridge.lag_events, bridge.lag_seconds) {
        // While one works, the ledger itself says it.
        (false, Some(events @ 1..), Some(seconds)) => format!(", {events} events, {seconds} s behind"),
        _ => String::new(),
    };
    format!("{does} since {}{lag}", bridge.since)
}

fn ledger_rows(status: &LedgerStatus) -> Vec<Vec<String>> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("projected to", format!("{} of {}", status.cursor, status.stream_last)),
        row("behind", format!("{} events, {} s", status.lag_events, status.lag_seconds)),
        row("notices to send", status.notices_pending.to_string()),
        row("anomalies", status.anomalies_total.to_string()),
        row("stranded missions", reconciled(&status.reconciler)),
        row("old missions", retained(&status.retention)),
    ];
    rows.extend(status.missions.iter().map(|(name, count)| row(name, count.to_string())));
    rows.extend(status.anomalies.iter().map(|anomaly| {
        row(&format!("seq {}", anomaly.seq), format!("{}: {}", anomaly.subject, anomaly.what))
    }));
    rows.extend(status.reconciler.newest.iter().map(|done| {
        row(&format!("mission {}", done.mission_id), format!("{} at {}: {}", done.what, done.at, done.why))
    }));
    rows
}

/// What the reconciler has found and done, in a line.
pub fn reconciled(status: &ReconcilerStatus) -> String {
    let looked = status.looked_at.map_or_else(|| "not looked yet".to_owned(), |at| format!("looked at {at}"));
    let ReconcilerStatus { repaired, watched, .. } = status;
    match &status.error {
        Some(error) => format!("{repaired} brought back or ended; cannot look now: {error}"),
        None => format!("{repaired} brought back or ended, {watched} watched, {looked}"),
    }
}

/// What was deleted by policy, in a line.
pub fn retained(status: &RetentionStatus) -> String {
    let RetentionStatus { missions_deleted, rows_deleted, waiting, .. } = status;
    let Some(next_at) = status.next_at else { return "kept for ever".to_owned() };
    let ran = status.ran_at.map_or_else(|| "not looked yet".to_owned(), |at| format!("looked at {at}"));
    let done =
        format!("{missions_deleted} deleted ({rows_deleted} rows), {waiting} wait, {ran}, next {next_at}");
    match &status.error {
        Some(error) => format!("{done}; not to the end: {error}"),
        None => done,
    }
}

async fn rebuild(context: &Context, args: Rebuild) -> Result<Exit, Failed> {
    let conn = link::connect(&context.settings, "vp-ledger").await?;
    let report =
        vp_bridge::rebuild::rebuild(&conn, &context.settings.ledger(), &context.settings.lanes, args.check)
            .await
            .map_err(|error| Failed::from_error(Exit::Failure, &error))?;
    if context.format == Format::Table {
        let rows = report.tables.iter().map(|table| {
            vec![
                table.name.clone(),
                table.rows.to_string(),
                table.digest.clone(),
                if table.equal { "equal".into() } else { "DIFFERENT".into() },
            ]
        });
        output::table(&["TABLE", "ROWS", "DIGEST", "COMPARED"], rows)?;
    } else {
        output::json(&report, context.format)?;
    }
    if args.check && !report.tables.iter().all(|table| table.equal) {
        return Err(Failed::new(Exit::Failure, "the ledger is not what the log says")
            .hint("stop the bridge and run `vp ledger rebuild`"));
    }
    Ok(Exit::Ok)
}
