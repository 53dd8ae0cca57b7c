//! `vp bench limits`: each limit that is promised, pushed to its end in a real system of its own.
//!
//! A managed server in a directory of its own; bridge and workers are processes, executors run under their keepers.
//! The small scale is the same code for a test; only the full scale is the promise.

mod files;
mod history;
mod lanes;
mod objective;
mod output;
mod pace;
mod waiting;

use std::time::Instant;

use clap::{Args, ValueEnum};
use vp_shared::lane::Lanes;

use super::sheet::Sheet;
use super::stage::Stage;
use crate::cli::{Context, Format, json, say, table};
use crate::config::Settings;
use crate::exit::{Exit, Failed};

/// Push the promised limits to their end, each in a system of its own; exits with 1 when one does not hold.
#[derive(Debug, Args)]
pub struct Limits {
    /// Which limits; all of them without it
    #[arg(long, value_name = "NAME", value_enum, value_delimiter = ',')]
    only: Vec<Limit>,
    /// How far: `full` is what is promised, `small` shows that the way works
    #[arg(long, value_enum, default_value_t = Scale::Full)]
    scale: Scale,
}

/// How far a limit is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scale {
    /// Seconds for each
    Small,
    /// What is promised; up to three quarters of an hour in all
    Full,
}

impl Scale {
    const fn pick(self, small: u64, full: u64) -> u64 {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }
}

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Limit {
    /// An objective, and inputs, as large as they may be
    Objective,
    /// 100,000 files in a workspace
    Files,
    /// Lines of 10 MiB
    Lines,
    /// 1 GB of output
    Output,
    /// 10,000 missions waiting in a lane
    Waiting,
    /// 1,000 lanes in one worker
    Lanes,
    /// A million finished missions in the log
    History,
}

impl Limit {
    const fn name(self) -> &'static str {
        match self {
            Self::Objective => "objective",
            Self::Files => "files",
            Self::Lines => "lines",
            Self::Output => "output",
            Self::Waiting => "waiting",
            Self::Lanes => "lanes",
            Self::History => "history",
        }
    }

    fn asked(self, scale: Scale) -> String {
        match self {
            Self::Objective => objective::asked(),
            Self::Files => files::asked(scale),
            Self::Lines => output::asked_lines(scale),
            Self::Output => output::asked_bytes(scale),
            Self::Waiting => waiting::asked(scale),
            Self::Lanes => lanes::asked(scale),
            Self::History => history::asked(scale),
        }
    }

    fn lanes(self, scale: Scale) -> Result<Lanes, Failed> {
        match self {
            Self::Objective => objective::lanes(),
            Self::Files => files::lanes(),
            Self::Lines | Self::Output => output::lanes(),
            Self::Waiting => waiting::lanes(),
            Self::Lanes => lanes::lanes(scale),
            Self::History => history::lanes(),
        }
    }

    async fn push(self, stage: &mut Stage, scale: Scale, sheet: &mut Sheet) -> Result<(), Failed> {
        match self {
            Self::Objective => objective::push(stage, sheet).await,
            Self::Files => files::push(stage, scale, sheet).await,
            Self::Lines => output::push_lines(stage, scale, sheet).await,
            Self::Output => output::push_bytes(stage, scale, sheet).await,
            Self::Waiting => waiting::push(stage, scale, sheet).await,
            Self::Lanes => lanes::push(stage, scale, sheet).await,
            Self::History => Box::pin(history::push(stage, scale, sheet)).await,
        }
    }
}

/// `vp bench limits`.
pub async fn run(context: &Context, args: Limits) -> Result<Exit, Failed> {
    let all = if args.only.is_empty() { Limit::value_variants().to_vec() } else { args.only };
    let mut sheets = Vec::new();
    for limit in all {
        say(format!("{}: {}", limit.name(), limit.asked(args.scale)));
        sheets.push(one(&context.settings, limit, args.scale).await);
    }
    let holds = sheets.iter().all(Sheet::holds);
    if context.format == Format::Table {
        table(&["LIMIT", "WHAT", "FOUND", "WANTED", "HOLDS"], sheets.iter().flat_map(Sheet::rows))?;
    } else {
        json(&sheets, context.format)?;
    }
    if holds { Ok(Exit::Ok) } else { Err(Failed::new(Exit::Failure, "not every limit holds")) }
}

/// One limit. What goes wrong on the way is part of what is found.
async fn one(base: &Settings, limit: Limit, scale: Scale) -> Sheet {
    let mut sheet = Sheet::new(limit.name(), limit.asked(scale));
    let began = Instant::now();
    let pushed = match limit.lanes(scale) {
        Ok(lanes) => staged(base, limit, scale, lanes, &mut sheet).await,
        Err(error) => Err(error),
    };
    sheet.close(began.elapsed().as_secs_f64(), pushed.err().map(|failed| failed.message));
    sheet
}

async fn staged(
    base: &Settings,
    limit: Limit,
    scale: Scale,
    lanes: Lanes,
    sheet: &mut Sheet,
) -> Result<(), Failed> {
    let mut stage = Stage::start(base, limit.name(), lanes).await?;
    let pushed = limit.push(&mut stage, scale, sheet).await;
    if pushed.is_err() {
        stage.tell_logs();
    }
    stage.stop().await;
    pushed
}
