//! One bridge works, the others stand by: whoever holds the ledger projects, sends and answers.
//!
//! Who loses the ledger stops at once and stands by. Two that both believe to hold it do no harm: the cursor refuses
//! one's batches, the notices' stream one's notices.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vp_nats::connect::Connection;
use vp_nats::retry::Delays;
use vp_shared::error::Chain;
use vp_shared::retry::RetryDelay;

use crate::active::Active;
use crate::config::BridgeConfig;
use crate::console::Shelf;
use crate::duty::Duties;
use crate::error::BridgeError;
use crate::ledger::{Ledger, LedgerError, Location};
use crate::status::StatusBoard;
use crate::suspicion::{Held, Suspicion};

/// How often a bridge that stands by looks whether the ledger is free.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest wait between tries to reach a ledger that cannot be.
const AT_MOST: Duration = Duration::from_secs(2);

/// Takes the ledger whenever it is free, and works while it has it.
#[derive(Debug)]
pub(crate) struct Shift {
    conn: Connection,
    pub(crate) location: Location,
    config: BridgeConfig,
    duties: Duties,
    status: StatusBoard,
    /// Where the console finds the ledger.
    shelf: Shelf,
}

/// What came of trying to take the ledger.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is this bridge's.
    Working(Box<Active>),
    /// Another process has it.
    Held(Held),
}

impl Shift {
    pub(crate) fn new(
        conn: Connection,
        location: Location,
        config: BridgeConfig,
        duties: Duties,
        status: StatusBoard,
        shelf: Shelf,
    ) -> Self {
        Self { conn, location, config, duties, status, shelf }
    }

    /// Begins to work if no other process has the ledger, which is made when it is missing.
    ///
    /// # Errors
    /// [`BridgeError`]; the ledger is free again then.
    pub(crate) async fn begin(&self) -> Result<Taken, BridgeError> {
        self.take(Ledger::open(&self.location).await).await
    }

    async fn take(&self, opened: Result<Ledger, LedgerError>) -> Result<Taken, BridgeError> {
        let ledger = match opened {
            Ok(ledger) => ledger,
            Err(LedgerError::InUse { holder, .. }) => return Ok(Taken::Held(Held { holder })),
            Err(error) => return Err(error.into()),
        };
        let active = Active::start(&self.conn, ledger, &self.config, &self.duties, &self.status).await?;
        self.shelf.lay(active.ledger());
        self.status.shift(true);
        Ok(Taken::Working(Box::new(active)))
    }

    /// Works and stands by until `stop`. Ends before that, which is a death, when the ledger has become something that
    /// this build must not touch.
    pub(crate) async fn run(self, taken: Taken, stop: CancellationToken) {
        let mut active = match taken {
            Taken::Working(active) => Some(active),
            Taken::Held(_) => None,
        };
        while !stop.is_cancelled() {
            if let Some(working) = active.take() {
                tokio::select! {
                    () = stop.cancelled() => return working.stop().await,
                    () = working.lost() => {}
                }
                // As after a crash: what it has begun is whole or not there.
                drop(working);
                tracing::warn!(ledger = %self.location, "the ledger may be another bridge's now, standing by");
                self.status.shift(false);
            }
            match stop.run_until_cancelled(self.wait()).await {
                Some(Some(working)) => active = Some(working),
                Some(None) => return,
                None => {}
            }
        }
        if let Some(working) = active {
            working.stop().await;
        }
    }

    /// Stands by until the ledger is this bridge's. `None`: it never can be.
    async fn wait(&self) -> Option<Box<Active>> {
        tracing::info!(ledger = %self.location, "standing by for the ledger");
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        let mut suspicion = Suspicion::new(self.location.to_string());
        loop {
            // What was there at the start is not replaced by an empty one that nobody asked for.
            let delay = match self.take(Ledger::reopen(&self.location).await).await {
                Ok(Taken::Working(active)) => {
                    tracing::info!(ledger = %self.location, "took over the ledger");
                    return Some(active);
                }
                Ok(Taken::Held(held)) => {
                    delays = Delays::new(&RetryDelay::REQUEST);
                    let alarm = suspicion.look(&self.conn, held).await;
                    self.status.update(|status| status.standby_error = alarm);
                    LOOK_EVERY
                }
                Err(error) => {
                    let text = Chain(&error).to_string();
                    if matches!(&error, BridgeError::Ledger(error) if !error.may_pass()) {
                        tracing::error!(error = text, "the ledger cannot be taken over, giving up");
                        return None;
                    }
                    tracing::error!(error = text, "taking the ledger over has failed, trying again");
                    self.status.update(|status| status.standby_error = Some(text));
                    delays.next().unwrap_or(AT_MOST).min(AT_MOST)
                }
            };
            tokio::time::sleep(delay).await;
        }
    }
}
