//! Ledgers of every released schema, with rows in them: each becomes one of today's, and is what the log says.
//!
//! `fixtures/ledger-<release>.<kind>.sql` is the schema and the rows as that release made them of [`events`]. After a
//! release that has a migration: `cargo test -p vp-bridge --test released -- --ignored` writes those of this build.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};
use support::script::{CODER, GENERAL, Script};
use support::{World, lanes};
use vp_bridge::harness::LedgerKind;
use vp_bridge::on_both_ledgers;
use vp_bridge::rebuild::rebuild;
use vp_nats::reader::{Reader, Start, identity};
use vp_nats::topology::MISSIONS;
use vp_shared::event::Event;
use vp_shared::failure::FailureClass;

/// The releases, oldest first.
const RELEASES: [&str; 1] = ["0.1.0"];
/// What stands in a fixture for the time at which the stream was made.
const STREAM_MADE: &str = "4102444800000000";
/// Every table, with the columns that order its rows.
const TABLES: [(&str, &str); 9] = [
    ("seaql_migrations", "version"),
    ("missions", "born_pos"),
    ("attempts", "born_pos, attempt"),
    ("events", "pos"),
    ("notices", "pos"),
    ("artifacts", "born_pos, path"),
    ("anomalies", "pos"),
    ("cursors", "epoch"),
    ("outboxes", "stream"),
];

/// One mission of each end, one that runs and one that waits: always the same.
fn events() -> Vec<Event> {
    let mut all = Script::new(CODER, "well").well();
    let mut failed = Script::new(GENERAL, "it's failed");
    all.extend([failed.dispatched(), failed.started(), failed.attempt_failed()]);
    all.extend([failed.started(), failed.failed(FailureClass::Timeout)]);
    let mut cancelled = Script::new(CODER, "cancelled");
    all.extend([cancelled.dispatched(), cancelled.cancelled()]);
    let mut runs = Script::new(CODER, "runs");
    all.extend([runs.dispatched(), runs.started()]);
    all.push(Script::new(GENERAL, "waits").dispatched());
    all
}

fn fixture(release: &str, kind: LedgerKind) -> PathBuf {
    let kind = if matches!(kind, LedgerKind::Sqlite) { "sqlite" } else { "postgres" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/ledger-{release}.{kind}.sql"))
}

async fn made(world: &World) -> String {
    identity(&world.conn, MISSIONS).await.unwrap().created_at.as_micros().to_string()
}

/// Makes the ledger that the release would have left, of the log that is there.
async fn lay_down(world: &World, release: &str, kind: LedgerKind) {
    let text = std::fs::read_to_string(fixture(release, kind)).unwrap();
    if world.place.server.is_some() {
        world.sql("CREATE SCHEMA vp_ledger").await;
    } else {
        std::fs::File::create(world.ledger()).unwrap();
    }
    world.sql(&text.replace(STREAM_MADE, &made(world).await)).await;
    // When the server of this very test stored what the notices tell of.
    let last = world.last_seq().await;
    let mut reader = Reader::open(&world.conn, MISSIONS, &[], Start::After(0)).await.unwrap();
    let (mut seq, mut times) = (0, String::new());
    while seq < last {
        for record in reader.next_batch(100, Duration::from_secs(30)).await.unwrap() {
            seq = record.seq;
            let micros = record.stored_at.as_micros();
            writeln!(times, "UPDATE notices SET created_us = {micros} WHERE pos = {seq};").unwrap();
        }
    }
    world.sql(&times).await;
}

async fn a_ledger_of_every_release_is_migrated_and_is_what_the_log_says(kind: LedgerKind) {
    for release in RELEASES {
        let mut world = World::start_on(kind).await;
        world.append_all(&events()).await;
        lay_down(&world, release, kind).await;
        let bridge = world.bridge().await;
        let status = world.settled().await;
        assert_eq!(status.missions.values().sum::<u64>(), 5, "{release}: {status:?}");
        assert!(world.notices().await.is_empty(), "{release}: all had been told");
        world.append_all(&Script::new(CODER, "after").well()).await;
        world.settled().await;
        assert_eq!(world.notices().await.len(), 3, "{release}: what is new is told");
        let report = rebuild(&world.conn, &world.place.location, &lanes(), true).await.unwrap();
        assert!(report.is_equal() && report.log_begins_at.is_none(), "{release}: {report:?}");
        bridge.stop().await;
    }
}

/// Fails when a released migration was changed, or the projection writes other rows without a migration of the old ones.
async fn this_build_makes_the_newest_release_s_rows_unless_it_has_more_migrations(kind: LedgerKind) {
    let release = RELEASES[RELEASES.len() - 1];
    let newest = std::fs::read_to_string(fixture(release, kind)).unwrap();
    let here = dump(kind).await;
    let migrations = |text: &str| text.lines().filter(|line| line.contains("INTO seaql_migrations")).count();
    if migrations(&here) == migrations(&newest) {
        assert_eq!(here, newest);
    } else {
        assert!(migrations(&here) > migrations(&newest), "a released migration is gone");
    }
}

on_both_ledgers!(
    a_ledger_of_every_release_is_migrated_and_is_what_the_log_says,
    this_build_makes_the_newest_release_s_rows_unless_it_has_more_migrations,
);

#[tokio::test]
#[ignore = "writes the fixtures of this build"]
async fn write_the_fixtures_of_this_build() {
    for kind in [LedgerKind::Sqlite, LedgerKind::Postgres] {
        std::fs::write(fixture(env!("CARGO_PKG_VERSION"), kind), dump(kind).await).unwrap();
    }
}

/// The schema and the rows that this build makes of [`events`], as statements.
async fn dump(kind: LedgerKind) -> String {
    let mut world = World::start_on(kind).await;
    world.append_all(&events()).await;
    let bridge = world.bridge().await;
    world.settled().await;
    bridge.stop().await;
    let db = world.database().await;
    let mut text =
        if world.place.server.is_some() { postgres_schema(&db).await } else { sqlite_schema(&db).await };
    for (table, order) in TABLES {
        for row in rows(&db, &format!("SELECT * FROM {table} ORDER BY {order}")).await {
            let columns = row.column_names();
            let values: Vec<String> = columns.iter().map(|column| literal(&row, table, column)).collect();
            writeln!(text, "INSERT INTO {table} ({}) VALUES ({});", columns.join(", "), values.join(", "))
                .unwrap();
        }
    }
    db.close().await.unwrap();
    text.replace(&made(&world).await, STREAM_MADE)
}

async fn rows(db: &DatabaseConnection, sql: &str) -> Vec<QueryResult> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap()
}

