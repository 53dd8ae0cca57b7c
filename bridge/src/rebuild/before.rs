//! The ledger that a rebuild replaces: what must outlive it, and what would not.

use vp_nats::connect::Connection;
use vp_nats::reader::StreamIdentity;
use vp_shared::error::Chain;
use vp_shared::mission::Status;

use super::{RebuildError, place_in};
use crate::ledger::{Cursor, Lacking, Ledger, LedgerError, Location, Place};
use crate::proof::{ProofError, prove};

/// How many missions that would be lost are named.
const NAMED: usize = 20;

/// What must outlive a ledger that is replaced.
pub(super) struct Before {
    pub(super) place: Cursor,
    /// How far its notices are sent.
    pub(super) sent: i64,
    /// True when the log has lost what it was projected from.
    pub(super) log_lost: bool,
}

impl Before {
    pub(super) async fn of(
        conn: &Connection,
        location: &Location,
        stream: &StreamIdentity,
    ) -> Result<Self, RebuildError> {
        let nothing = Self { place: place_in(&[], stream), sent: 0, log_lost: false };
        if !Ledger::exists(location).await? {
            return Ok(nothing);
        }
        let ledger = Ledger::open_unlocked(location).await?;
        let found = Self::read(conn, &ledger, stream).await;
        ledger.close().await;
        match found {
            Err(RebuildError::Ledger(error @ LedgerError::Database { .. })) => {
                let error = Chain(&error).to_string();
                tracing::warn!(error, "the ledger is damaged, taking nothing over from it");
                Ok(nothing)
            }
            found => found,
        }
    }

    async fn read(conn: &Connection, ledger: &Ledger, stream: &StreamIdentity) -> Result<Self, RebuildError> {
        let (snapshot, cursors) = ledger.snapshot().await?;
        let place = place_in(&cursors, stream);
        let missions = snapshot.born_before(Place::new(place.epoch, stream.first_seq)).await?;
        if missions > 0 {
            return Err(RebuildError::WouldLose { missions });
        }
        let log_lost = match prove(conn, ledger, &place, stream).await {
            Ok(()) => false,
            Err(ProofError::Ledger(error)) => return Err(error.into()),
            Err(ProofError::Reader(error)) => return Err(error.into()),
            Err(ProofError::Shorter { .. } | ProofError::Another { .. }) => true,
        };
        let sent = ledger.sent().await?;
        // The places of another stream's notices say nothing here, nor those that other messages may have now.
        let sent = if Place::of(sent).epoch == place.epoch && !log_lost { sent } else { 0 };
        Ok(Self { place, sent, log_lost })
    }
}

/// Refuses when the ledger there is has missions that the log, and so the `fresh` one, has lost.
pub(super) async fn loses_nothing(
    location: &Location,
    fresh: &Ledger,
    epoch: u16,
) -> Result<(), RebuildError> {
    let ledger = Ledger::open_unlocked(location).await?;
    let lacking = ledger.lacking_in(fresh, epoch).await;
    ledger.close().await;
    match lacking? {
        lacking if lacking.is_empty() => Ok(()),
        lacking => Err(log_lost(&lacking)),
    }
}

fn log_lost(lacking: &[Lacking]) -> RebuildError {
    let ended = |mission: &&Lacking| Status::from_name(&mission.status).is_some_and(Status::is_terminal);
    let ended = lacking.iter().filter(ended).count();
    let named = lacking.iter().take(NAMED);
    let mut named: Vec<String> =
        named.map(|mission| format!("{} ({})", mission.mission_id, mission.status)).collect();
    if lacking.len() > NAMED {
        named.push(format!("and {} more", lacking.len() - NAMED));
    }
    RebuildError::LogLost {
        missions: lacking.len() as u64,
        unfinished: (lacking.len() - ended) as u64,
        named: named.join(", "),
    }
}
