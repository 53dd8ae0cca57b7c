//! The projector: the log, in order from the ledger's cursor, one transaction a batch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::reader::{Reader, ReaderError, Record, Start, StreamIdentity, identity};
use vp_nats::retry::Delays;
use vp_nats::subject::ALL_MISSIONS;
use vp_nats::topology::MISSIONS;
use vp_shared::error::Chain;
use vp_shared::retry::RetryDelay;

use crate::batch::Batch;
use crate::ledger::{Changes, Committed, Cursor, Ledger, LedgerError, Place, Texts};
use crate::live::{Cache, CacheLimits};
use crate::project::{Names, anomaly_row};
use crate::status::StatusBoard;

/// How long to wait for a message before looking whether the stream is still the same one.
const IDLE: Duration = Duration::from_secs(30);
/// A batch is cut when its messages hold so much.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// What stops the projector for a while.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Reader(#[from] ReaderError),
}

/// Projects the log onto a ledger.
#[derive(Debug)]
pub(crate) struct Projector {
    pub(crate) conn: Connection,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) names: Names,
    pub(crate) batch: usize,
    pub(crate) status: StatusBoard,
    /// Told after each commit that holds notices.
    pub(crate) wake: Arc<Notify>,
}

/// A projector in its place in the log.
struct Place_ {
    reader: Reader,
    cursor: Cursor,
}

impl Projector {
    /// Projects until `stop`. Whatever fails is tried again, for ever, from the ledger's cursor; nothing is skipped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        let mut turn = Turn { cache: Cache::new(CacheLimits::default()), texts: Texts::default(), progress: false };
        loop {
            let Some(ended) = stop.run_until_cancelled(self.follow(&stop, &mut turn)).await else { return };
            let Err(error) = ended else { return };
            if std::mem::take(&mut turn.progress) {
                delays = Delays::new(&RetryDelay::REQUEST);
            }
            let text = Chain(&error).to_string();
            tracing::error!(error = text, "projecting the log has failed, trying again");
            self.status.update(|status| status.projector_error = Some(text));
            let delay = delays.next().unwrap_or(RetryDelay::REQUEST.max());
            if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return;
            }
        }
    }
}
