//! `vp prune`: what the policy of retention removes, shown or done by hand.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use vp_bridge::{LedgerPruneReport, prune_ledger};
use vp_shared::ids::WorkerId;
use vp_worker::{PruneReport, PruneRequest, prune};

use super::{Context, Format, output};
use crate::config::Settings;
use crate::exit::{Exit, Failed};
use crate::link;

/// Remove by hand what the policy in `[retention]` does not keep. Workers and the bridge do it by themselves.
#[derive(Debug, Subcommand)]
pub enum Prune {
    /// Workspaces of ended missions, of this host's configured workers
    Workspaces(Dry),
    /// What the ledger knows of missions that ended long ago and that the log has forgotten
    Ledger(Dry),
}

/// Whether it is done.
#[derive(Debug, Clone, Copy, Args)]
pub struct Dry {
    /// Show what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// `vp prune`.
pub async fn run(context: &Context, command: Prune) -> Result<Exit, Failed> {
    match command {
        Prune::Workspaces(dry) => workspaces(context, dry).await,
        Prune::Ledger(dry) => ledger(context, dry).await,
    }
}

/// The workers that this configuration starts on this host.
fn owners(settings: &Settings) -> BTreeSet<WorkerId> {
    let host = link::host();
    let of_lanes = settings.served_lanes().into_iter().map(|vp_id| {
        // As `vp up` names them.
        settings.worker_id_of(&host, vp_id.as_str().trim_start_matches("vp."))
    });
    of_lanes.chain([settings.worker_id(&host)]).collect()
}

async fn workspaces(context: &Context, Dry { dry_run }: Dry) -> Result<Exit, Failed> {
    let settings = &context.settings;
    let conn = link::connect(settings, "vp-prune").await?;
    let request = PruneRequest {
        root: settings.workspace_root(),
        owners: owners(settings),
        policy: settings.workspace_policy(),
        dry_run,
    };
    let report = prune(&conn, &request).await.map_err(|error| Failed::from_error(Exit::Failure, &error))?;
    if context.format == Format::Table {
        table(&report, dry_run)?;
    } else {
        output::json(&report, context.format)?;
    }
    if report.failed == 0 {
        return Ok(Exit::Ok);
    }
    let what = format!("{} workspaces are kept because of a trouble", report.failed);
    Err(Failed::new(Exit::Failure, what).hint("`vp prune workspaces -o json` tells each one's"))
}

fn table(report: &PruneReport, dry_run: bool) -> Result<(), Failed> {
    let rows = report.workspaces.iter().map(|one| {
        let why =
            one.trouble.clone().map_or_else(|| one.verdict.why().to_owned(), |why| format!("kept: {why}"));
        let why = if dry_run { why.replacen("removed:", "would go:", 1) } else { why };
        vec![one.path.clone(), one.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()), why]
    });
    output::table(&["WORKSPACE", "BYTES", "WHAT"], rows)?;
    let done = if dry_run { "would be removed" } else { "removed" };
    output::say(format!(
        "{} of {} {done}, {} bytes",
        report.removed,
        report.workspaces.len(),
        report.removed_bytes
    ));
    Ok(())
}

async fn ledger(context: &Context, Dry { dry_run }: Dry) -> Result<Exit, Failed> {
    let settings = &context.settings;
    let Some(keep_for) = settings.ledger_keeps() else {
        output::say("`retention.ledger_days` is 0: the ledger keeps everything");
        return Ok(Exit::Ok);
    };
    let conn = link::connect(settings, "vp-prune").await?;
    let report = prune_ledger(&conn, &settings.ledger(), keep_for, dry_run)
        .await
        .map_err(|error| Failed::from_error(Exit::Failure, &error))?;
    if context.format != Format::Table {
        output::json(&report, context.format)?;
        return Ok(Exit::Ok);
    }
    let LedgerPruneReport { missions, rows, waiting, named } = report;
    output::table(&["MISSION"], named.iter().map(|mission_id| vec![mission_id.to_string()]))?;
    let done = if dry_run { "would be deleted".to_owned() } else { format!("deleted, {rows} rows") };
    output::say(format!("{missions} missions {done}; {waiting} wait for the log or for a notice"));
    Ok(Exit::Ok)
}
