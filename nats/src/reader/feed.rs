//! One ephemeral consumer without acks, pulled from ahead of the reader's need.
//!
//! Two large pulls overlap, so the server never waits for a request; heartbeats tell a quiet stream from a dead
//! consumer. Any irregularity ends the feed: the reader opens another one behind the last message it gave out.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Subject, Subscriber, header};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Record, Start};
use crate::ack::{Place, header_of, is_marker};
use crate::api::{ApiError, ask};
use crate::connect::{Connection, ConnectionState};
use crate::headers::expected_nothing;

/// Messages of a pull.
const PULL: u64 = 1000;
/// Bytes of a pull, so that large messages do not fill the memory.
const PULL_BYTES: usize = 4 * 1024 * 1024;
const EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Silence that proves the consumer dead.
const QUIET: Duration = Duration::from_secs(7);
/// The server forgets the consumer when nobody pulls for this long.
const INACTIVE: Duration = Duration::from_mins(1);

/// An open consumer and its pulls.
#[derive(Debug)]
pub(crate) struct Feed {
    conn: Connection,
    subscriber: Subscriber,
    request: Subject,
    reply: Subject,
    body: Bytes,
    /// How many messages the open pulls may still bring.
    asked: u64,
    next_consumer_seq: u64,
    pending: u64,
    quiet_until: Instant,
    state: watch::Receiver<ConnectionState>,
    generation: u64,
    /// Why it ends after the records that came before.
    ended: Option<String>,
}

/// What came of waiting.
pub(crate) enum Heard {
    Records(Vec<Record>),
    Nothing,
    Ended(String),
}

/// What a message was.
enum Came {
    Record(Record),
    Word,
    End(String),
}

impl Feed {
    pub(crate) async fn open(
        conn: &Connection,
        stream: &str,
        filters: &[String],
        start: Start,
    ) -> Result<Self, ApiError> {
        let mut state = conn.state();
        let generation = state.borrow_and_update().generation;
        let client = conn.client();
        let reply = client.new_inbox();
        let name = reply.rsplit('.').next().unwrap_or_default().to_owned();
        let opened = client.subscribe(reply.clone()).await;
        let subscriber = opened.map_err(|error| ApiError::Client(error.to_string()))?;
        let body =
            json!({ "stream_name": stream, "config": config(&name, filters, start), "action": "create" });
        let made = ask(conn, &format!("CONSUMER.CREATE.{stream}.{name}"), &body).await?;
        let mut feed = Self {
            conn: conn.clone(),
            subscriber,
            request: format!("{}.CONSUMER.MSG.NEXT.{stream}.{name}", conn.api_prefix()).into(),
            reply: reply.into(),
            body: pull_body(client.max_payload()),
            asked: 0,
            next_consumer_seq: 1,
            pending: made["num_pending"].as_u64().unwrap_or_default(),
            quiet_until: Instant::now() + QUIET,
            state,
            generation,
            ended: None,
        };
        feed.pull_ahead().await?;
        Ok(feed)
    }

    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// Waits for messages and takes all that are there, at most `max`. Cancel safe: once a message is in hand
    /// nothing is awaited.
    pub(crate) async fn next(&mut self, max: usize, deadline: Instant) -> Heard {
        loop {
            if let Some(why) = self.ended.take() {
                return Heard::Ended(why);
            }
            if let Err(error) = self.pull_ahead().await {
                return Heard::Ended(error.to_string());
            }
            let message = match self.wait(deadline).await {
                Ok(Some(message)) => message,
                Ok(None) => return Heard::Nothing,
                Err(why) => return Heard::Ended(why.to_owned()),
            };
            let records = self.gather(message, max);
            if !records.is_empty() {
                return Heard::Records(records);
            }
        }
    }

