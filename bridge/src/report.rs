//! The bridge answers for itself, also while it stands by or its ledger is out of reach.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vp_nats::bridges::answer_as_bridge;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::reader::identity;
use vp_nats::retry::Delays;
use vp_nats::topology::MISSIONS;
use vp_shared::api::BridgeReport;
use vp_shared::error::Chain;
use vp_shared::retry::RetryDelay;

use crate::service::lag;
use crate::status::{BridgeStatus, StatusBoard};

/// How long the log may take to say where it ends; an answer without that is better than none.
const LOG_PATIENCE: Duration = Duration::from_millis(500);

/// What this bridge says of itself.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) conn: Connection,
    /// Without credentials.
    pub(crate) ledger: String,
    pub(crate) status: StatusBoard,
}

impl Reporter {
    /// Answers until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        while !stop.is_cancelled() {
            let answering = answer_as_bridge(&self.conn, || self.report());
            match stop.run_until_cancelled(answering).await {
                Some(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "this bridge cannot be asked how it is");
                }
                Some(Ok(())) => tracing::debug!("listening anew for who asks for bridges"),
                None => return,
            }
            let delay = delays.next().unwrap_or(RetryDelay::REQUEST.max());
            stop.run_until_cancelled(tokio::time::sleep(delay)).await;
        }
    }

    async fn report(&self) -> BridgeReport {
        let status = self.status.subscribe().borrow().clone();
        let (lag_events, lag_seconds) = self.lag(status.cursor).await.unzip();
        BridgeReport {
            host: host(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ledger: self.ledger.clone(),
            active: status.active,
            since: status.since.unwrap_or_else(clock::now),
            cursor: Some(status.cursor).filter(|cursor| *cursor > 0),
            lag_events,
            lag_seconds,
            trouble: trouble(status),
        }
    }

    /// How far the ledger is behind, as far as this bridge can tell without it.
    async fn lag(&self, cursor: u64) -> Option<(u64, u64)> {
        let looking = async {
            let stream = identity(&self.conn, MISSIONS).await.ok()?;
            match stream.last_seq.checked_sub(cursor)? {
                0 => Some((0, 0)),
                _ => lag(&self.conn, cursor, stream.last_seq).await.ok(),
            }
        };
        if cursor == 0 {
            return None;
        }
        tokio::time::timeout(LOG_PATIENCE, looking).await.ok().flatten()
    }
}

fn trouble(status: BridgeStatus) -> Vec<String> {
    let reconciler = status.reconciler.error;
    [status.standby_error, status.projector_error, status.sender_error, reconciler]
        .into_iter()
        .flatten()
        .collect()
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
