//! The projector, the ledger and the notice sender.
