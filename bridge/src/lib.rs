//! The projector, the ledger and the notice sender.
//!
//! - [`Bridge`]: all of it, running. [`BridgeConfig`], [`BridgeStatus`], [`BridgeError`].
//! - `project`, `live`, `batch`: pure: what messages of the log change in the ledger.
//! - `consume`: the log in order, one transaction a batch. `notify`: notices, sent and marked.
//! - [`service`]: the ledger over NATS. `recover`: missions of dead workers, handed back.
//! - `ledger`: the database; nothing else opens it. [`rebuild`]: it once more, from the log.
//!
//! The database cursor is the only position. Each batch is one transaction with the cursor as a compare-and-set, so a
//! crash anywhere repeats nothing and loses nothing, and two projectors can never both write.

mod batch;
mod config;
mod consume;
mod duty;
mod error;
mod ledger;
mod live;
mod notify;
mod project;
pub mod rebuild;
mod recover;
pub mod service;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use vp_nats::connect::Connection;
use vp_nats::reader::identity;
use vp_nats::service::Service;
use vp_nats::topology::MISSIONS;

pub use config::BridgeConfig;
pub use error::{BridgeError, LedgerError};
pub use status::BridgeStatus;

use consume::Projector;
use duty::{Duties, Duty};
use ledger::{Ledger, Location, Texts};
use live::{Cache, CacheLimits};
use notify::Sender;
use project::Names;
use recover::Recovery;
use service::Clerk;
use status::StatusBoard;

/// How long a part may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// A running bridge. Dropped, it stops as a crash would, which loses nothing.
#[derive(Debug)]
#[must_use = "a dropped bridge stops"]
pub struct Bridge {
    service: Service,
    recovery: Duty,
    projector: Duty,
    sender: Duty,
    duties: Duties,
    status: StatusBoard,
    ledger: Arc<Ledger>,
}

impl Bridge {
    /// Opens the ledger and begins to project the log, send notices, answer questions and look after dead workers'
    /// missions.
    ///
    /// # Errors
    /// [`BridgeError`]; nothing runs then.
    pub async fn start(conn: Connection, config: BridgeConfig) -> Result<Self, BridgeError> {
        let location = Location::parse(&config.ledger)?;
        let ledger = Arc::new(Ledger::open(&location).await?);
        // Later the log may go and come back; at the start its absence is a mistake that someone must be told.
        identity(&conn, MISSIONS).await.map_err(BridgeError::Log)?;
        let service = service::serve(Clerk { conn: conn.clone(), ledger: Arc::clone(&ledger) }).await?;
        let (duties, status, wake) = (Duties::new(), StatusBoard::new(), Arc::new(Notify::new()));
        let projector = Projector {
            conn: conn.clone(),
            ledger: Arc::clone(&ledger),
            names: Names::of(&config.lanes),
            stored: 0,
            batch: config.batch.max(1),
            cache: Cache::new(CacheLimits::default()),
            texts: Texts::default(),
            status: status.clone(),
            wake: Arc::clone(&wake),
        };
        let sender = Sender { conn: conn.clone(), ledger: Arc::clone(&ledger), status: status.clone(), wake };
        let recovery = Recovery {
            conn,
            ledger: Arc::clone(&ledger),
            status: status.clone(),
            sweep_every: config.sweep_every.max(Duration::from_secs(1)),
            recover_after: config.recover_after,
        };
        let projector = duties.start("projector", |stop| projector.run(stop));
        let sender = duties.start("notice sender", |stop| sender.run(stop));
        let recovery = duties.start("recovery", |stop| recovery.run(stop));
        Ok(Self { service, recovery, projector, sender, duties, status, ledger })
    }

    /// How it is doing, now and as it changes.
    pub fn status(&self) -> watch::Receiver<BridgeStatus> {
        self.status.subscribe()
    }

    /// Ends when a part that must run has ended by itself. Does not borrow the bridge.
    pub fn failed(&self) -> impl Future<Output = BridgeError> + Send + use<> {
        let died = self.duties.died();
        async move { BridgeError::Died { part: died.await } }
    }

    /// Stops in order: no more questions, the batch at hand is stored, its notices are sent. At most a minute.
    pub async fn stop(self) {
        self.service.stop().await;
        self.recovery.stop(STOP_PATIENCE).await;
        self.projector.stop(STOP_PATIENCE).await;
        self.sender.stop(STOP_PATIENCE).await;
        self.ledger.close().await;
    }
}
