//! The bridge's options.

use std::fmt;
use std::time::Duration;

use vp_shared::lane::Lanes;

use crate::console::ConsoleConfig;
use crate::retain::LedgerRetention;

/// How a bridge runs.
#[derive(Clone)]
pub struct BridgeConfig {
    /// Where the ledger is: a file path, `sqlite://<path>` or
    /// `postgres://user:password@host:port/database`.
    pub ledger: String,
    /// The lanes: what notices call them.
    pub lanes: Lanes,
    /// How many messages one transaction holds at most.
    pub batch: usize,
    /// How often the missions of dead workers are looked for, beside being told of a death.
    pub sweep_every: Duration,
    /// How long a worker must be gone, with nobody on its subject, before its missions are handed back ahead of their
    /// lease; longer where its executor may run on for longer. A link that is cut for less disturbs nothing.
    pub recover_after: Duration,
    /// How the reconciler takes its time.
    pub reconcile: ReconcileTimes,
    /// What the ledger keeps.
    pub retention: LedgerRetention,
    /// Where the web console is served, if it is.
    pub console: Option<ConsoleConfig>,
}

/// How the reconciler takes its time: what it acts on stays so for longer than any hand-over takes, and yet a stranded
/// mission is back within a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcileTimes {
    /// How often it looks.
    pub every: Duration,
    /// How long a mission must look stranded before it is brought back.
    pub confirm_after: Duration,
    /// How long an entry may rest in hand, at least: longer than workers hand entries back for. A lane's `ack_wait`
    /// counts if it is longer.
    pub in_hand_for: Duration,
}

impl Default for ReconcileTimes {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(8),
            confirm_after: Duration::from_secs(40),
            in_hand_for: Duration::from_secs(30),
        }
    }
}

impl BridgeConfig {
    /// With batches of at most 1,000 messages, a sweep each 15 s, and workers taken for dead after 20 s at the earliest;
    /// the ledger keeps everything, and there is no console.
    pub fn new(ledger: impl Into<String>, lanes: Lanes) -> Self {
        Self {
            ledger: ledger.into(),
            lanes,
            batch: 1_000,
            sweep_every: Duration::from_secs(15),
            recover_after: Duration::from_secs(20),
            reconcile: ReconcileTimes::default(),
            retention: LedgerRetention::default(),
            console: None,
        }
    }
}

impl fmt::Debug for BridgeConfig {
    /// Without the password that a ledger's URL may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = crate::ledger::shown(&self.ledger).unwrap_or_else(|error| error.to_string());
        f.debug_struct("BridgeConfig")
            .field("ledger", &ledger)
            .field("lanes", &self.lanes)
            .field("batch", &self.batch)
            .field("sweep_every", &self.sweep_every)
            .field("recover_after", &self.recover_after)
            .field("reconcile", &self.reconcile)
            .field("retention", &self.retention)
            .field("console", &self.console.as_ref().map(|console| console.listen))
            .finish()
    }
}
