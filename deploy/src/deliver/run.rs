//! All configured targets, each session's line a task of its own; one process per target is at work at a time.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use vp_nats::connect::Connection;
use vp_shared::ids::SessionId;
use vp_shared::notice::Notice;

use super::dead::DeadLetters;
use super::engine::{Line, Place, Refusal, Sink, pump};
use super::http::Poster;
use super::inbox::Inbox;
use super::trouble::Troubles;
use super::webhook::Webhook;
use crate::config::{DeliverTarget, Settings, TargetKind};

/// How often who stands by looks whether the other one has gone.
const STANDBY_EVERY: Duration = Duration::from_millis(500);

/// What serves the configured targets.
#[derive(Debug)]
pub struct Deliverers {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// The sink of a configured target.
#[derive(Debug)]
pub enum AnySink {
    /// A file.
    Inbox(Inbox),
    /// An HTTP server.
    Webhook(Webhook),
}

impl Sink for AnySink {
    async fn accept(&mut self, notice: &Notice) -> Result<(), Refusal> {
        match self {
            Self::Inbox(inbox) => inbox.accept(notice).await,
            Self::Webhook(webhook) => webhook.accept(notice).await,
        }
    }
}

/// Makes the sink of a target for one session; `poster` is the target's, should it be a webhook.
pub fn sink_of(target: &DeliverTarget, session_id: &SessionId, poster: &Poster) -> AnySink {
    match &target.kind {
        TargetKind::Inbox { dir, markdown } => AnySink::Inbox(Inbox::new(dir, session_id, *markdown)),
        TargetKind::Webhook { url, secret, timeout_seconds, .. } => AnySink::Webhook(Webhook {
            url: url.clone(),
            secret: secret.clone(),
            timeout: Duration::from_secs(*timeout_seconds),
            poster: poster.clone(),
        }),
    }
}

impl Deliverers {
    /// Starts them all.
    pub fn start(conn: &Connection, settings: &Settings) -> Self {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for target in &settings.deliver {
            let (conn, target, stop) = (conn.clone(), target.clone(), stop.clone());
            let data_dir = settings.data_dir.clone();
            tasks.spawn(async move { serve(&conn, &target, &data_dir, &stop).await });
        }
        Self { stop, tasks }
    }

    /// Stops them; what is not accepted by then comes again.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a target's deliverer ended abnormally");
            }
        }
    }
}

async fn serve(conn: &Connection, target: &DeliverTarget, data_dir: &Path, stop: &CancellationToken) {
    let Some(_lock) = alone(target, data_dir, stop).await else { return };
    tracing::info!(target = target.name, sessions = target.sessions.len(), "notices are delivered");
    let (mut lines, poster) = (JoinSet::new(), Poster::default());
    let troubles = Arc::new(Troubles::new(data_dir, &target.name));
    for session_id in &target.sessions {
        let limit = match &target.kind {
            TargetKind::Inbox { .. } => None,
            TargetKind::Webhook { attempts, .. } => {
                Some((*attempts, DeadLetters::new(data_dir, &target.name)))
            }
        };
        let place = Place::Target(target.name.clone());
        let troubles = Some(Arc::clone(&troubles));
        let line = Line { session_id: session_id.clone(), place, limit, troubles };
        let (conn, stop, mut sink) = (conn.clone(), stop.clone(), sink_of(target, session_id, &poster));
        lines.spawn(async move { Box::pin(pump(&conn, &line, &mut sink, &stop)).await });
    }
    while let Some(ended) = lines.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, target = target.name, "a session's line ended abnormally");
        }
    }
}

/// Waits until no other process of this data dir serves the target. `None`: it was stopped before.
async fn alone(target: &DeliverTarget, data_dir: &Path, stop: &CancellationToken) -> Option<File> {
    let mut said = false;
    loop {
        match try_alone(target, data_dir) {
            Ok(Some(file)) => return Some(file),
            Ok(None) if said => {}
            Ok(None) => {
                said = true;
                tracing::info!(target = target.name, "another process delivers to it: standing by");
            }
            Err(error) => tracing::error!(target = target.name, %error, "cannot lock the target"),
        }
        stop.run_until_cancelled(sleep(STANDBY_EVERY)).await?;
    }
}

fn try_alone(target: &DeliverTarget, data_dir: &Path) -> io::Result<Option<File>> {
    let path = lock_file(target, data_dir);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Locked by who serves the target.
pub(super) fn lock_file(target: &DeliverTarget, data_dir: &Path) -> PathBuf {
    data_dir.join("deliver").join(format!("{}.lock", target.name))
}
