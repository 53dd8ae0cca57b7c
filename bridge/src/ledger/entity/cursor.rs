//! How far a stream is projected: the only position there is.

use sea_orm::entity::prelude::*;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "cursors")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub stream: String,
    /// When the stream was created: the same name after a deletion is another stream.
    #[sea_orm(primary_key, auto_increment = false)]
    pub created_us: i64,
    /// Which life of the stream this is, from 0.
    pub epoch: i64,
    /// The last sequence that is projected.
    pub seq: i64,
    /// The time of the last event that is projected.
    pub event_us: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
