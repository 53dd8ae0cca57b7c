//! The parts of a bridge that run while it holds the ledger.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use vp_nats::connect::Connection;
use vp_nats::mission_log::MissionLog;
use vp_nats::service::Service;

use crate::config::BridgeConfig;
use crate::consume::Projector;
use crate::duty::{Duties, Duty};
use crate::error::BridgeError;
use crate::ledger::{Ledger, Texts};
use crate::live::{Cache, CacheLimits};
use crate::notify::Sender;
use crate::project::Names;
use crate::reconcile::Reconciler;
use crate::recover::Recovery;
use crate::retain::Retention;
use crate::service::{self, Clerk};
use crate::status::StatusBoard;

/// How long a part may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// A bridge that holds the ledger. Dropped, it stops as a crash would, which loses nothing.
#[derive(Debug)]
pub(crate) struct Active {
    service: Service,
    recovery: Duty,
    reconciler: Duty,
    retention: Duty,
    projector: Duty,
    sender: Duty,
    ledger: Arc<Ledger>,
}

impl Active {
    /// Begins to project the log, send notices, answer questions, and look after dead workers' missions and
    /// stranded ones.
    ///
    /// # Errors
    /// [`BridgeError::Service`]; nothing runs then.
    pub(crate) async fn start(
        conn: &Connection,
        ledger: Ledger,
        config: &BridgeConfig,
        duties: &Duties,
        status: &StatusBoard,
    ) -> Result<Self, BridgeError> {
        let (ledger, wake) = (Arc::new(ledger), Arc::new(Notify::new()));
        let service =
            service::serve(Clerk { conn: conn.clone(), ledger: Arc::clone(&ledger), status: status.clone() })
                .await?;
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
            conn: conn.clone(),
            ledger: Arc::clone(&ledger),
            status: status.clone(),
            sweep_every: config.sweep_every.max(Duration::from_secs(1)),
            recover_after: config.recover_after,
            lanes: config.lanes.clone(),
        };
        let reconciler = Reconciler {
            log: MissionLog::new(conn),
            conn: conn.clone(),
            ledger: Arc::clone(&ledger),
            status: status.clone(),
            times: config.reconcile,
            lanes: config.lanes.clone(),
        };
        let retention = Retention {
            conn: conn.clone(),
            ledger: Arc::clone(&ledger),
            status: status.clone(),
            policy: config.retention,
        };
        let projector = duties.start("projector", |stop| projector.run(stop));
        let sender = duties.start("notice sender", |stop| sender.run(stop));
        let recovery = duties.start("recovery", |stop| recovery.run(stop));
        let reconciler = duties.start("reconciler", |stop| reconciler.run(stop));
        let retention = duties.start("retention", |stop| retention.run(stop));
        Ok(Self { service, recovery, reconciler, retention, projector, sender, ledger })
    }

    /// The ledger, for who only reads it.
    pub(crate) const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Ends when the ledger may be another bridge's.
    pub(crate) async fn lost(&self) {
        self.ledger.lost().await;
    }

    /// Stops in order: no more questions, the batch at hand is stored, its notices are sent. At most a minute.
    pub(crate) async fn stop(self) {
        self.service.stop().await;
        self.retention.stop(STOP_PATIENCE).await;
        self.reconciler.stop(STOP_PATIENCE).await;
        self.recovery.stop(STOP_PATIENCE).await;
        self.projector.stop(STOP_PATIENCE).await;
        self.sender.stop(STOP_PATIENCE).await;
        self.ledger.close().await;
    }
}
