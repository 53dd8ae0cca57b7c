//! From a world that has settled to evidence.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use vp_nats::connect::Connection;
use vp_nats::reader::{Reader, Record, Start, identity};
use vp_nats::subject::{MissionSubject, Token};
use vp_nats::topology::MISSIONS;
use vp_nats::{service, subject};
use vp_shared::api::{Answer, LedgerQuestion, LedgerStatus, MissionList, MissionView, ToolName};
use vp_shared::event::Event;
use vp_shared::lane::Lanes;

use super::evidence::{Logged, Rebuilt};

const ANSWER: Duration = Duration::from_secs(10);
const PAGE: u32 = 500;
const BATCH: usize = 1_000;

/// The log as far as it was read.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Its events.
    pub events: Vec<Logged>,
    /// What is no event.
    pub unreadable: Vec<(u64, String)>,
    /// The last sequence seen.
    seq: u64,
}

impl Log {
    /// Reads what has come since.
    ///
    /// # Errors
    /// The reader's words; what was read until then stays.
    pub async fn read_on(&mut self, conn: &Connection) -> Result<(), String> {
        let stream = identity(conn, MISSIONS).await.map_err(|error| error.to_string())?;
        if stream.last_seq <= self.seq {
            return Ok(());
        }
        let opened = Reader::open(conn, MISSIONS, &[], Start::After(self.seq)).await;
        let mut reader = opened.map_err(|error| error.to_string())?;
        while reader.pending() > 0 {
            let records = reader.next_batch(BATCH, ANSWER).await.map_err(|error| error.to_string())?;
            if records.is_empty() {
                return Err("the log fell silent".to_owned());
            }
            for record in records {
                self.seq = record.seq;
                self.take(&record);
            }
        }
        Ok(())
    }

    fn take(&mut self, record: &Record) {
        let subject: Result<MissionSubject, _> = record.subject.parse();
        match (subject, Event::from_json(&record.payload)) {
            (Ok(subject), _) if subject.token == Token::Timer => {}
            (Ok(subject), Ok(event))
                if subject.mission_id == event.mission_id && subject.vp_id == event.vp_id =>
            {
                self.events.push(Logged { seq: record.seq, stored_at: record.stored_at, event });
            }
            (Ok(_), Ok(_)) => self.unreadable.push((record.seq, "an event of another subject".to_owned())),
            (Ok(_), Err(error)) => self.unreadable.push((record.seq, error.to_string())),
            (Err(error), _) => self.unreadable.push((record.seq, error.to_string())),
        }
    }
}

/// How the ledger stands.
///
/// # Errors
/// The bridge's words, or that it gave none.
pub async fn ledger_status(conn: &Connection) -> Result<LedgerStatus, String> {
    let subject = subject::ledger(LedgerQuestion::Status);
    let reply = service::request(conn, &subject, Bytes::from_static(b"{}"), None, ANSWER).await;
    let reply = reply.map_err(|error| error.to_string())?;
    let answer: Answer<LedgerStatus> = Answer::from_json(&reply).map_err(|error| error.to_string())?;
    answer.0.map_err(|error| error.to_string())
}

/// All missions of the ledger, through the tool that callers use.
///
/// # Errors
/// As [`ledger_status`].
pub async fn ledger_missions(conn: &Connection) -> Result<Vec<MissionView>, String> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let mut input = json!({"limit": PAGE});
        if let Some(cursor) = &cursor {
            input["cursor"] = json!(cursor);
        }
        let subject = subject::tool(ToolName::List);
        let reply = service::request(conn, &subject, input.to_string().into(), None, ANSWER).await;
        let reply = reply.map_err(|error| error.to_string())?;
        let answer: Answer<MissionList> = Answer::from_json(&reply).map_err(|error| error.to_string())?;
        let page = answer.0.map_err(|error| error.to_string())?;
        all.extend(page.missions);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

/// Compares the ledger with one made anew, as `vp ledger rebuild --check` does.
pub async fn rebuilt(conn: &Connection, ledger: &str, lanes: &Lanes) -> Rebuilt {
    match vp_bridge::rebuild::rebuild(conn, ledger, lanes, true).await {
        Ok(report) => Rebuilt {
            tables: report.tables.len(),
            differences: report
                .tables
                .iter()
                .filter(|table| !table.equal)
                .map(|table| format!("{}: {}", table.name, table.differences.join("; ")))
                .collect(),
        },
        Err(error) => Rebuilt { tables: 0, differences: vec![vp_shared::error::Chain(&error).to_string()] },
    }
}

/// Lines that tell of a panic, of all logs in the directory.
pub fn panics(logs: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(logs).unwrap() {
        let path = file.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        found.extend(
            text.lines().filter(|line| line.contains("panicked at")).map(|line| format!("{name}: {line}")),
        );
    }
    found
}
