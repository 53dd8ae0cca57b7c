//! The audit: a line of JSON for each decision, appended. Two files are kept, so it is bounded.
//!
//! A file and not the ledger: the rows that matter most are written when the broker is down (docs/adr/0006).

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep};
use vp_shared::turn::{AuditRow, Noted};

use super::store;
use super::wire::Input;
use crate::config::Settings;
use crate::exit::{Exit, Failed};

/// Each file is no longer than this, in bytes.
const MAX_FILE: u64 = 8 * 1024 * 1024;

fn paths(settings: &Settings) -> (PathBuf, PathBuf) {
    let dir = store::dir(settings);
    (dir.join("audit.ndjson"), dir.join("audit.1.ndjson"))
}

/// What was noted, with when and where.
pub(super) fn row(input: &Input, noted: &Noted, digest: Option<&str>) -> AuditRow {
    AuditRow {
        time: vp_nats::clock::now(),
        session: input.session.clone(),
        turn: noted.turn,
        hook: input.hook.clone(),
        decision: noted.decision,
        reason: noted.reason.clone(),
        text_sha256: digest.map(str::to_owned),
        vp_ids: noted.vp_ids.clone(),
        tool: input.tool.clone(),
        mission_id: noted.mission_id.clone(),
    }
}

/// Appends rows, alone with the file.
pub(super) async fn append(settings: &Settings, rows: &[AuditRow], deadline: Instant) -> Result<(), String> {
    if rows.is_empty() {
        return Ok(());
    }
    loop {
        match append_now(settings, rows) {
            Err(why) if why == BUSY && Instant::now() < deadline => sleep(Duration::from_millis(5)).await,
            done => return done,
        }
    }
}

const BUSY: &str = "the audit is being written by another hook";

/// Appends rows unless somebody else does so at this moment.
pub(super) fn append_now(settings: &Settings, rows: &[AuditRow]) -> Result<(), String> {
    let (path, older) = paths(settings);
    let failed = |error: io::Error| format!("could not write `{}`: {error}", path.display());
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row).map_err(|error| error.to_string())?;
        text.push(b'\n');
    }
    fs::create_dir_all(store::dir(settings)).map_err(failed)?;
    let lock = OpenOptions::new().create(true).append(true).open(path.with_extension("lock"));
    let lock = lock.map_err(failed)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(BUSY.to_owned()),
        Err(error) => return Err(failed(error.into())),
    }
    let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() + text.len() as u64 > MAX_FILE {
        fs::rename(&path, &older).map_err(failed)?;
        file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
    }
    file.write_all(&text).map_err(failed)
}

/// All rows that are kept, oldest first. A line that was cut off by a crash is told and stepped over.
pub(super) fn read(settings: &Settings) -> Result<Vec<AuditRow>, Failed> {
    let (newer, older) = paths(settings);
    let mut rows = Vec::new();
    for path in [older, newer] {
        let failed = |error: io::Error| {
            Failed::new(Exit::Failure, format!("could not read `{}`: {error}", path.display()))
        };
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        for line in BufReader::new(file).lines() {
            let line = line.map_err(failed)?;
            match serde_json::from_str(&line) {
                Ok(row) => rows.push(row),
                Err(error) => tracing::warn!(path = %path.display(), %error, "stepped over a broken row"),
            }
        }
    }
    Ok(rows)
}
