//! The bridge's options.

use std::fmt;
use std::time::Duration;

use vp_shared::lane::Lanes;

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
}

impl BridgeConfig {
    /// With batches of at most 1,000 messages and a sweep each 15 s.
    pub fn new(ledger: impl Into<String>, lanes: Lanes) -> Self {
        Self { ledger: ledger.into(), lanes, batch: 1_000, sweep_every: Duration::from_secs(15) }
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
            .finish()
    }
}
