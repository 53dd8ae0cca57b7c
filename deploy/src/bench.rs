//! `vp bench`: this system on this machine, measured in a world of its own.
//!
//! Every figure is the median of several rounds with its range. A round whose missions were not each executed,
//! recorded and told exactly once is void and fails the command. [`limits`] and [`fast_return`] are commands of their
//! own below it.

mod fast_return;
mod idle;
mod latency;
mod limits;
mod process;
mod sheet;
mod stage;
mod throughput;
mod world;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::{Context, Format, json, say, table};
use crate::exit::{Exit, Failed};
use world::World;

/// Measure this system on this machine.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    /// The durability class: `always` has every acked write on disk, `deferred` in the page cache
    #[arg(long, value_name = "CLASS", default_value = "deferred", value_parser = ["always", "deferred"])]
    sync: String,
    /// Missions of a throughput round
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    missions: usize,
    /// Rounds of each measurement
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Seconds an idle system is watched; 0 leaves it out
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    idle_seconds: u64,
}

/// What is measured instead of throughput and latency.
#[derive(Debug, Subcommand)]
enum What {
    Limits(limits::Limits),
    Return(fast_return::FastReturn),
}

/// A figure: the median of its rounds, and the range.
#[derive(Debug, Clone, Copy, Serialize)]
struct Figure {
    median: f64,
    min: f64,
    max: f64,
}

impl Figure {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |index: usize| rounds.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(rounds.len() / 2), min: at(0), max: at(rounds.len().saturating_sub(1)) }
    }
}

/// A distribution: each quantile is a figure over the rounds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Quantiles {
    p50: Figure,
    p95: Figure,
    p99: Figure,
}

impl Quantiles {
    /// Of rounds of samples, in milliseconds.
    fn of(rounds: &[Vec<Duration>]) -> Self {
        let quantile =
            |share: f64| Figure::of(rounds.iter().map(|samples| quantile_ms(samples, share)).collect());
        Self { p50: quantile(0.50), p95: quantile(0.95), p99: quantile(0.99) }
    }
}

/// The sample that this share of all is not above, in milliseconds.
fn quantile_ms(samples: &[Duration], share: f64) -> f64 {
    let mut ms: Vec<f64> = samples.iter().map(|sample| sample.as_secs_f64() * 1000.0).collect();
    ms.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let index = ((ms.len() as f64 * share).ceil() as usize).saturating_sub(1);
    ms.get(index).copied().unwrap_or(f64::NAN)
}

#[derive(Debug, Serialize)]
struct DispatchRates {
    sequential: Figure,
    in_flight_64: Figure,
}

#[derive(Debug, Serialize)]
struct Idle {
    worker_rss_mib: f64,
    bridge_rss_mib: f64,
    /// Processor time of worker and bridge together, scaled to 30 s.
    cpu_seconds_30s: f64,
}

/// Everything measured in one run.
#[derive(Debug, Serialize)]
struct Report {
    durability: String,
    missions: usize,
    rounds: usize,
    dispatch_per_s: DispatchRates,
    end_to_end_per_s: Figure,
    raw_ceiling_per_s: Figure,
    mission_messages_per_s: Figure,
    dispatch_to_start_ms: Quantiles,
    terminal_to_notice_ms: Quantiles,
    wait_return_ms: Quantiles,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle: Option<Idle>,
}

/// `vp bench`.
pub async fn run(context: &Context, args: Bench) -> Result<Exit, Failed> {
    match args.what {
        Some(What::Limits(args)) => return limits::run(context, args).await,
        Some(What::Return(args)) => return fast_return::run(context, args).await,
        None => {}
    }
    if args.rounds == 0 || args.missions == 0 {
        return Err(Failed::new(Exit::Usage, "`--rounds` and `--missions` want at least 1"));
    }
    let world = World::start(&context.settings, &args.sync).await?;
    let measured = measure(&world, &args).await;
    world.stop().await;
    let mut report = measured?;
    if args.idle_seconds > 0 {
        // A fresh one, with nothing to catch up with.
        let world = World::start(&context.settings, &args.sync).await?;
        let idle = idle::measure(&world, Duration::from_secs(args.idle_seconds)).await;
        world.stop().await;
        report.idle = Some(idle?);
    }
    print(&report, context.format)?;
    Ok(Exit::Ok)
}

