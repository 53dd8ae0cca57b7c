//! Why a worker does not start, or had to stop.

use std::path::PathBuf;

use vp_nats::presence::PresenceError;
use vp_nats::watch::WatchError;
use vp_shared::ids::WorkerId;

/// Why a worker does not start, or had to stop by itself.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A value that it cannot work with.
    #[error("worker config `{field}`: {why}")]
    Config {
        /// The field.
        field: String,
        /// What was wrong with it.
        why: String,
    },
    /// Another process lives under the same identity.
    #[error(
        "another process runs as worker `{worker_id}`, on host `{host}`: stop it, or give one of them another id"
    )]
    IdentityTaken {
        /// The identity.
        worker_id: WorkerId,
        /// Where the other one runs.
        host: String,
    },
    /// Its presence could not be read or said.
    #[error("worker `{worker_id}` cannot tell whether it is the only one of its name")]
    Presence {
        /// The identity.
        worker_id: WorkerId,
        /// Why.
        #[source]
        source: PresenceError,
    },
    /// It cannot hear what happens to its missions.
    #[error("the worker cannot follow its lanes")]
    Watch(#[source] WatchError),
    /// It cannot hear which of its lanes are paused.
    #[error(
        "nats-server does not say whether the worker's lanes are paused: may it read the bucket `LANES`?"
    )]
    LaneModes,
    /// Attempts would have no place.
    #[error("cannot make the workspace root `{}`: check its parent's permissions", path.display())]
    Workspace {
        /// The root.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// One of its duties ended that must never end: a bug.
    #[error("the worker's {duty} has ended unexpectedly; its missions are left to be taken over")]
    DutyEnded {
        /// Which.
        duty: &'static str,
    },
}
