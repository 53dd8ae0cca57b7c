//! The headers of lifecycle publishes. The expectation is made here and nowhere else.

use async_nats::HeaderMap;
use async_nats::header::{self, HeaderName};
use vp_shared::event::Event;
use vp_shared::ids::{EventId, MissionId};

use crate::subject::MissionFilter;

const EXPECTED_SUBJECT: HeaderName = HeaderName::from_static("Nats-Expected-Last-Subject-Sequence-Subject");
/// W3C trace context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The session that asks, set by the door.
pub(crate) const SESSION: HeaderName = HeaderName::from_static("Vp-Session");
/// What a key-value message does to its key; absent for a value.
pub(crate) const KV_OPERATION: HeaderName = HeaderName::from_static("KV-Operation");

/// Lets the server refuse the message unless the mission ends with sequence `expected`.
///
/// The one place where this is said: on a replicated stream the filter's text is compared letter by letter.
pub(crate) fn expecting(event: &Event, expected: u64) -> HeaderMap {
    let filter = MissionFilter::new(&event.vp_id, &event.mission_id);
    let mut headers = traced(event);
    expect(&mut headers, filter.as_str(), expected);
    headers
}

/// Adds the expectation that what matches the filter ends with sequence `expected`.
pub(crate) fn expect(headers: &mut HeaderMap, filter: &str, expected: u64) {
    headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
    headers.insert(EXPECTED_SUBJECT, filter);
}

/// Lets the server refuse the key's new value unless its last message is `expected`; 0 when it has none.
pub(crate) fn key_unchanged_since(expected: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
    headers
}

/// Whether a stored message was accepted on the expectation that nothing was there: the first of its mission.
pub(crate) fn expected_nothing(headers: &HeaderMap) -> bool {
    headers.get(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE).is_some_and(|expected| expected.as_str() == "0")
}

/// The trace context alone, for a message that follows an expecting one in an atomic batch.
pub(crate) fn traced(event: &Event) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, traceparent(&event.mission_id, event.id).as_str());
    headers
}

/// The event's place in the mission's trace: all events of a mission share the trace that its id names, so no
/// process has to be told of it.
fn traceparent(mission_id: &MissionId, event_id: EventId) -> String {
    use std::fmt::Write as _;
    let trace = mission_id.as_str().bytes().skip(2).take(25).fold(0_u128, |bits, letter| {
        let digit = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter.wrapping_sub(b'a') };
        bits << 5 | u128::from(digit & 31)
    });
    let (_, span) = event_id.0.as_u64_pair();
    let mut text = String::with_capacity(55);
    // Writing to a String cannot fail.
    let _ = write!(text, "00-{trace:032x}-{span:016x}-01");
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use vp_shared::ids::VpId;

    #[test]
    fn events_of_a_mission_share_a_trace_and_have_their_own_span() {
        let lane = VpId::new("vp.coder.primary").unwrap();
        let (one, other) = (MissionId::of_key(&lane, "a"), MissionId::of_key(&lane, "b"));
        let (first, second) = (crate::clock::event_id(), crate::clock::event_id());
        let trace = |text: &str| text[3..35].to_owned();
        let text = traceparent(&one, first);
        assert_eq!(text.len(), 55);
        assert!(text.starts_with("00-") && text.ends_with("-01"), "{text}");
        assert_eq!(trace(&text), trace(&traceparent(&one, second)));
        assert_ne!(text, traceparent(&one, second));
        assert_ne!(trace(&text), trace(&traceparent(&other, first)));
    }
}
