//! `vp hook`: a hook of Claude Code or the Agent SDK, from standard input to standard output.
//!
//! What is decided is decided in `vp_shared::turn`; here the words are routed, the lanes are looked at, the session's
//! state is kept under a lock, each decision is written down, and the answer is given in time. Exit code 2 means: not
//! this. It is also the code of every failure, so that a broken hook is seen.

mod audit;
mod handover;
mod ready;
mod store;
mod wire;

use std::time::Duration;

use clap::{Args, Subcommand};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};
use vp_shared::ids::{MissionId, SessionId};
use vp_shared::routing::{Intent, route};
use vp_shared::turn::{Answer, Decision, Ended, Event, Noted, Report, Step, step};

use super::{Context, Format, output};
use crate::config::Settings;
use crate::exit::{Exit, Failed};
use store::Store;
use wire::Input;

pub(crate) use store::announce_words;

/// Of the time to answer, what is kept back for saying that something is late.
const RESERVE: Duration = Duration::from_millis(300);
/// Set by a worker for what it runs.
const OWN_SESSION: &str = "VP_MISSION_ID";

/// Answer a hook.
#[derive(Debug, Args)]
pub struct HookArgs {
    /// The session whose notices are handed over at its start; also VP_SESSION or `session` in the configuration
    #[arg(long, value_name = "SESSION", env = "VP_SESSION", hide_env_values = true)]
    session: Option<SessionId>,
    #[command(subcommand)]
    command: Option<HookCommand>,
}

#[derive(Debug, Subcommand)]
enum HookCommand {
    /// Show which turns delegated explicitly and ended without a dispatch; exits 1 when there is one
    Report,
}

impl HookArgs {
    /// True for the hook itself.
    pub fn answers(&self) -> bool {
        self.command.is_none()
    }

    /// True in the session of a worker's own executor, which is held to nothing.
    pub fn is_workers_own(&self) -> bool {
        self.answers() && std::env::var(OWN_SESSION).is_ok_and(|id| MissionId::new(id).is_ok())
    }
}

/// Reads the input to its end, or the host would meet a closed pipe, and says nothing.
pub fn stand_aside() -> std::process::ExitCode {
    match wire::drain() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failed) => {
            output::complain(&failed);
            std::process::ExitCode::SUCCESS
        }
    }
}

/// `vp hook`.
pub async fn run(context: &Context, args: HookArgs) -> Result<Exit, Failed> {
    if let Some(HookCommand::Report) = args.command {
        return report(context);
    }
    let settings = &context.settings;
    let deadline = Instant::now() + Duration::from_secs(settings.hook.answer_seconds) - RESERVE;
    let input = match timeout_at(deadline, tokio::task::spawn_blocking(wire::read)).await {
        Ok(Ok(read)) => read?,
        Ok(Err(error)) => {
            return Err(Failed::new(Exit::Usage, format!("the hook ended abnormally: {error}")));
        }
        Err(_) => return Err(Failed::new(Exit::Usage, "the host did not say what the hook is for in time")),
    };
    let hook = Hook { settings, input: &input, store: Store::new(settings, &input.session), deadline };
    if let wire::Said::Started { .. } = input.said {
        let session = args.session.or_else(|| settings.session.clone());
        let answer = hook.answer().await;
        return handover::run(settings, &input, session.as_ref(), answer, deadline).await;
    }
    wire::answer(&input, &hook.answer().await)?;
    Ok(Exit::Ok)
}

struct Hook<'a> {
    settings: &'a Settings,
    input: &'a Input,
    store: Store,
    deadline: Instant,
}

