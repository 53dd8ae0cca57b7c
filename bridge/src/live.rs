//! Missions in memory between their events. Forgetting one is always safe: the ledger has it.

use std::collections::HashMap;

use vp_shared::ids::MissionId;

use crate::project::Live;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheLimits {
    pub(crate) missions: usize,
    pub(crate) bytes: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { missions: 20_000, bytes: 64 * 1024 * 1024 }
    }
}

/// The missions that are not terminal and were used last.
#[derive(Debug)]
pub(crate) struct Cache {
    limits: CacheLimits,
    entries: HashMap<MissionId, Entry>,
    bytes: usize,
    turn: u64,
}

#[derive(Debug)]
struct Entry {
    live: Live,
    bytes: usize,
    used: u64,
}

impl Cache {
    pub(crate) fn new(limits: CacheLimits) -> Self {
        Self { limits, entries: HashMap::new(), bytes: 0, turn: 0 }
    }

    pub(crate) fn contains(&self, mission_id: &MissionId) -> bool {
        self.entries.contains_key(mission_id)
    }

    /// Takes a mission out, to be changed and put back.
    pub(crate) fn take(&mut self, mission_id: &MissionId) -> Option<Live> {
        let entry = self.entries.remove(mission_id)?;
        self.bytes -= entry.bytes;
        Some(entry.live)
    }

    pub(crate) fn put(&mut self, live: Live) {
        let bytes = size(&live);
        let mission_id = live.mission.mission_id.clone();
        self.bytes += bytes;
        if let Some(old) = self.entries.insert(mission_id, Entry { live, bytes, used: self.turn }) {
            self.bytes -= old.bytes;
        }
    }

    /// Forgets everything: what is in memory may not be what the ledger has.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Ends a batch: forgets the missions that were used longest ago until a quarter of the room is free, if there is
    /// none left.
    pub(crate) fn end_turn(&mut self) {
        self.turn += 1;
        if self.entries.len() <= self.limits.missions && self.bytes <= self.limits.bytes {
            return;
        }
        let mut by_use: Vec<(u64, MissionId)> =
            self.entries.iter().map(|(mission_id, entry)| (entry.used, mission_id.clone())).collect();
        by_use.sort_unstable_by_key(|(used, _)| *used);
        for (_, mission_id) in by_use {
            let (missions, bytes) = (self.limits.missions / 4 * 3, self.limits.bytes / 4 * 3);
            if self.entries.len() <= missions && self.bytes <= bytes {
                return;
            }
            drop(self.take(&mission_id));
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// About how much memory a mission takes.
fn size(live: &Live) -> usize {
    let spec = &live.mission.spec;
    let inputs: usize =
        spec.inputs
            .iter()
            .map(|input| match &input.source {
                vp_shared::mission::InputSource::Text(text)
                | vp_shared::mission::InputSource::Object(text) => text.len(),
            })
            .sum();
    // A constraint's size is not known without walking it; its keys say roughly how much there is.
    2048 + spec.objective.len() + inputs + spec.constraints.len() * 256 + live.mission.summary.len()
}
