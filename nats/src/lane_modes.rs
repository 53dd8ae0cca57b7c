//! Whether lanes start missions: a key per lane in a bucket, set by operators and followed by workers.
//!
//! A lane without a key is open, and so is every lane while there is no bucket: missions must not wait for a bucket
//! that nobody has made.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use tokio::time::{Instant, sleep};
use vp_shared::ids::VpId;
use vp_shared::lane::{LaneMode, LaneModeRecord};
use vp_shared::retry::RetryDelay;

use crate::ack::is_marker;
use crate::api::{self, ApiError, Pick, read_message};
use crate::connect::Connection;
use crate::headers::key_unchanged_since;
use crate::reader::feed::{Feed, Heard};
use crate::reader::{Record, Start};
use crate::retry::Delays;
use crate::subject::{lane_mode_key, lane_of_mode_key};

/// The stream under the bucket.
const STREAM: &str = "KV_LANES";
/// A read or write that is not answered by then is tried again by whoever wants it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a mode is set over what somebody else has set meanwhile.
const TRIES: usize = 8;
/// Keys of one look.
const BATCH: usize = 256;
/// How long a wait for changes lasts before it begins anew; changes end it at once.
const WAIT: Duration = Duration::from_hours(1);
/// How long a server must say that there is no bucket until that is believed: one that starts may not know yet.
const BELIEVED_AFTER: Duration = Duration::from_secs(1);
/// How a bucket that cannot be read is looked for again.
const LOOK_AGAIN: RetryDelay = RetryDelay { initial_ms: 50, multiplier: 2.0, max_ms: 5_000, jitter: 0.5 };

/// Why a lane's mode could not be set or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaneModeError {
    /// There is no bucket: all lanes are open.
    #[error(
        "the bucket of the lanes' modes does not exist: run `vp up`, or `vp lanes --apply` with admin credentials"
    )]
    NoBucket,
    /// The server did not answer, or not well.
    #[error("could not {what}: {why}")]
    Failed {
        /// What was attempted.
        what: &'static str,
        /// The server's or the client's words.
        why: String,
    },
}

impl LaneModeError {
    fn of(what: &'static str, error: &ApiError) -> Self {
        if error.is(ErrorCode::STREAM_NOT_FOUND) {
            return Self::NoBucket;
        }
        Self::Failed { what, why: error.to_string() }
    }
}

/// The lane's mode, from the bucket's leader. `None`: it was never set, so it is open.
///
/// # Errors
/// [`LaneModeError`].
pub async fn lookup(conn: &Connection, vp_id: &VpId) -> Result<Option<LaneModeRecord>, LaneModeError> {
    const WHAT: &str = "look up a lane's mode";
    let (found, _) = read(conn, vp_id, WHAT).await?;
    found.map_err(|error| LaneModeError::Failed { what: WHAT, why: error.to_string() })
}

/// The record or why it cannot be read, and the sequence of the key's last message; 0 when there is none.
async fn read(
    conn: &Connection,
    vp_id: &VpId,
    what: &'static str,
) -> Result<(serde_json::Result<Option<LaneModeRecord>>, u64), LaneModeError> {
    let found = read_message(conn, STREAM, Pick::Last(&lane_mode_key(vp_id)), PATIENCE).await;
    Ok(match found.map_err(|error| LaneModeError::of(what, &error))? {
        Some(message) if is_marker(&message.headers) => (Ok(None), message.seq),
        Some(message) => (serde_json::from_slice(&message.payload).map(Some), message.seq),
        None => (Ok(None), 0),
    })
}

/// Sets a lane's mode, unless it is so already. Of two who set it at once, the later one sets it over the other's.
/// Returns what it is now, and whether that was changed.
///
/// # Errors
/// [`LaneModeError`]; it may be set all the same when nothing was heard. Setting it again is safe.
pub async fn set(
    conn: &Connection,
    vp_id: &VpId,
    wanted: LaneModeRecord,
) -> Result<(Option<LaneModeRecord>, bool), LaneModeError> {
    const WHAT: &str = "set a lane's mode";
    let failed = |why: String| LaneModeError::Failed { what: WHAT, why };
    let body = serde_json::to_vec(&wanted).map_err(|error| failed(error.to_string()))?;
    for delay in Delays::new(&RetryDelay::REQUEST).take(TRIES) {
        let (current, seq) = read(conn, vp_id, WHAT).await?;
        // What cannot be read is replaced.
        if let Ok(current) = current
            && wanted.is_already(current.as_ref())
        {
            return Ok((current, false));
        }
        let (key, body) = (lane_mode_key(vp_id), body.clone().into());
        match api::put(conn, key, key_unchanged_since(seq), body, PATIENCE).await {
            Ok(()) => return Ok((Some(wanted), true)),
            Err(error) if somebody_wrote(&error) => sleep(delay).await,
            Err(error) => return Err(LaneModeError::of(WHAT, &error)),
        }
    }
    Err(failed("others kept setting it".to_owned()))
}

