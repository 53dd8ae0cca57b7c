//! Missions, by the log and by the ledger.

use std::collections::BTreeMap;

use vp_shared::api::MissionView;
use vp_shared::mission::Status;

use super::{Found, Stories};
use crate::torture::evidence::{CancelTold, Evidence};

pub(super) fn accepted_exist(evidence: &Evidence, stories: &Stories) -> Found {
    let accepted: Vec<_> = evidence.asked.iter().filter(|asked| asked.accepted).collect();
    let lost = accepted
        .iter()
        .filter(|asked| stories.get(&asked.mission_id).is_none_or(|story| story.mission.is_none()));
    let lost = lost.map(|asked| format!("{} was accepted and is not in the log", asked.mission_id)).collect();
    (accepted.len(), lost)
}

pub(super) fn one_end(_: &Evidence, stories: &Stories) -> Found {
    let mut found = Vec::new();
    for (id, story) in stories {
        let ends: Vec<_> = story.events.iter().filter(|logged| logged.event.kind().is_terminal()).collect();
        if ends.len() > 1 {
            let kinds: Vec<_> =
                ends.iter().map(|end| format!("{} at {}", end.event.kind(), end.seq)).collect();
            found.push(format!("{id} has {} ends: {}", ends.len(), kinds.join(", ")));
        }
    }
    (stories.len(), found)
}

pub(super) fn nothing_stuck(_: &Evidence, stories: &Stories) -> Found {
    let mut found = Vec::new();
    for (id, story) in stories {
        let Some(mission) = &story.mission else {
            found.push(format!("{id} has no first event"));
            continue;
        };
        if !mission.status.is_terminal() {
            let owner = mission.owner.as_ref().map_or("nobody", |owner| owner.worker.worker_id.as_str());
            found.push(format!(
                "{id} ({}) is {} in attempt {}, held by {owner}, since {}",
                mission.vp_id, mission.status, mission.attempt, mission.updated_at
            ));
        }
    }
    (stories.len(), found)
}

pub(super) fn cancels_end(evidence: &Evidence, stories: &Stories) -> Found {
    let cancelled: Vec<_> = evidence.asked.iter().filter_map(|asked| Some((asked, asked.cancel?))).collect();
    let mut found = Vec::new();
    for (asked, told) in &cancelled {
        let mission = stories.get(&asked.mission_id).and_then(|story| story.mission.as_ref());
        let fits = mission.is_some_and(|mission| match told {
            CancelTold::Cancelled => mission.status == Status::Cancelled,
            CancelTold::Requested => mission.cancel.is_some() && mission.status.is_terminal(),
            CancelTold::TooLate => mission.status.is_terminal(),
        });
        if !fits {
            let status = mission.map_or("not in the log".to_owned(), |mission| mission.status.to_string());
            found.push(format!("{}: a cancel was answered {told:?}, and it is {status}", asked.mission_id));
        }
    }
    (cancelled.len(), found)
}

pub(super) fn lawful(evidence: &Evidence, stories: &Stories) -> Found {
    let mut found: Vec<_> =
        evidence.unreadable.iter().map(|(seq, what)| format!("message {seq}: {what}")).collect();
    for (id, story) in stories {
        found.extend(
            story.unlawful.iter().map(|(seq, kind)| format!("{id}: `{kind}` at {seq} may not be there")),
        );
    }
    (evidence.log.len() + evidence.unreadable.len(), found)
}

pub(super) fn keys_hold(evidence: &Evidence, _: &Stories) -> Found {
    let wrong = evidence
        .asked
        .iter()
        .flat_map(|asked| asked.wrong.iter().map(move |what| format!("{}: {what}", asked.mission_id)));
    (evidence.asked.len(), wrong.collect())
}

pub(super) fn ledger_equals_rebuild(evidence: &Evidence, _: &Stories) -> Found {
    let mut found = evidence.rebuilt.differences.clone();
    if evidence.rebuilt.tables == 0 && found.is_empty() {
        found.push("no table was compared".to_owned());
    }
    (evidence.rebuilt.tables, found)
}

pub(super) fn ledger_equals_fold(evidence: &Evidence, stories: &Stories) -> Found {
    let mut rows: BTreeMap<_, _> = evidence.ledger.iter().map(|row| (&row.mission_id, row)).collect();
    let mut found = Vec::new();
    for (id, story) in stories {
        let (row, fold) = (rows.remove(id), story.mission.as_ref().map(MissionView::from));
        match (row, fold) {
            (Some(row), Some(fold)) if *row == fold => {}
            (Some(row), Some(fold)) => found.push(format!("{id} differs in {}", differences(row, &fold))),
            (None, Some(_)) => found.push(format!("{id} is not in the ledger")),
            (_, None) => {}
        }
    }
    found.extend(rows.keys().map(|id| format!("{id} is in the ledger and not in the log")));
    (evidence.ledger.len(), found)
}

fn differences(row: &MissionView, fold: &MissionView) -> String {
    let (row, fold) = (serde_json::to_value(row).unwrap(), serde_json::to_value(fold).unwrap());
    let mut fields: Vec<_> =
        row.as_object().unwrap().keys().chain(fold.as_object().unwrap().keys()).collect();
    fields.sort();
    fields.dedup();
    let differ = fields.into_iter().filter(|field| row.get(*field) != fold.get(*field));
    let show = |field: &String| {
        let text = |value: &serde_json::Value| value.get(field).map_or("-".to_owned(), ToString::to_string);
        format!("`{field}` (ledger {}, log {})", text(&row), text(&fold))
    };
    differ.map(show).collect::<Vec<_>>().join(", ")
}

pub(super) fn no_panics(evidence: &Evidence, _: &Stories) -> Found {
    (evidence.deaths.len(), evidence.panics.clone())
}
