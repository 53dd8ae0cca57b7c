//! The lease duty: renews all deliveries in hand, and looks whether they are still ours.
//!
//! One task for the whole process. It waits for no executor, disk or ledger; requests run beside it, each with a
//! short limit. Rules:
//! - a lease is good for `self_kill_after` from the moment the last confirmed renewal was *sent*;
//! - after a reconnect, a hint, or a pause in which this worker may have been taken for dead, the tail is read
//!   before the next renewal, and only the fold of the tail says fenced;
//! - an attempt whose executor has ended can lose nothing by a lease that ran out: what is left to write is guarded
//!   by compare-and-set, and the lease is taken up again when the queue answers;
//! - a renewal that fails while the log can be read and says that the mission is ours is a queue that was
//!   deleted, not a lost lease: the attempt runs on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_shared::error::Chain;
use vp_shared::mission::{Command, Effect, decide};

use crate::held::{Held, Stop};
use crate::worker::Shared;

/// The limit of a renewal.
const RENEW_TIMEOUT: Duration = Duration::from_secs(1);
/// How soon one that was not confirmed is tried again.
const RENEW_RETRY: Duration = Duration::from_millis(200);
/// The limit of a look at the tail.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a keeper is told that the lease is sound.
const VOUCH_EVERY: Duration = Duration::from_secs(1);
/// A pause this long between two rounds means that the process was stopped, and may have been taken for dead.
const PAUSE: Duration = Duration::from_secs(2);

/// Renews until `end`.
pub(crate) async fn keep(shared: Arc<Shared>, end: CancellationToken) {
    let mut state = shared.conn.state();
    let mut generation = state.borrow_and_update().generation;
    let mut under_way: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
    let mut rounds = interval(round_every(&shared));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_round = Instant::now();
    loop {
        let idle = under_way.is_empty() && shared.held.is_empty();
        tokio::select! {
            () = end.cancelled() => return,
            changed = state.changed() => {
                let now = *state.borrow_and_update();
                if changed.is_err() || now.closed {
                    // No renewal can be confirmed any more; each lease ends by its own time.
                    end.cancelled().await;
                    return;
                }
                if now.generation != generation {
                    generation = now.generation;
                    shared.held.recheck_all();
                }
            }
            () = shared.held.poked() => {}
            Some(()) = under_way.next() => continue,
            _ = rounds.tick(), if !idle => {}
        }
        let now = Instant::now();
        if !idle && now - last_round > PAUSE {
            tracing::warn!(paused = ?(now - last_round), "the worker was paused and looks at its missions again");
            shared.held.recheck_all();
        }
        last_round = now;
        for held in shared.held.all() {
            if turn(&held, now) {
                under_way.push(Box::pin(renew(&shared, held)));
            }
        }
    }
}

/// Short enough for the shortest lease, long enough to cost nothing.
fn round_every(shared: &Shared) -> Duration {
    let shortest = shared.config.lanes.values().map(|lane| lane.renew_every() / 4).min();
    shortest.unwrap_or(RENEW_RETRY).clamp(Duration::from_millis(20), RENEW_RETRY)
}

/// Looks at one lease. True when it is to be renewed now.
fn turn(held: &Held, now: Instant) -> bool {
    let mut lease = held.lease();
    let age = now.saturating_duration_since(lease.confirmed);
    if age >= held.terms.self_kill_after && !held.is_finishing() {
        drop(lease);
        lose(held, age);
        return false;
    }
    if now.saturating_duration_since(lease.vouched) >= VOUCH_EVERY.min(held.terms.renew_every) {
        lease.vouched = now;
        drop(lease);
        held.vouch(held.terms.self_kill_after.saturating_sub(age));
        lease = held.lease();
    }
    let due = now >= lease.due || (held.wants_recheck() && lease.failures == 0);
    if due && !lease.busy {
        lease.busy = true;
        return true;
    }
    false
}

fn lose(held: &Held, age: Duration) {
    if !held.stop(Stop::Fenced) {
        return;
    }
    tracing::error!(
        mission_id = %held.mission_id, vp_id = %held.vp_id, attempt = held.attempt(), unconfirmed_for = ?age,
        "the lease is lost, the executor is killed"
    );
}

/// One renewal, with a look at the tail first where one is due.
async fn renew(shared: &Shared, held: Arc<Held>) {
    let limit = RENEW_TIMEOUT.min(held.terms.self_kill_after / 3);
    if held.take_recheck() && !still_ours(shared, &held).await {
        // Not known, or no longer ours: not renewed. Asked again soon, unless it is fenced.
        held.want_recheck();
        failed(&held);
        return;
    }
    let sent = Instant::now();
    match held.renewer.renew(limit).await {
        Ok(()) => confirmed(&held, sent),
        Err(error) => {
            tracing::debug!(
                mission_id = %held.mission_id, vp_id = %held.vp_id, attempt = held.attempt(),
                error = %Chain(&error), "a renewal was not confirmed"
            );
            let late =
                sent.saturating_duration_since(held.lease().confirmed) > held.terms.self_kill_after / 2;
            let looked = Instant::now();
            if late && held.attempt() != 0 && still_ours(shared, &held).await {
                tracing::warn!(
                    mission_id = %held.mission_id, vp_id = %held.vp_id, attempt = held.attempt(),
                    error = %Chain(&error),
                    "the queue does not answer but the log says the mission is ours: it runs on"
                );
                confirmed(&held, looked);
            } else {
                failed(&held);
            }
        }
    }
}

fn confirmed(held: &Held, sent: Instant) {
    let mut lease = held.lease();
    lease.confirmed = lease.confirmed.max(sent);
    lease.due = sent + held.terms.renew_every;
    lease.failures = 0;
    lease.busy = false;
}

fn failed(held: &Held) {
    let mut lease = held.lease();
    lease.due = Instant::now() + RENEW_RETRY.min(held.terms.renew_every);
    lease.failures += 1;
    lease.busy = false;
}

/// Reads the tail and passes on what it says. True when it says that the attempt is ours.
async fn still_ours(shared: &Shared, held: &Held) -> bool {
    let limit = LOOK_TIMEOUT.min(held.terms.self_kill_after / 2);
    let logged = match timeout(limit, shared.log.read(&held.vp_id, &held.mission_id)).await {
        Ok(Ok(logged)) => logged,
        Ok(Err(error)) => {
            tracing::warn!(
                mission_id = %held.mission_id, vp_id = %held.vp_id, error = %Chain(&error), "could not look at the mission"
            );
            return false;
        }
        Err(_) => return false,
    };
    let command = Command::Observe { attempt: held.attempt(), worker: &shared.me };
    let mut ours = true;
    for effect in decide(logged.as_ref().map(|logged| &logged.mission), command, clock::now()) {
        if let Effect::Stop(reason) = effect {
            let wish = Stop::from(reason);
            ours &= wish != Stop::Fenced;
            if held.stop(wish) {
                tracing::info!(
                    mission_id = %held.mission_id, vp_id = %held.vp_id, attempt = held.attempt(), ?wish,
                    "the mission is to be stopped"
                );
            }
        }
    }
    if ours {
        held.seen();
    }
    ours
}
