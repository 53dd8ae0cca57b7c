//! `vp doctor`: everything a working system needs, one line each, and what to do where something is missing.

mod broker;
mod deliver;
mod lanes;
mod records;

use serde::Serialize;
use vp_nats::bridges::ask_bridges;
use vp_nats::server;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into() }
    }

    fn warning(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, found: found.into() }
    }

    fn failed(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failed, found: found.into() }
    }
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
    let mut findings = vec![Finding::ok("configuration", format!("{} lanes", settings.lanes.len()))];
    findings.extend(deliver::look(settings));
    findings.push(match server::find_binary().await {
        Ok(binary) => {
            Finding::ok("nats-server binary", format!("{} {}", binary.version, binary.path.display()))
        }
        // Only a managed server needs it.
        Err(error) if settings.is_managed() => {
            Finding::failed("nats-server binary", Chain(&error).to_string())
        }
        Err(error) => Finding::warning("nats-server binary", Chain(&error).to_string()),
    });
    let conn = match link::connect(settings, "vp-doctor").await {
        Ok(conn) => conn,
        Err(failed) => {
            findings.push(Finding::failed("nats-server", failed.message));
            return findings;
        }
    };
    findings.push(Finding::ok("nats-server", format!("version {}", conn.server_version())));
    findings.extend(broker::look(&conn, settings).await);
    let (status, bridges) = tokio::join!(ledger::ask_status(&conn), ask_bridges(&conn));
    findings.push(records::delivered(&conn).await);
    findings.extend(deliver::standings(&conn, settings).await);
    findings.extend(lanes::look(&conn, settings, status.as_ref().ok()).await);
    findings.push(match bridges {
        Ok(bridges) => records::bridges(&bridges),
        Err(error) => Finding::failed("bridges", Chain(&error).to_string()),
    });
    match status {
        Ok(status) => findings.extend(records::judge(&status, vp_nats::clock::now())),
        Err(failed) => findings.push(Finding::failed("ledger", failed.message)),
    }
    findings
}