fn literal(row: &QueryResult, table: &str, column: &str) -> String {
    // What the clock of the day says; none of it is compared, or it is written anew.
    if matches!(
        (table, column),
        ("seaql_migrations", "applied_at") | ("notices", "created_us") | ("outboxes", "sent_at_us")
    ) {
        return "0".to_owned();
    }
    if column == "stored" {
        return row.try_get::<bool>("", column).unwrap().to_string();
    }
    if let Ok(number) = row.try_get::<Option<i64>>("", column) {
        return number.map_or_else(|| "NULL".to_owned(), |number| number.to_string());
    }
    let text: Option<String> = row.try_get("", column).unwrap();
    text.map_or_else(|| "NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
}

async fn sqlite_schema(db: &DatabaseConnection) -> String {
    let sql = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name";
    let statements = rows(db, sql).await;
    statements
        .iter()
        .fold(String::new(), |text, row| text + &row.try_get_by_index::<String>(0).unwrap() + ";\n")
}

/// Columns, keys and indexes as the server tells them: all that a migration of ours makes.
async fn postgres_schema(db: &DatabaseConnection) -> String {
    let mut text = String::new();
    for (table, _) in TABLES {
        let columns = rows(
            db,
            &format!(
                "SELECT format('%I %s%s%s', attname, format_type(atttypid, atttypmod),
                     CASE WHEN attcollation = 'pg_catalog.\"C\"'::regcollation THEN ' COLLATE \"C\"' ELSE '' END,
                     CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END)
                 FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
            ),
        )
        .await;
        let columns: Vec<String> = columns.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        writeln!(text, "CREATE TABLE {table} ({});", columns.join(", ")).unwrap();
    }
    let keys = "SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s;', conrelid::regclass, conname, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype = 'p' ORDER BY conname";
    let indexes = "SELECT replace(pg_get_indexdef(indexrelid), current_schema() || '.', '') || ';'
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relnamespace = current_schema()::regnamespace AND NOT indisprimary ORDER BY relname";
    for sql in [keys, indexes] {
        for row in rows(db, sql).await {
            writeln!(text, "{}", row.try_get_by_index::<String>(0).unwrap()).unwrap();
        }
    }
    text
}
