//! The ledger once more, from the log: to compare it with the one there is, or to replace it.

mod before;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::notices::{NoticeError, notice_stream, sent_since};
use vp_nats::reader::{Reader, ReaderError, Start, StreamIdentity, identity};
use vp_nats::topology::MISSIONS;
use vp_shared::ids::NoticeId;
use vp_shared::lane::Lanes;
use vp_shared::time::UtcTime;

pub use crate::ledger::TableReport;

use before::Before;

use crate::batch::Batch;
use crate::ledger::{
    Committed, Cursor, Ledger, LedgerError, LedgerLock, Location, Place, Texts, compare, lock_path, notice,
    postgres,
};
use crate::live::{Cache, CacheLimits};
use crate::project::Names;

/// How many messages a transaction holds.
const BATCH: usize = 2_000;
/// How long the log may keep silent before a rebuild gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many notices are looked at a time.
const NOTICES_AT_ONCE: u64 = 1_000;

/// Why the ledger was not rebuilt or compared. The ledger there is has not been touched.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log could not be read.
    #[error("could not read the log for a rebuild")]
    Log(#[from] ReaderError),
    /// The notices that are already sent could not be read.
    #[error("could not read which notices are sent already")]
    Notices(#[from] NoticeError),
    /// The log does not hold everything that the ledger has.
    #[error(
        "a rebuild would lose what the log no longer holds, {missions} missions: move the ledger away first \
             if they may go"
    )]
    WouldLose {
        /// How many missions began before the log does.
        missions: u64,
    },
    /// The log has lost its end, and with it missions that began there.
    #[error(
        "the log has lost its end, and a rebuild would lose {missions} missions that only this ledger knows, {unfinished} \
             of them not ended: {named}; nothing brings those on any more, and their sessions are not told. Move the ledger \
             away, keep it, and rebuild again if they may go; delegate again what is still wanted"
    )]
    LogLost {
        /// How many missions are not in the log.
        missions: u64,
        /// How many of them had not ended.
        unfinished: u64,
        /// The first of them, each with what it was doing.
        named: String,
    },
    /// The log fell silent before its end.
    #[error("the log gave nothing for {} s at sequence {seq} of {until}: try again", PATIENCE.as_secs())]
    Silent {
        /// The last sequence it gave.
        seq: u64,
        /// The last one wanted.
        until: u64,
    },
    /// A file could not be moved or removed.
    #[error("could not {what} `{}`", path.display())]
    File {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What a rebuild found or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The stream sequence up to which the log was projected.
    pub cursor: u64,
    /// The ledger's tables.
    pub tables: Vec<TableReport>,
    /// True when the ledger was replaced.
    pub replaced: bool,
    /// How many notices wait to be sent; those that sessions have already are not among them.
    pub notices_unsent: u64,
    /// The first sequence the log still holds, when it does not hold everything that the ledger has; only what it
    /// holds in full was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_begins_at: Option<u64>,
}

impl Report {
    /// True when every table of the ledger is what the log says.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|table| table.equal)
    }
}

/// Projects the whole log into a fresh database beside the ledger. With `check` the two are compared and nothing is
/// changed, also while a bridge runs; else the fresh one takes the ledger's place, which no bridge may hold.
///
/// It takes its place in one step: the rename of a file, or one transaction that renames schemas. A crash leaves the
/// ledger as it was, and a file named `*.rebuild` or a schema `vp_ledger_rebuild` that the next run removes.
///
/// # Errors
/// [`RebuildError`].
pub async fn rebuild(
    conn: &Connection,
    ledger: &str,
    lanes: &Lanes,
    check: bool,
) -> Result<Report, RebuildError> {
    let location = Location::parse(ledger)?;
    if check && !Ledger::exists(&location).await? {
        let (ledger, why) = (location.to_string(), "there is nothing".to_owned());
        return Err(LedgerError::NotALedger { ledger, why }.into());
    }
    let scratch = Scratch::take(&location).await?;
    let stream = identity(conn, MISSIONS).await?;
    let names = Names::of(lanes);
    let report = if check {
        check_against(conn, &location, &scratch, &stream, &names).await
    } else {
        replace(conn, &location, &scratch, &stream, &names).await
    };
    let removed = scratch.remove().await;
    // What went wrong first is told first.
    let report = report?;
    removed?;
    Ok(report)
}

async fn check_against(
    conn: &Connection,
    location: &Location,
    scratch: &Scratch,
    stream: &StreamIdentity,
    names: &Names,
) -> Result<Report, RebuildError> {
    let ledger = Ledger::open_unlocked(location).await?;
    let (snapshot, cursors) = ledger.snapshot().await?;
    let place = place_in(&cursors, stream);
    let fresh = Ledger::open_unlocked(&scratch.location).await?;
    let end = project(conn, &fresh, Cursor { seq: 0, event_at: None, ..place }, place.seq, names).await?;
    let begins = Place::new(place.epoch, stream.first_seq);
    let floor = if snapshot.has_rows_before(begins).await? { begins } else { Place::new(place.epoch, 0) };
    let (wanted, _) = fresh.snapshot().await?;
    let tables = compare(&wanted, Some(&snapshot), floor.pos()).await?;
    drop((wanted, snapshot));
    let report = Report {
        cursor: end.seq.max(place.seq),
        tables,
        replaced: false,
        notices_unsent: ledger.unsent_total().await?,
        log_begins_at: (floor.seq > 0).then_some(floor.seq),
    };
    fresh.close().await;
    ledger.close().await;
    Ok(report)
}

