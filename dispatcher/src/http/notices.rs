//! A session's notices as server-sent events. The event's id is the notice's place in the stream: who comes back with
//! `Last-Event-ID` goes on behind it, and who comes without gets what the session has not acknowledged. Reading
//! acknowledges nothing; `POST .../notices/ack` does.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use vp_nats::notices::{NoticeError, NoticeFollower, ack_up_to};
use vp_shared::api::{Answer, ErrorCode, ToolError, parse};
use vp_shared::door::Admitted;
use vp_shared::ids::SessionId;
use vp_shared::notice::Notice;

use super::Shared;
use super::answer::{Failure, json};
use super::missions::crowded;

/// A comment is sent when nothing else is, so that both ends know that the other one lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How soon a reader that was cut off should come back.
const COME_BACK: Duration = Duration::from_secs(2);
const BATCH: usize = 100;
const WAIT: Duration = Duration::from_secs(30);
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);

/// What marks notices as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckNotices {
    /// The id of the last event that was shown; those before it count as shown too.
    pub up_to: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AckedNotices {
    /// How many notices are marked now that were not before.
    pub acked: u64,
}

/// `GET /sessions/{session}/notices`.
pub(super) async fn stream(
    State(shared): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    Path(session): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let session_id = permitted(&admitted, session)?;
    let after = last_event(&headers)?;
    let permit = shared.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| crowded("too many readers of notices at this door"))?;
    let tools = shared.tools.get().await?;
    let follower =
        NoticeFollower::open(tools.connection(), &session_id, after).await.map_err(|error| unread(&error))?;
    let events = follow(follower, permit).take_until(shared.stop.cancelled_owned());
    let first =
        stream::once(async { Ok::<_, Infallible>(Event::default().retry(COME_BACK).comment("notices")) });
    Ok(Sse::new(first.chain(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// `POST /sessions/{session}/notices/ack`.
pub(super) async fn ack(
    State(shared): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    Path(session): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let session_id = permitted(&admitted, session)?;
    let input: AckNotices = parse(&super::missions::read(body)?)?;
    let tools = shared.tools.get().await?;
    let acked =
        ack_up_to(tools.connection(), &session_id, input.up_to).await.map_err(|error| unread(&error))?;
    Ok(json(StatusCode::OK, Answer(Ok(AckedNotices { acked })).to_json()))
}

/// Everything that comes, for as long as somebody reads.
fn follow(
    follower: NoticeFollower,
    permit: OwnedSemaphorePermit,
) -> impl futures_util::Stream<Item = Result<Event, Infallible>> {
    stream::unfold((follower, permit), async |(mut follower, permit)| {
        let batch = match follower.next(BATCH, WAIT).await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "notices are late");
                sleep(AFTER_AN_ERROR).await;
                Vec::new()
            }
        };
        let events: Vec<_> = batch.iter().map(|(seq, notice)| Ok(event(*seq, notice))).collect();
        Some((stream::iter(events), (follower, permit)))
    })
    .flatten()
}

fn event(seq: u64, notice: &Notice) -> Event {
    let event = Event::default().id(seq.to_string()).event("notice");
    event.json_data(notice).unwrap_or_else(|error| {
        tracing::error!(seq, %error, "a notice has no JSON form");
        Event::default().id(seq.to_string()).comment("a notice that cannot be written")
    })
}

fn permitted(admitted: &Admitted, session: String) -> Result<SessionId, ToolError> {
    let session_id = SessionId::new(session).map_err(|error| ToolError::field("session", error))?;
    if admitted.may_read(&session_id) {
        return Ok(session_id);
    }
    Err(ToolError::new(ErrorCode::Forbidden, "this credential is bound to another session"))
}

fn last_event(headers: &HeaderMap) -> Result<Option<u64>, ToolError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number
        .map(Some)
        .ok_or_else(|| ToolError::field("Last-Event-ID", "want the id of an event of this stream"))
}

fn unread(error: &NoticeError) -> ToolError {
    tracing::warn!(%error, "notices not read");
    ToolError::new(ErrorCode::BrokerUnavailable, error.to_string())
        .hint("see whether nats-server runs and is reachable, then call again")
}
