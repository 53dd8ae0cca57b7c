//! Many rows in few statements of few texts, so that each is prepared once.

use std::collections::HashMap;

use sea_orm::sea_query::{OnConflict, Query, Value};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, Iterable, Statement, StatementBuilder,
};

/// How many rows a statement holds: each number of rows is made up of these.
const CHUNKS: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// The texts of the statements, made once each.
#[derive(Debug, Default)]
pub(crate) struct Texts(HashMap<(&'static str, usize), String>);

impl Texts {
    /// Inserts `rows`; `on_conflict` says what becomes of those whose key is there.
    pub(crate) async fn insert<A, C>(
        &mut self,
        db: &C,
        name: &'static str,
        rows: Vec<<A::Entity as EntityTrait>::Model>,
        on_conflict: Option<fn() -> OnConflict>,
    ) -> Result<(), DbErr>
    where
        A: ActiveModelTrait,
        <A::Entity as EntityTrait>::Model: Into<A>,
        C: ConnectionTrait,
    {
        let backend = db.get_database_backend();
        let columns: Vec<_> = <A::Entity as EntityTrait>::Column::iter().collect();
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let size = CHUNKS.into_iter().find(|size| *size <= rows.len()).unwrap_or(1);
            let text = self.0.entry((name, size));
            let sql = text.or_insert_with(|| insert_text::<A::Entity>(backend, size, on_conflict)).clone();
            let mut values = Vec::with_capacity(size * columns.len());
            for row in rows.by_ref().take(size) {
                // Taken, not copied: most of a row is text.
                let mut row: A = row.into();
                values
                    .extend(columns.iter().filter_map(|column| row.take(*column).into_value()).map(storable));
            }
            db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        }
        Ok(())
    }
}

/// PostgreSQL has no text with a zero byte in it, and a message that has one must not stop the bridge: every ledger
/// stores the sign of an unreadable character instead, so that all of them have the same rows.
fn storable(value: Value) -> Value {
    match value {
        Value::String(Some(text)) if text.contains('\0') => text.replace('\0', "\u{fffd}").into(),
        value => value,
    }
}

fn insert_text<E: EntityTrait>(
    backend: DbBackend,
    rows: usize,
    on_conflict: Option<fn() -> OnConflict>,
) -> String {
    let mut insert = Query::insert();
    insert.into_table(E::default()).columns(E::Column::iter());
    let width = E::Column::iter().count();
    for _ in 0..rows {
        // Only the text is kept; any value will do.
        insert.values_panic(std::iter::repeat_n(Value::BigInt(None).into(), width));
    }
    if let Some(on_conflict) = on_conflict {
        insert.on_conflict(on_conflict());
    }
    StatementBuilder::build(&insert, &backend).sql
}

/// `items` in slices of the sizes above, the last one filled up with its own first item: for `IN` lists.
pub(crate) fn padded<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let mut lists: Vec<Vec<T>> = items.chunks(CHUNKS[0]).map(<[T]>::to_vec).collect();
    if let Some(last) = lists.last_mut() {
        let size = CHUNKS.into_iter().rev().find(|size| *size >= last.len()).unwrap_or(CHUNKS[0]);
        let first = last[0].clone();
        last.resize(size, first);
    }
    lists
}
