//! How far a queue has come, by its consumer's own word: what became of an entry.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use serde_json::Value;
use vp_shared::ids::VpId;
use vp_shared::mission::Place;
use vp_shared::tier::Tier;

use super::{MISSIONS, TopologyError, queue_consumer, unanswered};
use crate::api::ask;
use crate::connect::Connection;

/// How far a queue has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueProgress {
    /// The stream sequence up to which entries were handed out, or passed over when the consumer was made.
    pub delivered: u64,
    /// The stream sequence up to which none is in hand.
    pub settled: u64,
    /// How many are in hand: handed out and neither acked nor, if handed back, taken again.
    pub in_hand: u64,
    /// Pulls that wait for entries.
    pub pulls: u64,
    /// How long an entry stays in hand without a renewal.
    pub ack_wait: Duration,
}

impl QueueProgress {
    /// Where the entry with this stream sequence is.
    pub const fn place_of(&self, seq: u64) -> Place {
        if seq > self.delivered {
            Place::Waiting
        } else if seq <= self.settled || self.in_hand == 0 {
            Place::Lost
        } else {
            Place::InHand
        }
    }
}

/// How far the queue of a lane's tier has come; `None` when it has no consumer.
///
/// # Errors
/// [`TopologyError::Unavailable`].
pub async fn queue_progress(
    conn: &Connection,
    vp_id: &VpId,
    tier: Tier,
) -> Result<Option<QueueProgress>, TopologyError> {
    let name = queue_consumer(vp_id, tier);
    let info = match ask(conn, &format!("CONSUMER.INFO.{MISSIONS}.{name}"), &Value::Null).await {
        Ok(info) => info,
        Err(error) if error.is(ErrorCode::CONSUMER_NOT_FOUND) => return Ok(None),
        Err(error) => return Err(unanswered(error, format!("consumer {name}"))),
    };
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    Ok(Some(QueueProgress {
        delivered: number(&info["delivered"]["stream_seq"]),
        settled: number(&info["ack_floor"]["stream_seq"]),
        in_hand: number(&info["num_ack_pending"]),
        pulls: number(&info["num_waiting"]),
        ack_wait: Duration::from_nanos(number(&info["config"]["ack_wait"])),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_ahead_of_the_queue_in_hand_or_behind_it() {
        let progress = QueueProgress { delivered: 20, settled: 10, in_hand: 2, ..QueueProgress::default() };
        assert_eq!(progress.place_of(21), Place::Waiting);
        assert_eq!(progress.place_of(20), Place::InHand);
        assert_eq!(progress.place_of(11), Place::InHand);
        assert_eq!(progress.place_of(10), Place::Lost);
        let nothing_in_hand = QueueProgress { in_hand: 0, ..progress };
        assert_eq!(nothing_in_hand.place_of(20), Place::Lost);
        assert_eq!(nothing_in_hand.place_of(21), Place::Waiting);
    }
}
