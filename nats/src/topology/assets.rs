//! What the streams and consumers must be. What is listed is asked for and compared with the server's echo; a
//! field that is not listed is left to the server.

use std::time::Duration;

use serde_json::{Value, json};
use vp_shared::ids::VpId;
use vp_shared::lane::LaneProfile;
use vp_shared::tier::Tier;

use super::{LANES, MISSIONS, NOTICES, PROGRESS, TopologyConfig, WORKERS, queue_consumer};
use crate::subject::{ALL_MISSIONS, ALL_NOTICES, ALL_PROGRESS, lane_queue};

/// A repeat within this is dropped by its message id. Short for missions: there the compare-and-set refuses a repeat
/// for ever, and ids cost the server memory.
const MISSIONS_REPEAT: Duration = Duration::from_secs(30);
const NOTICES_REPEAT: Duration = Duration::from_mins(2);
const OTHER_REPEAT: Duration = Duration::from_secs(1);
const PROGRESS_AGE: Duration = Duration::from_hours(24);
const PROGRESS_BYTES: u64 = 256 * 1024 * 1024;
/// How long it can be seen that a presence key is gone.
const MARKER_AGE: Duration = Duration::from_hours(1);

/// A stream or consumer as it must be.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) name: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Asset {
    /// The config as the server takes it.
    pub(super) fn config(&self) -> Value {
        self.fields.iter().map(|(field, value)| ((*field).to_owned(), value.clone())).collect()
    }

    /// The same with fewer fields to compare.
    pub(super) fn without(&self, left_out: &[&str]) -> Self {
        let fields = self.fields.iter().filter(|(field, _)| !left_out.contains(field)).cloned().collect();
        Self { name: self.name.clone(), fields }
    }
}

fn nanos(duration: Duration) -> Value {
    json!(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// A stream that keeps everything up to an age; `changes` replaces or adds fields.
fn stream(name: &str, subjects: &str, config: &TopologyConfig, changes: Vec<(&'static str, Value)>) -> Asset {
    let mut fields = vec![
        ("name", json!(name)),
        ("subjects", json!([subjects])),
        ("retention", json!("limits")),
        ("storage", json!("file")),
        ("discard", json!("old")),
        ("discard_new_per_subject", json!(false)),
        ("num_replicas", json!(config.replicas)),
        ("max_age", nanos(config.retention)),
        ("max_msgs", json!(-1)),
        ("max_bytes", json!(-1)),
        ("max_msgs_per_subject", json!(-1)),
        ("max_msg_size", json!(-1)),
        ("max_consumers", json!(-1)),
        ("duplicate_window", nanos(OTHER_REPEAT)),
        ("no_ack", json!(false)),
        ("sealed", json!(false)),
        ("deny_delete", json!(false)),
        ("deny_purge", json!(false)),
        ("allow_direct", json!(true)),
        ("allow_rollup_hdrs", json!(false)),
        ("allow_msg_ttl", json!(false)),
        ("allow_msg_schedules", json!(false)),
        ("allow_atomic", json!(false)),
        ("allow_msg_counter", json!(false)),
        ("subject_delete_marker_ttl", json!(0)),
        ("compression", json!("none")),
        ("persist_mode", json!("default")),
    ];
    for (field, value) in changes {
        fields.retain(|(known, _)| *known != field);
        fields.push((field, value));
    }
    Asset { name: name.to_owned(), fields }
}

/// All streams.
pub(super) fn streams(config: &TopologyConfig) -> Vec<Asset> {
    let missions = vec![
        ("duplicate_window", nanos(MISSIONS_REPEAT)),
        ("allow_msg_ttl", json!(true)),
        ("allow_msg_schedules", json!(true)),
        ("allow_atomic", json!(true)),
        // Switched on by the server together with schedules.
        ("allow_rollup_hdrs", json!(true)),
    ];
    let progress = vec![
        ("max_msgs_per_subject", json!(100)),
        ("max_age", nanos(PROGRESS_AGE)),
        ("max_bytes", json!(PROGRESS_BYTES)),
    ];
    let notices =
        vec![("max_age", nanos(config.notice_retention)), ("duplicate_window", nanos(NOTICES_REPEAT))];
    let workers = vec![
        ("max_age", json!(0)),
        ("discard", json!("new")),
        ("max_msgs_per_subject", json!(1)),
        ("deny_delete", json!(true)),
        ("allow_rollup_hdrs", json!(true)),
        ("allow_msg_ttl", json!(true)),
        ("subject_delete_marker_ttl", nanos(MARKER_AGE)),
    ];
    // One value a lane, kept until it is set again.
    let lanes = vec![
        ("max_age", json!(0)),
        ("discard", json!("new")),
        ("max_msgs_per_subject", json!(1)),
        ("deny_delete", json!(true)),
        ("allow_rollup_hdrs", json!(true)),
    ];
    vec![
        stream(MISSIONS, ALL_MISSIONS, config, missions),
        stream(PROGRESS, ALL_PROGRESS, config, progress),
        stream(NOTICES, ALL_NOTICES, config, notices),
        stream(&format!("KV_{WORKERS}"), &format!("$KV.{WORKERS}.>"), config, workers),
        stream(&format!("KV_{LANES}"), &format!("$KV.{LANES}.>"), config, lanes),
    ]
}

fn consumer(name: String, filter: &str, ack_wait: Duration, max_ack_pending: i64) -> Asset {
    let fields = vec![
        ("durable_name", json!(name)),
        ("filter_subject", json!(filter)),
        ("deliver_policy", json!("all")),
        ("ack_policy", json!("explicit")),
        ("ack_wait", nanos(ack_wait)),
        ("max_deliver", json!(-1)),
        ("max_ack_pending", json!(max_ack_pending)),
        ("replay_policy", json!("instant")),
        ("num_replicas", json!(0)),
    ];
    Asset { name, fields }
}

/// The queue of a lane's tier, from `start_seq` on.
pub(super) fn queue(vp_id: &VpId, tier: Tier, lane: &LaneProfile, start_seq: u64) -> Asset {
    let mut asset = consumer(queue_consumer(vp_id, tier), &lane_queue(vp_id, tier), lane.ack_wait(), -1);
    if start_seq > 1 {
        asset.fields.retain(|(field, _)| *field != "deliver_policy");
        asset.fields.push(("deliver_policy", json!("by_start_sequence")));
        asset.fields.push(("opt_start_seq", json!(start_seq)));
    }
    asset
}

/// A session's notices; one at a time, so that they are shown in order.
pub(super) fn session(name: &str, filter: &str, ack_wait: Duration) -> Asset {
    consumer(name.to_owned(), filter, ack_wait, 1)
}
