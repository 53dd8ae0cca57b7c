//! A server, a log with events in it, and a ledger file.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic; not every test uses all"
)]

pub mod script;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use vp_bridge::harness::{LedgerKind, LedgerPlace};
use vp_bridge::{Bridge, BridgeConfig};
use vp_nats::connect::Connection;
use vp_nats::harness::TestServer;
use vp_nats::mission_log::MissionLog;
use vp_nats::reader::{Reader, Start, identity};
use vp_nats::service::{RequestError, request};
use vp_nats::subject::{self, MissionSubject, Token};
use vp_nats::topology::{self, MISSIONS, NOTICES, TopologyConfig};
use vp_shared::api::{Answer, LedgerQuestion, LedgerStatus};
use vp_shared::event::{Event, EventBody};
use vp_shared::ids::{MissionId, VpId};
use vp_shared::lane::Lanes;
use vp_shared::notice::Notice;

use script::{CODER, GENERAL};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct World {
    pub server: TestServer,
    pub conn: Connection,
    pub log: MissionLog,
    pub dir: TempDir,
    pub place: LedgerPlace,
    last: HashMap<MissionId, u64>,
}

pub fn lanes() -> Lanes {
    let lane = |name: &str| {
        serde_json::from_value(serde_json::json!({"display_name": name, "executor": {"kind": "noop"}}))
            .unwrap()
    };
    Lanes::from([
        (VpId::new(CODER).unwrap(), lane("CODIE")),
        (VpId::new(GENERAL).unwrap(), lane("the general")),
    ])
}

impl World {
    /// With a file as its ledger.
    pub async fn start() -> Self {
        Self::start_on(LedgerKind::Sqlite).await
    }

    pub async fn start_on(kind: LedgerKind) -> Self {
        let server = TestServer::start().await;
        let conn = server.connect().await;
        let log = MissionLog::new(&conn);
        let dir = tempfile::tempdir().unwrap();
        let place = LedgerPlace::new(kind, &dir.path().join("ledger.db")).await;
        let world = Self { server, conn, log, dir, place, last: HashMap::new() };
        world.make_streams().await;
        world
    }

    pub async fn make_streams(&self) {
        topology::ensure(&self.conn, &TopologyConfig::default(), &lanes()).await.unwrap();
    }

    pub fn ledger(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    /// With a reconciler that does not look: the missions of a script were due years ago.
    pub fn config(&self) -> BridgeConfig {
        let mut config = BridgeConfig::new(&self.place.location, lanes());
        config.recover_after = Duration::from_secs(1);
        config.reconcile.every = Duration::from_hours(1);
        config
    }

    pub async fn bridge(&self) -> Bridge {
        self.bridge_with(self.config()).await
    }

    /// Starts a bridge; while one that was just dropped lets go of the ledger it stands by.
    pub async fn bridge_with(&self, config: BridgeConfig) -> Bridge {
        Bridge::start(self.server.connect().await, config).await.unwrap()
    }

    /// Runs SQL beside whoever has the ledger open.
    pub async fn sql(&self, sql: &str) {
        let db = self.database().await;
        db.execute_unprepared(sql).await.unwrap();
        db.close().await.unwrap();
    }

    /// Makes the ledger vanish as a whole.
    pub async fn lose_ledger(&self) {
        match &self.place.server {
            Some(_) => self.sql("DROP SCHEMA vp_ledger CASCADE").await,
            None => std::fs::remove_file(self.ledger()).unwrap(),
        }
    }

    /// Appends an event behind the last one of its mission that this world has written.
    pub async fn append(&mut self, event: &Event) -> u64 {
        let expected = self.last.get(&event.mission_id).copied().unwrap_or(0);
        let seq = self.log.append(event, expected).await.unwrap().seq;
        self.last.insert(event.mission_id.clone(), seq);
        seq
    }

    pub async fn append_all<'a>(&mut self, events: impl IntoIterator<Item = &'a Event>) {
        for event in events {
            self.append(event).await;
        }
    }

