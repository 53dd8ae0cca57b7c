//! The reply subject of a delivery: what it tells, and what may be published on it.

use async_nats::{HeaderMap, header};
use bytes::Bytes;
use vp_shared::time::UtcTime;

use crate::headers::KV_OPERATION;

/// Acks.
pub(crate) const ACK: &[u8] = b"+ACK";
/// Hands back, to come again at once.
pub(crate) const NAK: &[u8] = b"-NAK";
/// Asks for another `ack_wait`.
pub(crate) const IN_PROGRESS: &[u8] = b"+WPI";

/// What a delivery's reply subject tells:
/// `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, or with domain and account
/// between `ACK` and the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) stream: &'a str,
    pub(crate) delivered: u64,
    pub(crate) stream_seq: u64,
    pub(crate) consumer_seq: u64,
    pub(crate) nanos: i64,
    pub(crate) pending: u64,
}

impl<'a> Place<'a> {
    /// Reads it; `None` for any other subject.
    pub(crate) fn parse(reply: &'a str) -> Option<Self> {
        let rest = reply.strip_prefix("$JS.ACK.")?;
        let mut tokens = rest.split('.');
        if rest.bytes().filter(|byte| *byte == b'.').count() > 6 {
            tokens.nth(1)?;
        }
        let stream = tokens.next()?;
        let _consumer = tokens.next()?;
        Some(Self {
            stream,
            delivered: tokens.next()?.parse().ok()?,
            stream_seq: tokens.next()?.parse().ok()?,
            consumer_seq: tokens.next()?.parse().ok()?,
            nanos: tokens.next()?.parse().ok()?,
            pending: tokens.next()?.parse().ok()?,
        })
    }

    /// When the server stored the message.
    pub(crate) fn stored_at(&self) -> UtcTime {
        UtcTime::from_micros(self.nanos.div_euclid(1000))
    }
}

/// True when `lease` is the ack subject of a delivery of `stream` and of nothing else: it comes out of an event's
/// body, and what is published must not reach another subject.
pub(crate) fn is_lease(lease: &str, stream: &str) -> bool {
    let clean = lease.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'>');
    clean && Place::parse(lease).is_some_and(|place| place.stream == stream)
}

/// The body of a nak that comes again after `delay`.
pub(crate) fn nak_body(delay: std::time::Duration) -> Bytes {
    if delay.is_zero() {
        return Bytes::from_static(NAK);
    }
    format!("-NAK {{\"delay\": {}}}", delay.as_nanos()).into()
}

/// The last value of a header.
pub(crate) fn header_of(headers: Option<&HeaderMap>, name: &async_nats::HeaderName) -> Option<String> {
    headers?.get_last(name.clone()).map(|value| value.as_str().to_owned())
}

/// True for what stands in a bucket instead of a value: deleted, purged or expired.
pub(crate) fn is_marker(headers: &HeaderMap) -> bool {
    headers.get(KV_OPERATION).is_some() || headers.get(header::NATS_MARKER_REASON).is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const SHORT: &str = "$JS.ACK.MISSIONS.vp-coder-primary-normal.2.17.9.1763802000123456789.4";
    const LONG: &str = "$JS.ACK._.ACCHASH.MISSIONS.vp-coder-primary-normal.2.17.9.1763802000123456789.4.tail";

    #[test]
    fn both_forms_of_ack_subjects_are_read() {
        for text in [SHORT, LONG] {
            let place = Place::parse(text).unwrap();
            assert_eq!(
                (place.stream, place.delivered, place.stream_seq, place.consumer_seq, place.pending),
                ("MISSIONS", 2, 17, 9, 4)
            );
            assert_eq!(place.stored_at(), UtcTime::from_micros(1_763_802_000_123_456));
        }
    }

    #[test]
    fn only_the_stream_s_own_ack_subjects_are_leases() {
        assert!(is_lease(SHORT, "MISSIONS") && is_lease(LONG, "MISSIONS"));
        for bad in [
            "",
            "missions.vp.coder.primary.m-x.completed",
            "$JS.ACK.MISSIONS.>",
            "$JS.ACK.MISSIONS.c.1.2.3.4",
            "$JS.ACK.NOTICES.c.1.2.3.4.5",
            "$JS.ACK.MISSIONS.*.1.2.3.4.5",
            "$JS.ACK.MISSIONS.c 1.1.2.3.4.5",
            "$JS.API.STREAM.DELETE.MISSIONS",
        ] {
            assert!(!is_lease(bad, "MISSIONS"), "{bad}");
        }
    }

    #[test]
    fn a_nak_says_its_delay_in_nanoseconds() {
        use std::time::Duration;
        assert_eq!(nak_body(Duration::ZERO), "-NAK");
        assert_eq!(nak_body(Duration::from_millis(1500)), "-NAK {\"delay\": 1500000000}");
    }
}
