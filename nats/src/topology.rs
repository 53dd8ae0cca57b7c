//! Streams, buckets and durable consumers: created or verified by comparing the server's echo, field by field.

mod assets;
mod progress;
mod verify;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use serde_json::Value;
use vp_shared::ids::VpId;
use vp_shared::lane::{LaneProfile, Lanes};
use vp_shared::mission::{MAX_DEADLINE, MIN_LOG_RETENTION};
use vp_shared::tier::Tier;

use crate::api::{ApiError, ask};
use crate::connect::Connection;

pub use progress::{QueueProgress, queue_progress};

/// The stream that is queue, log and lock.
pub const MISSIONS: &str = "MISSIONS";
/// Progress and output, bounded per mission, may be dropped.
pub const PROGRESS: &str = "PROGRESS";
/// What sessions are told.
pub const NOTICES: &str = "NOTICES";
/// The key-value bucket of the workers' presence.
pub const WORKERS: &str = "WORKERS";
/// The key-value bucket of the lanes' modes.
pub const LANES: &str = "LANES";

/// What is asked of the streams.
#[derive(Debug, Clone)]
pub struct TopologyConfig {
    /// Copies of each stream: 1, 3 or 5.
    pub replicas: usize,
    /// How long events are kept; every mission's deadline is shorter.
    pub retention: Duration,
    /// How long notices are kept.
    pub notice_retention: Duration,
}

impl Default for TopologyConfig {
    fn default() -> Self {
        let days = |n: u64| Duration::from_secs(n * 86_400);
        Self { replicas: 1, retention: days(90), notice_retention: days(90) }
    }
}

/// Why the streams are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The server answered with another config than asked for.
    #[error("nats-server {version} has {asset} with `{field}` = {found}, wanted {wanted}: {advice}")]
    Mismatch {
        /// Which stream or consumer.
        asset: String,
        /// Which field.
        field: &'static str,
        /// What it has.
        found: Box<str>,
        /// What was wanted.
        wanted: Box<str>,
        /// The server's version.
        version: Box<str>,
        /// What to do.
        advice: &'static str,
    },
    /// The log would forget missions that may still live.
    #[error(
        "the log would keep events for {days} days only, and a deadline may be {} days away: want at least {} days",
        MAX_DEADLINE.as_secs() / 86_400, MIN_LOG_RETENTION.as_secs() / 86_400
    )]
    TooShort {
        /// How long it would keep them, in whole days.
        days: u64,
    },
    /// The server refused.
    #[error("nats-server refused to make {asset}: {reason}")]
    Refused {
        /// Which stream or consumer.
        asset: String,
        /// The server's words.
        reason: String,
    },
    /// It is not there and this step may only look.
    #[error("{asset} does not exist: run `vp up`, or `vp lanes --apply` with admin credentials")]
    Missing {
        /// Which stream or consumer.
        asset: String,
    },
    /// The server did not answer.
    #[error("nats-server did not answer about {asset}")]
    Unavailable {
        /// Which stream or consumer.
        asset: String,
        /// The client's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The durable consumer of a lane's tier.
pub fn queue_consumer(vp_id: &VpId, tier: Tier) -> String {
    format!("{}-{tier}", vp_id.as_str().replace('.', "-"))
}

/// Creates what is missing and verifies all: streams, buckets, and the four queues of every lane. The admin
/// step; safe to repeat.
///
/// # Errors
/// [`TopologyError`]; what was made until then stays and is verified by the next run.
pub async fn ensure(conn: &Connection, config: &TopologyConfig, lanes: &Lanes) -> Result<(), TopologyError> {
    keeps_what_lives(config)?;
    for stream in assets::streams(config) {
        verify::ensure_stream(conn, &stream).await?;
    }
    for (vp_id, lane) in lanes {
        for tier in Tier::ALL {
            verify::ensure_consumer(conn, MISSIONS, &assets::queue(vp_id, tier, lane, 1)).await?;
        }
    }
    Ok(())
}

/// Retention never eats a mission that lives.
fn keeps_what_lives(config: &TopologyConfig) -> Result<(), TopologyError> {
    if config.retention < MIN_LOG_RETENTION {
        return Err(TopologyError::TooShort { days: config.retention.as_secs() / 86_400 });
    }
    Ok(())
}

/// Looks only: everything that [`ensure`] makes is there and as it must be.
///
/// # Errors
/// [`TopologyError`], `Missing` for what is not there.
pub async fn verify(conn: &Connection, config: &TopologyConfig, lanes: &Lanes) -> Result<(), TopologyError> {
    keeps_what_lives(config)?;
    for stream in assets::streams(config) {
        verify::verify_stream(conn, &stream).await?;
    }
    for (vp_id, lane) in lanes {
        for tier in Tier::ALL {
            verify::verify_consumer(conn, MISSIONS, &assets::queue(vp_id, tier, lane, 1)).await?;
        }
    }
    Ok(())
}

/// Re-creates one lane's queues from `start_seq` (1: everything; a running mission is delivered again, which
/// changes nothing while its owner lives).
///
/// # Errors
/// As [`ensure`].
pub async fn ensure_lane(
    conn: &Connection,
    vp_id: &VpId,
    lane: &LaneProfile,
    start_seq: u64,
) -> Result<(), TopologyError> {
    for tier in Tier::ALL {
        verify::ensure_consumer(conn, MISSIONS, &assets::queue(vp_id, tier, lane, start_seq)).await?;
    }
    Ok(())
}

/// Makes or verifies the durable consumer of a session's notices.
pub(crate) async fn ensure_session(
    conn: &Connection,
    name: &str,
    filter: &str,
    ack_wait: Duration,
) -> Result<(), TopologyError> {
    verify::ensure_consumer(conn, NOTICES, &assets::session(name, filter, ack_wait)).await
}

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueState {
    /// Entries that wait.
    pub waiting: u64,
    /// Entries handed out and not settled.
    pub in_hand: u64,
    /// Pulls that wait for entries.
    pub pulls: u64,
}

/// How the queues of a lane stand, one per tier.
///
/// # Errors
/// [`TopologyError::Missing`] or `Unavailable`.
pub async fn lane_state(
    conn: &Connection,
    vp_id: &VpId,
) -> Result<BTreeMap<Tier, QueueState>, TopologyError> {
    let mut states = BTreeMap::new();
    for tier in Tier::ALL {
        let name = queue_consumer(vp_id, tier);
        let asset = format!("consumer {name}");
        let info = ask(conn, &format!("CONSUMER.INFO.{MISSIONS}.{name}"), &Value::Null).await;
        let info = info.map_err(|error| unanswered(error, asset))?;
        let number = |field: &str| info[field].as_u64().unwrap_or_default();
        let state = QueueState {
            waiting: number("num_pending"),
            in_hand: number("num_ack_pending"),
            pulls: number("num_waiting"),
        };
        states.insert(tier, state);
    }
    Ok(states)
}

/// What a failed look at `asset` means.
fn unanswered(error: ApiError, asset: String) -> TopologyError {
    if error.is(ErrorCode::STREAM_NOT_FOUND) || error.is(ErrorCode::CONSUMER_NOT_FOUND) {
        return TopologyError::Missing { asset };
    }
    TopologyError::Unavailable { asset, source: error.into() }
}
