//! Questions to the ledger.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use vp_nats::connect::Connection;
use vp_nats::service::request;
use vp_nats::subject;
use vp_shared::api::{Answer, LedgerQuestion, ToolError};
use vp_shared::error::Chain;

/// How long the ledger is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks.
///
/// # Errors
/// Outside, why there was no answer; inside, what the ledger said instead of one.
pub(crate) async fn ask<Q: Serialize, A: DeserializeOwned>(
    conn: &Connection,
    question: LedgerQuestion,
    body: &Q,
) -> Result<Result<A, ToolError>, String> {
    let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
    let reply = request(conn, &subject::ledger(question), body.into(), None, PATIENCE).await;
    let reply = reply.map_err(|error| Chain(&error).to_string())?;
    Ok(Answer::<A>::from_json(&reply).map_err(|error| error.to_string())?.0)
}
