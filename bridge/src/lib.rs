//! The projector, the ledger and the notice sender.
//!
//! - [`Bridge`]: all of it, running. [`BridgeConfig`], [`BridgeStatus`], [`BridgeError`].
//! - `standby`, `active`: one bridge works, the others stand by and take over. `suspicion`: of a holder that is
//!   silent.
//! - `project`, `live`, `batch`: pure: what messages of the log change in the ledger.
//! - `consume`: the log in order, one transaction a batch. `proof`: that it is still the one the ledger knows.
//! - `notify`: notices, sent and marked.
//! - `lost`: missions whose stream was deleted, ended.
//! - [`service`]: the ledger over NATS. `report`: how this bridge is, also while it stands by. `recover`: missions of dead workers, handed back.
//! - `console`: all of it as pages, for people.
//! - `reconcile`: missions that nothing would bring on any more, brought back or ended.
//! - `retain`: what ended long ago and the log has forgotten, deleted by policy.
//! - `ledger`: the database; nothing else opens it. [`rebuild`]: it once more, from the log.
//!
//! The database cursor is the only position. Each batch is one transaction with the cursor as a compare-and-set, so a
//! crash anywhere repeats nothing and loses nothing, and two projectors can never both write.

mod active;
mod batch;
mod config;
mod console;
mod consume;
mod duty;
mod error;
mod event;
#[cfg(any(test, feature = "harness"))]
pub mod harness;
mod ledger;
mod live;
mod lost;
mod notify;
mod project;
mod proof;
pub mod rebuild;
mod reconcile;
mod recover;
mod report;
mod retain;
pub mod service;
mod standby;
mod status;
mod suspicion;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::watch;
use vp_nats::connect::Connection;
use vp_nats::reader::identity;
use vp_nats::topology::MISSIONS;

pub use config::{BridgeConfig, ReconcileTimes};
pub use console::ConsoleConfig;
pub use error::{BridgeError, LedgerError};
pub use ledger::shown as shown_ledger;
pub use retain::{LedgerPruneReport, LedgerRetention, PruneLedgerError, prune_ledger};
pub use status::BridgeStatus;

use console::{Console, Desk, Shelf};
use duty::{Duties, Duty};
use ledger::Location;
use report::Reporter;
use standby::Shift;
use status::StatusBoard;

/// How long a bridge may take to stop, all its parts together.
const STOP_PATIENCE: Duration = Duration::from_mins(1);

/// A running bridge: at work, or standing by for one that is. Dropped, it stops as a crash would, which loses nothing.
#[derive(Debug)]
#[must_use = "a dropped bridge stops"]
pub struct Bridge {
    shift: Duty,
    reporter: Duty,
    console: Option<Duty>,
    duties: Duties,
    status: StatusBoard,
}

impl Bridge {
    /// Opens the ledger and begins to project the log, send notices, answer questions and look after dead workers'
    /// missions. While another process holds the ledger it stands by, and takes over within seconds of its end.
    ///
    /// # Errors
    /// [`BridgeError`]; nothing runs then.
    pub async fn start(conn: Connection, config: BridgeConfig) -> Result<Self, BridgeError> {
        let location = Location::parse(&config.ledger)?;
        let (duties, status) = (Duties::new(), StatusBoard::new());
        let (shelf, console) = (Shelf::new(), config.console.clone());
        let lanes = config.lanes.clone();
        let shift = Shift::new(conn.clone(), location, config, duties.clone(), status.clone(), shelf.clone());
        let active = shift.begin().await?;
        // Later the log may go and come back; at the start its absence is a mistake that someone must be told.
        identity(&conn, MISSIONS).await.map_err(BridgeError::Log)?;
        let console = console.map(|config| {
            let (conn, status) = (conn.clone(), status.clone());
            duties.start("console", |stop| {
                let listen = config.listen;
                let desk = Desk::new(conn, lanes, config, shelf, status.clone(), stop.clone());
                Console { listen, desk, status }.run(stop)
            })
        });
        let reporter = Reporter { conn, ledger: shift.location.to_string(), status: status.clone() };
        let shift = duties.start("standby", |stop| shift.run(active, stop));
        let reporter = duties.start("reporter", |stop| reporter.run(stop));
        Ok(Self { shift, reporter, console, duties, status })
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
        if let Some(console) = self.console {
            console.stop(STOP_PATIENCE).await;
        }
        self.shift.stop(STOP_PATIENCE).await;
        self.reporter.stop(STOP_PATIENCE).await;
    }
}
