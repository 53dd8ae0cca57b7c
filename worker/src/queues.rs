//! The four queues of a lane and what is known of each.

use std::time::Duration;

use futures_util::future::{join_all, pending};
use tokio::time::{Instant, timeout};
use vp_nats::delivery::{Delivery, LaneQueue, Pull, PullError, PullWait};
use vp_nats::retry::Delays;
use vp_nats::topology;
use vp_shared::api::{LedgerQuestion, LedgerQueue, LedgerQueueStart};
use vp_shared::error::Chain;
use vp_shared::retry::RetryDelay;
use vp_shared::tier::Tier;

use crate::ledger;
use crate::run::Lane;
use crate::turns::Open;

/// How long a pull stands at the server.
const STAND: Duration = Duration::from_secs(5);
/// For how many entries it stands at most: so often an entry may come back to a worker whose slots were taken
/// meanwhile by other tiers.
const MAX_STAND: usize = 8;
/// How often queues that are gone are made again, or complained about.
const MEND_EVERY: Duration = Duration::from_secs(5);

/// The four queues of a lane.
pub(crate) struct Queues {
    tiers: [Queue; Tier::ALL.len()],
    /// A queue has no consumer.
    gone: bool,
    mended: Option<Instant>,
}

struct Queue {
    queue: LaneQueue,
    state: State,
    /// The pull that stands, and how many entries it has brought.
    pull: Option<(Pull, usize)>,
    delays: Delays,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It may have entries.
    Open,
    /// It had none when it was last asked, and a pull stands since.
    Empty,
    /// It did not answer; asked again at this moment.
    Resting { until: Instant },
}

/// What came of the pulls that stand.
pub(crate) enum Arrival {
    /// An entry.
    Entry { tier: usize, delivery: Box<Delivery> },
    /// A pull has expired without an entry.
    Empty { tier: usize },
    /// A pull is over, and there may be more.
    Over,
    /// A pull broke; the queue rests.
    Broken,
}

impl Queues {
    pub(crate) fn new(lane: &Lane) -> Self {
        let queue = |tier| Queue {
            queue: LaneQueue::new(&lane.shared.conn, &lane.vp_id, tier),
            state: State::Open,
            pull: None,
            delays: Delays::new(&RetryDelay::REQUEST),
        };
        Self { tiers: Tier::ALL.map(queue), gone: false, mended: None }
    }

    /// Which may have entries.
    pub(crate) fn open(&mut self) -> Open {
        let now = Instant::now();
        self.tiers.each_mut().map(|tier| {
            if matches!(tier.state, State::Resting { until } if now >= until) {
                tier.state = State::Open;
            }
            tier.state == State::Open
        })
    }

    /// Asks a queue for what it has now.
    pub(crate) fn ask(&mut self, tier: usize, at_most: usize) -> Pull {
        self.tiers[tier].queue.pull(at_most, PullWait::NoWait)
    }

    /// The queue is empty: a pull stands for what comes.
    pub(crate) fn stand(&mut self, tier: usize, at_most: usize) {
        let queue = &mut self.tiers[tier];
        queue.delays = Delays::new(&RetryDelay::REQUEST);
        queue.state = State::Empty;
        if queue.pull.is_none() {
            queue.pull = Some((queue.queue.pull(at_most.clamp(1, MAX_STAND), PullWait::Expires(STAND)), 0));
        }
    }

    /// The queue may have entries that no slot is free for.
    pub(crate) fn has_more(&mut self, tier: usize) {
        self.tiers[tier].state = State::Open;
    }

    pub(crate) fn is_broken(&self, tier: usize) -> bool {
        matches!(self.tiers[tier].state, State::Resting { .. })
    }

    /// The queue did not answer as it should.
    pub(crate) fn broken(&mut self, tier: usize, error: &PullError) {
        match error {
            PullError::ConsumerGone { .. } => self.gone = true,
            PullError::Interrupted { .. } => {
                tracing::debug!(error = %Chain(error), "a pull ended early");
            }
        }
        let queue = &mut self.tiers[tier];
        let delay = queue.delays.next().unwrap_or(RetryDelay::REQUEST.max());
        queue.pull = None;
        queue.state = State::Resting { until: Instant::now() + delay };
    }

