//! The missions this process claims, runs or finalises, and what is wanted of them from outside.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use vp_nats::delivery::{Delivery, Renewer};
use vp_nats::subject::{MissionSubject, Token};
use vp_shared::ids::{Attempt, MissionId, VpId};
use vp_shared::lane::LaneProfile;
use vp_shared::mission::{EventKind, StopReason};

use crate::keeper::Vouch;

/// What is wanted of an attempt from outside; what is greater wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Nothing: run on.
    No,
    /// Stop the executor and give the mission back.
    Release,
    /// Stop the executor and conclude it as cancelled.
    Cancel,
    /// Kill the executor at once and write nothing more.
    Fenced,
}

impl From<StopReason> for Stop {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Cancel => Self::Cancel,
            StopReason::Fenced => Self::Fenced,
        }
    }
}

/// How a lane's leases are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) renew_every: Duration,
    pub(crate) self_kill_after: Duration,
}

impl Terms {
    pub(crate) fn of(lane: &LaneProfile) -> Self {
        Self { renew_every: lane.renew_every(), self_kill_after: lane.self_kill_after() }
    }
}

/// Where a lease stands.
#[derive(Debug)]
pub(crate) struct Lease {
    /// When the last renewal that was confirmed was sent.
    pub(crate) confirmed: Instant,
    /// When the next one is due.
    pub(crate) due: Instant,
    /// One is under way.
    pub(crate) busy: bool,
    /// How many in a row were not confirmed.
    pub(crate) failures: u32,
    /// When the keeper was last told.
    pub(crate) vouched: Instant,
}

/// After a hint the tail is read at once and so long after each look again: a hint can come before the event that it
/// is of can be read.
const AGAIN: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(2)];

/// When the tail is to be read again.
#[derive(Debug)]
struct Looks {
    due: Instant,
    /// How many of [`AGAIN`] are to follow.
    left: usize,
    /// Without any hint: so long after each look.
    every: Duration,
}

impl Looks {
    fn at_once(&mut self, again: usize) {
        self.due = Instant::now();
        self.left = self.left.max(again);
    }

    fn taken(&mut self) {
        let after = match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                AGAIN[AGAIN.len() - 1 - left]
            }
            None => self.every,
        };
        self.due = Instant::now() + after;
    }
}

/// A mission in this process's hands.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) mission_id: MissionId,
    pub(crate) vp_id: VpId,
    pub(crate) terms: Terms,
    pub(crate) renewer: Renewer,
    attempt: AtomicU32,
    hints: AtomicU32,
    looks: Mutex<Looks>,
    finishing: AtomicBool,
    stop: watch::Sender<Stop>,
    lease: Mutex<Lease>,
    vouch: Mutex<Option<Vouch>>,
}

impl Held {
    /// The attempt that is claimed; 0 before.
    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt.load(Ordering::Acquire)
    }

    pub(crate) fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wants the attempt to stop. False: that, or something stronger, was wanted already.
    pub(crate) fn stop(&self, wish: Stop) -> bool {
        self.stop.send_if_modified(|stop| {
            let stronger = wish > *stop;
            if stronger {
                *stop = wish;
            }
            stronger
        })
    }

    /// The tail must be read again before the lease is renewed.
    pub(crate) fn want_recheck(&self) {
        self.looks().at_once(0);
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when the tail is to be read again and there is a claim to lose.
    pub(crate) fn wants_recheck(&self) -> bool {
        self.attempt() != 0 && Instant::now() >= self.looks().due
    }

    /// True when no executor runs: what is left to write is guarded by compare-and-set alone, so a lease that ran out
    /// loses nothing, and is taken up again when it can be.
    pub(crate) fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::Acquire)
    }

    /// Takes the wish to read the tail again.
    pub(crate) fn take_recheck(&self) -> bool {
        let wanted = self.wants_recheck();
        if wanted {
            self.looks().taken();
        }
        wanted
    }

    /// The tail was read and says that the attempt is ours: the next `started` is not our own, even if the hint of our
    /// own was lost with a connection.
    pub(crate) fn seen(&self) {
        self.hints.fetch_max(1, Ordering::AcqRel);
    }

    /// Vouches for the lease to the keeper, if there is one.
    pub(crate) fn vouch(&self, left: Duration) {
        if let Some(vouch) = &*self.vouch.lock().unwrap_or_else(PoisonError::into_inner) {
            vouch.alive(left);
        }
    }

    /// How long the lease is still good for.
    pub(crate) fn left(&self) -> Duration {
        self.terms.self_kill_after.saturating_sub(self.lease().confirmed.elapsed())
    }
}

/// All missions in this process's hands.
#[derive(Debug, Default)]
pub(crate) struct HeldMissions {
    map: Mutex<HashMap<MissionId, Arc<Held>>>,
    poke: Notify,
}

