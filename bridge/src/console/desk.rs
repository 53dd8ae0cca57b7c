//! What every page works with.

use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vp_nats::connect::Connection;
use vp_shared::door::Guard;
use vp_shared::ids::VpId;
use vp_shared::lane::Lanes;

use super::refused::Refused;
use crate::ledger::Ledger;
use crate::status::{BridgeStatus, StatusBoard};

/// How many pages read the ledger at a time: the doors' questions have connections of their own to spare.
const READS: usize = 3;
/// How many files are read at a time.
const FILES: usize = 4;
/// How many pages are kept up to date at a time.
const LIVE: usize = 64;
/// How many requests are answered at a time.
const REQUESTS: usize = 128;
/// How long a page waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// How long open pages may take to end when the bridge stops.
const LATE: Duration = Duration::from_secs(3);

/// Where the bridge lays the ledger while it holds it. What takes it from here does not keep it open: a bridge that
/// has lost the ledger lets go of it.
#[derive(Debug, Clone)]
pub(crate) struct Shelf(watch::Sender<Weak<Ledger>>);

impl Shelf {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Weak::new()))
    }

    pub(crate) fn lay(&self, ledger: &Arc<Ledger>) {
        self.0.send_replace(Arc::downgrade(ledger));
    }
}

/// What every page works with. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Desk(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) conn: Connection,
    pub(crate) lanes: Lanes,
    pub(crate) guard: Guard,
    pub(crate) host: String,
    pub(crate) stop: CancellationToken,
    shelf: Shelf,
    status: StatusBoard,
    /// Signs the forms of this process.
    secret: [u8; 32],
    reads: Arc<Semaphore>,
    files: Arc<Semaphore>,
    live: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

impl Deref for Desk {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The ledger, for as long as a page reads it.
#[derive(Debug)]
pub(crate) struct Reading {
    ledger: Arc<Ledger>,
    _turn: OwnedSemaphorePermit,
}

impl Deref for Reading {
    type Target = Ledger;
    fn deref(&self) -> &Ledger {
        &self.ledger
    }
}

impl Desk {
    pub(crate) fn new(
        conn: Connection,
        lanes: Lanes,
        config: super::ConsoleConfig,
        shelf: Shelf,
        status: StatusBoard,
        stop: CancellationToken,
    ) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self(Arc::new(Inner {
            conn,
            lanes,
            guard: config.guard,
            host: config.host,
            stop,
            shelf,
            status,
            secret: rand::random(),
            reads: places(READS),
            files: places(FILES),
            live: places(LIVE),
            requests: places(REQUESTS),
        }))
    }

    /// The ledger, when it is this bridge's.
    pub(crate) async fn ledger(&self) -> Result<Reading, Refused> {
        let turn = turn(&self.reads).await?;
        let ledger = self.shelf.0.borrow().upgrade().ok_or(Refused::StandingBy)?;
        Ok(Reading { ledger, _turn: turn })
    }

    /// A turn to read files.
    pub(super) async fn file_turn(&self) -> Result<OwnedSemaphorePermit, Refused> {
        turn(&self.files).await
    }

    /// A place among the pages that are kept up to date.
    pub(super) fn live_place(&self) -> Result<OwnedSemaphorePermit, Refused> {
        Arc::clone(&self.live).try_acquire_owned().map_err(|_| Refused::Busy)
    }

    /// A place among the requests that are answered now.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Refused> {
        Arc::clone(&self.requests).try_acquire_owned().map_err(|_| Refused::Busy)
    }

    /// How the bridge is, now and as it changes.
    pub(super) fn status(&self) -> watch::Receiver<BridgeStatus> {
        self.status.subscribe()
    }

    /// What a lane is called.
    pub(super) fn lane_name(&self, vp_id: &VpId) -> String {
        self.lanes.get(vp_id).map_or_else(|| vp_id.to_string(), |lane| lane.display_name.clone())
    }

    /// What a form of ours holds: nobody else can make one for this act, this mission and this showing.
    pub(super) fn form_token(&self, act: &str, about: &str, nonce: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        for part in [act, about, nonce] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        // The secret is hashed again at the end, so that no one can go on from a token.
        hash.update(self.secret);
        hex(&hash.finalize())
    }

    /// Ends a little after the stop: a page that does not end by itself then is cut off.
    pub(super) async fn closed_late(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        tokio::time::sleep(LATE).await;
    }
}

async fn turn(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Refused> {
    let turn = timeout(TURN, Arc::clone(places).acquire_owned()).await;
    turn.ok().and_then(Result::ok).ok_or(Refused::Busy)
}

/// A fresh name for one showing of a form.
pub(super) fn nonce() -> String {
    hex(&rand::random::<[u8; 12]>())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
