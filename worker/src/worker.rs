//! A worker process: its duties, and their end in good order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::lane_modes::LaneModeWatch;
use vp_nats::mission_log::MissionLog;
use vp_nats::presence::Questions;
use vp_nats::watch::MissionWatch;
use vp_shared::api::ProcessMark;
use vp_shared::error::Chain;
use vp_shared::event::WorkerRef;

use crate::answers::Answers;
use crate::config::WorkerConfig;
use crate::error::WorkerError;
use crate::held::{HeldMissions, Stop};
use crate::name::NameLock;
use crate::run::Lane;
use crate::{lease, mode, presence, process, retain, run, starved, watch as hints};

/// How long giving attempts back may take beyond the executors' grace.
const RELEASE_PATIENCE: Duration = Duration::from_secs(10);
/// How long the other duties may take to end.
const DUTY_PATIENCE: Duration = Duration::from_secs(3);

/// What all parts of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) conn: Connection,
    pub(crate) log: MissionLog,
    pub(crate) config: WorkerConfig,
    pub(crate) me: WorkerRef,
    pub(crate) held: Arc<HeldMissions>,
    pub(crate) draining: AtomicBool,
    pub(crate) swept: retain::Tally,
    /// What tells a later life on this host that this one has ended.
    pub(crate) process: Option<ProcessMark>,
}

/// A worker at work. Dropped, it ends as a killed process would: nothing is given back, keepers kill the executors.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    drain: CancellationToken,
    hurry: CancellationToken,
    stopped: watch::Receiver<bool>,
    failure: watch::Receiver<Option<Arc<WorkerError>>>,
    supervisor: JoinHandle<()>,
}

impl Worker {
    /// Starts serving the lanes of `config`, whose queues exist.
    ///
    /// # Errors
    /// [`WorkerError`]; nothing of it runs then. An identity that is alive elsewhere is waited for, at most 6 s;
    /// a former life on this host, which can be seen to have ended, is not.
    pub async fn start(conn: Connection, config: WorkerConfig) -> Result<Self, WorkerError> {
        config.check()?;
        let root = &config.workspace_root;
        tokio::fs::create_dir_all(root)
            .await
            .map_err(|source| WorkerError::Workspace { path: root.clone(), source })?;
        let me = WorkerRef {
            worker_id: config.worker_id.clone(),
            incarnation: clock::event_id().to_string(),
            host: config.host.clone(),
            version: config.version.clone(),
        };
        let (name, seen) = presence::be_the_only_one(&conn, &me, root).await?;
        let shared = Arc::new(Shared {
            log: MissionLog::new(&conn),
            held: Arc::default(),
            draining: AtomicBool::new(false),
            swept: retain::Tally::default(),
            process: process::mark(),
            conn,
            config,
            me,
        });
        let crew = Crew::gather(&shared, seen).await?;
        let (drain, hurry) = (CancellationToken::new(), CancellationToken::new());
        let (stopped_tx, stopped) = watch::channel(false);
        let (failure_tx, failure) = watch::channel(None);
        let supervisor = Supervisor {
            shared: Arc::clone(&shared),
            drain: drain.clone(),
            hurry: hurry.clone(),
            failure: failure_tx,
            _name: name,
        };
        let supervisor = tokio::spawn(async move {
            supervisor.run(crew).await;
            // Nobody waiting is no fault.
            let _ = stopped_tx.send(true);
        });
        tracing::info!(worker_id = %shared.me.worker_id, lanes = shared.config.lanes.len(), "the worker serves");
        Ok(Self { shared, drain, hurry, stopped, failure, supervisor })
    }

    /// Its identity in this life.
    pub fn identity(&self) -> &WorkerRef {
        &self.shared.me
    }

    /// Stops pulling; running attempts may finish within the drain time and are given back after it. Called again,
    /// they are given back at once.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        if self.drain.is_cancelled() {
            tracing::info!(worker_id = %self.shared.me.worker_id, "asked again to stop: running attempts are given back");
            self.hurry.cancel();
        } else {
            tracing::info!(worker_id = %self.shared.me.worker_id, "draining");
            self.drain.cancel();
        }
    }

    /// Returns when all has ended after a drain or a failure.
    pub async fn stopped(&self) {
        // The sender is only gone when the worker itself is.
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }

    /// Returns when the worker has failed by itself and is stopping; else never.
    pub async fn failed(&self) -> Arc<WorkerError> {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(found) => {
                if let Some(error) = &*found {
                    return Arc::clone(error);
                }
            }
            Err(_) => tracing::debug!("the worker has stopped without a failure"),
        }
        std::future::pending().await
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

