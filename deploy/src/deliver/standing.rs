//! How a target stands: what waits for it, who serves it, what is in its way, what it did not take.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use vp_nats::connect::Connection;
use vp_nats::notices::standing;
use vp_shared::ids::SessionId;
use vp_shared::time::UtcTime;

use super::dead::DeadLetters;
use super::run::lock_file;
use super::trouble::{Trouble, troubles};
use crate::config::DeliverTarget;

/// How a target stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetStanding {
    /// Its name.
    pub target: String,
    /// True when somebody delivers to it.
    pub served: bool,
    /// How many notices it did not take; they wait to be sent again.
    pub dead_letters: usize,
    /// Its sessions.
    pub sessions: Vec<SessionStanding>,
}

/// How a session's notices stand on their way to a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionStanding {
    /// Whose notices.
    pub session: SessionId,
    /// How many are not accepted yet.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    pub oldest: Option<UtcTime>,
    /// What is in their way, as far as this data dir's deliverer has seen.
    pub trouble: Option<Trouble>,
}

impl TargetStanding {
    /// Looks at a target.
    ///
    /// # Errors
    /// What could not be looked at, and why.
    pub async fn of(conn: &Connection, target: &DeliverTarget, data_dir: &Path) -> Result<Self, String> {
        let mut served = is_locked(target, data_dir)?;
        // Those of a process that is gone are nobody's any more.
        let mut troubles = if served { troubles(data_dir, &target.name)? } else { BTreeMap::new() };
        let dead_letters = DeadLetters::new(data_dir, &target.name).list()?.len();
        let mut sessions = Vec::new();
        for session in &target.sessions {
            let stands = standing(conn, session, &target.name).await.map_err(|error| error.to_string())?;
            served |= stands.asked_for;
            sessions.push(SessionStanding {
                session: session.clone(),
                waiting: stands.waiting,
                oldest: stands.oldest,
                trouble: troubles.remove(session),
            });
        }
        Ok(Self { target: target.name.clone(), served, dead_letters, sessions })
    }
}

/// True when a process of this data dir serves the target.
fn is_locked(target: &DeliverTarget, data_dir: &Path) -> Result<bool, String> {
    let path = lock_file(target, data_dir);
    let failed = |error: &dyn std::fmt::Display| format!("the lock `{}`: {error}", path.display());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(&error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(failed(&error)),
    }
}
