//! Pulls from one durable consumer, over subscriptions that are kept from pull to pull.
//!
//! A new subscription per pull would cost the server two changes of its routing per message, and one that is dropped
//! while the server answers leaves a message in nobody's hand until its lease runs out. So each pull borrows an idle
//! inbox and gives it back when the server is done with the pull. A pull that is dropped before leaves its inbox to a
//! task that hands back whatever still arrives.
//!
//! A pull ends when it is filled or expired, when the server says so, when nothing was heard of it for a while (the
//! server sends heartbeats), or when the connection was lost: the server forgets pulls with their connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::{Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::ack::NAK;
use crate::api::{ApiError, ask};
use crate::connect::{Connection, ConnectionState};

/// How often a waiting pull is told that it still waits.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a pull may be silent before it is given up.
const QUIET: Duration = Duration::from_millis(3_500);
/// How long after its end by the server's clock a pull is given up.
const GRACE: Duration = Duration::from_secs(6);
/// How long a nak waits for a place in the client's queue.
const SEND_PATIENCE: Duration = Duration::from_secs(2);

/// How long a pull waits at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullWait {
    /// Answered at once with what is there.
    NoWait,
    /// Stands until filled or this is over.
    Expires(Duration),
}

/// Why a pull ended early.
#[derive(Debug)]
pub(crate) enum Ended {
    /// There is no such consumer.
    Gone,
    /// Pull again.
    Interrupted(String),
}

/// Pulls from one consumer; clones share the idle inboxes.
#[derive(Debug, Clone)]
pub(crate) struct Puller(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    conn: Connection,
    stream: &'static str,
    consumer: String,
    request: Subject,
    idle: Mutex<Vec<Inbox>>,
}

/// A subscription for the answers to one pull at a time.
#[derive(Debug)]
struct Inbox {
    subscriber: Subscriber,
    prefix: String,
    /// Numbers the pulls, so that a late word about an earlier one is known as such.
    pulls: u64,
}

/// A pull under way.
#[derive(Debug)]
pub(crate) struct Messages {
    shared: Arc<Shared>,
    inbox: Option<Inbox>,
    phase: Phase,
    left: usize,
    wait: PullWait,
    reply: Subject,
    state: watch::Receiver<ConnectionState>,
    generation: u64,
    quiet_until: Option<Instant>,
    over_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The request waits for a place in the client's queue.
    Unsent,
    /// The server has the request, or will have it.
    Waiting,
    /// Nobody took the request; whether the consumer is gone is to be asked.
    Unserved,
    Over,
}

impl Puller {
    pub(crate) fn new(conn: &Connection, stream: &'static str, consumer: String) -> Self {
        Self(Arc::new(Shared {
            conn: conn.clone(),
            stream,
            request: format!("{}.CONSUMER.MSG.NEXT.{stream}.{consumer}", conn.api_prefix()).into(),
            consumer,
            idle: Mutex::default(),
        }))
    }

    /// Asks for up to `max` messages.
    pub(crate) fn pull(&self, max: usize, wait: PullWait) -> Messages {
        let mut messages = Messages {
            shared: Arc::clone(&self.0),
            inbox: self.0.take_idle(),
            phase: Phase::Unsent,
            left: max.max(1),
            wait,
            reply: Subject::from_static(""),
            state: self.0.conn.state(),
            generation: 0,
            quiet_until: None,
            over_at: Instant::now(),
        };
        // Usually the client takes it at once; else the first `next` waits for it.
        let _ = messages.send().now_or_never();
        messages
    }
}

impl Shared {
    fn take_idle(&self) -> Option<Inbox> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, inbox: Inbox) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(inbox);
    }

    async fn open_inbox(&self) -> Result<Inbox, String> {
        let client = self.conn.client();
        let prefix = client.new_inbox();
        let subscriber = client.subscribe(format!("{prefix}.*")).await.map_err(|error| error.to_string())?;
        Ok(Inbox { subscriber, prefix, pulls: 0 })
    }

    /// Unconfirmed: when it is lost the message's lease runs out.
    async fn hand_back(&self, message: Message) {
        let Some(lease) = message.reply else { return };
        let nak = self.conn.client().publish(lease, Bytes::from_static(NAK));
        if !matches!(timeout(SEND_PATIENCE, nak).await, Ok(Ok(()))) {
            tracing::debug!(consumer = self.consumer, "a delivery that nobody waits for waits out its lease");
        }
    }

    /// Nobody answered: the consumer is gone, or it has no leader at the moment. The API knows.
    async fn is_gone(&self) -> bool {
        let info = format!("CONSUMER.INFO.{}.{}", self.stream, self.consumer);
        let answer = ask(&self.conn, &info, &Value::Null).await;
        let says = |error: &ApiError, code| error.is(code);
        answer.is_err_and(|error| {
            says(&error, ErrorCode::CONSUMER_NOT_FOUND) || says(&error, ErrorCode::STREAM_NOT_FOUND)
        })
    }
}

