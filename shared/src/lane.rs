//! Lane profiles: what a lane is called, what runs its missions, and within which limits.

mod mode;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::artifact::CategoryRule;
use crate::ids::VpId;
use crate::retry::RetryPolicy;

pub use mode::{LaneMode, LaneModeRecord};

/// One lane, as the configuration describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaneProfile {
    /// What people call it.
    pub display_name: String,
    /// Other names people call it by.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What runs an attempt.
    pub executor: ExecutorProfile,
    /// How many attempts one worker runs at a time.
    #[serde(default = "default_slots")]
    pub slots: u32,
    /// What an attempt may use when the mission says nothing, and at most.
    #[serde(default)]
    pub limits: LaneLimits,
    /// When a failed attempt is followed by another one.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// A completed attempt must leave a primary work product, or say why not.
    #[serde(default = "default_true")]
    pub requires_deliverable: bool,
    /// Which files are primary and which supporting, first match first.
    #[serde(default)]
    pub categories: Vec<CategoryRule>,
    /// Seconds without a renewal after which a delivery comes again.
    #[serde(default = "default_ack_wait")]
    pub ack_wait_seconds: u64,
    /// How many missions may wait before a dispatch is answered `lane_backlogged`; 0 is no limit.
    #[serde(default)]
    pub max_backlog: u64,
}

const fn default_slots() -> u32 {
    1
}
const fn default_true() -> bool {
    true
}
const fn default_ack_wait() -> u64 {
    30
}

impl LaneProfile {
    /// How long a lease lasts without a renewal.
    pub const fn ack_wait(&self) -> Duration {
        Duration::from_secs(self.ack_wait_seconds)
    }

    /// How often a lease is renewed: a sixth of it (5 s of 30 s).
    pub const fn renew_every(&self) -> Duration {
        Duration::from_millis(self.ack_wait_seconds * 1000 / 6)
    }

    /// How long an executor may run on without a renewal: five sixths of the lease (25 s of 30 s).
    pub const fn self_kill_after(&self) -> Duration {
        Duration::from_millis(self.ack_wait_seconds * 5000 / 6)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The field and what was wrong with it.
    pub fn check(&self) -> Result<(), BadLane> {
        let bad = |field, why| Err(BadLane { field, why });
        if self.display_name.trim().is_empty() || self.display_name.len() > 64 {
            return bad("display_name", "want 1 to 64 bytes");
        }
        if self.aliases.len() > 64
            || self.aliases.iter().any(|alias| alias.trim().is_empty() || alias.len() > 64)
        {
            return bad("aliases", "want at most 64, each of 1 to 64 bytes");
        }
        if !(1..=1024).contains(&self.slots) {
            return bad("slots", "want 1 to 1024");
        }
        if !(1..=3600).contains(&self.ack_wait_seconds) {
            return bad("ack_wait_seconds", "want 1 to 3600");
        }
        if self.categories.len() > 256 || self.categories.iter().any(|rule| rule.glob.is_empty()) {
            return bad("categories", "want at most 256 rules, none with an empty glob");
        }
        if let Err(error) = self.retry.check() {
            return Err(BadLane { field: error.0, why: error.1 });
        }
        self.limits.check()?;
        self.executor.check()
    }
}

/// What runs an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ExecutorProfile {
    /// A program in the attempt's workspace.
    Command {
        /// The program and its arguments; no shell in between.
        argv: Vec<String>,
        /// Environment variables set for it.
        #[serde(default)]
        env: BTreeMap<String, String>,
        /// Environment variables passed on from the worker's own; everything else is withheld.
        #[serde(default = "default_pass_env")]
        pass_env: BTreeSet<String>,
    },
    /// Ends at once, well, without a file: for measuring the way itself.
    Noop {},
}

fn default_pass_env() -> BTreeSet<String> {
    ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"].map(String::from).into()
}

impl ExecutorProfile {
    fn check(&self) -> Result<(), BadLane> {
        match self {
            Self::Command { argv, env, .. } => {
                if argv.first().is_none_or(String::is_empty) || argv.iter().any(|arg| arg.contains('\0')) {
                    return Err(BadLane {
                        field: "executor.argv",
                        why: "want a program, and no NUL in any argument",
                    });
                }
                if env.iter().any(|(name, value)| {
                    name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
                }) {
                    return Err(BadLane { field: "executor.env", why: "want names without `=` and no NUL" });
                }
                Ok(())
            }
            Self::Noop {} => Ok(()),
        }
    }
}

