//! Requests to the JetStream API, with a deadline around all of each: the client's own timeout does not cover the
//! wait for a place in its command queue, which is long while the connection is down.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::client::{PublishErrorKind, Request, RequestErrorKind};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::RawMessageErrorKind;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use vp_shared::time::UtcTime;

use crate::connect::Connection;

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The server answered with an error.
    #[error("{description} (error code {err_code})")]
    Refused {
        /// JetStream's own code.
        err_code: u64,
        /// The HTTP-like code.
        code: u64,
        /// The server's words.
        description: String,
    },
    /// Nobody is there to answer: no JetStream, no leader, or no such consumer.
    #[error("nobody answers (503, no responders)")]
    NoResponders,
    /// No answer in time: what was asked may have been done.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The message is larger than the server takes.
    #[error("the message is larger than the server takes: {0}")]
    TooLarge(String),
    /// The client could not send it, or could not read the answer.
    #[error("{0}")]
    Client(String),
}

/// The error part of every JetStream answer.
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) code: u64,
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

impl From<ErrorBody> for ApiError {
    fn from(body: ErrorBody) -> Self {
        Self::Refused { err_code: body.err_code, code: body.code, description: body.description }
    }
}

impl From<async_nats::jetstream::Error> for ApiError {
    fn from(error: async_nats::jetstream::Error) -> Self {
        let code = u64::try_from(error.code()).unwrap_or_default();
        Self::Refused { err_code: error.error_code().0, code, description: error.to_string() }
    }
}

impl ApiError {
    /// True when the server says exactly this.
    pub(crate) fn is(&self, wanted: ErrorCode) -> bool {
        matches!(self, Self::Refused { err_code, .. } if *err_code == wanted.0)
    }
}

/// Sends `payload` to `subject` and waits for the answer, all within `patience`.
pub(crate) async fn request(
    conn: &Connection,
    subject: String,
    headers: Option<HeaderMap>,
    payload: Bytes,
    patience: Duration,
) -> Result<async_nats::Message, ApiError> {
    let mut request = Request::new().payload(payload).timeout(None);
    if let Some(headers) = headers {
        request = request.headers(headers);
    }
    match timeout(patience, conn.client().send_request(subject, request)).await {
        Err(_) => Err(ApiError::TimedOut(patience)),
        Ok(Ok(message)) => Ok(message),
        Ok(Err(error)) => Err(match error.kind() {
            RequestErrorKind::NoResponders => ApiError::NoResponders,
            RequestErrorKind::TimedOut => ApiError::TimedOut(patience),
            RequestErrorKind::MaxPayloadExceeded => ApiError::TooLarge(error.to_string()),
            RequestErrorKind::InvalidSubject | RequestErrorKind::Other => ApiError::Client(error.to_string()),
        }),
    }
}

/// Asks the JetStream API at `$JS.API.<name>` within the connection's request timeout.
pub(crate) async fn ask(conn: &Connection, name: &str, body: &Value) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    struct Failed {
        error: Option<ErrorBody>,
    }
    let subject = format!("{}.{name}", conn.api_prefix());
    let payload = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let answer = request(conn, subject, None, payload, conn.request_timeout()).await?;
    let unreadable = |error: serde_json::Error| ApiError::Client(format!("unreadable answer: {error}"));
    match serde_json::from_slice::<Failed>(&answer.payload).map_err(unreadable)?.error {
        Some(error) => Err(error.into()),
        None => serde_json::from_slice(&answer.payload).map_err(unreadable),
    }
}

/// Stores a message and waits until that is confirmed, all within `patience`.
pub(crate) async fn put(
    conn: &Connection,
    subject: String,
    headers: HeaderMap,
    body: Bytes,
    patience: Duration,
) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct PubAck {
        error: Option<ErrorBody>,
    }
    let answer = request(conn, subject, Some(headers), body, patience).await?;
    match serde_json::from_slice::<PubAck>(&answer.payload) {
        Ok(PubAck { error: None }) => Ok(()),
        Ok(PubAck { error: Some(error) }) => Err(error.into()),
        Err(error) => Err(ApiError::Client(format!("unreadable acknowledgement: {error}"))),
    }
}

/// A stored message, read from the stream's leader.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) seq: u64,
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    /// When it was stored, by the server's clock.
    pub(crate) stored_at: UtcTime,
}

/// Which message is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pick<'a> {
    /// The last one on a matching subject.
    Last(&'a str),
    /// The first one on a matching subject, at this sequence or after it.
    Next(u64, &'a str),
}

/// Reads one message from the stream's leader; `None` when there is none.
pub(crate) async fn read_message(
    conn: &Connection,
    stream: &str,
    pick: Pick<'_>,
    patience: Duration,
) -> Result<Option<Raw>, ApiError> {
    let read = async {
        let stream = conn.jetstream().get_stream_no_info(stream).await;
        let stream = stream.map_err(|error| ApiError::Client(error.to_string()))?;
        let builder = stream.raw_message_builder();
        let builder = match pick {
            Pick::Last(subject) => builder.last_by_subject(subject),
            Pick::Next(seq, subject) => builder.sequence(seq).next_by_subject(subject),
        };
        match builder.send().await {
            Ok(message) => Ok(Some(Raw {
                stored_at: UtcTime::from_micros(
                    i64::try_from(message.time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX),
                ),
                seq: message.sequence,
                subject: message.subject.into_string(),
                headers: message.headers,
                payload: message.payload,
            })),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::JetStream(error) => Err(error.into()),
                RawMessageErrorKind::InvalidSubject | RawMessageErrorKind::Other => {
                    Err(ApiError::Client(error.to_string()))
                }
            },
        }
    };
    timeout(patience, read).await.unwrap_or(Err(ApiError::TimedOut(patience)))
}

/// Publishes without waiting for an answer, within `patience`.
pub(crate) async fn publish(
    conn: &Connection,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
    patience: Duration,
) -> Result<(), ApiError> {
    match timeout(patience, conn.client().publish_with_headers(subject, headers, payload)).await {
        Err(_) => Err(ApiError::TimedOut(patience)),
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
            Err(ApiError::TooLarge(error.to_string()))
        }
        Ok(Err(error)) => Err(ApiError::Client(error.to_string())),
    }
}