async fn measure(world: &World, args: &Bench) -> Result<Report, Failed> {
    let mut sequential = Vec::new();
    let mut in_flight = Vec::new();
    let mut end_to_end = Vec::new();
    let mut raw = Vec::new();
    let mut messages = Vec::new();
    for round in 1..=args.rounds {
        say(format!("round {round} of {}: throughput", args.rounds));
        raw.push(throughput::raw_ceiling(world, args.missions).await?);
        messages.push(throughput::mission_messages(world, args.missions).await?);
        sequential.push(throughput::dispatch(world, args.missions / 5 + 1, 1).await?);
        in_flight.push(throughput::dispatch(world, args.missions, 64).await?);
        end_to_end.push(throughput::end_to_end(world, args.missions).await?);
    }
    let mut starts = Vec::new();
    let mut notices = Vec::new();
    let mut waits = Vec::new();
    for round in 1..=args.rounds {
        say(format!("round {round} of {}: latency on an idle system", args.rounds));
        let samples = latency::measure(world, 200).await?;
        starts.push(samples.dispatch_to_start);
        notices.push(samples.terminal_to_notice);
        waits.push(samples.wait_return);
    }
    Ok(Report {
        durability: world.durability().to_owned(),
        missions: args.missions,
        rounds: args.rounds,
        dispatch_per_s: DispatchRates {
            sequential: Figure::of(sequential),
            in_flight_64: Figure::of(in_flight),
        },
        end_to_end_per_s: Figure::of(end_to_end),
        raw_ceiling_per_s: Figure::of(raw),
        mission_messages_per_s: Figure::of(messages),
        dispatch_to_start_ms: Quantiles::of(&starts),
        terminal_to_notice_ms: Quantiles::of(&notices),
        wait_return_ms: Quantiles::of(&waits),
        idle: None,
    })
}

fn print(report: &Report, format: Format) -> Result<(), Failed> {
    if format != Format::Table {
        return json(report, format);
    }
    let row = |name: &str, figure: Figure, digits: usize| {
        vec![
            name.to_owned(),
            format!("{:.digits$}", figure.median),
            format!("{:.digits$} .. {:.digits$}", figure.min, figure.max),
        ]
    };
    let mut rows = vec![
        row("raw ceiling, jobs/s (store, deliver, ack)", report.raw_ceiling_per_s, 0),
        row("a mission's messages and nothing else, missions/s", report.mission_messages_per_s, 0),
        row("dispatch, sequential, /s", report.dispatch_per_s.sequential, 0),
        row("dispatch, 64 in flight, /s", report.dispatch_per_s.in_flight_64, 0),
        row("end to end, missions/s (ledger and notice included)", report.end_to_end_per_s, 0),
    ];
    for (name, quantiles) in [
        ("dispatch to start", report.dispatch_to_start_ms),
        ("terminal event to notice", report.terminal_to_notice_ms),
        ("terminal event to return of wait", report.wait_return_ms),
    ] {
        rows.push(row(&format!("{name}, ms, p50"), quantiles.p50, 2));
        rows.push(row(&format!("{name}, ms, p95"), quantiles.p95, 2));
        rows.push(row(&format!("{name}, ms, p99"), quantiles.p99, 2));
    }
    if let Some(idle) = &report.idle {
        let plain = |name: &str, value: f64| vec![name.to_owned(), format!("{value:.2}"), String::new()];
        rows.push(plain("idle worker, MiB resident", idle.worker_rss_mib));
        rows.push(plain("idle bridge, MiB resident", idle.bridge_rss_mib));
        rows.push(plain("idle worker and bridge, CPU s in 30 s", idle.cpu_seconds_30s));
    }
    say(format!(
        "durability: sync {}; {} missions a round, {} rounds",
        report.durability, report.missions, report.rounds
    ));
    table(&["WHAT", "MEDIAN", "RANGE"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_medians_with_their_range() {
        let figure = Figure::of(vec![3.0, 1.0, 2.0, 9.0, 2.5]);
        assert!((figure.median - 2.5).abs() < 1e-9 && figure.min < 1.1 && figure.max > 8.9);
        let ms: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let quantiles = Quantiles::of(&[ms]);
        assert!((quantiles.p50.median - 50.0).abs() < 1e-9);
        assert!((quantiles.p99.median - 99.0).abs() < 1e-9);
    }
}