    /// The next message; `None` at the deadline.
    async fn wait(&mut self, deadline: Instant) -> Result<Option<Message>, &'static str> {
        let (generation, until) = (self.generation, deadline.min(self.quiet_until));
        let lost = self.state.wait_for(|state| state.generation > generation || state.closed);
        tokio::select! {
            biased;
            message = self.subscriber.next() => message.map(Some).ok_or("the client is closed"),
            _ = lost => Err("the connection was lost"),
            () = sleep_until(until) => {
                if until < deadline { Err("nothing was heard from the server") } else { Ok(None) }
            }
        }
    }

    /// The first message and all that are there already.
    fn gather(&mut self, first: Message, max: usize) -> Vec<Record> {
        let mut records = Vec::with_capacity(max.min(64));
        let mut message = Some(first);
        while let Some(come) = message {
            match self.take(come) {
                Came::Record(record) => records.push(record),
                Came::Word => {}
                Came::End(why) => {
                    self.ended = Some(why);
                    return records;
                }
            }
            // Usually taken by the client at once; if not, the next call waits for it.
            let _ = self.pull_ahead().now_or_never();
            // Without the runtime's budget of a turn, which would cut every batch at about 128.
            message = if records.len() < max {
                tokio::task::unconstrained(self.subscriber.next()).now_or_never().flatten()
            } else {
                None
            };
        }
        self.quiet_until = Instant::now() + QUIET;
        records
    }

    fn take(&mut self, message: Message) -> Came {
        if let Some(status) = message.status {
            return self.on_status(status.as_u16(), message.headers.as_ref(), message.description);
        }
        let Some(place) = message.reply.as_ref().and_then(|reply| Place::parse(reply)) else {
            return Came::End("a message without its place".to_owned());
        };
        if place.consumer_seq != self.next_consumer_seq {
            let (wanted, found) = (self.next_consumer_seq, place.consumer_seq);
            return Came::End(format!("a gap: delivery {found} instead of {wanted}"));
        }
        self.next_consumer_seq += 1;
        self.asked = self.asked.saturating_sub(1);
        self.pending = place.pending;
        let headers = message.headers.as_ref();
        Came::Record(Record {
            seq: place.stream_seq,
            stored_at: place.stored_at(),
            deleted: headers.is_some_and(is_marker),
            message_id: header_of(headers, &header::NATS_MESSAGE_ID),
            begins: headers.is_some_and(expected_nothing),
            subject: message.subject.into_string(),
            payload: message.payload,
        })
    }

    fn on_status(&mut self, status: u16, headers: Option<&HeaderMap>, description: Option<String>) -> Came {
        let description = description.unwrap_or_default();
        let unfilled =
            headers.and_then(|headers| headers.get("Nats-Pending-Messages")?.as_str().parse::<u64>().ok());
        match status {
            100 => Came::Word,
            404 | 408 => {
                self.asked = self.asked.saturating_sub(unfilled.unwrap_or(PULL));
                Came::Word
            }
            409 if description.contains("MaxBytes")
                || description.eq_ignore_ascii_case("Batch Completed") =>
            {
                self.asked = self.asked.saturating_sub(unfilled.unwrap_or(PULL));
                Came::Word
            }
            _ => Came::End(format!("{description} ({status})")),
        }
    }

    /// Keeps one to two pulls open. Cancelled before the client took the request, it is sent by the next call.
    async fn pull_ahead(&mut self) -> Result<(), ApiError> {
        while self.asked <= PULL {
            let publish = self.conn.client().publish_with_reply(
                self.request.clone(),
                self.reply.clone(),
                self.body.clone(),
            );
            publish.await.map_err(|error| ApiError::Client(error.to_string()))?;
            self.asked += PULL;
        }
        Ok(())
    }
}

fn pull_body(max_payload: usize) -> Bytes {
    let body = json!({
        "batch": PULL,
        // At least one message of any size must pass.
        "max_bytes": PULL_BYTES.max(2 * max_payload),
        "expires": EXPIRES.as_nanos(),
        "idle_heartbeat": HEARTBEAT.as_nanos(),
    });
    body.to_string().into()
}

fn config(name: &str, filters: &[String], start: Start) -> Value {
    let mut config = json!({
        "name": name,
        "ack_policy": "none",
        "replay_policy": "instant",
        "inactive_threshold": INACTIVE.as_nanos(),
        "mem_storage": true,
        "num_replicas": 1,
    });
    match filters {
        // The last of each subject is given only to who says of which.
        [] if start == Start::LastPerSubject => config["filter_subject"] = json!(">"),
        [] => {}
        [filter] => config["filter_subject"] = json!(filter),
        filters => config["filter_subjects"] = json!(filters),
    }
    match start {
        Start::After(0) => config["deliver_policy"] = json!("all"),
        Start::After(seq) => {
            config["deliver_policy"] = json!("by_start_sequence");
            config["opt_start_seq"] = json!(seq + 1);
        }
        Start::New => config["deliver_policy"] = json!("new"),
        Start::Time(time) => {
            config["deliver_policy"] = json!("by_start_time");
            config["opt_start_time"] = json!(time.to_string());
        }
        Start::LastPerSubject => config["deliver_policy"] = json!("last_per_subject"),
    }
    config
}
