//! The proof that a worker is gone. Without one it is alive: a wrong "gone" runs a mission twice.

use std::time::Duration;

use tokio::time::{sleep, sleep_until};
use vp_shared::api::{WorkerAnswer, WorkerQuestion};
use vp_shared::event::WorkerRef;
use vp_shared::ids::MissionId;
use vp_shared::mission::Liveness;
use vp_shared::time::UtcTime;

use super::{PRESENCE_EVERY, PRESENCE_TTL, read_key, server_time};
use crate::api::{self, ApiError};
use crate::connect::Connection;
use crate::subject;

/// How long one answer of a worker is waited for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// The time between two looks.
const BETWEEN: Duration = Duration::from_secs(1);
/// After a restart of the server all keys may have expired and nobody be subscribed: for this long after our own
/// connect the others may still be connecting (2 s apart at most) and renewing their keys.
const SETTLED: Duration = Duration::from_secs(4);

/// How long the kill of an executor may take.
const KILL: Duration = Duration::from_secs(1);
/// A proof that only wants so much more time is waited for: a delivery that is left comes again a whole lease later.
const WAIT_FOR_PROOF: Duration = Duration::from_secs(5);

/// What a worker says of a mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Holds,
    DoesNotHold,
    /// Nobody is subscribed to its subject.
    NoResponder,
    /// No answer in time, or none that can be read.
    Silence,
}

/// What its presence key tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// After this much longer it is not only frozen or cut off for a while.
    Absent {
        proves_in: Duration,
    },
    ThisLife,
    AnotherLife,
    Unread,
}

const LONG_ABSENT: Key = Key::Absent { proves_in: Duration::ZERO };

/// Proves, or not, that `owner` no longer holds `mission_id`. It is gone by a word, or by time:
/// - the answer on its subject is that it does not hold the mission, and its key is absent or another life's; or that
///   answer comes twice, a second apart. Its keepers give it when its process has died,
/// - its key has been absent for so long that no executor of a frozen worker is left alive ([`absent_for`]), and nobody
///   answers. When that wants a few seconds more, they are waited for.
///
/// That nobody is subscribed to its subject proves nothing by itself: a frozen worker whose connection was reset has no
/// responder, and its executor runs. Anything else, such as no answer in time, is [`Liveness::Alive`]. Just after a
/// connect a proof by absence takes up to 4 s longer.
pub async fn prove_gone(
    conn: &Connection,
    owner: &WorkerRef,
    mission_id: &MissionId,
    self_kill_after: Duration,
) -> Liveness {
    let absence = Absence { counts_after: absent_for(self_kill_after), silent_too: true };
    prove(conn, owner, mission_id, absence).await
}

/// How long the key of a frozen worker must have been absent until its executor has certainly been killed.
///
/// The key ends one time to live after the last announcement, or later. The lease may have been renewed after that, until
/// the next one was due; so much later its keeper kills, and that takes a moment.
pub fn absent_for(self_kill_after: Duration) -> Duration {
    (self_kill_after + PRESENCE_EVERY + KILL).saturating_sub(PRESENCE_TTL)
}

/// As [`prove_gone`], for who would end a lease before its time: the key must have been absent for `absent_for`, and
/// nobody may be subscribed. Silence proves nothing, because a worker that is cut off or frozen for less than the lease
/// has lost nothing; a dead process is not silent, it has no responder.
pub async fn prove_dead(
    conn: &Connection,
    owner: &WorkerRef,
    mission_id: &MissionId,
    absent_for: Duration,
) -> Liveness {
    prove(conn, owner, mission_id, Absence { counts_after: absent_for, silent_too: false }).await
}

/// What an absent key and no answer are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Absence {
    counts_after: Duration,
    /// Also of a worker whose subject is subscribed to.
    silent_too: bool,
}

