//! Lane profiles for tests.

use serde_json::json;
use vp_shared::ids::VpId;
use vp_shared::lane::{LaneProfile, Lanes};

/// CODIE's lane.
pub const CODER: &str = "vp.coder.primary";
/// The generalist's lane.
pub const GENERAL: &str = "vp.general.primary";

/// A script that leaves one primary work product and one supporting artifact.
pub const DELIVERS: &str = "echo '# Result' > result.md; echo done > run.log";
/// A script that runs until it is stopped.
pub const ENDLESS: &str = "while :; do sleep 0.05; done";

/// The id of a lane.
pub fn lane_id(name: &str) -> VpId {
    VpId::new(name).unwrap()
}

/// A lane whose missions run this script with `sh -c` in their workspace. Two slots a worker, a lease of 30 s, and
/// no need of a deliverable.
pub fn shell_lane(script: &str) -> LaneProfile {
    profile(&json!({"kind": "command", "argv": ["sh", "-c", script], "pass_env": ["PATH"]}))
}

/// A lane whose missions end at once, well, without a file.
pub fn noop_lane() -> LaneProfile {
    profile(&json!({"kind": "noop"}))
}

fn profile(executor: &serde_json::Value) -> LaneProfile {
    let profile = json!({
        "display_name": "CODIE", "executor": executor, "slots": 2, "requires_deliverable": false,
        "limits": {"kill_grace_seconds": 1},
        "retry": {"delay": {"initial_ms": 100, "multiplier": 1.0, "max_ms": 100, "jitter": 0.0}},
    });
    let profile: LaneProfile = serde_json::from_value(profile).unwrap();
    profile.check().unwrap();
    profile
}

/// Lanes by name.
pub fn lanes(all: impl IntoIterator<Item = (&'static str, LaneProfile)>) -> Lanes {
    all.into_iter().map(|(name, profile)| (lane_id(name), profile)).collect()
}

/// Where scripts write down that they ran: one line for each execution.
#[derive(Debug)]
pub struct Runs {
    dir: tempfile::TempDir,
}

/// One execution, as its script saw it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// Of which mission.
    pub mission_id: String,
    /// Which attempt.
    pub attempt: u32,
    /// The script's process id.
    pub pid: u32,
}

impl Default for Runs {
    fn default() -> Self {
        Self { dir: tempfile::Builder::new().prefix("vp-runs-").tempdir().unwrap() }
    }
}

impl Runs {
    /// The file they write to.
    pub fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("runs")
    }

    /// This script, which writes itself down first. A line is written in one piece.
    pub fn script(&self, then: &str) -> String {
        let file = self.file();
        format!("echo \"$VP_MISSION_ID $VP_ATTEMPT $$\" >> {}; {then}", file.display())
    }

    /// All executions so far, in the order of their starts.
    pub fn all(&self) -> Vec<Run> {
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        text.lines()
            .map(|line| {
                let words: Vec<_> = line.split(' ').collect();
                let [mission_id, attempt, pid] = words.as_slice() else { panic!("not a run: {line}") };
                Run {
                    mission_id: (*mission_id).to_owned(),
                    attempt: attempt.parse().unwrap(),
                    pid: pid.parse().unwrap(),
                }
            })
            .collect()
    }

    /// Waits until there are so many.
    pub async fn until(&self, count: usize) -> Vec<Run> {
        crate::until::until(&format!("{count} scripts have started"), async || {
            let all = self.all();
            (all.len() >= count).then_some(all)
        })
        .await
    }
}