fn somebody_wrote(error: &ApiError) -> bool {
    error.is(ErrorCode::STREAM_WRONG_LAST_SEQUENCE)
        || error.is(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
}

/// The modes of all lanes that have one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaneModes(BTreeMap<VpId, LaneModeRecord>);

impl LaneModes {
    /// Whether the lane starts missions.
    pub fn of(&self, vp_id: &VpId) -> LaneMode {
        self.0.get(vp_id).map_or(LaneMode::Open, |record| record.mode)
    }

    /// Takes keys' messages; one that cannot be read leaves its lane as it was `before`.
    fn follow(&mut self, records: &[Record], before: &Self) {
        for record in records {
            self.take(record, before);
        }
    }

    fn take(&mut self, record: &Record, before: &Self) {
        let Some(vp_id) = lane_of_mode_key(&record.subject) else { return };
        if record.deleted {
            self.0.remove(&vp_id);
            return;
        }
        match serde_json::from_slice::<LaneModeRecord>(&record.payload) {
            Ok(mode) => {
                self.0.insert(vp_id, mode);
            }
            Err(error) => {
                tracing::error!(%vp_id, seq = record.seq, %error, "a lane's mode that cannot be read: it stays as it was");
                if let Some(mode) = before.0.get(&vp_id) {
                    self.0.entry(vp_id).or_insert_with(|| mode.clone());
                }
            }
        }
    }
}

/// Follows the modes of all lanes. Pushed by the server; looked at again as a whole after a lost connection, a server
/// that was restarted, and a bucket that was made again.
#[derive(Debug)]
pub struct LaneModeWatch {
    conn: Connection,
    /// `None` until all has been looked at.
    feed: Option<Feed>,
    known: LaneModes,
    delays: Delays,
    /// Since when the server says that there is no bucket.
    missing_since: Option<Instant>,
    /// That is believed.
    gone: bool,
}

impl LaneModeWatch {
    /// Begins; the first [`next`](Self::next) tells of all lanes.
    pub fn new(conn: &Connection) -> Self {
        Self {
            conn: conn.clone(),
            feed: None,
            known: LaneModes::default(),
            delays: Delays::new(&LOOK_AGAIN),
            missing_since: None,
            gone: false,
        }
    }

    /// How all lanes are, at once the first time and then when something may have changed. While the server does not
    /// answer nothing has: a lane stays as it was. Cancel safe.
    pub async fn next(&mut self) -> LaneModes {
        loop {
            match &mut self.feed {
                None => match self.look().await {
                    Ok(()) => return self.known.clone(),
                    Err(error) => {
                        if self.lost(&error) {
                            return self.known.clone();
                        }
                        sleep(self.delays.next().unwrap_or(LOOK_AGAIN.max())).await;
                    }
                },
                Some(feed) => match feed.next(BATCH, Instant::now() + WAIT).await {
                    Heard::Records(records) => {
                        let before = self.known.clone();
                        self.known.follow(&records, &before);
                        return self.known.clone();
                    }
                    Heard::Nothing => {}
                    Heard::Ended(why) => {
                        tracing::debug!(why, "looking at the lanes' modes again");
                        self.feed = None;
                    }
                },
            }
        }
    }

    /// Looks at all keys, and goes on behind them.
    async fn look(&mut self) -> Result<(), ApiError> {
        let mut feed = Feed::open(&self.conn, STREAM, &[], Start::LastPerSubject).await?;
        let mut known = LaneModes::default();
        let deadline = Instant::now() + PATIENCE;
        while feed.pending() > 0 {
            match feed.next(BATCH, deadline).await {
                Heard::Records(records) => known.follow(&records, &self.known),
                Heard::Nothing => return Err(ApiError::TimedOut(PATIENCE)),
                Heard::Ended(why) => return Err(ApiError::Client(why)),
            }
        }
        self.missing_since = None;
        if std::mem::take(&mut self.gone) {
            tracing::warn!("the bucket of the lanes' modes is there again");
        }
        (self.known, self.feed) = (known, Some(feed));
        self.delays = Delays::new(&LOOK_AGAIN);
        Ok(())
    }

    /// What a look that failed means; true when all lanes are open by it, and were not known to be.
    fn lost(&mut self, error: &ApiError) -> bool {
        if !error.is(ErrorCode::STREAM_NOT_FOUND) {
            tracing::debug!(%error, "the lanes' modes could not be looked at");
            self.missing_since = None;
            return false;
        }
        let since = *self.missing_since.get_or_insert_with(Instant::now);
        if self.gone || since.elapsed() < BELIEVED_AFTER {
            return false;
        }
        (self.known, self.gone) = (LaneModes::default(), true);
        tracing::error!(error = %LaneModeError::NoBucket, "no lane can be paused: all are open");
        true
    }
}