    /// Publishes events as fast as the connection takes them, without any check.
    pub async fn flood<'a>(&self, events: impl IntoIterator<Item = &'a Event>) {
        let before = self.last_seq().await;
        let mut sent = 0;
        for event in events {
            self.conn.client().publish(subject_of(event), event.to_json().into()).await.unwrap();
            sent += 1;
        }
        self.conn.flush().await.unwrap();
        until("the log has all events", async || self.last_seq().await >= before + sent).await;
    }

    /// Publishes anything.
    pub async fn poison(&self, subject: &str, payload: impl Into<Bytes>) {
        let before = self.last_seq().await;
        self.conn.client().publish(subject.to_owned(), payload.into()).await.unwrap();
        until("the log has the message", async || self.last_seq().await > before).await;
    }

    pub async fn last_seq(&self) -> u64 {
        identity(&self.conn, MISSIONS).await.unwrap().last_seq
    }

    /// Waits until the ledger is where the log is and has nothing left to send.
    pub async fn settled(&self) -> LedgerStatus {
        let last = self.last_seq().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if status.cursor >= last && status.notices_pending == 0 {
                return status;
            }
            assert!(Instant::now() < deadline, "the ledger never settled: {status:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// How the ledger stands; while its database is away for a moment the bridge says so, and is asked again.
    pub async fn status(&self) -> LedgerStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask::<_, LedgerStatus>(LedgerQuestion::Status, &serde_json::json!({})).await;
            match answer.0 {
                Ok(status) => return status,
                Err(error) if error.retryable && Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// Asks the ledger; a bridge that connects again after an outage is not there for a moment.
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        question: LedgerQuestion,
        body: &Q,
    ) -> Answer<A> {
        let (subject, body) = (subject::ledger(question), Bytes::from(serde_json::to_vec(body).unwrap()));
        let deadline = Instant::now() + PATIENCE;
        loop {
            match request(&self.conn, &subject, body.clone(), None, PATIENCE).await {
                Ok(reply) => return Answer::from_json(&reply).unwrap(),
                Err(RequestError::NoResponders(_)) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Every notice in the stream, in order.
    pub async fn notices(&self) -> Vec<Notice> {
        let last = identity(&self.conn, NOTICES).await.unwrap().last_seq;
        let mut reader = Reader::open(&self.conn, NOTICES, &[], Start::After(0)).await.unwrap();
        let mut notices = Vec::new();
        let mut seq = 0;
        while seq < last {
            let records = timeout(PATIENCE, reader.next_batch(1000, PATIENCE)).await.unwrap().unwrap();
            assert!(!records.is_empty(), "the notices end at {seq} of {last}");
            for record in records {
                seq = record.seq;
                notices.push(serde_json::from_slice(&record.payload).unwrap());
            }
        }
        notices
    }

    /// As after a long time: the server no longer recognises a notice that is sent again.
    pub async fn forget_notices(&self) {
        let window = Duration::from_millis(100);
        let mut stream = self.conn.jetstream().get_stream(NOTICES).await.unwrap();
        let mut config = stream.info().await.unwrap().config.clone();
        config.duplicate_window = window;
        self.conn.jetstream().update_stream(config).await.unwrap();
        sleep(window * 3).await;
    }

    /// Keeps a copy of what the server has stored, as a backup does.
    pub async fn back_up(&mut self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        self.server.stop().await;
        copy_dir(self.server.data_dir(), copy.path());
        self.server.restart().await;
        copy
    }

    /// Puts a copy in the place of what the server has stored: the streams are the same, and have lost their ends.
    pub async fn restore(&mut self, copy: &TempDir) {
        self.server.kill().await;
        std::fs::remove_dir_all(self.server.data_dir()).unwrap();
        copy_dir(copy.path(), self.server.data_dir());
        self.server.restart().await;
    }

    /// The ledger, opened beside whoever has it open.
    pub async fn database(&self) -> DatabaseConnection {
        let url = match &self.place.server {
            Some(server) => server.url(),
            None => format!("sqlite://{}", self.ledger().display()),
        };
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).set_schema_search_path("vp_ledger");
        Database::connect(options).await.unwrap()
    }

    /// Every row of the ledger as text, but when things were sent and stored.
    pub async fn dump(&self) -> String {
        let db = self.database().await;
        let mut text = String::new();
        for (table, order) in [
            ("missions", "born_pos"),
            ("attempts", "born_pos, attempt"),
            ("events", "pos"),
            ("notices", "pos"),
            ("artifacts", "born_pos, path"),
            ("anomalies", "pos"),
        ] {
            let rows = db
                .query_all_raw(Statement::from_string(
                    db.get_database_backend(),
                    format!("SELECT * FROM {table} ORDER BY {order}"),
                ))
                .await
                .unwrap();
            writeln!(text, "{table}: {}", rows.len()).unwrap();
            for row in &rows {
                text.push_str(&line(row));
            }
        }
        db.close().await.unwrap();
        text
    }
}

/// A row as text, one line, without what is null and what the server's clock says.
fn line(row: &QueryResult) -> String {
    let mut line = String::from(" ");
    for column in row.column_names() {
        if column == "created_us" {
            continue;
        }
        let number =
            row.try_get::<Option<i64>>("", &column).map(|value| value.map(|value| value.to_string()));
        let truth = || {
            let truth = row.try_get::<Option<bool>>("", &column);
            truth.map(|value| value.map(|value| i64::from(value).to_string()))
        };
        let value =
            number.or_else(|_| truth()).or_else(|_| row.try_get::<Option<String>>("", &column)).unwrap();
        if let Some(value) = value {
            write!(line, " {column}={value}").unwrap();
        }
    }
    line.push('\n');
    line
}

pub fn subject_of(event: &Event) -> String {
    let token = match &event.body {
        EventBody::Dispatched { tier, .. } => Token::Dispatched(*tier),
        body => Token::Event(body.kind()),
    };
    MissionSubject { vp_id: event.vp_id.clone(), mission_id: event.mission_id.clone(), token }.to_string()
}

/// Waits until `is_true`.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_true: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true().await {
        assert!(Instant::now() < deadline, "it never came true: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Copies a directory and what is in it.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
