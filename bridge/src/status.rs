//! How a bridge is doing, for who watches it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use vp_nats::clock;
use vp_shared::api::{ReconcilerStatus, RetentionStatus};
use vp_shared::time::UtcTime;

/// How a bridge is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeStatus {
    /// True while it holds the ledger and works; false while it stands by.
    pub active: bool,
    /// Since when that is so.
    pub since: Option<UtcTime>,
    /// What keeps it from the ledger while it stands by, if that is not just another bridge that works.
    pub standby_error: Option<String>,
    /// The stream sequence up to which the log is projected.
    pub cursor: u64,
    /// How many messages waited behind it when it was last read.
    pub behind: u64,
    /// How many events this process has projected.
    pub events: u64,
    /// How many notices this process has sent.
    pub notices_sent: u64,
    /// How many leases of dead workers this process has handed back.
    pub handed_back: u64,
    /// What the reconciler has found and done.
    pub reconciler: ReconcilerStatus,
    /// What the ledger has deleted by policy.
    pub retention: RetentionStatus,
    /// What stops the projector now, if anything.
    pub projector_error: Option<String>,
    /// What stops the notices now, if anything.
    pub sender_error: Option<String>,
    /// Where the console is served, if it is.
    pub console: Option<SocketAddr>,
    /// What keeps it from being served now, if anything.
    pub console_error: Option<String>,
}

/// Where the parts write how they are doing.
#[derive(Debug, Clone)]
pub(crate) struct StatusBoard(Arc<watch::Sender<BridgeStatus>>);

impl StatusBoard {
    pub(crate) fn new() -> Self {
        let status = BridgeStatus { since: Some(clock::now()), ..BridgeStatus::default() };
        Self(Arc::new(watch::Sender::new(status)))
    }

    /// It works from now on, or stands by.
    pub(crate) fn shift(&self, active: bool) {
        self.update(|status| {
            status.active = active;
            status.since = Some(clock::now());
            status.standby_error = None;
            status.projector_error = None;
            status.sender_error = None;
        });
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut BridgeStatus)) {
        self.0.send_modify(change);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<BridgeStatus> {
        self.0.subscribe()
    }
}
