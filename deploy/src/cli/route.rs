//! `vp route`: what the user's own words ask for, and why it was read so.

use std::io::Read as _;

use clap::Args;
use vp_shared::routing::{self, ControlAction, Intent, MAX_ROUTED_BYTES, Route};

use super::{Context, Format, output};
use crate::exit::{Exit, Failed};

/// Explain whether words delegate to a lane.
#[derive(Debug, Args)]
pub struct RouteArgs {
    /// The user's own words, before any template; standard input when absent or `-`
    text: Option<String>,
}

/// `vp route`.
pub fn run(context: &Context, args: RouteArgs) -> Result<Exit, Failed> {
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
