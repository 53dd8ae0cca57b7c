//! The bridge's options.

use std::time::Duration;

use vp_shared::lane::Lanes;

/// How a bridge runs.
#[derive(Debug, Clone)]
pub struct BridgeConfig {
    /// Where the ledger is: a file path or `sqlite://<path>`.
    pub ledger: String,
    /// The lanes: what notices call them.
    pub lanes: Lanes,
    /// How many messages one transaction holds at most.
    pub batch: usize,
    /// How often the missions of dead workers are looked for, beside being told of a death.
    pub sweep_every: Duration,
    /// How long a worker must be gone, with nobody on its subject, before its missions are handed back ahead of their
    /// lease. A link that is cut for less disturbs nothing.
    pub recover_after: Duration,
}

impl BridgeConfig {
    /// With batches of at most 1,000 messages, a sweep each 15 s, and workers taken for dead after 20 s.
    pub fn new(ledger: impl Into<String>, lanes: Lanes) -> Self {
        Self {
            ledger: ledger.into(),
            lanes,
            batch: 1_000,
            sweep_every: Duration::from_secs(15),
            recover_after: Duration::from_secs(20),
        }
    }
}
