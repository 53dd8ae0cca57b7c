//! Many rows in few statements of few texts, so that each is prepared once.

use std::collections::HashMap;

use sea_orm::sea_query::{OnConflict, Query, Value};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait, Iterable, ModelTrait, Statement, StatementBuilder};

/// How many rows a statement holds: each number of rows is made up of these.
const CHUNKS: [usize; 5] = [128, 32, 8, 2, 1];

/// The texts of the statements, made once each.
#[derive(Debug, Default)]
pub(crate) struct Texts(HashMap<(&'static str, usize), String>);

impl Texts {
    /// Inserts `rows`; `on_conflict` says what becomes of those whose key is there.
    pub(crate) async fn insert<E, C>(
        &mut self,
        db: &C,
        name: &'static str,
        rows: &[E::Model],
        on_conflict: fn() -> Option<OnConflict>,
    ) -> Result<(), DbErr>
    where
        E: EntityTrait,
        C: ConnectionTrait,
    {
        let backend = db.get_database_backend();
        let mut rest = rows;
        while !rest.is_empty() {
            let size = CHUNKS.into_iter().find(|size| *size <= rest.len()).unwrap_or(1);
            let (chunk, after) = rest.split_at(size);
            rest = after;
            let sql =
                self.0.entry((name, size)).or_insert_with(|| insert_text::<E>(backend, size, on_conflict())).clone();
            let mut values = Vec::with_capacity(size * E::Column::iter().count());
            for row in chunk {
                values.extend(E::Column::iter().map(|column| row.get(column)));
            }
            db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        }
        Ok(())
    }
}

fn insert_text<E: EntityTrait>(backend: DbBackend, rows: usize, on_conflict: Option<OnConflict>) -> String {
    let mut insert = Query::insert();
    insert.into_table(E::default()).columns(E::Column::iter());
    let width = E::Column::iter().count();
    for _ in 0..rows {
        // Only the text is kept; any value will do.
        insert.values_panic(std::iter::repeat_n(Value::BigInt(None).into(), width));
    }
    if let Some(on_conflict) = on_conflict {
        insert.on_conflict(on_conflict);
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
