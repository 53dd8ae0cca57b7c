//! Plain JetStream without any of this project's rules: the ceilings that `vp bench` measures itself against.

mod missions;

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, AckKind, consumer::pull, stream};
use futures_util::StreamExt as _;
use futures_util::stream::{self as futures_stream, TryStreamExt as _};

use crate::connect::Connection;

pub use missions::mission_messages;

const STREAM: &str = "VP_BENCH_RAW";
const SUBJECT: &str = "vp-bench.raw";

/// Stores `jobs` messages of `bytes` (64 unconfirmed at a time) while a consumer gets and acks each of them, in a
/// stream of its own that is removed again. Returns how long it took until the last one was acked.
///
/// # Errors
/// What the client said.
pub async fn store_deliver_ack(
    conn: &Connection,
    jobs: usize,
    bytes: usize,
    deadline: Duration,
) -> Result<Duration, String> {
    let js = conn.jetstream();
    let stream = js
        .create_stream(stream::Config {
            name: STREAM.into(),
            subjects: vec![SUBJECT.into()],
            retention: stream::RetentionPolicy::WorkQueue,
            ..stream::Config::default()
        })
        .await
        .map_err(|error| error.to_string())?;
    let measured = tokio::time::timeout(deadline, run(js, &stream, jobs, bytes)).await;
    js.delete_stream(STREAM).await.map_err(|error| error.to_string())?;
    measured.map_err(|_| format!("not done within {} s", deadline.as_secs()))?
}

/// Deletes a lane's queue, as an operator's mistake would.
///
/// # Errors
/// What the client said.
pub async fn delete_queue(conn: &Connection, name: &str) -> Result<(), String> {
    let deleted = conn.jetstream().delete_consumer_from_stream(name, crate::topology::MISSIONS).await;
    deleted.map(drop).map_err(|error| error.to_string())
}

async fn run(
    js: &jetstream::Context,
    stream: &stream::Stream,
    jobs: usize,
    bytes: usize,
) -> Result<Duration, String> {
    let config =
        pull::Config { durable_name: Some("raw".into()), max_ack_pending: -1, ..pull::Config::default() };
    let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
    let started = Instant::now();
    let (stored, taken) = tokio::join!(store(js, jobs, bytes), take(&consumer, jobs));
    stored?;
    taken?;
    Ok(started.elapsed())
}

async fn store(js: &jetstream::Context, jobs: usize, bytes: usize) -> Result<(), String> {
    let body = bytes::Bytes::from(vec![b'x'; bytes]);
    futures_stream::iter(0..jobs)
        .map(|_| async {
            let ack = js.publish(SUBJECT, body.clone()).await.map_err(|error| error.to_string())?;
            ack.await.map_err(|error| error.to_string())
        })
        .buffer_unordered(64)
        .try_for_each(|_| async { Ok(()) })
        .await
}

async fn take(consumer: &jetstream::consumer::Consumer<pull::Config>, jobs: usize) -> Result<(), String> {
    let mut taken = 0;
    while taken < jobs {
        let mut batch = consumer
            .batch()
            .max_messages((jobs - taken).min(256))
            .expires(Duration::from_secs(1))
            .messages()
            .await
            .map_err(|error| error.to_string())?;
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| error.to_string())?;
            message.ack_with(AckKind::Ack).await.map_err(|error| error.to_string())?;
            taken += 1;
        }
    }
    Ok(())
}