impl Messages {
    /// The next message; `None` when the pull is over. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, Ended>> {
        loop {
            match self.phase {
                Phase::Unsent => {
                    if let Err(why) = self.send().await {
                        return Some(Err(self.end(Ended::Interrupted(why))));
                    }
                }
                Phase::Waiting => {
                    if let Some(item) = self.wait_for_message().await {
                        return Some(item);
                    }
                }
                Phase::Unserved => {
                    let gone = self.shared.is_gone().await;
                    let no_leader =
                        || Ended::Interrupted("nobody serves the consumer at the moment".to_owned());
                    return Some(Err(self.end(if gone { Ended::Gone } else { no_leader() })));
                }
                Phase::Over => return None,
            }
        }
    }

    /// Sends the request; nothing is lost when it is cancelled.
    async fn send(&mut self) -> Result<(), String> {
        if self.inbox.is_none() {
            self.inbox = Some(self.shared.open_inbox().await?);
        }
        let Some(inbox) = &mut self.inbox else { return Ok(()) };
        inbox.pulls += 1;
        self.reply = format!("{}.{}", inbox.prefix, inbox.pulls).into();
        let (body, patience, beats) = request_body(self.left, self.wait);
        let (client, request) = (self.shared.conn.client(), self.shared.request.clone());
        let sent = client.publish_with_reply(request, self.reply.clone(), body).await;
        sent.map_err(|error| error.to_string())?;
        let now = Instant::now();
        self.generation = next_generation(*self.state.borrow_and_update());
        self.quiet_until = beats.then_some(now + QUIET);
        self.over_at = now + patience + GRACE;
        self.phase = Phase::Waiting;
        Ok(())
    }

    async fn wait_for_message(&mut self) -> Option<Result<Message, Ended>> {
        let (generation, until) = (self.generation, self.give_up_at());
        let Some(inbox) = &mut self.inbox else {
            self.phase = Phase::Over;
            return None;
        };
        let lost = self.state.wait_for(|state| state.generation > generation || state.closed);
        let heard = tokio::select! {
            biased;
            message = inbox.subscriber.next() => message.ok_or("the client is closed"),
            _ = lost => Err("the connection was lost"),
            () = sleep_until(until) => Err("nothing was heard from the server"),
        };
        let why = match heard {
            Ok(message) => return self.on_message(message),
            Err(why) => why,
        };
        // The request may still be served: on a slow server, or after the reconnect.
        self.abandon();
        Some(Err(self.end(Ended::Interrupted(why.to_owned()))))
    }

    fn on_message(&mut self, message: Message) -> Option<Result<Message, Ended>> {
        let Some(status) = message.status else {
            self.heard();
            self.left -= 1;
            if self.left == 0 {
                self.finish();
            }
            return Some(Ok(message));
        };
        if message.subject != self.reply {
            return None;
        }
        let description = message.description.unwrap_or_default();
        match verdict(status.as_u16(), &description) {
            Verdict::StillWaiting => {
                self.heard();
                None
            }
            Verdict::Unserved => {
                self.finish();
                self.phase = Phase::Unserved;
                None
            }
            Verdict::Done => {
                self.finish();
                None
            }
            Verdict::Ended(ended) => {
                self.finish();
                Some(Err(ended))
            }
        }
    }

    /// Ends the pull at the server and hands back what it had sent by then. For a process that ends: nobody would be
    /// there for a task that does it later. At most so long; what comes after that waits out its lease.
    pub(crate) async fn close(mut self, patience: Duration) {
        let Some(mut inbox) = self.inbox.take().filter(|_| self.phase == Phase::Waiting) else { return };
        self.phase = Phase::Over;
        let shared = Arc::clone(&self.shared);
        let handed_back = async {
            // The server confirms it behind the last message; then the subscription ends.
            inbox.subscriber.drain().await.map_err(|error| error.to_string())?;
            while let Some(message) = inbox.subscriber.next().await {
                if message.status.is_none() {
                    shared.hand_back(message).await;
                }
            }
            shared.conn.flush().await.map_err(|error| error.to_string())
        };
        if !matches!(timeout(patience, handed_back).await, Ok(Ok(()))) {
            tracing::debug!(consumer = self.shared.consumer, "a pull was not closed in time");
        }
    }

    fn heard(&mut self) {
        self.quiet_until = self.quiet_until.map(|_| Instant::now() + QUIET);
    }

    fn give_up_at(&self) -> Instant {
        self.quiet_until.map_or(self.over_at, |quiet| quiet.min(self.over_at))
    }

    fn end(&mut self, why: Ended) -> Ended {
        self.finish();
        why
    }

    /// The server is done with it: the inbox serves the next pull.
    fn finish(&mut self) {
        self.phase = Phase::Over;
        if let Some(inbox) = self.inbox.take() {
            self.shared.give_back(inbox);
        }
    }

    /// The server may still answer: a task hands back what comes until it is done, at most [`GRACE`] after the pull's
    /// end.
    fn abandon(&mut self) {
        let (Some(inbox), Ok(runtime)) = (self.inbox.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let rest = Rest {
            shared: Arc::clone(&self.shared),
            left: self.left,
            reply: self.reply.clone(),
            over_at: self.over_at,
        };
        runtime.spawn(rest.hand_back(inbox));
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        match self.phase {
            Phase::Waiting => self.abandon(),
            Phase::Unsent | Phase::Unserved | Phase::Over => self.finish(),
        }
    }
}

