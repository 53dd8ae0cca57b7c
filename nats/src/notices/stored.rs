//! What the NOTICES stream is and holds, for who sends.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use vp_shared::ids::NoticeId;
use vp_shared::time::UtcTime;

use super::NoticeError;
use crate::api::ask;
use crate::connect::Connection;
use crate::reader::{Reader, Record, Start, identity};
use crate::topology::NOTICES;

/// How long the stream may take to show what it has.
const CATCH_UP: Duration = Duration::from_secs(10);
/// How long to wait for what is said to be stored and is not shown.
const STRAGGLER: Duration = Duration::from_millis(500);
const BATCH: usize = 1000;

/// The stream as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeStream {
    /// Its last sequence.
    pub last: u64,
    /// True when it has copies on several servers.
    pub replicated: bool,
    /// How long it keeps a notice, if not for ever.
    pub max_age: Option<Duration>,
    /// When that was, by the server's clock, which also says when anything was stored.
    pub asked_at: UtcTime,
}

impl NoticeStream {
    /// True when a notice of what was stored at `born` would have expired `later` than this moment. Whether it was ever
    /// sent cannot be told any more.
    pub fn has_expired(&self, born: UtcTime, later: Duration) -> bool {
        self.max_age.is_some_and(|max_age| born.plus(max_age) < self.asked_at.plus(later))
    }
}

/// What the stream holds, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// The ids of its notices.
    pub ids: HashSet<NoticeId>,
    /// Its last sequence then.
    pub last: u64,
}

/// The stream's last sequence, from its leader.
///
/// # Errors
/// [`NoticeError`].
pub async fn last_sent(conn: &Connection) -> Result<u64, NoticeError> {
    let found = identity(conn, NOTICES).await;
    let stream = found
        .map_err(|error| NoticeError { what: "look up which notices are sent", why: error.to_string() })?;
    Ok(stream.last_seq)
}

/// What the stream is now, from its leader.
///
/// # Errors
/// [`NoticeError`].
pub async fn notice_stream(conn: &Connection) -> Result<NoticeStream, NoticeError> {
    let failed = |why: String| NoticeError { what: "look up how notices are kept", why };
    let info = ask(conn, &format!("STREAM.INFO.{NOTICES}"), &Value::Null).await;
    let info = info.map_err(|error| failed(error.to_string()))?;
    let (config, lacking) = (&info["config"], |what| failed(format!("the server's answer lacks `{what}`")));
    let asked_at = info["ts"].as_str().and_then(|text| UtcTime::parse(text).ok());
    Ok(NoticeStream {
        last: info["state"]["last_seq"].as_u64().ok_or_else(|| lacking("last_seq"))?,
        replicated: config["num_replicas"].as_u64().is_some_and(|replicas| replicas > 1),
        // Zero is for ever.
        max_age: config["max_age"].as_u64().filter(|nanos| *nanos > 0).map(Duration::from_nanos),
        asked_at: asked_at.ok_or_else(|| lacking("ts"))?,
    })
}

/// All notices stored at or after `since`: read before the first send after a start, so that one that was sent and not
/// marked is not sent again, however long ago.
///
/// # Errors
/// [`NoticeError`].
pub async fn sent_since(conn: &Connection, since: UtcTime) -> Result<Stored, NoticeError> {
    let failed = |why: String| NoticeError { what: "look up which notices are sent", why };
    // Who serves the reading may be behind the leader.
    let mut stored = Stored { ids: HashSet::new(), last: last_sent(conn).await? };
    let opened = Reader::open(conn, NOTICES, &[], Start::Time(since)).await;
    let mut reader = opened.map_err(|error| failed(error.to_string()))?;
    let mut seen = 0;
    loop {
        let pending = reader.pending() > 0;
        if !pending && seen >= stored.last {
            return Ok(stored);
        }
        let wait = if pending { CATCH_UP } else { STRAGGLER };
        let records = reader.next_batch(BATCH, wait).await.map_err(|error| failed(error.to_string()))?;
        match records.last() {
            Some(last) => seen = last.seq,
            None if pending => return Err(failed("the stream fell silent".to_owned())),
            // The last ones are older than `since`, or deleted.
            None => return Ok(stored),
        }
        stored.last = stored.last.max(seen);
        let id_of = |record: &Record| NoticeId::new(record.message_id.as_deref()?).ok();
        stored.ids.extend(records.iter().filter_map(id_of));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_expires_by_the_servers_clock_and_only_where_there_is_an_age() {
        let at = |seconds: i64| UtcTime::from_micros(seconds * 1_000_000);
        let kept = |max_age| NoticeStream { last: 0, replicated: false, max_age, asked_at: at(100) };
        let ten = kept(Some(Duration::from_secs(10)));
        assert!(ten.has_expired(at(89), Duration::ZERO));
        assert!(!ten.has_expired(at(90), Duration::ZERO));
        assert!(ten.has_expired(at(90), Duration::from_secs(1)));
        assert!(!kept(None).has_expired(at(0), Duration::from_secs(1)));
    }
}