impl HeldMissions {
    fn map(&self) -> MutexGuard<'_, HashMap<MissionId, Arc<Held>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a delivery's mission in hand; its lease is renewed from here on. `None`: it is in hand already.
    pub(crate) fn take(self: &Arc<Self>, delivery: &Delivery, terms: Terms) -> Option<Hold> {
        let now = Instant::now();
        let mut map = self.map();
        let was_empty = map.is_empty();
        let Entry::Vacant(place) = map.entry(delivery.subject.mission_id.clone()) else { return None };
        let held = Arc::new(Held {
            mission_id: delivery.subject.mission_id.clone(),
            vp_id: delivery.subject.vp_id.clone(),
            terms,
            renewer: delivery.renewer(),
            attempt: AtomicU32::new(0),
            hints: AtomicU32::new(0),
            // A look for each whole lease, for the hint that never came.
            looks: Mutex::new(Looks {
                due: now + 6 * terms.renew_every,
                left: 0,
                every: 6 * terms.renew_every,
            }),
            finishing: AtomicBool::new(false),
            stop: watch::Sender::new(Stop::No),
            lease: Mutex::new(Lease {
                confirmed: now,
                due: now + spread(terms.renew_every),
                busy: false,
                failures: 0,
                vouched: now,
            }),
            vouch: Mutex::new(None),
        });
        place.insert(Arc::clone(&held));
        drop(map);
        if was_empty {
            self.poke.notify_one();
        }
        Some(Hold { held, missions: Arc::clone(self) })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map().is_empty()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Held>> {
        self.map().values().cloned().collect()
    }

    /// Returns when something is to be looked at before the next round.
    pub(crate) async fn poked(&self) {
        self.poke.notified().await;
    }

    /// The tail of every mission must be read again: this worker may have been taken for dead.
    pub(crate) fn recheck_all(&self) {
        for held in self.map().values() {
            held.want_recheck();
        }
        self.poke.notify_one();
    }

    /// Wants all attempts to stop.
    pub(crate) fn stop_all(&self, wish: Stop) {
        for held in self.map().values() {
            held.stop(wish);
        }
    }

    /// Wants all attempts of a lane to stop.
    pub(crate) fn stop_lane(&self, vp_id: &VpId, wish: Stop) {
        for held in self.map().values().filter(|held| held.vp_id == *vp_id) {
            held.stop(wish);
        }
    }

    /// Something was published on a mission's subject, or was tried to.
    pub(crate) fn hint(&self, subject: &MissionSubject) {
        let map = self.map();
        let Some(held) = map.get(&subject.mission_id) else { return };
        // The first `started` since the mission is in hand is our own claim. A foreign one comes beside it.
        if subject.token == Token::Event(EventKind::Started) && held.hints.fetch_add(1, Ordering::AcqRel) == 0
        {
            return;
        }
        held.looks().at_once(AGAIN.len());
        drop(map);
        self.poke.notify_one();
    }

    /// True when the mission is in hand.
    pub(crate) fn has(&self, mission_id: &MissionId) -> bool {
        self.map().contains_key(mission_id)
    }

    /// The lane and the attempt of a mission in hand; the attempt is 0 before the claim.
    pub(crate) fn attempt_of(&self, mission_id: &MissionId) -> Option<(VpId, Attempt)> {
        self.map().get(mission_id).map(|held| (held.vp_id.clone(), held.attempt()))
    }
}

/// A mission in hand; dropped, it is let go.
#[derive(Debug)]
pub(crate) struct Hold {
    held: Arc<Held>,
    missions: Arc<HeldMissions>,
}

impl Hold {
    /// The claim is stored: from here on the attempt can be lost to another worker.
    pub(crate) fn claimed(&self, attempt: Attempt) {
        self.held.attempt.store(attempt, Ordering::Release);
        if self.held.wants_recheck() {
            self.missions.poke.notify_one();
        }
    }

    /// No executor runs (any more).
    pub(crate) fn executor_ended(&self) {
        self.held.finishing.store(true, Ordering::Release);
    }

    /// What is wanted from outside, as it changes.
    pub(crate) fn stops(&self) -> watch::Receiver<Stop> {
        self.held.stop.subscribe()
    }

    /// What is wanted from outside now.
    pub(crate) fn wanted(&self) -> Stop {
        *self.held.stop.borrow()
    }

    /// Vouches for the lease to this keeper from now on.
    pub(crate) fn vouch_to(&self, vouch: Vouch) {
        vouch.alive(self.left());
        *self.held.vouch.lock().unwrap_or_else(PoisonError::into_inner) = Some(vouch);
    }

    /// The keeper is done.
    pub(crate) fn vouch_no_more(&self) {
        *self.held.vouch.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How long the lease is still good for.
    pub(crate) fn left(&self) -> Duration {
        self.held.left()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.missions.map().remove(&self.held.mission_id);
    }
}

/// A moment between a half and the whole of `every`, so that leases taken together are not renewed together.
fn spread(every: Duration) -> Duration {
    every.mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hint_is_looked_at_at_once_and_again_because_it_may_come_before_its_event() {
        let every = Duration::from_secs(30);
        let mut looks = Looks { due: Instant::now() + every, left: 0, every };
        looks.at_once(AGAIN.len());
        let mut pauses = Vec::new();
        for _ in 0..5 {
            let before = Instant::now();
            tokio::time::sleep_until(looks.due).await;
            pauses.push(before.elapsed());
            looks.taken();
        }
        assert_eq!(pauses, [Duration::ZERO, AGAIN[0], AGAIN[1], AGAIN[2], every]);
    }
}