/// What is left of a pull that nobody waits for.
struct Rest {
    shared: Arc<Shared>,
    left: usize,
    reply: Subject,
    over_at: Instant,
}

impl Rest {
    async fn hand_back(mut self, mut inbox: Inbox) {
        while let Ok(Some(message)) = timeout_at(self.over_at, inbox.subscriber.next()).await {
            match message.status {
                None => {
                    self.left = self.left.saturating_sub(1);
                    self.shared.hand_back(message).await;
                    if self.left == 0 {
                        return self.shared.give_back(inbox);
                    }
                }
                Some(status) if message.subject == self.reply => {
                    let description = message.description.unwrap_or_default();
                    if !matches!(verdict(status.as_u16(), &description), Verdict::StillWaiting) {
                        return self.shared.give_back(inbox);
                    }
                }
                Some(_) => {}
            }
        }
    }
}

/// What the server says of a pull.
enum Verdict {
    StillWaiting,
    Done,
    Unserved,
    Ended(Ended),
}

fn verdict(status: u16, description: &str) -> Verdict {
    let says = |text: &str| description.eq_ignore_ascii_case(text);
    match status {
        100 => Verdict::StillWaiting,
        404 | 408 => Verdict::Done,
        409 if says("Batch Completed") => Verdict::Done,
        409 if says("Consumer Deleted") => Verdict::Ended(Ended::Gone),
        503 => Verdict::Unserved,
        _ => Verdict::Ended(Ended::Interrupted(format!("{description} ({status})"))),
    }
}

/// The body of the request, how long the server may take to end it, and whether it sends heartbeats until then.
fn request_body(max: usize, wait: PullWait) -> (Bytes, Duration, bool) {
    let PullWait::Expires(expires) = wait else {
        return (format!("{{\"batch\":{max},\"no_wait\":true}}").into(), Duration::ZERO, false);
    };
    let nanos = expires.max(Duration::from_millis(1)).as_nanos();
    let beats = expires >= 2 * HEARTBEAT;
    let body = if beats {
        format!("{{\"batch\":{max},\"expires\":{nanos},\"idle_heartbeat\":{}}}", HEARTBEAT.as_nanos())
    } else {
        format!("{{\"batch\":{max},\"expires\":{nanos}}}")
    };
    (body.into(), expires, beats)
}

/// The connection that a request sent now goes to: what is sent while there is none waits for the next.
fn next_generation(state: ConnectionState) -> u64 {
    state.generation + u64::from(!state.connected)
}