async fn prove(conn: &Connection, owner: &WorkerRef, mission_id: &MissionId, absence: Absence) -> Liveness {
    let mut first = look(conn, owner, mission_id, absence).await;
    // An answer is what it is at any time; that there is none may be because the server was away.
    if first.1 != Says::DoesNotHold {
        if !settled(conn).await {
            return Liveness::Alive;
        }
        first = look(conn, owner, mission_id, absence).await;
    }
    if let (Key::Absent { proves_in }, Says::NoResponder | Says::Silence) = first
        && !proves_in.is_zero()
        && proves_in <= WAIT_FOR_PROOF
    {
        sleep(proves_in).await;
        first = look(conn, owner, mission_id, absence).await;
    }
    let gone = match first {
        (Key::Absent { .. } | Key::AnotherLife, Says::DoesNotHold) => true,
        (_, Says::Holds)
        | (Key::Unread, _)
        | (Key::ThisLife | Key::AnotherLife, Says::NoResponder | Says::Silence) => false,
        (Key::Absent { proves_in }, Says::NoResponder) => proves_in.is_zero(),
        (Key::Absent { proves_in }, Says::Silence) if !absence.silent_too || !proves_in.is_zero() => false,
        (Key::ThisLife, Says::DoesNotHold) | (Key::Absent { .. }, Says::Silence) => {
            sleep(BETWEEN).await;
            confirms(first, look(conn, owner, mission_id, absence).await)
        }
    };
    tracing::debug!(
        worker_id = %owner.worker_id, %mission_id, key = ?first.0, says = ?first.1, gone, "asked for a worker"
    );
    if gone { Liveness::Gone } else { Liveness::Alive }
}

/// Whether a second look says the same as the first.
fn confirms((_, says): (Key, Says), (key_now, says_now): (Key, Says)) -> bool {
    match says {
        // Frozen, or cut off together with its key.
        Says::Silence => key_now == LONG_ABSENT && says_now != Says::Holds,
        says => says_now == says && key_now != Key::Unread,
    }
}

/// Waits until others have had time to come back after the server did. False when the connection was lost meanwhile.
async fn settled(conn: &Connection) -> bool {
    let state = *conn.state().borrow();
    let (true, Some(since)) = (state.connected, state.since) else { return false };
    sleep_until(since + SETTLED).await;
    let now = *conn.state().borrow();
    now.connected && now.generation == state.generation
}

async fn look(conn: &Connection, owner: &WorkerRef, mission_id: &MissionId, absence: Absence) -> (Key, Says) {
    let key = match read_key(conn, &owner.worker_id).await {
        Ok((super::Key::Absent { since }, _)) => absent(conn, since, absence.counts_after).await,
        Ok((super::Key::Present(presence), _)) if presence.worker.incarnation == owner.incarnation => {
            Key::ThisLife
        }
        Ok((super::Key::Present(_), _)) => Key::AnotherLife,
        Err(error) => {
            tracing::debug!(worker_id = %owner.worker_id, %error, "could not read a presence key");
            return (Key::Unread, Says::Silence);
        }
    };
    (key, ask_worker(conn, owner, mission_id).await)
}

/// Both moments are the server's: our own clock may be wrong.
async fn absent(conn: &Connection, since: Option<UtcTime>, counts_after: Duration) -> Key {
    let Some(since) = since else { return LONG_ABSENT };
    let proves_in = match server_time(conn).await {
        Some(now) => counts_after.saturating_sub(now.since(since)),
        None => Duration::MAX,
    };
    Key::Absent { proves_in }
}

async fn ask_worker(conn: &Connection, owner: &WorkerRef, mission_id: &MissionId) -> Says {
    let question =
        WorkerQuestion::Holds { mission_id: mission_id.clone(), incarnation: owner.incarnation.clone() };
    let Ok(body) = serde_json::to_vec(&question) else { return Says::Silence };
    match api::request(conn, subject::worker(&owner.worker_id), None, body.into(), ANSWER_PATIENCE).await {
        Ok(message) => match serde_json::from_slice(&message.payload) {
            Ok(WorkerAnswer::Holds { .. }) => Says::Holds,
            Ok(WorkerAnswer::DoesNotHold) => Says::DoesNotHold,
            Ok(WorkerAnswer::Log(_) | WorkerAnswer::Unknown) | Err(_) => Says::Silence,
        },
        Err(ApiError::NoResponders) => Says::NoResponder,
        Err(_) => Says::Silence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_proves_only_what_even_the_last_renewal_cannot_outlive() {
        // Announced at 0, the key ends at 4 s at the earliest; a lease renewed at 1 s lets its executor run until 26 s, and
        // the kill may take until 27 s.
        assert_eq!(absent_for(Duration::from_secs(25)), Duration::from_secs(27 - 4));
        assert_eq!(absent_for(Duration::from_millis(833)), Duration::ZERO);
    }
}
