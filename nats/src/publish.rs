//! Compare-and-set publishes: sent again, the same, until the server answers.
//!
//! - A try without an answer is unknown: the same event goes out again with the same expectation, so at most one
//!   copy can get in.
//! - A refusal is no answer to "is it stored": the log is read behind the expected sequence. All writers of a mission
//!   expect, so the first message there is the one that got in. Only when it is another's has this one lost.
//! - "Absent" is not final: while nothing is there, it is sent again.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header;
use async_nats::jetstream::ErrorCode;
use bytes::Bytes;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout_at};
use vp_shared::event::{Event, EventBody};
use vp_shared::retry::RetryDelay;
use vp_shared::time::UtcTime;

use crate::api::{self, ApiError, ErrorBody, Pick};
use crate::connect::Connection;
use crate::headers::{expecting, traced};
use crate::mission_log::{AppendError, Stored};
use crate::retry::Delays;
use crate::subject::{MissionFilter, MissionSubject, Token};
use crate::topology::MISSIONS;

/// How long an append is tried.
pub(crate) const APPEND_PATIENCE: Duration = Duration::from_secs(30);
/// How long one try waits for its answer: longer than a slow disk, shorter than an election.
const TRY_PATIENCE: Duration = Duration::from_secs(2);
/// How often in a row of tries the server may say "somebody wrote" and show nothing: then the expected message itself
/// is gone, by age or by an operator's hand.
const NOTHING_THERE: u32 = 5;

/// What is to be appended.
#[derive(Debug)]
pub(crate) struct Append<'a> {
    event: &'a Event,
    expected: u64,
    payload: Bytes,
    with: With<'a>,
}

/// What goes with the event.
#[derive(Debug)]
enum With<'a> {
    Nothing,
    /// The mission's timer goes away in the same write.
    PurgeOfTimer,
    /// The mission's timer is made in the same write: this event, at this time.
    Timer {
        fires: &'a Event,
        payload: Bytes,
        at: UtcTime,
    },
    /// The event itself is not stored: it is what the mission's timer publishes at this time.
    TimerAlone {
        at: UtcTime,
    },
}

/// One message.
struct Message {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

/// How one try ended.
enum Tried {
    Stored(u64),
    /// Somebody wrote.
    Beaten,
    /// Somebody's write, perhaps our own earlier copy, is in flight.
    InFlight,
    /// The server refuses it for good.
    Refused {
        reason: String,
        no_space: bool,
    },
    /// Not stored, or unknown: try again.
    Again(ApiError),
}

/// What the log holds behind the expected sequence.
enum Behind {
    Ours(u64),
    Another,
    Nothing,
}

impl<'a> Append<'a> {
    pub(crate) fn event(event: &'a Event, expected: u64) -> Self {
        Self { event, expected, payload: event.to_json().into(), with: With::Nothing }
    }

    pub(crate) fn purging_timer(event: &'a Event, expected: u64) -> Self {
        Self { with: With::PurgeOfTimer, ..Self::event(event, expected) }
    }

    pub(crate) fn with_timer(scheduled: &'a Event, fires: &'a Event, at: UtcTime, expected: u64) -> Self {
        let with = With::Timer { fires, payload: fires.to_json().into(), at };
        Self { with, ..Self::event(scheduled, expected) }
    }

    pub(crate) fn timer_alone(fires: &'a Event, at: UtcTime, expected: u64) -> Self {
        Self { with: With::TimerAlone { at }, ..Self::event(fires, expected) }
    }

    /// Sends it until it is answered, at most [`APPEND_PATIENCE`].
    pub(crate) async fn run(&self, conn: &Connection) -> Result<Stored, AppendError> {
        let begun = Instant::now();
        let deadline = begun + APPEND_PATIENCE;
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        let mut tries = 0;
        let mut nothing_there = 0;
        let mut last_error = None;
        loop {
            tries += 1;
            match self.once(conn, deadline).await {
                Tried::Stored(seq) => return Ok(Stored { seq }),
                Tried::Refused { reason, no_space } => return Err(self.refused(reason, no_space)),
                outcome @ (Tried::Beaten | Tried::InFlight) => match self.look_behind(conn).await {
                    Ok(Behind::Ours(seq)) => return Ok(Stored { seq }),
                    Ok(Behind::Another) => return Err(self.conflict()),
                    Ok(Behind::Nothing) => {
                        nothing_there += u32::from(matches!(outcome, Tried::Beaten));
                        if nothing_there == NOTHING_THERE {
                            return Err(self.conflict());
                        }
                    }
                    Err(error) => last_error = Some(error),
                },
                Tried::Again(error) => {
                    tracing::debug!(
                        mission_id = %self.event.mission_id, event = self.event.kind().name(), tries, %error,
                        "append not answered, trying again"
                    );
                    last_error = Some(error);
                }
            }
            let next = Instant::now() + delays.next().unwrap_or(TRY_PATIENCE);
            if next >= deadline {
                return Err(self.unknown(tries, begun.elapsed(), last_error));
            }
            sleep_until(next).await;
            wait_for_link(conn, deadline).await;
        }
    }