impl Hook<'_> {
    async fn answer(&self) -> Answer {
        match timeout_at(self.deadline, self.decide()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => self.undecided(&why),
            Err(_) => {
                let why = format!("no decision within {} s", self.settings.hook.answer_seconds);
                self.undecided(&why)
            }
        }
    }

    async fn decide(&self) -> Result<Answer, String> {
        match &self.input.said {
            wire::Said::Started { fresh } => self.act(&Event::Started { fresh: *fresh }, None).await,
            wire::Said::Prompt(words) => self.prompt(words).await,
            wire::Said::Before { tool, vp_id, in_sub_agent } => {
                let (tool, vp_id, in_sub_agent) = (*tool, vp_id.clone(), *in_sub_agent);
                self.act(&Event::Before { tool, vp_id, in_sub_agent }, None).await
            }
            wire::Said::Dispatched(outcome) => self.act(&Event::Dispatched(outcome.clone()), None).await,
            wire::Said::Stop { .. } => self.act(&Event::Stop, None).await,
            wire::Said::Nothing => Ok(Answer::Pass),
        }
    }

    async fn prompt(&self, words: &str) -> Result<Answer, String> {
        let digest = hex(&Sha256::digest(words.as_bytes()));
        match store::were_announced(self.settings, &digest) {
            Ok(true) => return self.act(&Event::Notices, None).await,
            Ok(false) => {}
            Err(why) => tracing::warn!(why, "words that may be notices are read as the user's"),
        }
        let read = route(words, &self.settings.lanes);
        let troubles = match read.decision {
            Intent::Delegate => ready::troubles(self.settings, &read.vp_ids, self.deadline).await,
            _ => Vec::new(),
        };
        let event = Event::Prompt { route: &read, troubles: &troubles };
        match self.act(&event, Some(&digest)).await {
            // Where the words ask nobody for anything, a disk that is full is no reason to stop the user.
            Err(why) if read.decision != Intent::Delegate => {
                tracing::warn!(why, "the turn could not be recorded, and nothing was asked");
                Ok(Answer::Pass)
            }
            answer => answer,
        }
    }

    /// The step, with the state kept and the audit written. The lock is held for the step alone.
    async fn act(&self, event: &Event<'_>, digest: Option<&str>) -> Result<Answer, String> {
        let strict = self.settings.hook.strict;
        let done = if let Event::Before { .. } = event {
            // Changes nothing: many may ask at once.
            step(&self.store.read()?, event, strict)
        } else {
            let lock = self.store.lock(self.deadline - RESERVE).await?;
            let state = match (self.store.read(), event) {
                // What cannot be read is not carried over by new words.
                (Err(why), Event::Prompt { .. } | Event::Started { fresh: true }) => {
                    tracing::warn!(why, "the session's state is begun anew");
                    vp_shared::turn::TurnState::default()
                }
                (state, _) => state?,
            };
            let done = step(&state, event, strict);
            if done.state != state {
                self.store.write(&done.state)?;
            }
            drop(lock);
            done
        };
        self.record(&done, digest).await?;
        if matches!(event, Event::Started { .. }) {
            store::clean(self.settings);
        }
        Ok(done.answer)
    }

    async fn record(&self, done: &Step, digest: Option<&str>) -> Result<(), String> {
        let rows: Vec<_> = done.noted.iter().map(|noted| audit::row(self.input, noted, digest)).collect();
        audit::append(self.settings, &rows, self.deadline - RESERVE).await
    }

    /// What is answered when nothing could be decided: in strict mode no, in words; and it is recorded if that is possible.
    fn undecided(&self, why: &str) -> Answer {
        let noted = Noted {
            turn: 0,
            decision: Decision::Undecided,
            reason: why.to_owned(),
            vp_ids: Vec::new(),
            mission_id: None,
        };
        let row = audit::row(self.input, &noted, None);
        if let Err(error) = audit::append_now(self.settings, &[row]) {
            tracing::warn!(error, "the audit could not be written either");
        }
        let words = format!("`vp hook` cannot tell whether this turn owes a dispatch: {why}");
        let strict = self.settings.hook.strict;
        match &self.input.said {
            wire::Said::Before {
                tool: vp_shared::turn::Tool::Vp | vp_shared::turn::Tool::Dispatch, ..
            } => Answer::Pass,
            wire::Said::Prompt(_) | wire::Said::Before { .. } if strict => {
                Answer::Refuse(format!("{words}. In strict mode nothing is done then."))
            }
            wire::Said::Stop { again: false } if strict => Answer::Refuse(words),
            _ => Answer::Warn(words),
        }
    }
}

/// `vp hook report`, `vp route --audit`.
pub fn report(context: &Context) -> Result<Exit, Failed> {
    let rows = audit::read(&context.settings)?;
    let report = vp_shared::turn::report(&rows);
    if context.format == Format::Table {
        shown(&report)?;
    } else {
        output::json(&report, context.format)?;
    }
    let broken = report.without_dispatch.iter().any(|turn| turn.ended == Ended::Violated);
    Ok(if broken { Exit::Failure } else { Exit::Ok })
}

fn shown(report: &Report) -> Result<(), Failed> {
    output::line(format!(
        "{} turns delegated explicitly, {} of them were dispatched; {} times the hook could not decide",
        report.explicit, report.kept, report.undecided
    ))?;
    if report.without_dispatch.is_empty() {
        return Ok(());
    }
    let rows = report.without_dispatch.iter().map(|turn| {
        let ended = match turn.ended {
            Ended::Kept => "dispatched",
            Ended::Owes => "owes",
            Ended::Unavailable => "unavailable",
            Ended::Abandoned => "abandoned",
            Ended::Violated => "VIOLATED",
        };
        let lanes: Vec<_> = turn.vp_ids.iter().map(ToString::to_string).collect();
        vec![
            turn.time.to_string(),
            turn.session.clone(),
            turn.turn.to_string(),
            lanes.join(", "),
            ended.to_owned(),
            turn.denied.to_string(),
            turn.reason.clone(),
        ]
    });
    output::table(&["TIME", "SESSION", "TURN", "LANES", "ENDED", "DENIED", "REASON"], rows)
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
