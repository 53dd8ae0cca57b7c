//! The first schema.

use sea_orm::DbBackend;
use sea_orm::sea_query::{ColumnDef, Index, IndexCreateStatement, Table, TableCreateStatement};
use sea_orm_migration::prelude::*;

/// What a server does in another way than a file: texts are in the order of their bytes, whatever the database's
/// collation, and a path of any length can be a key.
const AS_IN_A_FILE: &str = r#"
DO $$
DECLARE place record;
BEGIN
    FOR place IN
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND data_type = 'text'
    LOOP
        EXECUTE format(
            'ALTER TABLE %I ALTER COLUMN %I TYPE text COLLATE "C"', place.table_name, place.column_name
        );
    END LOOP;
END $$;
ALTER TABLE artifacts DROP CONSTRAINT artifacts_pkey;
CREATE UNIQUE INDEX artifacts_once ON artifacts (born_pos, md5(path));
"#;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// All or nothing: an interrupted first start leaves a file that the next one can use.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in
            [missions(), attempts(), events(), notices(), artifacts(), anomalies(), cursors(), outboxes()]
        {
            manager.create_table(table).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(AS_IN_A_FILE).await?;
        }
        vp_nats::crash::point("mid_migration");
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

fn maybe_text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().null().take()
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

fn maybe_number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().take()
}

fn place() -> ColumnDef {
    ColumnDef::new("pos").big_integer().not_null().primary_key().take()
}

fn table(name: &'static str, columns: impl IntoIterator<Item = ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for column in columns {
        table.col(column);
    }
    table
}

fn keyed(mut table: TableCreateStatement, key: &[&'static str]) -> TableCreateStatement {
    let mut index = Index::create();
    for column in key {
        index.col(*column);
    }
    table.primary_key(&mut index);
    table
}

fn missions() -> TableCreateStatement {
    let columns = vec![
        ColumnDef::new("born_pos").big_integer().not_null().primary_key().take(),
        text("mission_id"),
        text("vp_id"),
        text("status"),
        text("tier"),
        maybe_text("session_id"),
        maybe_text("turn_id"),
        text("reply_mode"),
        number("attempt"),
        number("released"),
        number("last_seq"),
        maybe_number("queue_seq"),
        maybe_text("worker_id"),
        maybe_text("incarnation"),
        maybe_text("host"),
        maybe_text("worker_version"),
        maybe_text("lease"),
        maybe_number("retry_at_us"),
        maybe_text("cancel_reason"),
        maybe_text("cancel_by"),
        maybe_text("outcome"),
        maybe_text("failure_class"),
        maybe_text("failure_message"),
        text("summary"),
        maybe_text("result"),
        text("usage"),
        number("created_at_us"),
        maybe_number("queued_at_us"),
        maybe_number("started_at_us"),
        maybe_number("finished_at_us"),
        number("updated_at_us"),
    ];
    table("missions", columns)
}

fn attempts() -> TableCreateStatement {
    let columns = [
        number("born_pos"),
        number("attempt"),
        text("mission_id"),
        text("status"),
        text("worker_id"),
        text("host"),
        text("version"),
        number("started_at_us"),
        maybe_number("ended_at_us"),
        maybe_text("failure_class"),
        maybe_text("failure_message"),
        text("usage"),
    ];
    keyed(table("attempts", columns), &["born_pos", "attempt"])
}

fn events() -> TableCreateStatement {
    let columns = [
        place(),
        number("born_pos"),
        text("event_id"),
        text("mission_id"),
        text("kind"),
        number("attempt"),
        number("time_us"),
        text("payload"),
    ];
    table("events", columns)
}

fn notices() -> TableCreateStatement {
    let columns = [
        place(),
        text("notice_id"),
        text("session_id"),
        text("mission_id"),
        number("created_us"),
        text("body"),
    ];
    table("notices", columns)
}

fn artifacts() -> TableCreateStatement {
    let columns = [
        number("born_pos"),
        text("path"),
        text("mission_id"),
        text("category"),
        number("bytes"),
        text("media_type"),
        text("sha256"),
        ColumnDef::new("stored").boolean().not_null().take(),
    ];
    keyed(table("artifacts", columns), &["born_pos", "path"])
}

fn anomalies() -> TableCreateStatement {
    table("anomalies", [place(), text("subject"), text("what")])
}

fn cursors() -> TableCreateStatement {
    let columns =
        [text("stream"), number("created_us"), number("epoch"), number("seq"), maybe_number("event_us")];
    keyed(table("cursors", columns), &["stream", "created_us"])
}

fn outboxes() -> TableCreateStatement {
    keyed(table("outboxes", [text("stream"), number("sent_pos"), maybe_number("sent_at_us")]), &["stream"])
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create();
        index.name(name).table(table);
        for column in columns {
            index.col(*column);
        }
        index
    };
    let mut owned = index("missions_owned", "missions", &["worker_id"]);
    owned.cond_where(Expr::col("worker_id").is_not_null());
    vec![
        index("missions_by_id", "missions", &["mission_id"]).unique().take(),
        index("missions_by_age", "missions", &["created_at_us", "mission_id"]),
        index("missions_by_lane", "missions", &["vp_id", "created_at_us", "mission_id"]),
        index("missions_by_session", "missions", &["session_id", "created_at_us", "mission_id"]),
        index("missions_by_status", "missions", &["status", "created_at_us", "mission_id"]),
        owned,
        index("events_of_mission", "events", &["born_pos", "pos"]),
    ]
}
