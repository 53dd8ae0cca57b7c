//! How fast missions of a killed worker run again.

use std::time::Duration;

use vp_shared::mission::{EventKind, Mission, Status};

use super::actor::How;
use super::check::Stories;
use super::evidence::Evidence;

/// The times from a worker's death to the next start of each mission it was running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FastReturn {
    /// How many workers died.
    pub deaths: usize,
    /// How many missions they were running.
    pub running: usize,
    /// The times of those that were started again, ascending.
    pub times: Vec<Duration>,
    /// The same, longest first, each with its mission and when which worker died.
    pub slowest: Vec<(Duration, String)>,
}

impl FastReturn {
    /// Measures all deaths of workers.
    pub fn of(evidence: &Evidence, stories: &Stories) -> Self {
        let mut found = Self::default();
        let broken = |how: &How| !matches!(how, How::ByItself(_));
        for death in evidence.deaths.iter().filter(|death| death.name.starts_with('w') && broken(&death.how))
        {
            found.deaths += 1;
            for (id, story) in stories {
                let before = story.events.iter().take_while(|logged| logged.stored_at <= death.at);
                let mission = Mission::fold(before.map(|logged| (logged.seq, &logged.event)));
                let ran = mission.is_some_and(|mission| {
                    mission.status == Status::Running
                        && mission.owner.is_some_and(|owner| owner.worker.worker_id.as_str() == death.name)
                });
                if !ran {
                    continue;
                }
                found.running += 1;
                let again = story.of_kind(EventKind::Started).find(|logged| logged.stored_at > death.at);
                let time = again.map(|logged| logged.stored_at.since(death.at));
                found.times.extend(time);
                let what = || format!("{id} of {}, dead at {}", death.name, death.at);
                found.slowest.extend(time.map(|time| (time, what())));
            }
        }
        found.times.sort();
        found.slowest.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        found
    }

    /// The time that so many of a hundred stay below.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let place = (self.times.len() * percent).div_ceil(100).saturating_sub(1);
        self.times.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let found = FastReturn { times, ..FastReturn::default() };
        assert_eq!(found.percentile(50), Some(Duration::from_millis(100)));
        assert_eq!(found.percentile(99), Some(Duration::from_millis(198)));
        assert_eq!(found.percentile(100), Some(Duration::from_millis(200)));
        assert_eq!(FastReturn::default().percentile(99), None);
    }
}
