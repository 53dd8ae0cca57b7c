//! What the server tells of itself to an ordinary account: replicas, clock, versions, limits. For `vp doctor`.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use serde_json::Value;
use tokio::time::Instant;
use vp_shared::time::UtcTime;

use crate::api::ask;
use crate::clock;
use crate::connect::Connection;

/// How a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHealth {
    /// Its name.
    pub name: String,
    /// How many copies it is configured to have.
    pub replicas: u64,
    /// Who leads it, where it is replicated.
    pub leader: Option<String>,
    /// Its other copies.
    pub peers: Vec<Peer>,
    /// The version of the server that answered for it: its leader.
    pub version: Option<String>,
    /// How far that server's clock is ahead of this host's, in milliseconds; negative when behind.
    pub clock_ahead_ms: Option<i64>,
    /// How wrong that may be: half of the time the answer took.
    pub clock_error_ms: i64,
}

/// Another copy of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The server.
    pub name: String,
    /// It has everything.
    pub current: bool,
    /// It is not there.
    pub offline: bool,
}

/// What the account uses, and may. A limit that is `None` is none of the account's: the server's own is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountUse {
    /// Bytes in files.
    pub storage: u64,
    /// At most so many.
    pub max_storage: Option<u64>,
    /// Bytes in memory.
    pub memory: u64,
    /// At most so many.
    pub max_memory: Option<u64>,
    /// Streams.
    pub streams: u64,
    /// At most so many.
    pub max_streams: Option<u64>,
    /// Consumers.
    pub consumers: u64,
    /// At most so many.
    pub max_consumers: Option<u64>,
}

/// Why the server could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("could not look at {what}: {why}")]
pub struct HealthError {
    what: String,
    why: String,
}

/// How a stream stands; `None` when there is none of that name.
///
/// # Errors
/// [`HealthError`].
pub async fn stream(conn: &Connection, name: &str) -> Result<Option<StreamHealth>, HealthError> {
    let (asked, before) = (Instant::now(), clock::now());
    let info = match ask(conn, &format!("STREAM.INFO.{name}"), &Value::Null).await {
        Ok(info) => info,
        Err(error) if error.is(ErrorCode::STREAM_NOT_FOUND) => return Ok(None),
        Err(error) => return Err(HealthError { what: format!("stream {name}"), why: error.to_string() }),
    };
    Ok(Some(health_of(name, &info, before, asked.elapsed())))
}

fn health_of(name: &str, info: &Value, before: UtcTime, took: Duration) -> StreamHealth {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let peers = info["cluster"]["replicas"].as_array().into_iter().flatten().map(|peer| Peer {
        name: text(&peer["name"]).unwrap_or_default(),
        current: peer["current"].as_bool().unwrap_or_default(),
        offline: peer["offline"].as_bool().unwrap_or_default(),
    });
    let half = took / 2;
    let here = before.plus(half);
    let there = info["ts"].as_str().and_then(|text| UtcTime::parse(text).ok());
    StreamHealth {
        name: name.to_owned(),
        replicas: info["config"]["num_replicas"].as_u64().unwrap_or(1),
        leader: text(&info["cluster"]["leader"]),
        peers: peers.collect(),
        version: text(&info["config"]["metadata"]["_nats.ver"]),
        clock_ahead_ms: there.map(|there| (there.as_micros() - here.as_micros()) / 1000),
        clock_error_ms: i64::try_from(half.as_millis()).unwrap_or(i64::MAX),
    }
}

/// What the account uses, and may.
///
/// # Errors
/// [`HealthError`].
pub async fn account(conn: &Connection) -> Result<AccountUse, HealthError> {
    let info = ask(conn, "INFO", &Value::Null).await;
    let info = info
        .map_err(|error| HealthError { what: "the account's limits".to_owned(), why: error.to_string() })?;
    let number = |field: &str| info[field].as_u64().unwrap_or_default();
    // Without a limit it says -1.
    let limit = |field: &str| info["limits"][field].as_u64().filter(|limit| *limit > 0);
    Ok(AccountUse {
        storage: number("storage"),
        max_storage: limit("max_storage"),
        memory: number("memory"),
        max_memory: limit("max_memory"),
        streams: number("streams"),
        max_streams: limit("max_streams"),
        consumers: number("consumers"),
        max_consumers: limit("max_consumers"),
    })
}

/// The largest message that the server takes, in bytes.
pub fn max_payload(conn: &Connection) -> usize {
    conn.client().server_info().max_payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_compared_with_the_middle_of_the_question() {
        let before = UtcTime::from_micros(1_700_000_000_000_000);
        let there = before.plus(Duration::from_millis(5_100));
        let info = serde_json::json!({ "ts": there, "config": { "num_replicas": 3, "metadata": { "_nats.ver": "2.15.1" } },
            "cluster": { "leader": "n1", "replicas": [{ "name": "n2", "current": false, "offline": true }] } });
        let health = health_of("S", &info, before, Duration::from_millis(200));
        assert_eq!((health.clock_ahead_ms, health.clock_error_ms), (Some(5_000), 100));
        assert_eq!((health.replicas, health.leader.as_deref()), (3, Some("n1")));
        assert_eq!(health.peers, [Peer { name: "n2".to_owned(), current: false, offline: true }]);
        assert_eq!(health.version.as_deref(), Some("2.15.1"));
    }
}
