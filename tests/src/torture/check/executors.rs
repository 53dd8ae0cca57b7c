//! Executors, by what they wrote down themselves.

use std::collections::{BTreeMap, BTreeSet};

use vp_shared::ids::Attempt;
use vp_shared::mission::{EventKind, Status};

use super::{FENCE_PATIENCE, Found, Stories, Story};
use crate::torture::evidence::Evidence;
use crate::torture::executor::{Effect, What};
use crate::torture::missions::Kind;

pub(super) fn ends_as_it_went(evidence: &Evidence, stories: &Stories) -> Found {
    let (mut looked_at, mut found) = (0, Vec::new());
    for asked in &evidence.asked {
        let Some(story) = stories.get(&asked.mission_id) else { continue };
        let Some(mission) = story.mission.as_ref().filter(|mission| mission.status == Status::Completed)
        else {
            continue;
        };
        looked_at += 1;
        let ended = |effect: &&&Effect| effect.attempt == mission.attempt && effect.what == What::End;
        if !story.effects.iter().any(|effect| ended(&effect)) {
            found.push(format!(
                "{} completed with attempt {}, whose executor did not end by itself",
                asked.mission_id, mission.attempt
            ));
        }
        if asked.kind != Kind::Delivers {
            found.push(format!(
                "{} completed, but its executor only {}",
                asked.mission_id,
                asked.kind.name()
            ));
        }
    }
    (looked_at, found)
}

pub(super) fn runs_once(_: &Evidence, stories: &Stories) -> Found {
    let (mut looked_at, mut found) = (0, Vec::new());
    for (id, story) in stories {
        let claimed: BTreeSet<_> =
            story.of_kind(EventKind::Started).map(|logged| logged.event.attempt).collect();
        let mut starts: BTreeMap<Attempt, usize> = BTreeMap::new();
        for effect in story.effects.iter().filter(|effect| effect.what == What::Start) {
            *starts.entry(effect.attempt).or_default() += 1;
        }
        looked_at += starts.len();
        for (attempt, times) in starts {
            if times > 1 {
                found.push(format!("{id}: attempt {attempt} ran {times} times"));
            }
            if !claimed.contains(&attempt) {
                found.push(format!("{id}: attempt {attempt} ran and was never claimed"));
            }
        }
    }
    (looked_at, found)
}

pub(super) fn no_start_after_outcome(_: &Evidence, stories: &Stories) -> Found {
    let (mut looked_at, mut found) = (0, Vec::new());
    for (id, story) in stories {
        let Some(outcome) = story.of_kind(EventKind::OutcomeRecorded).next() else { continue };
        looked_at += 1;
        for effect in &story.effects {
            if effect.what == What::Start && effect.at > outcome.stored_at {
                found.push(format!(
                    "{id}: attempt {} began at {}, after the outcome of {}",
                    effect.attempt, effect.at, outcome.stored_at
                ));
            }
        }
        for logged in story.of_kind(EventKind::Started).filter(|logged| logged.seq > outcome.seq) {
            found.push(format!("{id}: attempt {} was claimed after the outcome", logged.event.attempt));
        }
    }
    (looked_at, found)
}

pub(super) fn fenced_in_time(_: &Evidence, stories: &Stories) -> Found {
    let (mut looked_at, mut found) = (0, Vec::new());
    for (id, story) in stories {
        // The last line of each attempt.
        let last: BTreeMap<_, _> = story.effects.iter().map(|effect| (effect.attempt, *effect)).collect();
        for (attempt, last) in last {
            let Some(over) = story.over_at(attempt) else { continue };
            looked_at += 1;
            if last.at > over.plus(FENCE_PATIENCE) {
                let late = last.at.since(over).as_secs_f64();
                found.push(format!(
                    "{id} ({}): the executor of attempt {attempt} ran on for {late:.1} s after {}",
                    last.vp_id,
                    why_over(story, attempt)
                ));
            }
        }
    }
    (looked_at, found)
}

/// What ended the attempt, in words.
fn why_over(story: &Story<'_>, attempt: Attempt) -> String {
    let over = story.over_at(attempt);
    let end = story
        .events
        .iter()
        .find(|logged| Some(logged.stored_at) == over && logged.event.kind() != EventKind::CancelRequested);
    end.map_or_else(String::new, |end| {
        format!("`{}` {} at {}", end.event.kind(), end.event.attempt, end.stored_at)
    })
}

pub(super) fn own_lane(evidence: &Evidence, stories: &Stories) -> Found {
    let mut found = Vec::new();
    for (id, story) in stories {
        let Some(mission) = &story.mission else { continue };
        if let Some(strange) = story.effects.iter().find(|effect| effect.vp_id != mission.vp_id) {
            found.push(format!("{id} belongs to {} and ran in {}", mission.vp_id, strange.vp_id));
        }
    }
    (evidence.effects.len(), found)
}
