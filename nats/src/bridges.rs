//! Bridges answer for themselves, each of them: who works, who stands by, and what is in the way. The ledger's own
//! service answers only while somebody holds the ledger.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout, timeout_at};
use vp_shared::api::BridgeReport;

use crate::connect::{Connection, LinkError};
use crate::subject;

/// How long answers are waited for: a bridge that works answers within milliseconds.
pub const BRIDGES_PATIENCE: Duration = Duration::from_secs(1);
/// A question is answered within this, or asked again by whoever asked.
const ANSWER_PATIENCE: Duration = Duration::from_millis(700);
/// No installation has so many.
const AT_MOST: usize = 64;

/// Why bridges could not be asked, or could not listen.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not {what}: {why}")]
pub struct BridgesError {
    /// What was attempted.
    pub what: &'static str,
    /// The client's words.
    pub why: String,
}

/// Answers whoever asks for bridges, until the connection ends or this is dropped.
///
/// # Errors
/// [`BridgesError`] when it cannot listen.
pub async fn answer_as_bridge<F>(
    conn: &Connection,
    report: impl Fn() -> F + Send + Sync,
) -> Result<(), BridgesError>
where
    F: Future<Output = BridgeReport> + Send,
{
    let failed = |why: String| BridgesError { what: "listen for who asks for bridges", why };
    let subscribed = conn.client().subscribe(subject::BRIDGES).await;
    let mut questions = subscribed.map_err(|error| failed(error.to_string()))?;
    while let Some(question) = questions.next().await {
        let Some(reply) = question.reply else { continue };
        let answered = timeout(ANSWER_PATIENCE, async {
            let body = serde_json::to_vec(&report().await).map_err(|error| error.to_string())?;
            conn.client().publish(reply, body.into()).await.map_err(|error| error.to_string())
        });
        match answered.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error, "could not answer for this bridge"),
            Err(_) => tracing::debug!("could not answer for this bridge in time"),
        }
    }
    Ok(())
}

/// Every bridge that answers, whether it works or stands by; as long as [`BRIDGES_PATIENCE`] unless there is none.
///
/// # Errors
/// [`BridgesError`].
pub async fn ask_bridges(conn: &Connection) -> Result<Vec<BridgeReport>, BridgesError> {
    ask_bridges_within(conn, BRIDGES_PATIENCE).await
}

/// As [`ask_bridges`], for who would rather miss a slow one than wait for it.
///
/// # Errors
/// [`BridgesError`].
pub async fn ask_bridges_within(
    conn: &Connection,
    patience: Duration,
) -> Result<Vec<BridgeReport>, BridgesError> {
    let failed = |why: String| BridgesError { what: "ask for bridges", why };
    let deadline = Instant::now() + patience;
    let client = conn.client();
    let inbox = client.new_inbox();
    let asking = async {
        let answers = client.subscribe(inbox.clone()).await.map_err(|error| failed(error.to_string()))?;
        client
            .publish_with_reply(subject::BRIDGES, inbox, "{}".into())
            .await
            .map_err(|error| failed(error.to_string()))?;
        conn.flush().await.map_err(|error: LinkError| failed(error.to_string()))?;
        Ok(answers)
    };
    let asked = timeout_at(deadline, asking).await;
    let mut answers = asked.unwrap_or_else(|_| Err(failed("no answer in time".to_owned())))?;
    let mut reports = Vec::new();
    while reports.len() < AT_MOST {
        // Over, or the connection is.
        let Ok(Some(answer)) = timeout_at(deadline, answers.next()).await else { break };
        match serde_json::from_slice(&answer.payload) {
            Ok(report) => reports.push(report),
            // Nobody is there: the server says so at once.
            Err(_) if answer.payload.is_empty() => break,
            Err(error) => tracing::warn!(%error, "a bridge's report cannot be read"),
        }
    }
    Ok(reports)
}
