//! The proof that the log is still the one that a ledger was projected from.
//!
//! A power cut, or a backup that is restored, takes the end of the log away and leaves the stream what it was: soon other
//! messages have the sequences of those that are gone, and a projector that went on behind its cursor would never see
//! them. So before anything is projected behind the cursor, and again whenever the link to the log was lost, the newest
//! messages that the ledger knows are compared with what the log's leader has there. Nothing of the answer is remembered:
//! as long as the ledger is the same one, so is the answer.

use std::collections::BTreeMap;

use vp_nats::connect::Connection;
use vp_nats::reader::{ReaderError, Record, StreamIdentity, first_from};
use vp_nats::topology::MISSIONS;

use crate::ledger::{Cursor, Known, Ledger, LedgerError, Place};
use crate::project::{Decoded, anomaly_row, decode};

/// How many of the newest messages are compared: should somebody have deleted one by hand, the others tell.
const NEWEST: u64 = 4;

/// Why the log is not known to be the one that the ledger was projected from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProofError {
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The log is shorter than what was projected from it.
    #[error(
        "the log ends with sequence {last}, but the ledger is projected up to {cursor}: the log has lost messages; \
             stop the bridge and run `vp ledger rebuild`, which says what would be lost"
    )]
    Shorter { last: u64, cursor: u64 },
    /// The log has gone on differently from somewhere before the cursor.
    #[error(
        "the log has another message at sequence {seq} than the one that was projected from there, and the ledger is \
             projected up to {cursor}: the log has lost messages and gone on without them; stop the bridge and run \
             `vp ledger rebuild`, which says what would be lost"
    )]
    Another { seq: u64, cursor: u64 },
}

/// Proves that everything which `stream` holds up to the cursor is what the ledger was projected from. What retention or
/// a person has removed proves nothing either way.
///
/// # Errors
/// [`ProofError`].
pub(crate) async fn prove(
    conn: &Connection,
    ledger: &Ledger,
    cursor: &Cursor,
    stream: &StreamIdentity,
) -> Result<(), ProofError> {
    if stream.last_seq < cursor.seq {
        return Err(ProofError::Shorter { last: stream.last_seq, cursor: cursor.seq });
    }
    let known = ledger.newest_known(cursor, NEWEST).await?;
    let mut next = known.keys().next().copied().unwrap_or(1);
    while next <= cursor.seq {
        let Some(record) = first_from(conn, MISSIONS, next).await? else { break };
        if record.seq > cursor.seq {
            break;
        }
        if !is_known(&record, &known) {
            return Err(ProofError::Another { seq: record.seq, cursor: cursor.seq });
        }
        next = record.seq + 1;
    }
    Ok(())
}

/// True when this message was projected, or is a timer, which leaves no trace in a ledger.
fn is_known(record: &Record, known: &BTreeMap<u64, Known>) -> bool {
    match (known.get(&record.seq), decode(record)) {
        (Some(Known::Event { event_id }), Decoded::Event(event)) => event.id.to_string() == *event_id,
        (Some(Known::Anomaly { subject }), _) => {
            anomaly_row(Place::new(0, record.seq), &record.subject, String::new()).subject == *subject
        }
        (None, Decoded::Timer) => true,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::tests::script::{CODER, Script};
    use crate::tests::{raw, record};

    #[test]
    fn a_message_is_known_by_its_place_and_its_id() {
        let mut script = Script::new(CODER, "known");
        let (here, other) = (script.dispatched(), script.started());
        let timer = format!("missions.{CODER}.{}.timer", script.mission_id);
        let known = BTreeMap::from([
            (5, Known::Event { event_id: here.id.to_string() }),
            (6, Known::Anomaly { subject: "missions.nonsense".into() }),
        ]);
        for (record, want) in [
            (record(5, &here), true),
            (record(5, &other), false),
            (raw(5, &timer, "{}"), false),
            (raw(5, "missions.nonsense", "?"), false),
            (raw(6, "missions.nonsense", "!"), true),
            (record(6, &other), false),
            (raw(7, &timer, "{}"), true),
            (record(7, &other), false),
            (raw(7, "missions.nonsense", "?"), false),
        ] {
            assert_eq!(is_known(&record, &known), want, "{record:?}");
        }
    }
}