/// The tasks of a worker.
struct Crew {
    lanes: Vec<Arc<Lane>>,
    serving: JoinSet<()>,
    duties: JoinSet<(&'static str, Result<(), WorkerError>)>,
    end: CancellationToken,
}

impl Crew {
    /// Subscribes and announces, in this order, so that whoever sees the worker can ask it.
    async fn gather(shared: &Arc<Shared>, seen: u64) -> Result<Self, WorkerError> {
        let lanes: Vec<Arc<Lane>> = shared
            .config
            .lanes
            .iter()
            .map(|(vp_id, profile)| Arc::new(Lane::new(Arc::clone(shared), vp_id.clone(), profile.clone())))
            .collect();
        let end = CancellationToken::new();
        let mut duties = JoinSet::new();
        let trouble = |source| WorkerError::Presence { worker_id: shared.me.worker_id.clone(), source };
        let mut questions = Questions::open(&shared.conn, &shared.me.worker_id).await.map_err(trouble)?;
        for lane in &lanes {
            let watch = MissionWatch::lane(&shared.conn, &lane.vp_id, &hints::KINDS).await;
            let watch = watch.map_err(WorkerError::Watch)?;
            let following = hints::follow(watch, Arc::clone(&shared.held), end.clone());
            duties.spawn(async move {
                following.await;
                ("watch", Ok(()))
            });
        }
        let answers = Answers::new(&shared.held, &shared.config.workspace_root);
        let ended = end.clone();
        duties.spawn(async move {
            tokio::select! {
                () = questions.serve(|question| answers.to(question)) => ended.cancelled().await,
                () = ended.cancelled() => {}
            }
            ("answers", Ok(()))
        });
        let mut modes = LaneModeWatch::new(&shared.conn);
        Box::pin(mode::first(&mut modes, &lanes)).await?;
        let heard = mode::keep(modes, lanes.clone(), end.clone());
        duties.spawn(async move {
            heard.await;
            ("lane modes", Ok(()))
        });
        let since = clock::now();
        presence::first(shared, &lanes, since, seen).await?;
        let said = presence::keep(Arc::clone(shared), lanes.clone(), since, end.clone());
        duties.spawn(async move { ("presence", said.await) });
        let fed = starved::keep(Arc::clone(shared), lanes.clone(), end.clone());
        duties.spawn(async move {
            fed.await;
            ("supply", Ok(()))
        });
        let cleaned = retain::keep(Arc::clone(shared), end.clone());
        duties.spawn(async move {
            cleaned.await;
            ("retention", Ok(()))
        });
        let kept = lease::keep(Arc::clone(shared), end.clone());
        duties.spawn(async move {
            kept.await;
            ("lease", Ok(()))
        });
        Ok(Self { lanes, serving: JoinSet::new(), duties, end })
    }
}

struct Supervisor {
    shared: Arc<Shared>,
    drain: CancellationToken,
    hurry: CancellationToken,
    failure: watch::Sender<Option<Arc<WorkerError>>>,
    /// Free for a later life when all has ended.
    _name: NameLock,
}

impl Supervisor {
    async fn run(self, mut crew: Crew) {
        for lane in &crew.lanes {
            crew.serving.spawn(run::serve(Arc::clone(lane), self.drain.clone()));
        }
        self.until_drained(&mut crew).await;
        self.finish(&mut crew).await;
        crew.end.cancel();
        let ended = timeout(DUTY_PATIENCE, async { while crew.duties.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(worker_id = %self.shared.me.worker_id, "not all duties ended in time and were cut off");
        }
        tracing::info!(worker_id = %self.shared.me.worker_id, "the worker has stopped");
    }

    /// Until a drain is asked for, or a duty has ended that must not.
    async fn until_drained(&self, crew: &mut Crew) {
        let error = tokio::select! {
            // First: an idle lane's loop ends at the same moment as the drain is asked for.
            biased;
            () = self.drain.cancelled() => return,
            Some(ended) = crew.duties.join_next() => match ended {
                Ok((_, Err(error))) => error,
                Ok((duty, Ok(()))) => WorkerError::DutyEnded { duty },
                Err(_) => WorkerError::DutyEnded { duty: "duty" },
            },
            Some(_) = crew.serving.join_next() => WorkerError::DutyEnded { duty: "lane loop" },
        };
        tracing::error!(worker_id = %self.shared.me.worker_id, error = %Chain(&error), "the worker has failed and stops");
        self.failure.send_replace(Some(Arc::new(error)));
        self.shared.draining.store(true, Ordering::Relaxed);
        self.drain.cancel();
        self.hurry.cancel();
    }

    /// Lets attempts end, gives back those that do not, cuts off what does not even give back.
    async fn finish(&self, crew: &mut Crew) {
        tokio::select! {
            () = join_all(&mut crew.serving) => return,
            () = tokio::time::sleep(self.shared.config.drain_timeout) => {}
            () = self.hurry.cancelled() => {}
        }
        self.shared.held.stop_all(Stop::Release);
        let graces = self.shared.config.lanes.values().map(|lane| lane.limits.kill_grace_seconds);
        let patience = Duration::from_secs(graces.max().unwrap_or_default()) + RELEASE_PATIENCE;
        if timeout(patience, join_all(&mut crew.serving)).await.is_err() {
            tracing::error!(
                worker_id = %self.shared.me.worker_id,
                "attempts could not be given back in time and are left to be taken over"
            );
            crew.serving.shutdown().await;
        }
    }
}

async fn join_all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}
