//! Two ledgers, row by row: what a rebuild gives against what is there.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt::Debug;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbBackend, EntityTrait, IsolationLevel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select, TransactionOptions, TransactionTrait, Value,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use vp_nats::topology::MISSIONS;

use super::Ledger;
use super::entity::{anomaly, artifact, attempt, event, mission, notice};
use super::error::LedgerError;
use super::place::Place;
use super::row::json;

/// How many rows are read at a time.
const PAGE: u64 = 500;
/// How many differences of a table are named.
const NAMED: usize = 20;

/// A table of two ledgers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// The table.
    pub name: String,
    /// How many rows a projection of the log gives.
    pub rows: u64,
    /// SHA-256 of those rows, lower-case hex.
    pub digest: String,
    /// True when the ledger has the same rows.
    pub equal: bool,
    /// The first rows that differ, each with how.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// What is compared: a table, its key, and its rows as text. Keys begin with a position: their own, or where their
/// mission was born.
pub(super) trait Table: EntityTrait<Model: Serialize> {
    const NAME: &'static str;
    type Key: Ord + Debug + Send;

    fn key(row: &Self::Model) -> Self::Key;
    fn key_columns() -> Vec<Self::Column>;
    fn key_values(key: &Self::Key) -> Vec<Value>;

    /// Of the rows whose key is not before `floor`, those of missions that were born before it are left out as well: the
    /// log does not hold all of them any more.
    fn scope(query: Select<Self>, _floor: i64) -> Select<Self> {
        query
    }

    fn text(row: &Self::Model) -> String {
        json(row)
    }
}

macro_rules! table {
    ($module:ident, $name:literal, ($($column:ident: $field:ident $type:ty),+) $(, $scope:expr $(, $text:expr)?)?) => {
        impl Table for $module::Entity {
            const NAME: &'static str = $name;
            type Key = ($($type,)+);

            fn key(row: &$module::Model) -> Self::Key {
                ($(row.$field.clone(),)+)
            }

            fn key_columns() -> Vec<$module::Column> {
                vec![$($module::Column::$column),+]
            }

            fn key_values(key: &Self::Key) -> Vec<Value> {
                let ($($field,)+) = key;
                vec![$($field.clone().into()),+]
            }

            $(fn scope(query: Select<Self>, floor: i64) -> Select<Self> {
                ($scope)(query, floor)
            }

            $(fn text(row: &$module::Model) -> String {
                ($text)(row)
            })?)?
        }
    };
}

table!(mission, "missions", (BornPos: born_pos i64));
table!(attempt, "attempts", (BornPos: born_pos i64, Attempt: attempt i64));
table!(event, "events", (Pos: pos i64), |query: Select<event::Entity>, floor| {
    query.filter(event::Column::BornPos.gte(floor))
});
table!(artifact, "artifacts", (BornPos: born_pos i64, Path: path String));
table!(
    notice,
    "notices",
    (Pos: pos i64),
    |query: Select<notice::Entity>, floor| {
        // Asked of each notice's mission by its index: a list of all missions would be made anew for every page.
        let mut whole = Query::select();
        whole
            .expr(Expr::val(1))
            .from(mission::Entity)
            .and_where(mission::Column::MissionId.into_expr().eq(notice::Column::MissionId.into_expr()))
            .and_where(mission::Column::BornPos.gte(floor));
        query.filter(Expr::exists(whole))
    },
    notice_text
);
table!(anomaly, "anomalies", (Pos: pos i64), |query: Select<anomaly::Entity>, _| {
    // What was noted about the stream itself cannot be seen in it.
    query.filter(anomaly::Column::Subject.ne(MISSIONS))
});

/// A notice without what its lane was called when it was written, which the log does not say.
fn notice_text(row: &notice::Model) -> String {
    let mut row = row.clone();
    if let Ok(serde_json::Value::Object(mut body)) = serde_json::from_str(&row.body) {
        body.remove("vp_name");
        body.remove("text");
        row.body = serde_json::Value::Object(body).to_string();
    }
    json(&row)
}

/// One table of a ledger, in the order of its key, a page at a time.
struct Rows<'a, E: Table> {
    db: &'a DatabaseTransaction,
    floor: i64,
    page: VecDeque<E::Model>,
    last: Option<E::Key>,
    ended: bool,
}

impl<'a, E: Table> Rows<'a, E> {
    fn new(db: &'a DatabaseTransaction, floor: i64) -> Self {
        Self { db, floor, page: VecDeque::new(), last: None, ended: false }
    }

    async fn peek(&mut self) -> Result<Option<(E::Key, String)>, LedgerError> {
        if self.page.is_empty() && !self.ended {
            let page = page::<E>(self.floor, self.last.as_ref())
                .all(self.db)
                .await
                .map_err(LedgerError::db("read a ledger's rows for a comparison"))?;
            self.ended = (page.len() as u64) < PAGE;
            self.last = page.last().map(E::key).or(self.last.take());
            self.page = page.into();
        }
        Ok(self.page.front().map(|row| (E::key(row), E::text(row))))
    }

    fn pass(&mut self) {
        self.page.pop_front();
    }
}

/// The rows from `floor` on, or those behind `last`. One lower bound, never both: the database would begin at the floor
/// for every page.
fn page<E: Table>(floor: i64, last: Option<&E::Key>) -> Select<E> {
    let columns = E::key_columns();
    let key = Expr::tuple(columns.iter().map(|column| Expr::col((E::default(), *column))));
    let query = E::scope(E::find(), floor).filter(match last {
        Some(last) => key.gt(Expr::tuple(E::key_values(last).into_iter().map(Expr::value))),
        None => columns[0].gte(floor),
    });
    columns.into_iter().fold(query, QueryOrder::order_by_asc).limit(PAGE)
}

