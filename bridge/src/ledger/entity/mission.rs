//! A mission as its events tell it. What it asks for stands in the event at `born_pos`, once, and is not repeated here:
//! this row is rewritten with every event. That place is also its number in the other tables: unlike the id, a hash, it
//! grows, so what belongs to the missions of one hour lies close together.

use sea_orm::entity::prelude::*;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "missions")]
pub struct Model {
    /// The place of its first event, which holds what it asks for.
    #[sea_orm(primary_key, auto_increment = false)]
    pub born_pos: i64,
    #[sea_orm(column_type = "Text", unique)]
    pub mission_id: String,
    #[sea_orm(column_type = "Text")]
    pub vp_id: String,
    #[sea_orm(column_type = "Text")]
    pub status: String,
    #[sea_orm(column_type = "Text")]
    pub tier: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub session_id: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub turn_id: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub reply_mode: String,
    pub attempt: i64,
    pub released: i64,
    /// The stream sequence of its last event.
    pub last_seq: i64,
    /// The stream sequence of its newest queue entry.
    pub queue_seq: Option<i64>,
    /// Who runs it; null when nobody does.
    #[sea_orm(column_type = "Text", nullable)]
    pub worker_id: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub incarnation: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub host: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub worker_version: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub lease: Option<String>,
    pub retry_at_us: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub cancel_reason: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub cancel_by: Option<String>,
    /// JSON.
    #[sea_orm(column_type = "Text", nullable)]
    pub outcome: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub failure_class: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub failure_message: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub summary: String,
    /// JSON.
    #[sea_orm(column_type = "Text", nullable)]
    pub result: Option<String>,
    /// JSON.
    #[sea_orm(column_type = "Text")]
    pub usage: String,
    pub created_at_us: i64,
    pub queued_at_us: Option<i64>,
    pub started_at_us: Option<i64>,
    pub finished_at_us: Option<i64>,
    pub updated_at_us: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
