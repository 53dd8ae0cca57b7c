//! The command line of the torture program.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Break everything in a running system of real processes, then prove from what is left that no mission was lost, run
/// twice or told wrongly. Exits with 1 on any violation, and says how to repeat the round.
#[derive(Debug, Clone, Parser)]
#[command(name = "torture", max_term_width = 100)]
pub struct Options {
    /// What is delegated and which faults come, drawn from this number; another one each time when it is left out
    #[arg(long, default_value_t = fresh_seed())]
    pub seed: u64,
    /// How many missions are delegated
    #[arg(long, default_value_t = 500)]
    pub missions: usize,
    /// How long faults go on, in minutes, such as 0.5
    #[arg(long, default_value_t = 2.0)]
    pub minutes: f64,
    /// Which kinds of faults, separated by commas; `none` for a calm round
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    pub faults: Vec<FaultArg>,
    /// Where the ledger is
    #[arg(long, value_enum, default_value = "sqlite")]
    pub ledger: LedgerKind,
    /// An empty PostgreSQL database for `--ledger postgres`; without it, a server is started for the round
    #[arg(long, value_name = "URL")]
    pub ledger_url: Option<String>,
    /// How many nats-servers: 1, or 3 with streams of three replicas
    #[arg(long, default_value_t = 1, value_parser = one_or_three)]
    pub cluster: usize,
    /// How many bridges: one works, the others stand by
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub bridges: u8,
    /// How long the world may take to settle after the faults, in seconds
    #[arg(long, default_value_t = 150)]
    pub settle_seconds: u64,
    /// Keep the round's directory, with every process's log, also when all is well
    #[arg(long)]
    pub keep: bool,
}

/// What `--faults` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum FaultArg {
    /// Every kind.
    All,
    /// No fault at all.
    None,
    /// Workers are killed, frozen beyond the lease, drained, made to die at named points.
    Worker,
    /// nats-server is killed and frozen, leaders step down, consumers are deleted.
    Server,
    /// The bridge and the dispatcher are killed and frozen; the bridge also dies at named points.
    Bridge,
    /// Links freeze, are cut and reset.
    Link,
    /// The store is full for a while.
    Disk,
    /// Workers come back with a wrong clock.
    Clock,
    /// Lanes are paused or drained, and opened again.
    Lane,
}

/// The databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LedgerKind {
    /// A file.
    Sqlite,
    /// A server of the round's own, or the one that `--ledger-url` names.
    Postgres,
}

impl LedgerKind {
    /// As the bridge's harness names it.
    pub fn of_harness(self) -> vp_bridge::harness::LedgerKind {
        match self {
            Self::Sqlite => vp_bridge::harness::LedgerKind::Sqlite,
            Self::Postgres => vp_bridge::harness::LedgerKind::Postgres,
        }
    }
}

impl Options {
    /// How long faults go on.
    pub fn storm(&self) -> Duration {
        Duration::from_secs_f64(self.minutes.max(0.05) * 60.0)
    }

    /// How long the world may take to settle.
    pub fn settle(&self) -> Duration {
        Duration::from_secs(self.settle_seconds)
    }

    /// The kinds of faults that are on.
    pub fn kinds(&self) -> BTreeSet<FaultArg> {
        use FaultArg::{All, Bridge, Clock, Disk, Lane, Link, None, Server, Worker};
        if self.faults.contains(&All) {
            return [Worker, Server, Bridge, Link, Disk, Clock, Lane].into();
        }
        self.faults.iter().copied().filter(|kind| *kind != None).collect()
    }

    /// What to run to see the same round again.
    pub fn command(&self) -> String {
        let names: Vec<_> = self.faults.iter().filter_map(ValueEnum::to_possible_value).collect();
        let faults: Vec<_> = names.iter().map(clap::builder::PossibleValue::get_name).collect();
        let mut command = format!(
            "cargo run --release -p vp-tests --bin torture -- --seed {} --missions {} --minutes {} --faults {}",
            self.seed,
            self.missions,
            self.minutes,
            faults.join(",")
        );
        if self.cluster > 1 {
            command.push_str(" --cluster 3");
        }
        if self.bridges != 2 {
            let _ = write!(command, " --bridges {}", self.bridges);
        }
        if self.ledger == LedgerKind::Postgres {
            command.push_str(" --ledger postgres");
        }
        if self.ledger_url.is_some() {
            command.push_str(" --ledger-url ...");
        }
        command
    }

    /// What this build cannot do.
    ///
    /// # Errors
    /// What it is, and what can be done instead.
    pub fn check(&self) -> Result<(), String> {
        match (self.ledger, &self.ledger_url) {
            (LedgerKind::Sqlite, Some(_)) => {
                Err("`--ledger-url` is for `--ledger postgres`; SQLite has a file of its own here".to_owned())
            }
            (LedgerKind::Postgres, _) | (LedgerKind::Sqlite, None) => Ok(()),
        }
    }
}

fn one_or_three(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("want 1 or 3".to_owned()),
    }
}

/// A seed that is short enough to be typed.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_micros()) * 1_000 % 1_000_003
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Options {
        Options::parse_from(["torture"].iter().chain(args))
    }

    #[test]
    fn all_faults_are_on_unless_some_are_named() {
        assert_eq!(options(&[]).kinds().len(), 7);
        assert_eq!(options(&["--faults", "link,disk"]).kinds(), [FaultArg::Link, FaultArg::Disk].into());
        assert!(options(&["--faults", "none"]).kinds().is_empty());
    }

    #[test]
    fn the_command_to_repeat_a_round_gives_the_same_round() {
        let first =
            options(&["--seed", "7", "--faults", "worker,clock", "--minutes", "0.5", "--cluster", "3"]);
        let command = first.command();
        let args: Vec<_> = command.split(" -- ").nth(1).unwrap().split(' ').collect();
        let again = options(&args);
        assert_eq!((again.seed, again.kinds(), again.cluster), (7, first.kinds(), 3));
        assert_eq!(again.storm(), Duration::from_secs(30));
    }

    #[test]
    fn what_this_build_cannot_do_is_refused() {
        assert!(options(&["--ledger", "postgres"]).check().is_ok());
        assert!(options(&["--ledger-url", "postgres://x"]).check().is_err());
        assert!(options(&[]).check().is_ok());
    }
}
