//! What runs the missions: a script that writes down, outside its workspace, when it ran.

use std::path::Path;

use vp_shared::ids::{Attempt, MissionId, VpId};
use vp_shared::time::UtcTime;

/// The script. Each line is one write to a file of the attempt's own, so no line is ever half there.
const SCRIPT: &str = r##"
log="$EFFECTS/$VP_MISSION_ID.$VP_ATTEMPT"
# A kill of the tree may reach `date` before the shell.
say() { now=$(date +%s%6N) && echo "$1 $VP_VP_ID $$ $now" >> "$log"; }
case $VP_CONSTRAINT_KIND in stubborn) trap 'say term' TERM ;; esac
say start
n=0
while :; do
  case $VP_CONSTRAINT_KIND in
    delivers|fails) test "$n" -lt "$VP_CONSTRAINT_BEATS" || break ;;
  esac
  sleep 0.2
  say beat
  n=$((n + 1))
done
case $VP_CONSTRAINT_KIND in
  fails) echo "told to fail" >&2; say end; exit 3 ;;
esac
echo "# Made by attempt $VP_ATTEMPT" > result.md
say end
"##;

/// Writes the script to `path`.
pub fn write_script(path: &Path) {
    std::fs::write(path, SCRIPT).unwrap();
}

/// What an executor wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The mission.
    pub mission_id: MissionId,
    /// The attempt.
    pub attempt: Attempt,
    /// The lane it was told it is in.
    pub vp_id: VpId,
    /// Its process id.
    pub pid: u32,
    /// When, by the host's clock.
    pub at: UtcTime,
    /// What.
    pub what: What,
}

/// What an executor writes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It has begun.
    Start,
    /// It is at work.
    Beat,
    /// It was asked to end and does not listen.
    Term,
    /// It has ended by itself.
    End,
}

/// Reads what all executors wrote into the directory, in the order of time.
pub fn read_effects(dir: &Path) -> Vec<Effect> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (mission, attempt) = name.rsplit_once('.').unwrap();
        let (mission, attempt) = (MissionId::new(mission).unwrap(), attempt.parse().unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        all.extend(text.lines().map(|line| {
            effect(&mission, attempt, line).unwrap_or_else(|| panic!("no effect in {name}: `{line}`"))
        }));
    }
    all.sort_by_key(|effect: &Effect| effect.at);
    all
}

fn effect(mission_id: &MissionId, attempt: Attempt, line: &str) -> Option<Effect> {
    let words: Vec<_> = line.split(' ').collect();
    let [what, vp_id, pid, at] = words.as_slice() else { return None };
    let what = match *what {
        "start" => What::Start,
        "beat" => What::Beat,
        "term" => What::Term,
        "end" => What::End,
        _ => return None,
    };
    Some(Effect {
        mission_id: mission_id.clone(),
        attempt,
        vp_id: VpId::new(*vp_id).ok()?,
        pid: pid.parse().ok()?,
        at: UtcTime::from_micros(at.parse().ok()?),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_writes_down_what_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let (script, effects) = (dir.path().join("executor.sh"), dir.path().join("effects"));
        std::fs::create_dir(&effects).unwrap();
        write_script(&script);
        let mission = MissionId::of_key(&crate::lanes::lane_id(crate::lanes::CODER), "k");
        let run = |kind: &str, attempt: &str| {
            std::process::Command::new("sh")
                .arg(&script)
                .current_dir(dir.path())
                .env("EFFECTS", &effects)
                .env("VP_MISSION_ID", mission.as_str())
                .env("VP_VP_ID", crate::lanes::CODER)
                .env("VP_ATTEMPT", attempt)
                .env("VP_CONSTRAINT_KIND", kind)
                .env("VP_CONSTRAINT_BEATS", "2")
                .output()
                .unwrap()
        };
        assert!(run("delivers", "1").status.success());
        assert_eq!(run("fails", "2").status.code(), Some(3));
        let said: Vec<_> =
            read_effects(&effects).into_iter().map(|effect| (effect.attempt, effect.what)).collect();
        let both = [1, 2].map(|n| [(n, What::Start), (n, What::Beat), (n, What::Beat), (n, What::End)]);
        assert_eq!(said, both.concat());
        assert!(dir.path().join("result.md").is_file());
    }
}
