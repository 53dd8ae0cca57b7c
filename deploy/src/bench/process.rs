//! A `vp` process of its own beside the one that measures, and what the kernel says of any process.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::exit::{Exit, Failed};

/// How long a process may take to end when it is asked to.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// A running `vp`. Dropped, it is killed.
pub struct Process {
    child: Child,
    name: String,
    pid: u32,
}

impl Process {
    /// Starts `vp` with these arguments; what it says goes to the end of `log`.
    pub fn spawn(config: &Path, log: &Path, args: &[&str]) -> Result<Self, Failed> {
        let name = format!("vp {}", args.join(" "));
        let wrap =
            |error: std::io::Error| Failed::new(Exit::Failure, format!("could not start `{name}`: {error}"));
        let said = File::options().create(true).append(true).open(log).map_err(wrap)?;
        let mut command = Command::new(std::env::current_exe().map_err(wrap)?);
        for (variable, _) in std::env::vars_os() {
            // They would win over the file.
            if variable.to_str().is_some_and(is_setting) {
                command.env_remove(variable);
            }
        }
        let child = command
            .arg("--config")
            .arg(config)
            .args(args)
            .stdin(Stdio::null())
            .stdout(said.try_clone().map_err(wrap)?)
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .map_err(wrap)?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { child, name, pid })
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What the kernel says of it now.
    pub fn usage(&self) -> Result<Usage, Failed> {
        Usage::of(self.pid)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Failed> {
        self.child.try_wait().map_err(|error| self.lost(&error))
    }

    /// Ends it as a crash would.
    pub async fn kill(mut self) -> Result<(), Failed> {
        self.child.kill().await.map_err(|error| self.lost(&error))
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(mut self) -> Result<(), Failed> {
        send(self.pid, Signal::TERM)?;
        match tokio::time::timeout(END_PATIENCE, self.child.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.lost(&error)),
            Err(_) => {
                let seconds = END_PATIENCE.as_secs();
                Err(Failed::new(Exit::Failure, format!("`{}` did not stop within {seconds} s", self.name)))
            }
        }
    }

    fn lost(&self, error: &std::io::Error) -> Failed {
        Failed::new(Exit::Failure, format!("could not wait for `{}`: {error}", self.name))
    }
}

/// A variable by which a user configures `vp`; which nats-server is run stays the user's choice.
fn is_setting(variable: &str) -> bool {
    variable.starts_with("NATS_") || (variable.starts_with("VP_") && variable != vp_nats::server::BINARY_ENV)
}

/// Sends a signal to a process that is ours.
pub fn send(pid: u32, signal: Signal) -> Result<(), Failed> {
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let target = target.ok_or_else(|| Failed::new(Exit::Failure, format!("{pid} is no process id")))?;
    kill_process(target, signal)
        .map_err(|error| Failed::new(Exit::Failure, format!("could not signal process {pid}: {error}")))
}

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Resident now.
    pub rss_mib: f64,
    /// The most that was ever resident.
    pub peak_mib: f64,
    /// Processor time since its start.
    pub cpu_seconds: f64,
}

impl Usage {
    /// From the kernel's accounting of the process.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub fn of(pid: u32) -> Result<Self, Failed> {
        let missing =
            || Failed::new(Exit::Failure, format!("process {pid} has ended or cannot be looked at"));
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|_| missing())?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(missing)?;
            let kib: Option<u64> = line.split_whitespace().next().and_then(|number| number.parse().ok());
            kib.map(|kib| kib as f64 / 1024.0).ok_or_else(missing)
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|_| missing())?;
        // Behind the command's name, which may hold spaces: fields 14 and 15 are user and system ticks.
        let fields: Vec<&str> = stat.rsplit_once(')').ok_or_else(missing)?.1.split_whitespace().collect();
        let tick =
            |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).ok_or_else(missing);
        let cpu_seconds = (tick(11)? + tick(12)?) as f64 / rustix::param::clock_ticks_per_second() as f64;
        Ok(Self { rss_mib: mib("VmRSS:")?, peak_mib: mib("VmHWM:")?, cpu_seconds })
    }
}