    async fn once(&self, conn: &Connection, deadline: Instant) -> Tried {
        let left = deadline.saturating_duration_since(Instant::now());
        let patience = TRY_PATIENCE.min(left).max(Duration::from_millis(1));
        let mut state = conn.state();
        let generation = state.borrow_and_update().generation;
        let lost = async {
            // An error means that the client is gone; the request says so itself.
            if state.wait_for(|state| state.generation > generation).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            answer = self.send(conn, patience) => match answer {
                Ok(answer) => read_answer(&answer.payload),
                Err(ApiError::TooLarge(reason)) => Tried::Refused { reason, no_space: false },
                Err(error) => Tried::Again(error),
            },
            // The answer went to a connection that is no more.
            () = lost => Tried::Again(ApiError::Client("the connection was lost".to_owned())),
        }
    }

    async fn send(&self, conn: &Connection, patience: Duration) -> Result<async_nats::Message, ApiError> {
        let Message { subject, mut headers, payload } = self.message();
        let Some(Message { subject: timer, headers: mut timer_headers, payload: fires }) = self.timer()
        else {
            headers.insert(header::NATS_MESSAGE_ID, self.event.id.to_string());
            return api::request(conn, subject, Some(headers), payload, patience).await;
        };
        // Each try is a batch of its own: the server may still hold one half of the try before.
        let inbox = conn.client().new_inbox();
        let batch = inbox.rsplit('.').next().unwrap_or_default();
        for (headers, place) in [(&mut headers, 1_u64), (&mut timer_headers, 2)] {
            headers.insert(header::NATS_BATCH_ID, batch);
            headers.insert(header::NATS_BATCH_SEQUENCE, place.to_string());
        }
        timer_headers.insert(header::NATS_BATCH_COMMIT, header::NATS_BATCH_COMMIT_FINAL);
        api::publish(conn, subject, headers, payload, patience).await?;
        api::request(conn, timer, Some(timer_headers), fires, patience).await
    }

    /// The event as a message, with the expectation.
    fn message(&self) -> Message {
        let mut headers = expecting(self.event, self.expected);
        if matches!(self.with, With::PurgeOfTimer) {
            headers.insert(header::NATS_SCHEDULE_NEXT, "purge");
            headers.insert(header::NATS_SCHEDULER, self.subject(Token::Timer));
        }
        let mut subject = self.subject(token(self.event));
        if let With::TimerAlone { at } = self.with {
            schedule(&mut headers, subject, at);
            subject = self.subject(Token::Timer);
        }
        Message { subject, headers, payload: self.payload.clone() }
    }

    /// The timer as a message: not an event, gone when it has fired.
    fn timer(&self) -> Option<Message> {
        let With::Timer { fires, payload, at } = &self.with else { return None };
        let mut headers = traced(fires);
        schedule(&mut headers, self.subject(token(fires)), *at);
        Some(Message { subject: self.subject(Token::Timer), headers, payload: payload.clone() })
    }

    fn subject(&self, token: Token) -> String {
        let (vp_id, mission_id) = (self.event.vp_id.clone(), self.event.mission_id.clone());
        MissionSubject { vp_id, mission_id, token }.to_string()
    }

