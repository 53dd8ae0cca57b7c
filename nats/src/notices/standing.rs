//! How a target stands in a session's notices, for `vp deliver --status` and `vp doctor`.

use async_nats::jetstream::ErrorCode;
use serde_json::{Value, json};
use vp_shared::ids::SessionId;
use vp_shared::time::UtcTime;

use super::{NoticeError, ReadingPlace};
use crate::api::{ApiError, Pick, ask, read_message};
use crate::connect::Connection;
use crate::subject;
use crate::topology::NOTICES;

/// What waits, and whether anybody is there to take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Notices that the target has not accepted yet.
    pub waiting: u64,
    /// Since when the first of them is in the stream.
    pub oldest: Option<UtcTime>,
    /// True when somebody, on any host, asks for the next one.
    pub asked_for: bool,
}

/// How this `target` stands in the session's notices. One that has never been served has everything before it. For
/// display: what changes meanwhile may be missed.
///
/// # Errors
/// [`NoticeError`].
pub async fn standing(
    conn: &Connection,
    session_id: &SessionId,
    target: &str,
) -> Result<Standing, NoticeError> {
    let failed = |error: ApiError| NoticeError { what: "look at a target's notices", why: error.to_string() };
    let place = ReadingPlace::of_target(session_id, target);
    let filter = subject::notices(session_id);
    let (floor, standing) =
        match ask(conn, &format!("CONSUMER.INFO.{NOTICES}.{}", place.name), &Value::Null).await {
            Ok(info) => {
                let number = |field: &str| info[field].as_u64().unwrap_or_default();
                let waiting = number("num_pending") + number("num_ack_pending");
                let floor = info["ack_floor"]["stream_seq"].as_u64().unwrap_or_default();
                (floor, Standing { waiting, oldest: None, asked_for: number("num_waiting") > 0 })
            }
            Err(error) if error.is(ErrorCode::CONSUMER_NOT_FOUND) => {
                let wanted = json!({ "subjects_filter": filter });
                let info = ask(conn, &format!("STREAM.INFO.{NOTICES}"), &wanted).await.map_err(failed)?;
                let waiting = info["state"]["subjects"][&filter].as_u64().unwrap_or_default();
                (0, Standing { waiting, ..Standing::default() })
            }
            Err(error) => return Err(failed(error)),
        };
    if standing.waiting == 0 {
        return Ok(standing);
    }
    let first = read_message(conn, NOTICES, Pick::Next(floor + 1, &filter), conn.request_timeout()).await;
    let oldest = first.map_err(failed)?.map(|first| first.stored_at);
    Ok(Standing { oldest, ..standing })
}
