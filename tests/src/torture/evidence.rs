//! What is left to look at when a round is over. Plain data: the checks need no server.

use vp_shared::api::MissionView;
use vp_shared::event::Event;
use vp_shared::ids::{MissionId, NoticeId, SessionId, VpId};
use vp_shared::time::UtcTime;

use super::actor::Death;
use super::executor::Effect;
use super::missions::Kind;

/// Everything that is known of a round.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What the callers asked for and were told.
    pub asked: Vec<Asked>,
    /// The log, in its order.
    pub log: Vec<Logged>,
    /// Messages of the log that are no events: sequence and what is wrong.
    pub unreadable: Vec<(u64, String)>,
    /// The missions as the ledger has them.
    pub ledger: Vec<MissionView>,
    /// Where a ledger made anew from the log differs.
    pub rebuilt: Rebuilt,
    /// What the sessions were shown, each in the order of showing.
    pub shown: Vec<Shown>,
    /// What the executors wrote down, in the order of time.
    pub effects: Vec<Effect>,
    /// Processes that died.
    pub deaths: Vec<Death>,
    /// Lines of the processes' logs that tell of a panic.
    pub panics: Vec<String>,
    /// True when a server forgot what it had not synced, or a leader changed: an ack may have been lost with it.
    pub acks_may_be_lost: bool,
}

/// One message of the log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its sequence.
    pub seq: u64,
    /// When the server stored it, by the server's clock, which is the host's.
    pub stored_at: UtcTime,
    /// It.
    pub event: Event,
}

/// A mission as its caller knows it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its id.
    pub mission_id: MissionId,
    /// Its lane.
    pub vp_id: VpId,
    /// Who asked.
    pub session: SessionId,
    /// What its executor does.
    pub kind: Kind,
    /// The dispatch was answered with success.
    pub accepted: bool,
    /// How a cancel was answered, if it was answered with success.
    pub cancel: Option<CancelTold>,
    /// Answers that contradict what is promised.
    pub wrong: Vec<String>,
}

/// What a caller was told of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelTold {
    /// It is cancelled.
    Cancelled,
    /// It was asked to stop.
    Requested,
    /// Its executor had ended before: the wish changes nothing any more, and is not in the log.
    TooLate,
}

/// A notice in front of a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Whose reader.
    pub reader: SessionId,
    /// Whose notice, by its own words.
    pub session_id: SessionId,
    /// The notice.
    pub notice_id: NoticeId,
    /// Its sequence in the notices' stream.
    pub seq: u64,
    /// Its ack was confirmed.
    pub acked: bool,
}

/// What comparing the ledger with a fresh one gave.
#[derive(Debug, Clone, Default)]
pub struct Rebuilt {
    /// How many tables were compared.
    pub tables: usize,
    /// Which differ, and how.
    pub differences: Vec<String>,
}
