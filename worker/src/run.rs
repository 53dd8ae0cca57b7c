//! A lane's loop: a free slot asks the tiers in turn, an entry takes the slot.
//!
//! A tier with a pull that stands at the server is known to be empty, so under a backlog a slot costs one request,
//! and none while nothing waits. Nothing is fetched that has no slot: an entry that comes when all are taken goes
//! back at once, and its tier is asked again when a slot is free.
//!
//! While an operator has closed the lane nothing is asked and nothing stands. What runs goes on; when the lane is
//! draining it is given back after the drain time.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::pending;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use vp_nats::delivery::Delivery;
use vp_shared::error::Chain;
use vp_shared::ids::VpId;
use vp_shared::lane::{LaneMode, LaneProfile};

use crate::claim;
use crate::held::{Stop, Terms};
use crate::queues::{Arrival, Queues};
use crate::starved::Supply;
use crate::turns::Turns;
use crate::worker::Shared;

/// How often what has not ended in the drain time is told to end: an attempt may just have begun.
const RELEASE_AGAIN: Duration = Duration::from_secs(1);

/// A lane as this worker serves it.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) shared: Arc<Shared>,
    pub(crate) vp_id: VpId,
    pub(crate) profile: LaneProfile,
    pub(crate) terms: Terms,
    pub(crate) supply: Supply,
    mode: watch::Sender<LaneMode>,
    slots: Arc<Semaphore>,
    /// How many slots attempts have; a free one that the loop holds for the next entry does not count.
    taken: Arc<AtomicU32>,
    finishing: Arc<Semaphore>,
}

/// An attempt's place in its lane; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    permit: OwnedSemaphorePermit,
    taken: Option<Taken>,
    finishing: Arc<Semaphore>,
}

/// Counts a slot that is taken, as long as it is there.
#[derive(Debug)]
struct Taken(Arc<AtomicU32>);