    /// Who got in, by the leader's word: the first message behind the expected sequence is the one.
    async fn look_behind(&self, conn: &Connection) -> Result<Behind, ApiError> {
        let filter = MissionFilter::new(&self.event.vp_id, &self.event.mission_id);
        let mut seq = self.expected;
        let mut behind = Behind::Nothing;
        loop {
            let pick = Pick::Next(seq + 1, filter.as_str());
            let Some(message) = api::read_message(conn, MISSIONS, pick, TRY_PATIENCE).await? else {
                return Ok(behind);
            };
            if !self.is_ours(&message.payload) {
                return Ok(if matches!(behind, Behind::Nothing) { Behind::Another } else { behind });
            }
            // The timer follows its event.
            seq = message.seq;
            behind = Behind::Ours(seq);
        }
    }

    fn is_ours(&self, payload: &Bytes) -> bool {
        *payload == self.payload
            || matches!(&self.with, With::Timer { payload: fires, .. } if payload == fires)
    }

    fn conflict(&self) -> AppendError {
        AppendError::Conflict { mission_id: self.event.mission_id.clone(), expected: self.expected }
    }

    fn refused(&self, reason: String, no_space: bool) -> AppendError {
        let (mission_id, event) = (self.event.mission_id.clone(), self.event.kind().name());
        AppendError::Refused { mission_id, event, reason, no_space }
    }

    fn unknown(&self, tries: u32, took: Duration, source: Option<ApiError>) -> AppendError {
        AppendError::Unknown {
            mission_id: self.event.mission_id.clone(),
            event: self.event.kind().name(),
            tries,
            seconds: took.as_secs_f64(),
            source: source.map(|error| Arc::new(error) as _),
        }
    }
}

/// Lets the message be published at `target` when it is time.
fn schedule(headers: &mut HeaderMap, target: String, at: UtcTime) {
    headers.insert(header::NATS_SCHEDULE, format!("@at {at}"));
    headers.insert(header::NATS_SCHEDULE_TARGET, target);
}

/// Where an event is stored.
fn token(event: &Event) -> Token {
    match &event.body {
        EventBody::Dispatched { tier, .. } => Token::Dispatched(*tier),
        _ => Token::Event(event.kind()),
    }
}

/// Does not send into a connection that is down: what is buffered there is sent after the reconnect, long after
/// whoever sent it has given up.
async fn wait_for_link(conn: &Connection, deadline: Instant) {
    let mut state = conn.state();
    let connected = state.wait_for(|state| state.connected || state.closed);
    // Past the deadline the caller's own check ends it.
    let _ = timeout_at(deadline, connected).await;
}

#[derive(Deserialize)]
struct PubAck {
    #[serde(default)]
    seq: u64,
    error: Option<ErrorBody>,
}

fn read_answer(payload: &[u8]) -> Tried {
    match serde_json::from_slice::<PubAck>(payload) {
        Ok(PubAck { error: Some(error), .. }) => refusal(error),
        // `duplicate: true` is the answer to a repeat: the sequence is that of the first copy.
        Ok(PubAck { seq, .. }) if seq > 0 => Tried::Stored(seq),
        Ok(_) => Tried::Again(ApiError::Client("an acknowledgement without a sequence".to_owned())),
        Err(error) => Tried::Again(ApiError::Client(format!("an unreadable acknowledgement: {error}"))),
    }
}

fn refusal(error: ErrorBody) -> Tried {
    const IN_FLIGHT: [ErrorCode; 3] = [
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT,
        ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT,
        ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE,
    ];
    const NO_SPACE: [ErrorCode; 6] = [
        ErrorCode::STREAM_STORE_FAILED,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::MEMORY_RESOURCES_EXCEEDED,
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED,
    ];
    /// Client errors by their number, and yet over in a moment.
    const TEMPORARY: [ErrorCode; 5] = [
        ErrorCode::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_NOT_READY,
        ErrorCode::STREAM_TOO_MANY_REQUESTS,
        ErrorCode::ATOMIC_PUBLISH_INCOMPLETE_BATCH,
        ErrorCode::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT,
        ErrorCode::CLUSTER_NOT_LEADER,
    ];
    let code = ErrorCode(error.err_code);
    if code == ErrorCode::STREAM_WRONG_LAST_SEQUENCE {
        Tried::Beaten
    } else if IN_FLIGHT.contains(&code) {
        Tried::InFlight
    } else if NO_SPACE.contains(&code) {
        Tried::Refused { reason: error.description, no_space: true }
    } else if error.code >= 500 || TEMPORARY.contains(&code) {
        Tried::Again(error.into())
    } else {
        Tried::Refused { reason: error.description, no_space: false }
    }
}
