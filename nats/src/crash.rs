//! Named places where a process can be told to die, so that a test can kill it exactly there.
//!
//! Nothing is armed unless the variable [`ENV`] is set when the process starts; a point that is not armed costs one
//! relaxed load. An armed one ends the process as `kill -9` does: no destructor runs, no buffer is flushed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// The variable that arms a point: `<name>`, or `<name>:<nth>` for the nth time it is passed.
pub const ENV: &str = "VP_CRASH_AT";

/// All points there are, in the order in which a mission passes them.
pub const POINTS: [&str; 6] =
    ["after_claim", "after_executor_end", "after_outcome", "after_terminal", "after_commit", "mid_migration"];

const UNKNOWN: u8 = 0;
const UNARMED: u8 = 1;
const ARMED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
static ARM: OnceLock<Option<Arm>> = OnceLock::new();

/// The point that is armed, and how often it may still be passed.
#[derive(Debug)]
struct Arm {
    name: String,
    left: AtomicU32,
}

impl Arm {
    /// Reads the variable's text; `None` for one that names no point.
    fn parse(text: &str) -> Option<Self> {
        let (name, nth) = match text.split_once(':') {
            Some((name, nth)) => (name, nth.parse().ok().filter(|&nth| nth > 0)?),
            None => (text, 1),
        };
        POINTS.contains(&name).then(|| Self { name: name.to_owned(), left: AtomicU32::new(nth) })
    }

    /// True at the pass that is the last one.
    fn is_reached(&self, name: &str) -> bool {
        self.name == name && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// Passes the point of that name: the process dies here if it was told to.
pub fn point(name: &str) {
    if STATE.load(Ordering::Relaxed) != UNARMED {
        look(name);
    }
}

#[cold]
fn look(name: &str) {
    let arm = ARM.get_or_init(|| {
        let text = std::env::var(ENV).ok().filter(|text| !text.is_empty());
        let arm = text.as_deref().and_then(Arm::parse);
        if let (Some(text), None) = (&text, &arm) {
            tracing::error!(variable = ENV, value = text, "names no crash point, ignored");
        }
        STATE.store(if arm.is_some() { ARMED } else { UNARMED }, Ordering::Relaxed);
        arm
    });
    if arm.as_ref().is_some_and(|arm| arm.is_reached(name)) {
        tracing::error!(point = name, "dying here, as told");
        if let Err(error) = kill_process(getpid(), Signal::KILL) {
            tracing::error!(%error, "could not kill this process");
        }
        // The signal may take a moment to arrive.
        std::process::abort();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::{Arm, POINTS, point};

    #[test]
    fn a_point_is_reached_at_the_pass_that_was_named_and_only_there() {
        let arm = Arm::parse("after_claim:3").unwrap();
        let passes: Vec<_> = (0..5).map(|_| arm.is_reached("after_claim")).collect();
        assert_eq!(passes, [false, false, true, false, false]);
        assert!(!Arm::parse("after_claim").unwrap().is_reached("after_outcome"));
        assert!(Arm::parse("after_claim").unwrap().is_reached("after_claim"));
    }

    #[test]
    fn what_names_no_point_arms_nothing() {
        for text in ["", "after_lunch", "after_claim:0", "after_claim:x", "after_claim:"] {
            assert!(Arm::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_unarmed_process_passes_every_point() {
        for name in POINTS {
            point(name);
        }
    }
}
