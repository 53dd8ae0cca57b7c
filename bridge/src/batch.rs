//! A batch of messages as one change of the ledger.

use std::collections::{HashMap, HashSet};

use vp_nats::reader::Record;
use vp_shared::event::Event;
use vp_shared::ids::MissionId;

use crate::ledger::{Changes, Cursor, Place};
use crate::live::Cache;
use crate::project::{Decoded, Live, Names, anomaly_row, decode, project};

/// Messages that are read and not yet projected.
#[derive(Debug)]
pub(crate) struct Batch {
    messages: Vec<(Record, Decoded)>,
}

impl Batch {
    pub(crate) fn decode(records: Vec<Record>) -> Self {
        let messages = records.into_iter().map(|record| {
            let decoded = decode(&record);
            (record, decoded)
        });
        Self { messages: messages.collect() }
    }

    /// The missions it is about that `cache` does not hold.
    pub(crate) fn missing(&self, cache: &Cache) -> Vec<MissionId> {
        let mut seen = HashSet::new();
        self.events()
            .map(|event| &event.mission_id)
            .filter(|mission_id| !cache.contains(mission_id) && seen.insert(*mission_id))
            .cloned()
            .collect()
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.messages.iter().filter_map(|(_, decoded)| match decoded {
            Decoded::Event(event) => Some(&**event),
            Decoded::Timer | Decoded::Anomaly(_) => None,
        })
    }

    /// Projects all of it, from `cursor` on. The missions in `cache` are those after the batch, before it is stored:
    /// clear it when it could not be.
    pub(crate) fn project(&self, cursor: Cursor, cache: &mut Cache, names: &Names) -> Changes {
        let mut changes = Changes::new(cursor);
        let mut touched = HashMap::new();
        for (record, decoded) in &self.messages {
            let at = Place::new(cursor.epoch, record.seq);
            changes.to.seq = record.seq;
            match decoded {
                Decoded::Timer => {}
                Decoded::Anomaly(what) => {
                    changes.anomalies.push(anomaly_row(at, &record.subject, what.clone()));
                }
                Decoded::Event(event) => {
                    changes.to.event_at = Some(event.time);
                    let live = touched
                        .entry(&event.mission_id)
                        .or_insert_with(|| Touched { live: cache.take(&event.mission_id), changed: false });
                    let change = project(&mut live.live, at, record, event, names);
                    live.changed |= change.mission;
                    changes.add(change, &event.mission_id);
                }
            }
        }
        for touched in touched.into_values() {
            let Some(live) = touched.live else { continue };
            if touched.changed {
                changes.add_mission(&live.mission, live.born);
            }
            if !live.mission.status.is_terminal() {
                cache.put(live);
            }
        }
        cache.end_turn();
        changes
    }
}

/// A mission that a batch is about.
struct Touched {
    live: Option<Live>,
    changed: bool,
}
