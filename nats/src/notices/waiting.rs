//! All that waits for a session at once: to be handed over as one group, and acked when that was accepted.

use std::time::Duration;

use serde_json::Value;
use vp_shared::notice::Notice;

use super::{NoticeError, NoticeReader};
use crate::api::ask;
use crate::reader::{Reader, Start};
use crate::subject;
use crate::topology::NOTICES;

/// What waits for a session.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    /// The notices, in their order; not yet acked.
    pub notices: Vec<Notice>,
    /// The sequence of the last of them, for [`NoticeReader::ack_through`]; 0 when there is none.
    pub last: u64,
    /// How many more wait behind these.
    pub more: u64,
}

/// Where the session stands. One is in hand at a time, so all behind the last acked one wait.
struct Stand {
    /// How many are not acked.
    left: u64,
    /// The sequence up to which all are.
    floor: u64,
}

impl NoticeReader {
    /// Looks at what waits, at most `max`, without taking it in hand: who dies with it has lost nothing.
    ///
    /// # Errors
    /// [`NoticeError`].
    pub async fn waiting(&self, max: usize, wait: Duration) -> Result<Waiting, NoticeError> {
        let Stand { left, floor } = self.stand().await?;
        if left == 0 {
            return Ok(Waiting::default());
        }
        let filter = [subject::notices(&self.session_id)];
        let opened = Reader::open(&self.conn, NOTICES, &filter, Start::After(floor)).await;
        let mut reader = opened.map_err(|error| failed(error.to_string()))?;
        let (mut records, wanted) = (Vec::new(), max.min(usize::try_from(left).unwrap_or(max)));
        while records.len() < wanted {
            let batch = reader.next_batch(wanted - records.len(), wait).await;
            let batch = batch.map_err(|error| failed(error.to_string()))?;
            if batch.is_empty() {
                break;
            }
            records.extend(batch);
        }
        let mut waiting = Waiting::default();
        for record in &records {
            waiting.last = record.seq;
            match serde_json::from_slice(&record.payload) {
                Ok(notice) => waiting.notices.push(notice),
                Err(error) => {
                    let (session_id, seq) = (&self.session_id, record.seq);
                    tracing::error!(%session_id, seq, %error, "stepped over a message that is no notice");
                }
            }
        }
        waiting.more = left.saturating_sub(records.len() as u64);
        Ok(waiting)
    }

    /// They were accepted, up to the sequence `last`: none of them is given out again. True when all of them are acked,
    /// by whomever; false when another reader has one in hand, which may come again, with the same notice id. What comes
    /// behind them stays for whoever reads next.
    ///
    /// # Errors
    /// [`NoticeError`].
    pub async fn ack_through(&mut self, last: u64, wait: Duration) -> Result<bool, NoticeError> {
        while let Some(delivery) = self.next(wait).await? {
            let seq = delivery.seq;
            if seq > last {
                // One is in hand at a time, in order, so another reader has acked all before this one.
                delivery.hand_back().await?;
                return Ok(true);
            }
            delivery.ack().await?;
            if seq == last {
                return Ok(true);
            }
        }
        let Stand { left, floor } = self.stand().await?;
        Ok(left == 0 || floor >= last)
    }

    async fn stand(&self) -> Result<Stand, NoticeError> {
        let info =
            ask(&self.conn, &format!("CONSUMER.INFO.{NOTICES}.{}", self.place.name), &Value::Null).await;
        let info = info.map_err(|error| failed(error.to_string()))?;
        let number = |field: &str| info[field].as_u64().unwrap_or_default();
        let floor = info["ack_floor"]["stream_seq"].as_u64().unwrap_or_default();
        Ok(Stand { left: number("num_pending") + number("num_ack_pending"), floor })
    }
}

fn failed(why: String) -> NoticeError {
    NoticeError { what: "look at the session's notices", why }
}
