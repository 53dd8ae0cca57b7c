//! The ledger over NATS: nobody else opens the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::reader::{ReaderError, first_after, identity};
use vp_nats::service::{EndpointSpec, Service, ServiceError, ServiceRequest, ServiceSpec};
use vp_nats::subject;
use vp_nats::topology::MISSIONS;
use vp_shared::api::{
    Answer, ErrorCode, LedgerGet, LedgerList, LedgerMission, LedgerPage, LedgerQuestion, LedgerQueue,
    LedgerQueueStart, LedgerStatus, ToolError, parse,
};
use vp_shared::error::Chain;
use vp_shared::time::UtcTime;

use crate::ledger::{Ledger, LedgerError};
use crate::status::{BridgeStatus, StatusBoard};

/// The service's name.
pub const SERVICE: &str = "vp-ledger";
/// How many questions are answered at a time.
const AT_ONCE: usize = 64;
/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers questions.
#[derive(Debug, Clone)]
pub(crate) struct Clerk {
    pub(crate) conn: Connection,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) status: StatusBoard,
}

/// Begins to answer.
///
/// # Errors
/// [`ServiceError`].
pub(crate) async fn serve(clerk: Clerk) -> Result<Service, ServiceError> {
    let endpoints = LedgerQuestion::ALL.into_iter().map(|question| EndpointSpec {
        name: question.name().to_owned(),
        subject: subject::ledger(question),
        metadata: HashMap::new(),
    });
    let spec = ServiceSpec {
        name: SERVICE.to_owned(),
        description: "answers what the ledger knows of missions".to_owned(),
        endpoints: endpoints.collect(),
        max_in_flight: AT_ONCE,
    };
    let conn = clerk.conn.clone();
    Service::start(&conn, spec, move |request| {
        let clerk = clerk.clone();
        async move { clerk.answer(&request).await }
    })
    .await
}

impl Clerk {
    async fn answer(&self, request: &ServiceRequest) -> Vec<u8> {
        match LedgerQuestion::from_name(&request.endpoint) {
            Some(LedgerQuestion::GetMission) => in_time(self.get(&request.body)).await,
            Some(LedgerQuestion::ListMissions) => in_time(self.list(&request.body)).await,
            Some(LedgerQuestion::QueueStart) => in_time(self.queue_start(&request.body)).await,
            Some(LedgerQuestion::Status) => in_time(self.status(&request.body)).await,
            None => {
                let what = format!("there is no question `{}`", request.endpoint);
                Answer::<()>(Err(ToolError::new(ErrorCode::ValidationError, what))).to_json()
            }
        }
    }

    async fn get(&self, body: &[u8]) -> Result<LedgerMission, ToolError> {
        let LedgerGet { mission_id } = parse(body)?;
        match self.ledger.mission(&mission_id).await.map_err(|error| unavailable(&error))? {
            Some(mission) => Ok(mission),
            None => {
                let what = format!("the ledger has no mission {mission_id}");
                Err(ToolError::new(ErrorCode::NotFound, what).about(&mission_id))
            }
        }
    }

    async fn list(&self, body: &[u8]) -> Result<LedgerPage, ToolError> {
        let wanted: LedgerList = parse(body)?;
        if !(1..=500).contains(&wanted.limit) {
            return Err(ToolError::field("limit", "want 1 to 500"));
        }
        self.ledger.list(&wanted).await.map_err(|error| unavailable(&error))
    }