    /// What comes by a pull that stands. Cancel safe.
    pub(crate) async fn arrival(&mut self) -> Arrival {
        let (tier, item) = {
            let [urgent, high, normal, low] = &mut self.tiers;
            tokio::select! {
                biased;
                item = urgent.brings() => (0, item),
                item = high.brings() => (1, item),
                item = normal.brings() => (2, item),
                item = low.brings() => (3, item),
            }
        };
        match item {
            Some(Ok(delivery)) => {
                if let Some((_, brought)) = &mut self.tiers[tier].pull {
                    *brought += 1;
                }
                Arrival::Entry { tier, delivery: Box::new(delivery) }
            }
            Some(Err(error)) => {
                self.broken(tier, &error);
                Arrival::Broken
            }
            None => self.over(tier),
        }
    }

    fn over(&mut self, tier: usize) -> Arrival {
        let queue = &mut self.tiers[tier];
        let brought = queue.pull.take().map_or(0, |(_, brought)| brought);
        match queue.state {
            State::Empty if brought == 0 => Arrival::Empty { tier },
            State::Empty => {
                queue.state = State::Open;
                Arrival::Over
            }
            State::Open | State::Resting { .. } => Arrival::Over,
        }
    }

    /// When a queue that rests is to be asked again.
    pub(crate) fn next_asked(&self) -> Option<Instant> {
        let resting = self.tiers.iter().filter_map(|tier| match tier.state {
            State::Resting { until } => Some(until),
            State::Open | State::Empty => None,
        });
        resting.min()
    }

    /// Ends all pulls that stand, so that no entry is on its way to who does not want it any more.
    pub(crate) async fn close(&mut self) {
        let pulls = self.tiers.iter_mut().filter_map(|queue| {
            if queue.state == State::Empty {
                queue.state = State::Open;
            }
            queue.pull.take()
        });
        join_all(pulls.map(|(pull, _)| pull.close())).await;
    }

    /// Makes queues again that are gone, where that is allowed; else says so. Not more often than each few seconds.
    pub(crate) async fn mend(&mut self, lane: &Lane) {
        if !self.gone || self.mended.is_some_and(|last| last.elapsed() < MEND_EVERY) {
            return;
        }
        self.gone = false;
        self.mended = Some(Instant::now());
        let vp_id = &lane.vp_id;
        if !lane.shared.config.may_create_consumers {
            tracing::error!(%vp_id, "the lane has no queue: run `vp lanes --apply`; what runs goes on");
            return;
        }
        let start_seq = first_that_lives(lane).await;
        // A running mission is delivered again, which changes nothing while its owner lives.
        let making = topology::ensure_lane(&lane.shared.conn, vp_id, &lane.profile, start_seq);
        match timeout(lane.shared.conn.request_timeout() * 2, making).await {
            Ok(Ok(())) => {
                tracing::warn!(%vp_id, start_seq, "the lane's queues were gone and have been made again");
            }
            Ok(Err(error)) => {
                tracing::error!(%vp_id, error = %Chain(&error), "the lane's queues cannot be made again");
            }
            Err(_) => tracing::error!(%vp_id, "the lane's queues cannot be made again: no answer in time"),
        }
    }
}

/// Where the queues may begin: the ledger knows which missions live. Without it, at the beginning of the log: entries of
/// missions that have ended come once more, and are acked away.
async fn first_that_lives(lane: &Lane) -> u64 {
    let question = LedgerQueue { vp_id: lane.vp_id.clone() };
    let answer = ledger::ask(&lane.shared.conn, LedgerQuestion::QueueStart, &question).await;
    let why = match answer {
        Ok(Ok(LedgerQueueStart { start_seq })) => return start_seq.max(1),
        Ok(Err(error)) => error.message,
        Err(why) => why,
    };
    tracing::warn!(vp_id = %lane.vp_id, why, "the ledger does not say where the lane's queues may begin: at the beginning");
    1
}

impl Queue {
    /// The next of its pull that stands; never, when none does.
    async fn brings(&mut self) -> Option<Result<Delivery, PullError>> {
        match &mut self.pull {
            Some((pull, _)) => pull.next().await,
            None => pending().await,
        }
    }
}
