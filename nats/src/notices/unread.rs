//! Notices that no session has read yet, for `vp doctor`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vp_shared::ids::SessionId;

use super::NoticeError;
use crate::api::ask;
use crate::connect::Connection;
use crate::subject::{ALL_NOTICES, session_of_token};
use crate::topology::NOTICES;

/// How many notices of each session are not read and acked; sessions that have read all are left out. A session that
/// has never read is there with all that is kept for it. For display: what changes meanwhile may be missed.
///
/// # Errors
/// [`NoticeError`].
pub async fn unread(conn: &Connection) -> Result<BTreeMap<SessionId, u64>, NoticeError> {
    let failed = |why: String| NoticeError { what: "count unread notices", why };
    let wanted = json!({ "subjects_filter": ALL_NOTICES });
    let info = ask(conn, &format!("STREAM.INFO.{NOTICES}"), &wanted).await;
    let info = info.map_err(|error| failed(error.to_string()))?;
    let kept = info["state"]["subjects"].as_object().into_iter().flatten();
    let mut unread: BTreeMap<SessionId, u64> = kept
        .filter_map(|(subject, count)| Some((session_of(subject)?, count.as_u64().unwrap_or_default())))
        .collect();
    let mut seen = 0;
    loop {
        let page = ask(conn, &format!("CONSUMER.LIST.{NOTICES}"), &json!({ "offset": seen })).await;
        let page = page.map_err(|error| failed(error.to_string()))?;
        let consumers = page["consumers"].as_array().map_or(&[][..], Vec::as_slice);
        for consumer in consumers {
            note(consumer, &mut unread);
        }
        seen += consumers.len() as u64;
        if consumers.is_empty() || seen >= page["total"].as_u64().unwrap_or_default() {
            unread.retain(|_, count| *count > 0);
            return Ok(unread);
        }
    }
}

/// What a session's durable consumer has left; other readers decide nothing.
fn note(consumer: &Value, unread: &mut BTreeMap<SessionId, u64>) {
    let config = &consumer["config"];
    let durable = config["durable_name"].as_str().is_some() && config["ack_policy"] == "explicit";
    let session = config["filter_subject"].as_str().and_then(session_of);
    if let (true, Some(session)) = (durable, session) {
        let number = |field: &str| consumer[field].as_u64().unwrap_or_default();
        let left = number("num_pending") + number("num_ack_pending");
        // What has reached one of the session's doors has been read.
        unread.entry(session).and_modify(|known| *known = left.min(*known)).or_insert(left);
    }
}

fn session_of(subject: &str) -> Option<SessionId> {
    session_of_token(subject.strip_prefix("notices.")?)
}