async fn replace(
    conn: &Connection,
    location: &Location,
    scratch: &Scratch,
    stream: &StreamIdentity,
    names: &Names,
) -> Result<Report, RebuildError> {
    // Held to the end: no bridge may begin on a file that is about to go.
    let _lock = LedgerLock::take(location).await?;
    let before = Before::of(conn, location, stream).await?;
    let fresh = Ledger::open_unlocked(&scratch.location).await?;
    let start = Cursor { seq: 0, event_at: None, ..before.place };
    let end = project(conn, &fresh, start, stream.last_seq, names).await?;
    if before.log_lost {
        before::loses_nothing(location, &fresh, start.epoch).await?;
    }
    mark_sent(conn, &fresh, before.sent).await?;
    let (wanted, _) = fresh.snapshot().await?;
    let tables = compare(&wanted, None, 0).await?;
    drop(wanted);
    let notices_unsent = fresh.unsent_total().await?;
    fresh.close().await;
    scratch.swap_in(location).await?;
    Ok(Report { cursor: end.seq, tables, replaced: true, notices_unsent, log_begins_at: None })
}

/// Where a ledger with these cursors stands in the stream as it is now.
fn place_in(cursors: &[Cursor], stream: &StreamIdentity) -> Cursor {
    let known = cursors.iter().find(|cursor| cursor.created_at == stream.created_at).copied();
    known.unwrap_or(Cursor {
        created_at: stream.created_at,
        epoch: cursors.last().map_or(0, |last| last.epoch + 1),
        seq: 0,
        event_at: None,
    })
}

/// Projects the log from `cursor` up to sequence `until`.
async fn project(
    conn: &Connection,
    ledger: &Ledger,
    mut cursor: Cursor,
    until: u64,
    names: &Names,
) -> Result<Cursor, RebuildError> {
    ledger.add_cursor(cursor).await?;
    if until == 0 {
        return Ok(cursor);
    }
    let (mut cache, mut texts) = (Cache::new(CacheLimits::default()), Texts::default());
    let mut reader = Reader::open(conn, MISSIONS, &[], Start::After(cursor.seq)).await?;
    // The last sequences may be those of timers, which vanish when they fire: what waits says whether anything is left.
    while cursor.seq < until && reader.pending() > 0 {
        let mut records = reader.next_batch(BATCH, PATIENCE).await?;
        if records.is_empty() {
            return Err(RebuildError::Silent { seq: cursor.seq, until });
        }
        let beyond = records.last().is_some_and(|record| record.seq > until);
        records.retain(|record| record.seq <= until);
        let batch = Batch::decode(records);
        for live in ledger.load(&batch.missing(&cache), cursor.epoch).await? {
            cache.put(live);
        }
        let changes = batch.project(cursor, &mut cache, names);
        let to = changes.to;
        if ledger.commit(changes, &mut texts).await? == Committed::Lost {
            // Nobody else knows the file.
            return Err(RebuildError::Silent { seq: cursor.seq, until });
        }
        cursor = to;
        if beyond {
            break;
        }
    }
    Ok(cursor)
}

/// Marks what sessions have been told already: up to `sent`, and on from there as long as the stream has it, or may have had
/// it when nothing is known to be sent.
async fn mark_sent(conn: &Connection, ledger: &Ledger, mut sent: i64) -> Result<(), RebuildError> {
    let stream = notice_stream(conn).await?;
    let in_stream = sent_since(conn, UtcTime::from_micros(0)).await?.ids;
    let anew = sent == 0;
    let is_told = |row: &notice::Model| {
        anew && stream.has_expired(UtcTime::from_micros(row.created_us), Duration::ZERO)
            || NoticeId::new(&row.notice_id).is_ok_and(|notice_id| in_stream.contains(&notice_id))
    };
    'all: loop {
        let rows = ledger.unsent(sent, NOTICES_AT_ONCE).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if !is_told(&row) {
                break 'all;
            }
            sent = row.pos;
        }
    }
    if sent > 0 {
        ledger.mark_sent(sent, clock::now()).await?;
    }
    Ok(())
}

/// The place in which a ledger is rebuilt.
struct Scratch {
    location: Location,
    /// So that two rebuilds at a time do not share it.
    lock: LedgerLock,
}

impl Scratch {
    async fn take(ledger: &Location) -> Result<Self, RebuildError> {
        let location = ledger.for_rebuild();
        let scratch = Self { lock: LedgerLock::take(&location).await?, location };
        scratch.clear().await?;
        Ok(scratch)
    }

    /// Takes the ledger's place in one step. What an old file had not worked in goes with it.
    async fn swap_in(&self, ledger: &Location) -> Result<(), RebuildError> {
        match (&self.location, ledger) {
            (Location::Sqlite(fresh), Location::Sqlite(ledger)) => {
                for ending in ["-wal", "-shm"] {
                    remove(&with_ending(ledger, ending))?;
                }
                std::fs::rename(fresh, ledger).map_err(|source| RebuildError::File {
                    what: "put the rebuilt ledger in the place of",
                    path: ledger.clone(),
                    source,
                })
            }
            (Location::Postgres(fresh), _) => Ok(postgres::swap_in(fresh).await?),
            (Location::Sqlite(_), Location::Postgres(_)) => {
                unreachable!("a ledger is rebuilt in a place of its own kind")
            }
        }
    }

    async fn clear(&self) -> Result<(), RebuildError> {
        match &self.location {
            Location::Sqlite(path) => {
                ["", "-wal", "-shm"].iter().try_for_each(|ending| remove(&with_ending(path, ending)))
            }
            Location::Postgres(place) => Ok(postgres::drop_rebuild(place).await?),
        }
    }

    async fn remove(self) -> Result<(), RebuildError> {
        self.clear().await?;
        drop(self.lock);
        match &self.location {
            Location::Sqlite(path) => remove(&lock_path(path)),
            Location::Postgres(_) => Ok(()),
        }
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

fn remove(path: &Path) -> Result<(), RebuildError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(RebuildError::File { what: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
