//! Saying that this worker lives, and making sure that it is the only one of its name.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use vp_nats::connect::Connection;
use vp_nats::presence::{self, PRESENCE_EVERY, PRESENCE_TTL};
use vp_shared::api::{LanePresence, Presence};
use vp_shared::error::Chain;
use vp_shared::event::WorkerRef;
use vp_shared::time::UtcTime;

use crate::error::WorkerError;
use crate::held::Stop;
use crate::name::{self, NameLock};
use crate::process;
use crate::run::Lane;
use crate::worker::Shared;

/// How long a start waits for the presence of an earlier life to expire.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(6);
const PREDECESSOR_POLL: Duration = Duration::from_millis(100);

/// Waits until no other process lives under this name; not for a former life on this host that has certainly ended.
/// Returns the lock on the name, and what [`first`] is to replace.
pub(crate) async fn be_the_only_one(
    conn: &Connection,
    me: &WorkerRef,
    workspace_root: &Path,
) -> Result<(NameLock, u64), WorkerError> {
    let deadline = Instant::now() + PREDECESSOR_PATIENCE;
    let taken = |host| WorkerError::IdentityTaken { worker_id: me.worker_id.clone(), host };
    loop {
        let trouble = match name::take(workspace_root, &me.worker_id) {
            // Frozen perhaps, with its presence expired; its executors may run on.
            None => taken(me.host.clone()),
            Some(lock) => match presence::glimpse(conn, &me.worker_id).await {
                Ok((None, seen)) => return Ok((lock, seen)),
                Ok((Some(found), seen)) if found.process.as_ref().is_some_and(process::is_dead) => {
                    tracing::info!(worker_id = %me.worker_id, "its former life on this host has ended");
                    return Ok((lock, seen));
                }
                Ok((Some(found), _)) => taken(found.worker.host),
                Err(source) => WorkerError::Presence { worker_id: me.worker_id.clone(), source },
            },
        };
        if Instant::now() >= deadline {
            return Err(trouble);
        }
        sleep(PREDECESSOR_POLL).await;
    }
}

/// The host on which another process lives under this name.
async fn other_life(conn: &Connection, me: &WorkerRef) -> Result<Option<String>, WorkerError> {
    match presence::lookup(conn, &me.worker_id).await {
        Ok(Some(found)) if found.worker.incarnation != me.incarnation => Ok(Some(found.worker.host)),
        Ok(_) => Ok(None),
        Err(source) => Err(WorkerError::Presence { worker_id: me.worker_id.clone(), source }),
    }
}

/// Says it once, over what was `seen` of an earlier life: of two that start at once, one is refused.
pub(crate) async fn first(
    shared: &Shared,
    lanes: &[Arc<Lane>],
    since: UtcTime,
    seen: u64,
) -> Result<(), WorkerError> {
    let trouble = |source| WorkerError::Presence { worker_id: shared.me.worker_id.clone(), source };
    presence::announce_over(&shared.conn, &now(shared, lanes, since), seen).await.map_err(trouble)?;
    match other_life(&shared.conn, &shared.me).await? {
        Some(host) => Err(WorkerError::IdentityTaken { worker_id: shared.me.worker_id.clone(), host }),
        None => Ok(()),
    }
}

/// Says it each second until `end`, then takes it back.
pub(crate) async fn keep(
    shared: Arc<Shared>,
    lanes: Vec<Arc<Lane>>,
    since: UtcTime,
    end: CancellationToken,
) -> Result<(), WorkerError> {
    let mut seconds = interval(PRESENCE_EVERY);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut confirmed = Instant::now();
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = seconds.tick() => {}
        }
        if confirmed.elapsed() + PRESENCE_EVERY > PRESENCE_TTL {
            // Others may have seen the key expire: whatever is in hand may be theirs, and so may the name.
            match other_life(&shared.conn, &shared.me).await {
                Ok(None) => shared.held.recheck_all(),
                Ok(Some(host)) => {
                    shared.held.stop_all(Stop::Fenced);
                    return Err(WorkerError::IdentityTaken { worker_id: shared.me.worker_id.clone(), host });
                }
                Err(error) => {
                    tracing::warn!(worker_id = %shared.me.worker_id, error = %Chain(&error), "presence is unknown");
                    continue;
                }
            }
        }
        let sent = Instant::now();
        match presence::announce(&shared.conn, &now(&shared, &lanes, since)).await {
            Ok(()) => confirmed = sent,
            Err(error) => {
                tracing::debug!(worker_id = %shared.me.worker_id, error = %Chain(&error), "presence was not confirmed");
            }
        }
    }
    if let Err(error) = presence::withdraw(&shared.conn, &shared.me.worker_id).await {
        tracing::warn!(worker_id = %shared.me.worker_id, error = %Chain(&error), "the presence key is left to expire");
    }
    Ok(())
}

fn now(shared: &Shared, lanes: &[Arc<Lane>], since: UtcTime) -> Presence {
    let lanes = lanes.iter().map(|lane| LanePresence {
        vp_id: lane.vp_id.clone(),
        slots: lane.profile.slots,
        busy: lane.busy(),
        starved_since: lane.supply.starved_since(),
        mode: lane.mode(),
    });
    Presence {
        worker: shared.me.clone(),
        lanes: lanes.collect(),
        since,
        draining: shared.draining.load(Ordering::Relaxed),
        workspaces: shared.swept.now(),
        process: shared.process.clone(),
    }
}
