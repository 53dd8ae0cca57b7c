//! The start of a session: what waits for it is handed over, as one group, and acked when it was written out.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};
use vp_nats::notices::NoticeReader;
use vp_shared::ids::SessionId;
use vp_shared::turn::Answer;

use super::wire::Input;
use crate::cli::{Format, output};
use crate::config::Settings;
use crate::deliver::grouped;
use crate::exit::{Exit, Failed};
use crate::link;

/// Handed over at once; what is behind them stays for the next door.
const AT_ONCE: usize = 50;
/// How long a notice that is there may take.
const WAIT: Duration = Duration::from_millis(500);

/// Answers the start of a session.
pub(super) async fn run(
    settings: &Settings,
    input: &Input,
    session: Option<&SessionId>,
    answer: Answer,
    deadline: Instant,
) -> Result<Exit, Failed> {
    let mut words = match answer {
        Answer::Pass => String::new(),
        Answer::Context(words) | Answer::Refuse(words) | Answer::Warn(words) => words,
    };
    let Some(session) = session else {
        tell(input, &words)?;
        return Ok(Exit::Ok);
    };
    let look = async {
        let conn = link::connect(settings, "vp-hook").await?;
        let unavailable = |error| Failed::from_error(Exit::Unavailable, &error);
        let reader = NoticeReader::open(&conn, session).await.map_err(unavailable)?;
        let waiting = reader.waiting(AT_ONCE, WAIT).await.map_err(unavailable)?;
        Ok::<_, Failed>((reader, waiting))
    };
    let found = timeout_at(deadline, look).await;
    let (mut reader, waiting) = match found {
        Ok(Ok(found)) => found,
        Ok(Err(failed)) => {
            return tell(input, &format!("{words}\nNotices cannot be read now: {}", failed.message));
        }
        Err(_) => return tell(input, &format!("{words}\nNotices cannot be read now: no answer in time")),
    };
    if !waiting.notices.is_empty() {
        words.push_str(&grouped(&waiting.notices, waiting.more));
    }
    tell(input, words.trim())?;
    if waiting.last > 0 {
        // Written out first: who is killed in between hands them over again rather than never.
        let acked = timeout_at(deadline, reader.ack_through(waiting.last, WAIT)).await;
        match acked {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                tracing::warn!(session_id = %session, "another door has some of the notices in hand and may show them too");
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, session_id = %session, "notices will be handed over again");
            }
            Err(_) => tracing::warn!(session_id = %session, "notices will be handed over again"),
        }
    }
    Ok(Exit::Ok)
}

fn tell(input: &Input, words: &str) -> Result<Exit, Failed> {
    if !words.trim().is_empty() {
        let context = json!({"hookEventName": input.hook, "additionalContext": words.trim()});
        output::json(&json!({"hookSpecificOutput": context}), Format::Ndjson)?;
    }
    Ok(Exit::Ok)
}
