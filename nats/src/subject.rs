//! Subjects as types: the only place where one is printed or parsed.
//!
//! - `missions.<vp_id>.<mission_id>.<event>`, and for the event that queues work
//!   `missions.<vp_id>.<mission_id>.dispatched.<tier>`. A vp_id is always three tokens.
//! - `missions.<vp_id>.<mission_id>.timer`: no event; it carries the schedule and vanishes when it fires.
//! - `progress.<vp_id>.<mission_id>`, `notices.<session token>`, `workers.<worker_id>`,
//!   `vp.tool.<tool name>`, `vp.lane.mode`, `vp.ledger.<question>`.
//! - `$KV.LANES.<vp_id>`: the key of a lane's mode.

use std::fmt;
use std::str::FromStr;

use vp_shared::api::{LedgerQuestion, ToolName};
use vp_shared::ids::{MissionId, SessionId, VpId, WorkerId};
use vp_shared::mission::EventKind;
use vp_shared::tier::Tier;

/// Everything in the MISSIONS stream.
pub const ALL_MISSIONS: &str = "missions.>";
/// The timers of all missions that wait for their time.
pub const ALL_TIMERS: &str = "missions.*.*.*.*.timer";
/// Everything in the PROGRESS stream.
pub const ALL_PROGRESS: &str = "progress.>";
/// Everything in the NOTICES stream.
pub const ALL_NOTICES: &str = "notices.>";

/// The last part of a mission's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    /// A lifecycle event other than `dispatched`.
    Event(EventKind),
    /// `dispatched`, into this queue.
    Dispatched(Tier),
    /// The schedule of a mission; not an event.
    Timer,
}

/// A subject of the MISSIONS stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MissionSubject {
    /// The lane.
    pub vp_id: VpId,
    /// The mission.
    pub mission_id: MissionId,
    /// What is stored there.
    pub token: Token,
}

/// Why a text is not a subject of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a mission's subject: want missions.<vp_id>.<mission_id>.<event>")]
pub struct BadSubject(String);

impl fmt::Display for MissionSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missions.{}.{}.", self.vp_id, self.mission_id)?;
        match self.token {
            Token::Event(kind) => f.write_str(kind.name()),
            Token::Dispatched(tier) => write!(f, "dispatched.{tier}"),
            Token::Timer => f.write_str("timer"),
        }
    }
}

impl FromStr for MissionSubject {
    type Err = BadSubject;
    fn from_str(text: &str) -> Result<Self, BadSubject> {
        parse(text).ok_or_else(|| BadSubject(vp_shared::text::cut(text.to_owned(), 200)))
    }
}

fn parse(text: &str) -> Option<MissionSubject> {
    let rest = text.strip_prefix("missions.")?;
    // Three tokens of lane, one of mission, the rest says what.
    let lane_end = rest.match_indices('.').nth(2)?.0;
    let (vp_id, rest) = (&rest[..lane_end], &rest[lane_end + 1..]);
    let (mission_id, what) = rest.split_once('.')?;
    let token = match what.split_once('.') {
        Some(("dispatched", tier)) => Token::Dispatched(Tier::from_name(tier)?),
        Some(_) => return None,
        None if what == "timer" => Token::Timer,
        None => match EventKind::ALL.into_iter().find(|kind| kind.name() == what)? {
            EventKind::Dispatched => return None,
            kind => Token::Event(kind),
        },
    };
    Some(MissionSubject {
        vp_id: VpId::new(vp_id).ok()?,
        mission_id: MissionId::new(mission_id).ok()?,
        token,
    })
}

/// The one filter text of a mission, for compare-and-set and for reading its tail. On a replicated stream the
/// server compares this text letter by letter while a write is in flight: a second spelling would let two
/// writers win, so there is no second way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissionFilter(String);

impl MissionFilter {
    /// The filter of this mission.
    pub fn new(vp_id: &VpId, mission_id: &MissionId) -> Self {
        Self(format!("missions.{vp_id}.{mission_id}.>"))
    }

