//! `vp attach`: an agent over stream-json, with its session's notices as further user turns between its own.
//!
//! What the caller writes goes to the agent, what the agent writes goes to the caller, unchanged. Notices are looked at
//! and not taken in hand; they are acked when the agent has played the message back, which is its word that it has it.

mod wire;

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use vp_nats::connect::Connection;
use vp_nats::notices::NoticeReader;
use vp_nats::retry::Delays;
use vp_shared::ids::SessionId;
use vp_shared::retry::RetryDelay;

use super::{Context, output};
use crate::config::Settings;
use crate::deliver::grouped;
use crate::exit::{Exit, Failed};
use crate::{link, shutdown};

/// Run an agent and hand it its notices.
#[derive(Debug, Args)]
pub struct Attach {
    /// The session; also VP_SESSION or `session` in the configuration
    #[arg(long, value_name = "SESSION", env = "VP_SESSION", hide_env_values = true)]
    session: Option<SessionId>,
    /// Stay for notices when standard input has ended
    #[arg(long)]
    stay: bool,
    /// The agent and its arguments; `claude` gets the flags of stream-json when it has none
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Lines of the caller's that the agent has not taken yet.
const LINES: usize = 64;
/// How often it is looked whether something waits, when nothing else happens.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Handed over at once.
const AT_ONCE: usize = 20;
/// How long a notice that is there, or its ack, may take.
const WAIT: Duration = Duration::from_millis(500);
/// How long an agent that is asked to end may take.
const END: Duration = Duration::from_secs(10);
/// From half a second to half a minute, when the broker does not answer.
const DELAYS: RetryDelay = RetryDelay { initial_ms: 500, multiplier: 2.0, max_ms: 30_000, jitter: 0.3 };

/// `vp attach`.
pub async fn run(context: &Context, args: Attach) -> Result<Exit, Failed> {
    let settings = &context.settings;
    let session = args.session.or_else(|| settings.session.clone()).ok_or_else(|| {
        Failed::new(Exit::Usage, "no session is known").hint("pass --session, or set VP_SESSION")
    })?;
    let conn = link::connect(settings, "vp-attach").await?;
    let (program, arguments) = wire::with_flags(&args.command);
    let mut child = Command::new(&program)
        .args(&arguments)
        .env("VP_SESSION", session.as_str())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failed::new(Exit::Failure, format!("could not start `{program}`: {error}")))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failed::new(Exit::Failure, format!("`{program}` has no standard input and output")));
    };
    let mut attached = Attached {
        settings,
        conn,
        session,
        stay: args.stay,
        agent: Some(stdin),
        said: BufReader::new(stdout).lines(),
        caller: Some(listen()),
        turns: 0,
        handed: None,
        played: VecDeque::new(),
        held: false,
        look_at: Instant::now(),
        delays: Delays::new(&DELAYS),
    };
    let ended = attached.run().await;
    drop(attached);
    let status = end(&mut child).await?;
    ended?;
    Ok(if status.success() { Exit::Ok } else { Exit::Failure })
}

/// Its standard input is closed: it may end by itself, is asked, and is killed.
async fn end(child: &mut Child) -> Result<ExitStatus, Failed> {
    let failed = |error| Failed::new(Exit::Failure, format!("could not wait for the agent: {error}"));
    if let Ok(status) = timeout(END, child.wait()).await {
        return status.map_err(failed);
    }
    if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()))
        && let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::TERM)
    {
        tracing::warn!(%error, "could not ask the agent to end");
    }
    if let Ok(status) = timeout(END, child.wait()).await {
        return status.map_err(failed);
    }
    child.kill().await.map_err(failed)?;
    child.wait().await.map_err(failed)
}

struct Attached<'a> {
    settings: &'a Settings,
    conn: Connection,
    session: SessionId,
    stay: bool,
    /// Closed when the caller has nothing more to say.
    agent: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
    caller: Option<mpsc::Receiver<String>>,
    /// Messages whose turn has not ended.
    turns: u64,
    /// Notices that were handed over and not played back yet.
    handed: Option<Handed>,
    /// Acks that are due: the agent has these.
    played: VecDeque<u64>,
    /// Another door has one of them in hand, for as long as it likes.
    held: bool,
    look_at: Instant,
    delays: Delays,
}

struct Handed {
    words: String,
    last: u64,
}

