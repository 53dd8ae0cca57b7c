//! Notices, by what the sessions were shown.

use std::collections::{BTreeMap, BTreeSet};

use vp_shared::ids::{NoticeId, SessionId};

use super::{Found, Stories};
use crate::torture::evidence::{Evidence, Shown};

/// Each due notice: whose it is, and its event's sequence.
fn due(stories: &Stories) -> BTreeMap<NoticeId, (SessionId, u64)> {
    let all = stories.values().flat_map(|story| &story.due);
    all.map(|(seq, notice)| (notice.notice_id.clone(), (notice.session_id.clone(), *seq))).collect()
}

pub(super) fn shown_once(evidence: &Evidence, stories: &Stories) -> Found {
    let due = due(stories);
    let mut showings: BTreeMap<&NoticeId, Vec<&Shown>> = BTreeMap::new();
    for shown in &evidence.shown {
        showings.entry(&shown.notice_id).or_default().push(shown);
    }
    let mut found = Vec::new();
    for (id, (session, _)) in &due {
        if !showings.contains_key(id) {
            found.push(format!("{id} was never shown to {session}"));
        }
    }
    for (id, all) in showings {
        if !due.contains_key(id) {
            found.push(format!("{id} was shown and not due"));
        }
        let messages: BTreeSet<_> = all.iter().map(|shown| shown.seq).collect();
        if messages.len() > 1 {
            found.push(format!("{id} was sent {} times, as {messages:?}", messages.len()));
        }
        // One that was not acked comes again by design, and so does one whose ack the server forgot.
        let again = all.iter().skip_while(|shown| !shown.acked).count();
        if again > 1 && !evidence.acks_may_be_lost {
            found.push(format!("{id} was shown again after it was acked"));
        }
    }
    (due.len(), found)
}

pub(super) fn in_order(evidence: &Evidence, stories: &Stories) -> Found {
    let due = due(stories);
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<&SessionId, (u64, &NoticeId)> = BTreeMap::new();
    let mut found = Vec::new();
    for shown in &evidence.shown {
        let Some((session, seq)) = due.get(&shown.notice_id) else { continue };
        if shown.reader != *session || shown.session_id != *session {
            found.push(format!("{} of {session} was shown to {}", shown.notice_id, shown.reader));
        }
        if !seen.insert(&shown.notice_id) {
            continue;
        }
        if let Some((before, id)) = last.insert(&shown.reader, (*seq, &shown.notice_id))
            && before > *seq
        {
            found.push(format!("{}: {id} of {before} before {} of {seq}", shown.reader, shown.notice_id));
        }
    }
    (seen.len(), found)
}
