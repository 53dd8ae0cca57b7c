//! `vp route`: what the user's own words ask for, and why it was read so.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use vp_shared::routing::{self, ControlAction, Intent, MAX_ROUTED_BYTES, Route, Router, table};

use super::{Context, Format, output};
use crate::exit::{Exit, Failed};

/// Explain whether words delegate to a lane.
#[derive(Debug, Args)]
pub struct RouteArgs {
    /// The user's own words, before any template; standard input when absent or `-`
    text: Option<String>,
    /// Read a table of phrases instead and say how well: lines of category, decision and JSON string, parted by tabs
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    table: Option<PathBuf>,
    /// Show instead which turns of agents delegated explicitly and ended without a dispatch, as `vp hook report`
    #[arg(long, conflicts_with_all = ["text", "table"])]
    audit: bool,
}

/// `vp route`.
pub fn run(context: &Context, args: RouteArgs) -> Result<Exit, Failed> {
    if args.audit {
        return super::hook::report(context);
    }
    if let Some(path) = &args.table {
        return read_table(context, path);
    }
    let text = match args.text {
        Some(text) if text != "-" => text,
        _ => from_stdin()?,
    };
    let route = routing::route(&text, &context.settings.lanes);
    if context.format != Format::Table {
        output::json(&route, context.format)?;
        return Ok(Exit::Ok);
    }
    output::line(headline(&route))?;
    for mission in &route.missions {
        output::line(format!("  {}: {}", mission.vp_id, one_line(&mission.words)))?;
    }
    for because in &route.because {
        output::line(format!("because {:?} {}", one_line(&because.words), because.means))?;
    }
    Ok(Exit::Ok)
}

fn from_stdin() -> Result<String, Failed> {
    let mut input = std::io::stdin().lock().take(MAX_ROUTED_BYTES as u64 + 4);
    let mut bytes = Vec::new();
    input
        .read_to_end(&mut bytes)
        .map_err(|error| Failed::new(Exit::Failure, format!("could not read standard input: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a table; ends with 1 when a phrase is read wrong.
fn read_table(context: &Context, path: &Path) -> Result<Exit, Failed> {
    let usage = |error: String| Failed::new(Exit::Usage, format!("`--table {}`: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    let phrases = table::parse(&text).map_err(|error| usage(error.to_string()))?;
    let report = table::report(&Router::new(&context.settings.lanes), &phrases);
    if context.format == Format::Table {
        for wrong in &report.wrong {
            output::line(format!("{:?} is read as {}, not {}", wrong.text, wrong.decided, wrong.expected))?;
        }
        let share = |name: &str, share: table::Share| {
            vec![name.to_owned(), share.right.to_string(), share.of.to_string()]
        };
        let rows = report.categories.iter().map(|(name, count)| share(name, *count));
        let sums =
            [share("delegations: precision", report.precision), share("delegations: recall", report.recall)];
        output::table(&["PHRASES", "RIGHT", "OF"], rows.chain(sums))?;
    } else {
        output::json(&report, context.format)?;
    }
    Ok(if report.wrong.is_empty() { Exit::Ok } else { Exit::Failure })
}

fn headline(route: &Route) -> String {
    let lanes = route.vp_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let of = if lanes.is_empty() { String::new() } else { format!(" of {lanes}") };
    let mission = route.mission.as_ref().map_or_else(String::new, |mission| format!(" (mission {mission})"));
    match (route.decision, route.action) {
        (Intent::Delegate, _) => format!("delegate to {lanes}"),
        (Intent::Ambiguous, _) => format!("ambiguous: one of {lanes}"),
        (Intent::Control, Some(ControlAction::Cancel)) => format!("cancel a mission{of}{mission}"),
        (Intent::Control, Some(ControlAction::Read)) => format!("read what came of a mission{of}{mission}"),
        (Intent::Control, _) => format!("say how missions stand{of}{mission}"),
        (Intent::None, _) => "none: no lane is asked for anything".to_owned(),
    }
}

fn one_line(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
