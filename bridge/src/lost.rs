//! Missions whose log is gone: their stream was deleted, and another one made in its place.
//!
//! Nothing can bring them on any more, and what became of them is not known. So they fail in the ledger, and their
//! sessions are told, before the first message of the new stream is projected. Their last events stand behind those that
//! the old stream gave, and are the only ones in a ledger that no log holds. A crash leaves some of them ended; the next
//! bridge goes on with the rest.

use vp_nats::reader::Record;
use vp_shared::artifact::MissionResult;
use vp_shared::event::{Event, EventBody, OutcomeStatus, Usage};
use vp_shared::failure::{Failure, FailureClass};
use vp_shared::ids::NoticeId;
use vp_shared::mission::Mission;
use vp_shared::notice::{Notice, notice};

use crate::event::event_by;
use crate::ledger::{Changes, Committed, Cursor, Ledger, LedgerError, Place, Texts};
use crate::project::{Live, Names, project, row_of_notice};

/// How many missions end in one transaction.
const AT_ONCE: usize = 256;
/// What their last events name as their actor.
const NAME: &str = "projector";

/// Ends what has not ended of a life of the stream that is over. Two bridges may do so at a time: each mission ends once.
///
/// # Errors
/// [`LedgerError`].
pub(crate) async fn end_lost(ledger: &Ledger, names: &Names, epoch: u16) -> Result<usize, LedgerError> {
    let ids: Vec<_> = ledger.unfinished(epoch).await?.into_iter().map(|row| row.mission_id).collect();
    let mut ended = 0;
    for ids in ids.chunks(AT_ONCE) {
        loop {
            let cursors = ledger.cursors().await?;
            let cursor = cursors.into_iter().find(|cursor| cursor.epoch == epoch);
            let mut lost = ledger.load(ids, epoch).await?;
            lost.retain(|live| !live.mission.status.is_terminal());
            let (Some(cursor), false) = (cursor, lost.is_empty()) else { break };
            let count = lost.len();
            // Lost to another bridge, the next look shows what it has left.
            if ledger.commit(endings(cursor, lost, names), &mut Texts::default()).await? == Committed::Done {
                ended += count;
                break;
            }
        }
    }
    Ok(ended)
}

/// What ends these missions, behind `cursor`.
fn endings(cursor: Cursor, lost: Vec<Live>, names: &Names) -> Changes {
    let mut changes = Changes::new(cursor);
    for lost in lost {
        changes.to.seq += 1;
        let at = Place::new(cursor.epoch, changes.to.seq);
        let event = ending(&lost.mission);
        let record = record(at, &event);
        let mut live = Some(lost);
        let mut change = project(&mut live, at, &record, &event, names);
        let Some(live) = live else { continue };
        change.notice = notice(&live.mission, &event, names.of_lane(&event.vp_id)).map(|notice| {
            // Not the id of its end: delegated again under its key it has the same id, and may end once more.
            let notice = Notice { notice_id: NoticeId::of(&event.mission_id, "lost"), ..notice };
            row_of_notice(at, record.stored_at, &notice)
        });
        changes.add(change, &event.mission_id);
        changes.add_mission(&live.mission, live.born);
    }
    changes
}

fn ending(mission: &Mission) -> Event {
    let failure = Failure::new(FailureClass::Internal, why(mission));
    let result = MissionResult { partial: true, ..MissionResult::default() };
    event_by(NAME, mission, EventBody::Failed { failure, result, usage: Usage::default() })
}

fn why(mission: &Mission) -> String {
    let known = match (&mission.outcome, mission.attempt) {
        (Some(outcome), _) => match outcome.status {
            OutcomeStatus::Completed => "its executor had ended, and said it had completed".to_owned(),
            OutcomeStatus::Failed => "its executor had failed".to_owned(),
            OutcomeStatus::Cancelled => "its executor had been stopped on request".to_owned(),
        },
        (None, 0) => "it had not been started".to_owned(),
        (None, attempt) => format!("attempt {attempt} had been started, and may have had effects"),
    };
    format!(
        "the missions' log was deleted or made anew before this mission had ended: {known}. What becomes of it is not \
         known any more; delegate it again if it is still wanted"
    )
}

/// The event as if it had been stored there. It was not, so it has no subject.
fn record(at: Place, event: &Event) -> Record {
    Record {
        seq: at.seq,
        subject: String::new(),
        payload: event.to_json().into(),
        stored_at: event.time,
        deleted: false,
        message_id: None,
        begins: false,
    }
}