impl Attached<'_> {
    async fn run(&mut self) -> Result<(), Failed> {
        let stop = shutdown::token();
        loop {
            let settled = self.turns == 0 && (self.played.is_empty() || self.held);
            if self.caller.is_none() && !self.stay && settled {
                self.agent = None;
            }
            let looks = self.agent.is_some() && (self.turns == 0 || !self.played.is_empty());
            tokio::select! {
                line = self.said.next_line() => match line {
                    Ok(Some(line)) => self.heard(&line)?,
                    // It has ended: what was not played back stays for the next one.
                    Ok(None) => return self.settle().await,
                    Err(error) => return Err(Failed::new(Exit::Failure, format!("could not read from the agent: {error}"))),
                },
                line = next_of(&mut self.caller), if self.caller.is_some() => match line {
                    Some(line) => self.say(&line, true).await?,
                    None => self.caller = None,
                },
                () = sleep_until(self.look_at), if looks => self.look().await?,
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// A line of the agent's, passed on; it may play back a message or end a turn.
    fn heard(&mut self, line: &str) -> Result<(), Failed> {
        output::line(line)?;
        match wire::read(line) {
            wire::Heard::Played(words) => {
                if let Some(handed) = self.handed.take_if(|handed| handed.words == words) {
                    self.played.push_back(handed.last);
                    self.look_at = Instant::now();
                }
            }
            wire::Heard::TurnEnded => {
                self.turns = self.turns.saturating_sub(1);
                if self.handed.is_some() && self.turns == 0 {
                    return Err(Failed::new(
                        Exit::Failure,
                        "the agent took notices and did not play them back, so nobody can tell whether it has them",
                    )
                    .hint("run it with --replay-user-messages"));
                }
            }
            wire::Heard::Other => {}
        }
        Ok(())
    }

    /// Writes a line to the agent. A caller's line that is no message, such as the answer to a request, begins no turn.
    async fn say(&mut self, line: &str, of_caller: bool) -> Result<(), Failed> {
        let Some(agent) = &mut self.agent else { return Ok(()) };
        if !of_caller || wire::is_message(line) {
            self.turns += 1;
        }
        let said = async {
            agent.write_all(line.as_bytes()).await?;
            agent.write_all(b"\n").await?;
            agent.flush().await
        };
        said.await
            .map_err(|error| Failed::new(Exit::Failure, format!("could not write to the agent: {error}")))
    }

    /// Acks what was played back, then hands over what waits when no turn runs. Trouble with the broker delays it and
    /// ends nothing.
    async fn look(&mut self) -> Result<(), Failed> {
        let looked = self.ack_and_find().await;
        match looked {
            Ok(found) => {
                self.delays = Delays::new(&DELAYS);
                self.look_at = Instant::now() + LOOK_EVERY;
                match found {
                    Some(handed) => self.hand_over(handed).await,
                    None => Ok(()),
                }
            }
            Err(error) => {
                let delay = self.delays.next().unwrap_or(DELAYS.max());
                tracing::warn!(%error, session_id = %self.session, ?delay, "notices are late");
                self.look_at = Instant::now() + delay;
                Ok(())
            }
        }
    }

    async fn ack_and_find(&mut self) -> Result<Option<Handed>, vp_nats::notices::NoticeError> {
        let mut reader = NoticeReader::open(&self.conn, &self.session).await?;
        while let Some(last) = self.played.front().copied() {
            self.held = !reader.ack_through(last, WAIT).await?;
            if self.held {
                // What waits begins with what the agent has: it is not handed over again.
                return Ok(None);
            }
            self.played.pop_front();
        }
        if self.turns > 0 || self.handed.is_some() {
            return Ok(None);
        }
        let waiting = reader.waiting(AT_ONCE, WAIT).await?;
        if waiting.notices.is_empty() {
            return Ok(None);
        }
        Ok(Some(Handed { words: grouped(&waiting.notices, waiting.more), last: waiting.last }))
    }

    async fn hand_over(&mut self, handed: Handed) -> Result<(), Failed> {
        // So that the hook of this very session does not take them for the user's words.
        if let Err(why) = super::hook::announce_words(self.settings, &handed.words) {
            tracing::warn!(why, "a hook may take these notices for the user's words");
        }
        let message = wire::message(&handed.words);
        self.handed = Some(handed);
        self.say(&message, false).await
    }

    /// The acks that are due, before it ends.
    async fn settle(&mut self) -> Result<(), Failed> {
        self.turns = 1;
        let mut delays = Delays::new(&RetryDelay::REQUEST).take(5);
        while !self.played.is_empty() {
            match self.ack_and_find().await {
                Ok(_) if self.played.is_empty() => break,
                Ok(_) => {
                    tracing::warn!(session_id = %self.session, "another door has a notice in hand whose ack is due");
                }
                Err(error) => tracing::warn!(%error, session_id = %self.session, "an ack is due"),
            }
            let Some(delay) = delays.next() else { break };
            sleep(delay).await;
        }
        Ok(())
    }
}

/// The caller's lines. A thread reads them, as a read of standard input cannot be given up; it ends with the process.
fn listen() -> mpsc::Receiver<String> {
    let (tx, lines) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            match line {
                Ok(line) => {
                    if tx.blocking_send(line).is_err() {
                        return;
                    }
                }
                Err(error) => return output::say(format!("standard input cannot be read any more: {error}")),
            }
        }
    });
    lines
}

async fn next_of(caller: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    caller.as_mut()?.recv().await
}