    /// As it goes into the header and the request.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The queue of a lane: what its durable consumer filters by.
pub fn lane_queue(vp_id: &VpId, tier: Tier) -> String {
    format!("missions.{vp_id}.*.dispatched.{tier}")
}

/// All of one kind of event in a lane. Not for `dispatched`, which [`lane_queue`] has.
pub fn lane_events(vp_id: &VpId, kind: EventKind) -> String {
    format!("missions.{vp_id}.*.{kind}")
}

/// Everything of a lane.
pub fn lane_all(vp_id: &VpId) -> String {
    format!("missions.{vp_id}.>")
}

/// Everything of a mission whose lane is not known: for looking, never for compare-and-set.
pub fn mission_in_any_lane(mission_id: &MissionId) -> String {
    format!("missions.*.*.*.{mission_id}.>")
}

/// A mission's progress.
pub fn progress(vp_id: &VpId, mission_id: &MissionId) -> String {
    format!("progress.{vp_id}.{mission_id}")
}

/// A session's notices.
pub fn notices(session_id: &SessionId) -> String {
    format!("notices.{}", session_token(session_id))
}

const LANE_MODE_KEYS: &str = "$KV.LANES.";

/// The key of a lane's mode.
pub(crate) fn lane_mode_key(vp_id: &VpId) -> String {
    format!("{LANE_MODE_KEYS}{vp_id}")
}

/// The lane of a key, the other way of [`lane_mode_key`].
pub(crate) fn lane_of_mode_key(key: &str) -> Option<VpId> {
    VpId::new(key.strip_prefix(LANE_MODE_KEYS)?).ok()
}

/// A worker's own subject, on which it answers questions.
pub fn worker(worker_id: &WorkerId) -> String {
    format!("workers.{worker_id}")
}

/// A tool's endpoint.
pub fn tool(tool: ToolName) -> String {
    format!("vp.tool.{tool}")
}

/// Where the routing policy is asked, beside the tools.
pub fn route() -> String {
    "vp.tool.route".to_owned()
}

/// Where a lane's mode is set. Not among the tools' subjects: who may call these may not pause lanes by that.
pub fn lane_mode() -> String {
    "vp.lane.mode".to_owned()
}

/// Where the ledger is asked.
pub fn ledger(question: LedgerQuestion) -> String {
    format!("vp.ledger.{}", question.name())
}

/// Where all bridges are asked how they are.
pub(crate) const BRIDGES: &str = "vp.bridges";

/// A session as one token: letters, digits and `-` stay, every other byte becomes `_` and two hex digits, so
/// no two sessions share a token and none holds a wildcard or a dot.
pub fn session_token(session_id: &SessionId) -> String {
    use std::fmt::Write as _;
    let mut token = String::with_capacity(session_id.as_str().len() + 8);
    for byte in session_id.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            token.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(token, "_{byte:02x}");
        }
    }
    token
}

/// The session of a token, the other way of [`session_token`].
pub fn session_of_token(token: &str) -> Option<SessionId> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'_' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    SessionId::new(String::from_utf8(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lanes() -> impl Strategy<Value = VpId> {
        "vp\\.[a-z0-9][a-z0-9_-]{0,31}\\.[a-z0-9][a-z0-9_-]{0,31}".prop_map(|text| VpId::new(text).unwrap())
    }

    fn tokens() -> impl Strategy<Value = Token> {
        prop_oneof![
            proptest::sample::select(EventKind::ALL.to_vec()).prop_map(|kind| match kind {
                EventKind::Dispatched => Token::Timer,
                kind => Token::Event(kind),
            }),
            proptest::sample::select(Tier::ALL.to_vec()).prop_map(Token::Dispatched),
        ]
    }

    proptest! {
        #[test]
        fn every_subject_is_read_back(vp_id in lanes(), key in ".{0,20}", token in tokens()) {
            let mission_id = MissionId::of_key(&vp_id, &key);
            let subject = MissionSubject { vp_id, mission_id, token };
            let text = subject.to_string();
            prop_assert_eq!(text.parse::<MissionSubject>().unwrap(), subject);
            prop_assert!(!text.contains(['*', '>', ' ']));
        }

        #[test]
        fn what_is_read_prints_the_same(text in "missions\\.vp\\.[a-z.*>]{1,12}\\.m-[a-z2-7]{26}\\.[a-z_.]{1,20}") {
            if let Ok(subject) = text.parse::<MissionSubject>() {
                prop_assert_eq!(subject.to_string(), text);
            }
        }

        #[test]
        fn sessions_and_tokens_are_one_to_one(text in "[!-~]{1,64}") {
            let session = SessionId::new(&text).unwrap();
            let token = session_token(&session);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(session_of_token(&token).unwrap(), session);
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = (text.parse::<MissionSubject>(), session_of_token(&text));
        }
    }

    #[test]
    fn wildcards_stand_where_an_operator_expects_them() {
        let lane = VpId::new("vp.coder.primary").unwrap();
        let mission = MissionId::of_key(&lane, "k");
        assert_eq!(lane_queue(&lane, Tier::High), "missions.vp.coder.primary.*.dispatched.high");
        assert_eq!(
            lane_events(&lane, EventKind::CancelRequested),
            "missions.vp.coder.primary.*.cancel_requested"
        );
        assert_eq!(
            MissionFilter::new(&lane, &mission).as_str(),
            format!("missions.vp.coder.primary.{mission}.>")
        );
        assert_eq!(mission_in_any_lane(&mission), format!("missions.*.*.*.{mission}.>"));
    }
}
