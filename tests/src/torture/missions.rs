//! What is delegated, drawn from the seed.

use std::time::Duration;

use serde_json::{Value, json};
use vp_shared::ids::{MissionId, SessionId, VpId};
use vp_shared::lane::Lanes;
use vp_shared::mission::ReplyMode;
use vp_shared::tier::Tier;

use super::seeded::Seeded;
use crate::lanes::{CODER, GENERAL, lane_id};

/// The sessions that delegate.
pub const SESSIONS: [&str; 3] = ["simone-1", "simone-2", "simone-3"];
/// Between two signs of life of an executor.
pub const BEAT: Duration = Duration::from_millis(200);
/// Between an executor's polite and its forcible end.
pub const KILL_GRACE: Duration = Duration::from_secs(1);

/// What a mission's executor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Works for a while and delivers.
    Delivers,
    /// Works for a while and fails.
    Fails,
    /// Never ends by itself; its time limit ends it.
    Hangs,
    /// Never ends by itself and does not listen to TERM.
    Stubborn,
}

impl Kind {
    /// As the executor's script reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivers => "delivers",
            Self::Fails => "fails",
            Self::Hangs => "hangs",
            Self::Stubborn => "stubborn",
        }
    }
}

/// One mission to be delegated.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its idempotency key.
    pub key: String,
    /// Its lane.
    pub vp_id: VpId,
    /// Who delegates it.
    pub session: SessionId,
    /// When, counted from the beginning.
    pub at: Duration,
    /// What its executor does.
    pub kind: Kind,
    /// How many signs of life it gives before it ends by itself.
    pub beats: u64,
    /// Which notices are wanted.
    pub reply_mode: ReplyMode,
    /// Its queue.
    pub tier: Tier,
    /// How many attempts may count, if it is not left to the lane.
    pub max_attempts: Option<u32>,
    /// How long after its dispatch it is to be queued, if not at once.
    pub delay: Option<Duration>,
    /// When it is cancelled, counted from its dispatch.
    pub cancel: Option<Duration>,
    /// When it is sent again, counted from its dispatch, and whether with another content.
    pub again: Vec<(Duration, Again)>,
}

/// How a key is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// For the same mission.
    Same,
    /// For another one, which must be refused.
    Different,
}

impl Planned {
    /// The mission's id.
    pub fn mission_id(&self) -> MissionId {
        MissionId::of_key(&self.vp_id, &self.key)
    }

    /// The tool's input; `begun` is when the round began, as `not_before` is a time of day.
    pub fn input(&self, begun: vp_shared::time::UtcTime) -> Value {
        let mut input = json!({
            "vp_id": self.vp_id, "objective": format!("Torture {}", self.key), "idempotency_key": self.key,
            "reply_mode": self.reply_mode, "priority": self.tier.name(),
            "constraints": {"kind": self.kind.name(), "beats": self.beats.to_string()},
        });
        if matches!(self.kind, Kind::Hangs | Kind::Stubborn) {
            input["budget"] = json!({"wall_seconds": 1 + self.beats / 5});
        }
        if let Some(max) = self.max_attempts {
            input["max_attempts"] = json!(max);
        }
        if let Some(delay) = self.delay {
            input["not_before"] = json!(begun.plus(self.at + delay));
        }
        input
    }
}

/// All missions of a round, over `load` of time.
pub fn plan(seed: u64, count: usize, load: Duration) -> Vec<Planned> {
    let mut seeded = Seeded::new(seed, "missions");
    let end = u64::try_from(load.as_millis()).unwrap();
    let mut all: Vec<_> = (0..count).map(|nth| one(&mut seeded, seed, nth, end)).collect();
    all.sort_by_key(|mission| mission.at);
    all
}

fn one(seeded: &mut Seeded, seed: u64, nth: usize, end: u64) -> Planned {
    let kind =
        seeded.weighted(&[(74, Kind::Delivers), (12, Kind::Fails), (9, Kind::Hangs), (5, Kind::Stubborn)]);
    let beats = match kind {
        // Some run for longer than a presence lasts, and than a frozen worker of the short lane may keep them.
        Kind::Delivers | Kind::Fails if seeded.chance(8) => seeded.between(40, 60),
        Kind::Delivers | Kind::Fails => seeded.between(1, 15),
        Kind::Hangs | Kind::Stubborn => seeded.between(5, 15),
    };
    let mut again = Vec::new();
    if seeded.chance(15) {
        again.push((seeded.millis(0, 6_000), Again::Same));
    }
    if seeded.chance(4) {
        again.push((seeded.millis(0, 6_000), Again::Different));
    }
    Planned {
        key: format!("{seed}-{nth}"),
        vp_id: lane_id(seeded.pick::<&str>(&[CODER, GENERAL])),
        session: SessionId::new(*seeded.pick(&SESSIONS)).unwrap(),
        at: Duration::from_millis(seeded.between(0, end)),
        kind,
        beats,
        reply_mode: seeded.weighted(&[(7, ReplyMode::Async), (2, ReplyMode::Final), (1, ReplyMode::Silent)]),
        tier: seeded.weighted(&[(6, Tier::Normal), (2, Tier::High), (1, Tier::Urgent), (2, Tier::Low)]),
        max_attempts: seeded.chance(10).then(|| u32::try_from(seeded.between(1, 3)).unwrap()),
        delay: seeded.chance(12).then(|| seeded.millis(500, 8_000)),
        cancel: seeded.chance(15).then(|| seeded.millis(0, 5_000)),
        again,
    }
}

/// The two lanes: one with a short lease, so that a short round sees many run out, and one with the default.
pub fn lanes(executor: &std::path::Path, effects: &std::path::Path) -> Lanes {
    let profile = |name: &str, ack_wait: u64| {
        let profile = json!({
            "display_name": name, "slots": 4, "ack_wait_seconds": ack_wait,
            "executor": {
                "kind": "command", "argv": ["sh", executor], "env": {"EFFECTS": effects}, "pass_env": ["PATH"],
            },
            "limits": {"kill_grace_seconds": KILL_GRACE.as_secs(), "wall_seconds": 60},
            "retry": {
                "max_attempts": 20,
                "delay": {"initial_ms": 200, "multiplier": 1.5, "max_ms": 1000, "jitter": 0.2},
            },
        });
        let profile: vp_shared::lane::LaneProfile = serde_json::from_value(profile).unwrap();
        profile.check().unwrap();
        profile
    };
    [(lane_id(CODER), profile("CODIE", 6)), (lane_id(GENERAL), profile("General VP", 30))].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_a_bit_of_everything_and_is_the_same_again() {
        let load = Duration::from_mins(1);
        let missions = plan(1, 300, load);
        let has = |what: &dyn Fn(&Planned) -> bool| missions.iter().any(what);
        for kind in [Kind::Delivers, Kind::Fails, Kind::Hangs, Kind::Stubborn] {
            assert!(has(&|mission| mission.kind == kind), "{kind:?}");
        }
        assert!(has(&|mission| mission.delay.is_some()) && has(&|mission| mission.cancel.is_some()));
        assert!(has(&|mission| mission.again.iter().any(|(_, again)| *again == Again::Different)));
        let keys: Vec<_> = missions.iter().map(|mission| &mission.key).collect();
        let again = plan(1, 300, load);
        assert_eq!(keys, again.iter().map(|mission| &mission.key).collect::<Vec<_>>());
        assert!(missions.iter().all(|mission| mission.at <= load));
    }
}