    /// Read after the cursor, the missions are at least as far: one that has ended or was queued again since then only
    /// makes the start later than it had to be earlier.
    async fn queue_start(&self, body: &[u8]) -> Result<LedgerQueueStart, ToolError> {
        let LedgerQueue { vp_id } = parse(body)?;
        let stream = identity(&self.conn, MISSIONS)
            .await
            .map_err(|error| ToolError::new(ErrorCode::BrokerUnavailable, Chain(&error).to_string()))?;
        let cursors = self.ledger.cursors().await.map_err(|error| unavailable(&error))?;
        let Some(cursor) = cursors.iter().find(|cursor| cursor.created_at == stream.created_at) else {
            return Ok(LedgerQueueStart { start_seq: 1 });
        };
        let open = self.ledger.unfinished(cursor.epoch).await.map_err(|error| unavailable(&error))?;
        let entries =
            open.iter().filter(|mission| mission.vp_id == vp_id).filter_map(|mission| mission.queue_seq);
        Ok(LedgerQueueStart { start_seq: entries.chain([cursor.seq + 1]).min().unwrap_or(1) })
    }

    async fn status(&self, body: &[u8]) -> Result<LedgerStatus, ToolError> {
        /// Nothing is asked beside the question itself.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Empty {}
        let Empty {} = parse(body)?;
        let now = self.status.subscribe().borrow().clone();
        standing(&self.conn, &self.ledger, &now).await
    }
}

/// How the ledger stands.
///
/// # Errors
/// `broker_unavailable` when the log, `ledger_unavailable` when the ledger does not answer.
pub(crate) async fn standing(
    conn: &Connection,
    ledger: &Ledger,
    now: &BridgeStatus,
) -> Result<LedgerStatus, ToolError> {
    let unheard =
        |error: ReaderError| ToolError::new(ErrorCode::BrokerUnavailable, Chain(&error).to_string());
    let stream = identity(conn, MISSIONS).await.map_err(unheard)?;
    let standing = standing_at(ledger, now, stream.last_seq, stream.created_at).await;
    let mut status = standing.map_err(|error| unavailable(&error))?;
    if status.cursor < stream.last_seq {
        let lag = lag(conn, status.cursor, stream.last_seq).await;
        (status.lag_events, status.lag_seconds) = lag.map_err(unheard)?;
    }
    Ok(status)
}

async fn standing_at(
    ledger: &Ledger,
    now: &BridgeStatus,
    stream_last: u64,
    created_at: UtcTime,
) -> Result<LedgerStatus, LedgerError> {
    let cursors = ledger.cursors().await?;
    let cursor = cursors.iter().find(|cursor| cursor.created_at == created_at);
    let (anomalies_total, anomalies) = ledger.anomalies().await?;
    Ok(LedgerStatus {
        cursor: cursor.map_or(0, |cursor| cursor.seq),
        stream_last,
        lag_events: 0,
        lag_seconds: 0,
        projected_at: cursor.and_then(|cursor| cursor.event_at),
        missions: ledger.counts().await?,
        waiting: ledger.waiting_by_lane().await?,
        notices_pending: ledger.unsent_total().await?,
        anomalies_total,
        anomalies,
        reconciler: now.reconciler.clone(),
        retention: now.retention.clone(),
    })
}

/// How many messages are behind the cursor at most, and for how many seconds the oldest of them has been there.
pub(crate) async fn lag(conn: &Connection, cursor: u64, stream_last: u64) -> Result<(u64, u64), ReaderError> {
    // The last sequences may be those of timers that have fired.
    let Some((seq, stored_at)) = first_after(conn, MISSIONS, cursor).await? else {
        return Ok((0, 0));
    };
    let micros = clock::now().as_micros().saturating_sub(stored_at.as_micros());
    Ok(((stream_last + 1).saturating_sub(seq), micros.max(0).unsigned_abs() / 1_000_000))
}

async fn in_time<T: Serialize>(answer: impl Future<Output = Result<T, ToolError>>) -> Vec<u8> {
    let late = || {
        let what = format!("the ledger had no answer within {} s", PATIENCE.as_secs());
        Err(ToolError::new(ErrorCode::LedgerUnavailable, what))
    };
    Answer(timeout(PATIENCE, answer).await.unwrap_or_else(|_| late())).to_json()
}

fn unavailable(error: &LedgerError) -> ToolError {
    let text = Chain(error).to_string();
    tracing::error!(error = text, "the ledger could not be read");
    ToolError::new(ErrorCode::LedgerUnavailable, text)
}
