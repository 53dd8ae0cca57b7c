//! What can go wrong with a bridge as a whole.

use vp_nats::reader::ReaderError;
use vp_nats::service::ServiceError;

pub use crate::ledger::LedgerError;

/// Why a bridge could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log is not there or does not answer.
    #[error(
        "could not begin to read the log: run `vp up`, or `vp lanes --apply` with admin credentials, first"
    )]
    Log(#[source] ReaderError),
    /// The ledger's service could not be offered.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A part has ended that must not.
    #[error("the bridge's {part} has ended by itself: a fault of this program; restart the bridge")]
    Died {
        /// Which part.
        part: &'static str,
    },
}

impl BridgeError {
    /// True when starting it again later can help without anybody changing anything here: a server that is away, a log
    /// that is not made yet, a database that does not answer or has no room.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Ledger(error) => matches!(error, LedgerError::Database { .. } | LedgerError::Gone { .. }),
            Self::Log(_) | Self::Service(_) => true,
            Self::Died { .. } => false,
        }
    }
}
