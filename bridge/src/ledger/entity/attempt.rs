//! One execution of a mission.

use sea_orm::entity::prelude::*;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub born_pos: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i64,
    #[sea_orm(column_type = "Text")]
    pub mission_id: String,
    #[sea_orm(column_type = "Text")]
    pub status: String,
    #[sea_orm(column_type = "Text")]
    pub worker_id: String,
    #[sea_orm(column_type = "Text")]
    pub host: String,
    #[sea_orm(column_type = "Text")]
    pub version: String,
    pub started_at_us: i64,
    pub ended_at_us: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub failure_class: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub failure_message: Option<String>,
    /// JSON.
    #[sea_orm(column_type = "Text")]
    pub usage: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