impl Taken {
    fn new(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slot {
    /// The executor has ended: the slot is free for the next one. What is left to write down is bounded apart,
    /// by as many as there are slots; when that is full the slot is kept.
    pub(crate) fn executor_ended(&mut self) {
        if let Ok(permit) = Arc::clone(&self.finishing).try_acquire_owned() {
            self.permit = permit;
            self.taken = None;
        }
    }
}

impl Lane {
    pub(crate) fn new(shared: Arc<Shared>, vp_id: VpId, profile: LaneProfile) -> Self {
        let slots = slots(&profile);
        Self {
            shared,
            vp_id,
            terms: Terms::of(&profile),
            profile,
            supply: Supply::new(),
            mode: watch::Sender::default(),
            slots: Arc::new(Semaphore::new(slots)),
            taken: Arc::default(),
            finishing: Arc::new(Semaphore::new(slots)),
        }
    }

    /// How many slots are taken.
    pub(crate) fn busy(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether it starts missions.
    pub(crate) fn mode(&self) -> LaneMode {
        *self.mode.borrow()
    }

    /// Lets it start missions or not.
    pub(crate) fn set_mode(&self, mode: LaneMode) {
        let changed = self.mode.send_if_modified(|now| std::mem::replace(now, mode) != mode);
        if changed {
            // What waited meanwhile was not kept from it.
            self.supply.served();
            tracing::info!(vp_id = %self.vp_id, %mode, "the lane's mode has changed");
        }
    }

    fn slot(&self, permit: OwnedSemaphorePermit) -> Slot {
        Slot { permit, taken: Some(Taken::new(&self.taken)), finishing: Arc::clone(&self.finishing) }
    }
}

fn slots(profile: &LaneProfile) -> usize {
    usize::try_from(profile.slots).unwrap_or(1)
}

/// Serves a lane until `drain`, then waits for what runs. Dropped, it takes all attempts with it; their keepers
/// kill the executors.
pub(crate) async fn serve(lane: Arc<Lane>, drain: CancellationToken) {
    let mut serving = Serving {
        queues: Queues::new(&lane),
        turns: Turns::new(),
        attempts: JoinSet::new(),
        spare: None,
        drain,
        mode: lane.mode.subscribe(),
        lane,
    };
    while !serving.drain.is_cancelled() {
        serving.while_open().await;
        serving.queues.close().await;
        serving.while_closed().await;
    }
    let Serving { mut attempts, lane, .. } = serving;
    while let Some(ended) = attempts.join_next().await {
        note(&lane, ended);
    }
}

struct Serving {
    lane: Arc<Lane>,
    queues: Queues,
    turns: Turns,
    attempts: JoinSet<()>,
    /// A free slot that no entry has taken yet.
    spare: Option<OwnedSemaphorePermit>,
    drain: CancellationToken,
    mode: watch::Receiver<LaneMode>,
}

impl Serving {
    async fn while_open(&mut self) {
        loop {
            let slots = Arc::clone(&self.lane.slots);
            let rested = at(self.queues.next_asked());
            tokio::select! {
                biased;
                () = closed(&self.drain, &mut self.mode) => return,
                Some(ended) = self.attempts.join_next() => note(&self.lane, ended),
                permit = slots.acquire_owned(), if self.spare.is_none() => self.spare = permit.ok(),
                arrival = self.queues.arrival() => self.arrived(arrival).await,
                () = rested => {}
            }
            if self.spare.is_some() {
                self.fill().await;
            }
        }
    }

    /// Until the lane is open again or the worker drains.
    async fn while_closed(&mut self) {
        self.spare = None;
        let drain_time = self.lane.shared.config.drain_timeout;
        let mut release_at = None;
        loop {
            release_at = match *self.mode.borrow_and_update() {
                LaneMode::Open => return,
                LaneMode::Paused => None,
                LaneMode::Draining => release_at.or_else(|| Some(Instant::now() + drain_time)),
            };
            tokio::select! {
                biased;
                () = self.drain.cancelled() => return,
                _ = self.mode.changed() => {}
                Some(ended) = self.attempts.join_next() => note(&self.lane, ended),
                () = at(release_at), if !self.attempts.is_empty() => {
                    self.lane.shared.held.stop_lane(&self.lane.vp_id, Stop::Release);
                    release_at = Some(Instant::now() + RELEASE_AGAIN);
                }
            }
        }
    }

    /// An entry has come by a pull that stood, or the pull is over.
    async fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Entry { tier, delivery } => match self.take_slot() {
                Some(slot) => self.start(*delivery, slot),
                None => {
                    self.queues.has_more(tier);
                    hand_back(*delivery).await;
                }
            },
            Arrival::Empty { tier } => {
                let free = self.free();
                if free > 0 {
                    self.queues.stand(tier, free);
                } else {
                    self.queues.has_more(tier);
                }
            }
            Arrival::Over => {}
            Arrival::Broken => self.queues.mend(&self.lane).await,
        }
    }

    /// Asks the tiers in turn until all slots are taken or all tiers are known to be empty.
    async fn fill(&mut self) {
        while let Some(ask) = self.turns.next(self.queues.open(), self.free()) {
            let mut entries = 0;
            let mut pull = self.queues.ask(ask.tier, ask.at_most);
            loop {
                let item = tokio::select! {
                    biased;
                    () = closed(&self.drain, &mut self.mode) => None,
                    item = pull.next() => Some(item),
                };
                let Some(item) = item else { return pull.close().await };
                match item {
                    Some(Ok(delivery)) => match self.take_slot() {
                        Some(slot) => {
                            entries += 1;
                            self.start(delivery, slot);
                        }
                        None => hand_back(delivery).await,
                    },
                    Some(Err(error)) => self.queues.broken(ask.tier, &error),
                    None => break,
                }
            }
            self.turns.granted(ask, entries);
            if self.queues.is_broken(ask.tier) {
                self.queues.mend(&self.lane).await;
            } else if entries < ask.at_most {
                self.queues.stand(ask.tier, self.free());
            }
        }
    }

    fn free(&self) -> usize {
        self.lane.slots.available_permits() + usize::from(self.spare.is_some())
    }

    fn take_slot(&mut self) -> Option<Slot> {
        let permit = self.spare.take().or_else(|| Arc::clone(&self.lane.slots).try_acquire_owned().ok())?;
        Some(self.lane.slot(permit))
    }

    fn start(&mut self, delivery: Delivery, slot: Slot) {
        if self.lane.supply.served() {
            tracing::info!(vp_id = %self.lane.vp_id, "entries come again");
        }
        let lane = Arc::clone(&self.lane);
        self.attempts.spawn(async move {
            let mission_id = delivery.subject.mission_id.clone();
            let work = AssertUnwindSafe(claim::deliver(&lane, delivery, slot));
            if work.catch_unwind().await.is_err() {
                tracing::error!(%mission_id, vp_id = %lane.vp_id, "an attempt panicked; the mission comes again");
            }
        });
    }
}

/// Returns when nothing more is to be started.
async fn closed(drain: &CancellationToken, mode: &mut watch::Receiver<LaneMode>) {
    tokio::select! {
        () = drain.cancelled() => {}
        // The sender is a part of the lane that is served.
        _ = mode.wait_for(|mode| !mode.is_open()) => {}
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

async fn hand_back(delivery: Delivery) {
    if let Err(error) = delivery.nak(std::time::Duration::ZERO).await {
        tracing::warn!(error = %Chain(&error), "an entry without a slot was not handed back");
    }
}

fn note(lane: &Lane, ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(vp_id = %lane.vp_id, %error, "an attempt ended in an unknown way");
    }
}