/// What an attempt may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaneLimits {
    /// Seconds an attempt may run when the mission says nothing.
    pub wall_seconds: u64,
    /// Seconds an attempt may run at most, whatever the mission says.
    pub max_wall_seconds: u64,
    /// Seconds an attempt may stay silent when the mission says nothing; 0 is no limit.
    pub idle_seconds: u64,
    /// Bytes of output kept of an attempt; the rest is counted and dropped.
    pub max_log_bytes: u64,
    /// Seconds between the polite and the forcible end of an executor.
    pub kill_grace_seconds: u64,
}

impl Default for LaneLimits {
    fn default() -> Self {
        Self {
            wall_seconds: 3600,
            max_wall_seconds: 86_400,
            idle_seconds: 0,
            max_log_bytes: 16 * 1024 * 1024,
            kill_grace_seconds: 5,
        }
    }
}

impl LaneLimits {
    fn check(&self) -> Result<(), BadLane> {
        let bad = |field, why| Err(BadLane { field, why });
        if !(1..=2_592_000).contains(&self.max_wall_seconds) {
            return bad("limits.max_wall_seconds", "want 1 second to 30 days");
        }
        if !(1..=self.max_wall_seconds).contains(&self.wall_seconds) {
            return bad("limits.wall_seconds", "want at least 1 and at most max_wall_seconds");
        }
        if self.idle_seconds > self.max_wall_seconds {
            return bad("limits.idle_seconds", "want at most max_wall_seconds");
        }
        if !(1024..=1024 * 1024 * 1024).contains(&self.max_log_bytes) {
            return bad("limits.max_log_bytes", "want 1 KiB to 1 GiB");
        }
        if self.kill_grace_seconds > 60 {
            return bad("limits.kill_grace_seconds", "want at most 60");
        }
        Ok(())
    }
}

/// A lane profile value out of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {why}")]
pub struct BadLane {
    /// The field, below the lane.
    pub field: &'static str,
    /// What was wrong with it.
    pub why: &'static str,
}

/// The lanes of a system, by id.
pub type Lanes = BTreeMap<VpId, LaneProfile>;

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> LaneProfile {
        serde_json::from_value(serde_json::json!({
            "display_name": "CODIE",
            "executor": {"kind": "command", "argv": ["true"]},
        }))
        .unwrap()
    }

    #[test]
    fn the_shortest_profile_is_sound() {
        let lane = lane();
        lane.check().unwrap();
        assert_eq!(lane.renew_every(), Duration::from_secs(5));
        assert_eq!(lane.self_kill_after(), Duration::from_secs(25));
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let complaint = |change: fn(&mut LaneProfile)| {
            let mut lane = lane();
            change(&mut lane);
            lane.check().unwrap_err().field
        };
        assert_eq!(complaint(|l| l.slots = 0), "slots");
        assert_eq!(complaint(|l| l.display_name = " ".into()), "display_name");
        assert_eq!(complaint(|l| l.aliases = vec![String::new()]), "aliases");
        assert_eq!(complaint(|l| l.ack_wait_seconds = 0), "ack_wait_seconds");
        assert_eq!(complaint(|l| l.retry.max_attempts = 0), "max_attempts");
        assert_eq!(complaint(|l| l.limits.wall_seconds = 0), "limits.wall_seconds");
        assert_eq!(complaint(|l| l.limits.max_log_bytes = 0), "limits.max_log_bytes");
        assert_eq!(
            complaint(|l| {
                l.executor = ExecutorProfile::Command {
                    argv: vec![],
                    env: BTreeMap::new(),
                    pass_env: BTreeSet::new(),
                };
            }),
            "executor.argv"
        );
    }

    #[test]
    fn unknown_keys_are_refused() {
        let json = r#"{"display_name":"x","executor":{"kind":"noop"},"slot":3}"#;
        assert!(serde_json::from_str::<LaneProfile>(json).unwrap_err().to_string().contains("slot"));
    }
}
