//! The worker's end: start a keeper, vouch for the lease, hear how it went.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use super::tree;
use super::words::{Job, Report, Word};
use crate::config::KeeperCommand;

/// How long a keeper may take to end once it has nothing left to do.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// A keeper and its executor.
#[derive(Debug)]
pub(crate) struct Link {
    child: Child,
    session: Option<i32>,
    reports: Lines<BufReader<OwnedReadHalf>>,
    vouch: Vouch,
    /// What the executor writes.
    pub(crate) stdout: Option<ChildStdout>,
    /// What the executor complains.
    pub(crate) stderr: Option<ChildStderr>,
}

/// Speaks to a keeper; cheap to clone, never waits.
#[derive(Debug, Clone)]
pub(crate) struct Vouch(Arc<OwnedWriteHalf>);

impl Vouch {
    /// The worker lives and its lease is good for `left`.
    pub(crate) fn alive(&self, left: Duration) {
        self.say(Word::Alive(left));
    }

    /// TERM, after the grace KILL.
    pub(crate) fn stop(&self) {
        self.say(Word::Stop);
    }

    /// KILL.
    pub(crate) fn kill(&self) {
        self.say(Word::Kill);
    }

    fn say(&self, word: Word) {
        // A word is one small packet: it goes whole or not at all. A keeper that is gone, or does not listen, is
        // noticed by who waits for its reports.
        if let Err(error) = self.0.try_write(word.line().as_bytes()) {
            tracing::debug!(%error, "a word to a keeper was not taken");
        }
    }
}

impl Link {
    /// Starts a keeper and gives it its job.
    pub(crate) async fn start(keeper: &KeeperCommand, job: &Job) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = Command::new(&keeper.program)
            .args(&keeper.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (read, mut write) = UnixStream::from_std(ours)?.into_split();
        let mut line = serde_json::to_vec(job)?;
        line.push(b'\n');
        write.write_all(&line).await?;
        Ok(Self {
            session: child.id().and_then(|pid| i32::try_from(pid).ok()),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            reports: BufReader::new(read).lines(),
            vouch: Vouch(Arc::new(write)),
        })
    }

    /// By which it is spoken to.
    pub(crate) fn vouch(&self) -> &Vouch {
        &self.vouch
    }

    /// The next report; `None` when the keeper is gone. Cancel safe.
    pub(crate) async fn report(&mut self) -> Option<Report> {
        loop {
            match self.reports.next_line().await {
                Ok(Some(line)) => match serde_json::from_str(&line) {
                    Ok(report) => return Some(report),
                    Err(error) => tracing::warn!(%error, "a keeper said something unknown"),
                },
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(%error, "the link to a keeper broke");
                    return None;
                }
            }
        }
    }

    /// The attempt is concluded: lets the keeper end. One that does not is killed, with what it can be found to have left
    /// behind.
    pub(crate) async fn finish(mut self, reported: bool) {
        self.vouch.say(Word::Done);
        let ended = timeout(END_PATIENCE, self.child.wait()).await;
        if reported && ended.is_ok() {
            return;
        }
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "could not kill a keeper");
        }
        self.kill_session();
    }

    /// Kills the keeper's session: itself, and its executor with all that has not left it.
    pub(crate) fn kill_session(&self) {
        let Some(session) = self.session else { return };
        match tree::kill_session(session) {
            Ok(0) => {}
            Ok(killed) => tracing::warn!(killed, "a keeper was lost, its executor was killed"),
            Err(error) => tracing::error!(%error, "a keeper was lost and its executor may still run"),
        }
    }
}
