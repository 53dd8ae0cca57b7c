//! The messages of missions and nothing else: what a mission costs before any line of ours has run.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use futures_util::stream::{self as futures_stream, StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::connect::Connection;
use crate::headers::expect;

const LOG: &str = "VP_BENCH_LOG";
const TOLD: &str = "VP_BENCH_TOLD";
/// As many dispatches, and as many attempts, at a time as the bench has of its own.
const DISPATCHES: usize = 64;
const ATTEMPTS: usize = 16;
/// As many notices at a time as the bridge has.
const NOTICES: usize = 128;
/// A pull that is long enough to wait for work, short enough to be asked again.
const PULL: Duration = Duration::from_secs(1);

/// Stores and delivers what `missions` missions store and deliver: four conditional events, one behind the other, the
/// queue's delivery and its confirmed ack, every event read once, a notice stored and delivered. Nothing is decided,
/// checked, written to a ledger or executed. In streams of its own that are removed again; returns how long it took
/// until the last notice was read.
///
/// # Errors
/// What the client said.
pub async fn mission_messages(
    conn: &Connection,
    missions: usize,
    bytes: usize,
    deadline: Duration,
) -> Result<Duration, String> {
    let js = conn.jetstream();
    let measured = tokio::time::timeout(deadline, run(js, missions, bytes)).await;
    for name in [LOG, TOLD] {
        js.delete_stream(name).await.map_err(|error| error.to_string())?;
    }
    measured.map_err(|_| format!("not done within {} s", deadline.as_secs()))?
}

async fn run(js: &jetstream::Context, missions: usize, bytes: usize) -> Result<Duration, String> {
    let log = stream(js, LOG, "vp-bench.log.>").await?;
    let told = stream(js, TOLD, "vp-bench.told.>").await?;
    let queue = consumer(&log, "queue", "vp-bench.log.*.dispatched", AckPolicy::Explicit).await?;
    let events = consumer(&log, "events", "vp-bench.log.>", AckPolicy::None).await?;
    let notices = consumer(&told, "notices", "vp-bench.told.>", AckPolicy::None).await?;
    let body = Bytes::from(vec![b'x'; bytes]);
    let mut parts = JoinSet::new();
    let started = Instant::now();
    parts.spawn(dispatch(js.clone(), missions, body.clone()));
    let (attempts, notes) = ((js.clone(), body.clone()), (js.clone(), body));
    parts.spawn(each(
        queue,
        missions,
        |_| true,
        ATTEMPTS,
        move |message| attempt(attempts.0.clone(), message, attempts.1.clone()),
    ));
    let ended = |message: &jetstream::Message| message.subject.ends_with(".ended");
    parts.spawn(each(events, missions, ended, NOTICES, move |message| {
        tell(notes.0.clone(), message, notes.1.clone())
    }));
    parts.spawn(each(notices, missions, |_| true, 1, |_| async { Ok(()) }));
    while let Some(part) = parts.join_next().await {
        part.map_err(|error| error.to_string())??;
    }
    Ok(started.elapsed())
}

async fn stream(js: &jetstream::Context, name: &str, subjects: &str) -> Result<stream::Stream, String> {
    let config = stream::Config {
        name: name.into(),
        subjects: vec![subjects.into()],
        allow_direct: true,
        ..stream::Config::default()
    };
    js.create_stream(config).await.map_err(|error| error.to_string())
}

async fn consumer(
    stream: &stream::Stream,
    name: &str,
    filter: &str,
    ack_policy: AckPolicy,
) -> Result<Consumer<pull::Config>, String> {
    let config = pull::Config {
        durable_name: Some(name.into()),
        filter_subject: filter.into(),
        ack_policy,
        max_ack_pending: -1,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.map_err(|error| error.to_string())
}

/// Stores one event behind the one that the mission ended with.
async fn append(
    js: &jetstream::Context,
    mission: &str,
    kind: &str,
    expected: u64,
    body: Bytes,
) -> Result<u64, String> {
    let mut headers = HeaderMap::new();
    expect(&mut headers, &format!("vp-bench.log.{mission}.>"), expected);
    let subject = format!("vp-bench.log.{mission}.{kind}");
    let ack = js.publish_with_headers(subject, headers, body).await.map_err(|error| error.to_string())?;
    Ok(ack.await.map_err(|error| error.to_string())?.sequence)
}

async fn dispatch(js: jetstream::Context, missions: usize, body: Bytes) -> Result<(), String> {
    let (js, body) = (&js, &body);
    futures_stream::iter(0..missions)
        .map(|number| async move { append(js, &number.to_string(), "dispatched", 0, body.clone()).await })
        .buffer_unordered(DISPATCHES)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// What one attempt writes, and the ack of its delivery.
async fn attempt(js: jetstream::Context, message: jetstream::Message, body: Bytes) -> Result<(), String> {
    let mut last = message.info().map_err(|error| error.to_string())?.stream_sequence;
    for kind in ["started", "outcome", "ended"] {
        last = append(&js, name(&message.subject), kind, last, body.clone()).await?;
    }
    message.double_ack().await.map_err(|error| error.to_string())
}

/// The notice of a mission's end.
async fn tell(js: jetstream::Context, message: jetstream::Message, body: Bytes) -> Result<(), String> {
    let subject = format!("vp-bench.told.{}", name(&message.subject));
    let mut headers = HeaderMap::new();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, message.subject.as_str());
    let ack = js.publish_with_headers(subject, headers, body).await.map_err(|error| error.to_string())?;
    ack.await.map(drop).map_err(|error| error.to_string())
}

/// The mission's token of a subject.
fn name(subject: &str) -> &str {
    subject.split('.').nth(2).unwrap_or_default()
}

/// Takes messages until `wanted` of them counted and were handled, `at_once` of them at a time.
async fn each<F: Future<Output = Result<(), String>>>(
    consumer: Consumer<pull::Config>,
    wanted: usize,
    counts: impl Fn(&jetstream::Message) -> bool,
    at_once: usize,
    handle: impl Fn(jetstream::Message) -> F,
) -> Result<(), String> {
    let (taken, queue) = mpsc::channel(at_once.max(256));
    let take = async move {
        let mut left = wanted;
        while left > 0 {
            let pull = consumer.batch().max_messages(256).expires(PULL).messages();
            let mut batch = pull.await.map_err(|error| error.to_string())?;
            // The last pull is not waited out.
            while left > 0
                && let Some(message) = batch.next().await
            {
                let message = message.map_err(|error| error.to_string())?;
                if counts(&message) {
                    left -= 1;
                    taken.send(message).await.map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(())
    };
    let queue = futures_stream::unfold(queue, |mut queue| async { Some((queue.recv().await?, queue)) });
    let work = queue.map(Ok).try_for_each_concurrent(at_once, handle);
    tokio::try_join!(take, work).map(drop)
}