/// Compares one table of the ledger, `have`, with that of a projection of the log, `want`.
async fn compare_table<E: Table>(
    want: &DatabaseTransaction,
    have: Option<&DatabaseTransaction>,
    floor: i64,
) -> Result<TableReport, LedgerError> {
    let mut wanted = Rows::<E>::new(want, floor);
    let mut there = have.map(|have| Rows::<E>::new(have, floor));
    let mut report = TableReport {
        name: E::NAME.to_owned(),
        rows: 0,
        digest: String::new(),
        equal: true,
        differences: Vec::new(),
    };
    let mut digest = Sha256::new();
    let differs = |report: &mut TableReport, key: &E::Key, how: &str| {
        report.equal = false;
        if report.differences.len() < NAMED {
            report.differences.push(format!("{key:?}: {how}"));
        }
    };
    loop {
        let left = wanted.peek().await?;
        let right = match &mut there {
            Some(there) => there.peek().await?,
            None => left.as_ref().and(None),
        };
        let order = match (&left, &right) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        if let (Some((key, text)), Ordering::Less | Ordering::Equal) = (&left, order) {
            report.rows += 1;
            digest.update(text.as_bytes());
            digest.update(b"\n");
            wanted.pass();
            match &right {
                _ if there.is_none() => {}
                Some((_, other)) if order == Ordering::Equal => {
                    if text != other {
                        differs(&mut report, key, "differs from what the log says");
                    }
                }
                _ => differs(&mut report, key, "is missing in the ledger"),
            }
        }
        if let (Some((key, _)), Ordering::Greater | Ordering::Equal) = (&right, order) {
            if order == Ordering::Greater {
                differs(&mut report, key, "is not in the log");
            }
            if let Some(there) = &mut there {
                there.pass();
            }
        }
    }
    report.digest = hex(&digest.finalize());
    Ok(report)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A ledger as it stands at one moment, whatever is written to it meanwhile.
pub(crate) struct Snapshot(DatabaseTransaction);

impl Snapshot {
    /// How many missions were born before `place`.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn born_before(&self, place: Place) -> Result<u64, LedgerError> {
        mission::Entity::find()
            .filter(mission::Column::BornPos.lt(place.pos()))
            .count(&self.0)
            .await
            .map_err(LedgerError::db("count the ledger's oldest missions"))
    }

    /// True when it has rows of what was stored before `place`: of missions, or what is left of others.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub(crate) async fn has_rows_before(&self, place: Place) -> Result<bool, LedgerError> {
        if self.born_before(place).await? > 0 {
            return Ok(true);
        }
        let failed = || LedgerError::db("look for the ledger's oldest rows");
        let event = event::Entity::find().filter(event::Column::Pos.lt(place.pos())).one(&self.0);
        let anomaly = anomaly::Entity::find().filter(anomaly::Column::Pos.lt(place.pos())).one(&self.0);
        Ok(event.await.map_err(failed())?.is_some() || anomaly.await.map_err(failed())?.is_some())
    }
}

impl Ledger {
    /// A snapshot, and where the ledger stands in it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn snapshot(&self) -> Result<(Snapshot, Vec<super::Cursor>), LedgerError> {
        let backend = self.reader.get_database_backend();
        let options = TransactionOptions {
            // SQLite has no other.
            isolation_level: (backend == DbBackend::Postgres).then_some(IsolationLevel::RepeatableRead),
            ..TransactionOptions::default()
        };
        let begun = self.reader.begin_with_options(options).await;
        let tx = begun.map_err(LedgerError::db("begin to read the ledger"))?;
        // The first read is the moment.
        let cursors = super::load::cursors(&tx).await?;
        Ok((Snapshot(tx), cursors))
    }
}

/// Compares all tables of a ledger with those of a projection of the log. Missions born before `floor` are left out.
///
/// # Errors
/// [`LedgerError`].
pub(crate) async fn compare(
    want: &Snapshot,
    have: Option<&Snapshot>,
    floor: i64,
) -> Result<Vec<TableReport>, LedgerError> {
    let (want, have) = (&want.0, have.map(|have| &have.0));
    Ok(vec![
        compare_table::<mission::Entity>(want, have, floor).await?,
        compare_table::<attempt::Entity>(want, have, floor).await?,
        compare_table::<event::Entity>(want, have, floor).await?,
        compare_table::<artifact::Entity>(want, have, floor).await?,
        compare_table::<notice::Entity>(want, have, floor).await?,
        compare_table::<anomaly::Entity>(want, have, floor).await?,
    ])
}

#[cfg(test)]
mod tests {
    use sea_orm::QueryTrait;

    use super::*;

    #[test]
    fn a_page_begins_behind_the_one_before_and_the_first_at_the_floor() {
        let sql = |query: Select<attempt::Entity>| query.build(DbBackend::Sqlite).to_string();
        let (first, next) = (sql(page(7, None)), sql(page(7, Some(&(40, 2)))));
        let (floor, behind) =
            (r#""born_pos" >= 7"#, r#"("attempts"."born_pos", "attempts"."attempt") > (40, 2)"#);
        assert!(first.contains(floor) && !first.contains('('), "{first}");
        assert!(next.contains(behind) && !next.contains(">="), "{next}");
        let order = r#"ORDER BY "attempts"."born_pos" ASC, "attempts"."attempt" ASC LIMIT 500"#;
        assert!(first.ends_with(order) && next.ends_with(order), "{next}");
    }
}
