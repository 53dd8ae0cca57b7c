//! What a bridge that stands by thinks of the one that holds the ledger.
//!
//! A lock on a file cannot be taken from a process that is frozen, and must not be: it may wake up in the middle of a
//! write. So who stands by gives alarm, and somebody ends or thaws the other one.

use std::time::Duration;

use tokio::time::Instant;
use vp_nats::bridges::ask_bridges;
use vp_nats::connect::Connection;
use vp_shared::error::Chain;

/// How often the holder is looked for.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long it may be silent. A bridge answers while it is busy, and starts within this.
const ALARM_AFTER: Duration = Duration::from_secs(10);
/// How often the alarm is repeated in the log.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// Another process has the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its process id, where that is known.
    pub(crate) holder: Option<u32>,
}

/// Whether the holder still answers.
#[derive(Debug)]
pub(crate) struct Suspicion {
    ledger: String,
    asked: Option<Instant>,
    /// Since when the ledger is held by somebody who does not answer.
    silent_since: Option<Instant>,
    said: Option<Instant>,
    alarm: Option<String>,
}

impl Suspicion {
    /// None yet of whoever holds `ledger`.
    pub(crate) fn new(ledger: String) -> Self {
        Self { ledger, asked: None, silent_since: None, said: None, alarm: None }
    }

    /// Asks the holder now and then. Returns the alarm while it is silent.
    pub(crate) async fn look(&mut self, conn: &Connection, held: Held) -> Option<String> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            self.asked = Some(Instant::now());
            match ask_bridges(conn).await {
                Ok(reports) => {
                    let works = reports.iter().any(|bridge| bridge.active && bridge.ledger == self.ledger);
                    self.heard(works, held, Instant::now());
                }
                // Without a server nobody can answer: that says nothing of the holder.
                Err(error) => tracing::debug!(error = %Chain(&error), "could not ask for other bridges"),
            }
        }
        self.alarm.clone()
    }

    fn heard(&mut self, works: bool, held: Held, now: Instant) {
        if works {
            (self.silent_since, self.said, self.alarm) = (None, None, None);
            return;
        }
        let silent = now.duration_since(*self.silent_since.get_or_insert(now));
        if silent < ALARM_AFTER {
            return;
        }
        let alarm = alarm(held, silent);
        if self.said.is_none_or(|said| now.duration_since(said) >= SAY_EVERY) {
            tracing::error!(pid = held.holder, ledger = self.ledger, alarm, "the ledger stands still");
            self.said = Some(now);
        }
        self.alarm = Some(alarm);
    }
}

fn alarm(held: Held, silent: Duration) -> String {
    let (who, what_to_do) = match held.holder {
        Some(pid) => {
            let frozen = if is_stopped(pid) { ", which is stopped (SIGSTOP)," } else { "" };
            (
                format!("process {pid}{frozen}"),
                format!("let it go on (`kill -CONT {pid}`) or end it (`kill -KILL {pid}`)"),
            )
        }
        None => ("another process".to_owned(), "find it, and let it go on or end it".to_owned()),
    };
    format!(
        "the ledger is held by {who} and no bridge that works on it has answered for {} s: unless that is a \
         `vp ledger rebuild`, {what_to_do}; this bridge takes over at once",
        silent.as_secs()
    )
}

/// True when a process of that id on this host is stopped by a signal or a debugger.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['T', 't']))
}
