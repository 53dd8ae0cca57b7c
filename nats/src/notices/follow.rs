//! A session's notices for readers that keep their own place: in order, from behind a sequence, without acks; and
//! acks in bulk for those that say how far they have shown them.

use std::time::Duration;

use serde_json::Value;
use vp_shared::error::Chain;
use vp_shared::ids::SessionId;
use vp_shared::notice::Notice;

use super::{NoticeError, NoticeReader, ReadingPlace, ensure};
use crate::api::ask;
use crate::connect::Connection;
use crate::reader::{Reader, Start};
use crate::subject;
use crate::topology::NOTICES;

/// Reads a session's notices in order, each once, and acks none.
#[derive(Debug)]
pub struct NoticeFollower {
    reader: Reader,
    session_id: SessionId,
}

impl NoticeFollower {
    /// A follower of what comes after the stream sequence `after`; `None`: of what the session has not acked.
    ///
    /// # Errors
    /// [`NoticeError`].
    pub async fn open(
        conn: &Connection,
        session_id: &SessionId,
        after: Option<u64>,
    ) -> Result<Self, NoticeError> {
        let after = match after {
            Some(after) => after,
            None => acked(conn, session_id).await?,
        };
        let filter = subject::notices(session_id);
        let reader = Reader::open(conn, NOTICES, &[filter], Start::After(after)).await;
        let reader = reader.map_err(|error| failed(Chain(&error).to_string()))?;
        Ok(Self { reader, session_id: session_id.clone() })
    }

    /// The next notices with their stream sequences; none when `wait` is over. Cancel safe.
    ///
    /// # Errors
    /// [`NoticeError`]; call again.
    pub async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<(u64, Notice)>, NoticeError> {
        let records =
            self.reader.next_batch(max, wait).await.map_err(|error| failed(Chain(&error).to_string()))?;
        let read = records.into_iter().filter(|record| !record.deleted).filter_map(|record| {
            match serde_json::from_slice(&record.payload) {
                Ok(notice) => Some((record.seq, notice)),
                Err(error) => {
                    let (session_id, seq) = (&self.session_id, record.seq);
                    tracing::error!(%session_id, seq, %error, "stepped over a message that is no notice");
                    None
                }
            }
        });
        Ok(read.collect())
    }
}

/// Marks the session's notices up to the stream sequence `up_to` as shown, and says how many that were. What another
/// reader holds at the moment is left to it.
///
/// # Errors
/// [`NoticeError`]; those that were acked before it stay so.
pub async fn ack_up_to(conn: &Connection, session_id: &SessionId, up_to: u64) -> Result<u64, NoticeError> {
    let mut reader = NoticeReader::open(conn, session_id).await?;
    let mut acked = 0;
    while let Some(delivery) = reader.next(Duration::ZERO).await? {
        if delivery.seq > up_to {
            delivery.hand_back().await?;
            break;
        }
        delivery.ack().await?;
        acked += 1;
    }
    Ok(acked)
}

/// Up to where the session has acked everything.
async fn acked(conn: &Connection, session_id: &SessionId) -> Result<u64, NoticeError> {
    let place = ReadingPlace::of_session(session_id);
    ensure(conn, session_id, &place).await?;
    let info = ask(conn, &format!("CONSUMER.INFO.{NOTICES}.{}", place.name), &Value::Null).await;
    let info = info.map_err(|error| failed(error.to_string()))?;
    info["ack_floor"]["stream_seq"]
        .as_u64()
        .ok_or_else(|| failed("the server's answer lacks `ack_floor`".to_owned()))
}

fn failed(why: String) -> NoticeError {
    NoticeError { what: "follow the session's notices", why }
}
