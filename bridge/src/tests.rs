//! Tests of the parts, without a server: what a batch makes of a real file or a real server's tables.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::cast_precision_loss)]

use std::path::Path;

use bytes::Bytes;
use tempfile::TempDir;
use vp_nats::reader::Record;
use vp_nats::subject::{MissionSubject, Token};
use vp_shared::event::{Event, EventBody};
use vp_shared::time::UtcTime;

use crate::batch::Batch;
use crate::harness::{LedgerKind, LedgerPlace};
use crate::ledger::{Changes, Committed, Cursor, Ledger, Location, Texts};
use crate::live::{Cache, CacheLimits};
use crate::project::Names;

#[path = "../tests/support/script.rs"]
#[allow(dead_code, unreachable_pub)]
pub(crate) mod script;

mod batches;
mod cache;
mod files;
mod lists;
mod odd;
mod rate;
mod rivals;

/// The message that holds `event`, stored at `seq`.
pub(crate) fn record(seq: u64, event: &Event) -> Record {
    let token = match &event.body {
        EventBody::Dispatched { tier, .. } => Token::Dispatched(*tier),
        body => Token::Event(body.kind()),
    };
    let subject = MissionSubject { vp_id: event.vp_id.clone(), mission_id: event.mission_id.clone(), token }
        .to_string();
    raw(seq, &subject, event.to_json())
}

/// A message of any kind.
pub(crate) fn raw(seq: u64, subject: &str, payload: impl Into<Bytes>) -> Record {
    Record {
        seq,
        subject: subject.to_owned(),
        payload: payload.into(),
        stored_at: UtcTime::from_micros(1_700_000_000_000_000 + i64::try_from(seq).unwrap()),
        deleted: false,
        message_id: None,
        begins: false,
    }
}

/// Events as messages 1, 2, 3...
pub(crate) fn log(events: impl IntoIterator<Item = Event>) -> Vec<Record> {
    events.into_iter().enumerate().map(|(nth, event)| record(nth as u64 + 1, &event)).collect()
}

/// A ledger in a directory of its own, and a projector's memory.
pub(crate) struct Bench {
    pub(crate) ledger: Ledger,
    pub(crate) cursor: Cursor,
    pub(crate) cache: Cache,
    pub(crate) texts: Texts,
    // After the ledger, so that its connections are closed first.
    _place: LedgerPlace,
    _dir: TempDir,
}

impl Bench {
    pub(crate) async fn new(kind: LedgerKind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = LedgerPlace::new(kind, &dir.path().join("ledger.db")).await;
        let ledger = Ledger::open(&Location::parse(&place.location).unwrap()).await.unwrap();
        let cursor = Cursor { created_at: UtcTime::from_micros(77), epoch: 0, seq: 0, event_at: None };
        ledger.add_cursor(cursor).await.unwrap();
        let (cache, texts) = (Cache::new(CacheLimits::default()), Texts::default());
        Self { ledger, cursor, cache, texts, _place: place, _dir: dir }
    }

    pub(crate) async fn changes(&mut self, records: Vec<Record>) -> Changes {
        let batch = Batch::decode(records);
        for live in self.ledger.load(&batch.missing(&self.cache), self.cursor.epoch).await.unwrap() {
            self.cache.put(live);
        }
        batch.project(self.cursor, &mut self.cache, &Names::default())
    }

    pub(crate) async fn project(&mut self, records: Vec<Record>) -> Committed {
        let changes = self.changes(records).await;
        let to = changes.to;
        let committed = self.ledger.commit(changes, &mut self.texts).await.unwrap();
        if committed == Committed::Done {
            self.cursor = to;
        }
        committed
    }
}

pub(crate) async fn open(path: &Path) -> Ledger {
    Ledger::open(&Location::Sqlite(path.to_owned())).await.unwrap()
}
