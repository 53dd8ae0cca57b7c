//! One mission in the MISSIONS stream: append with compare-and-set, read from the leader.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use vp_shared::error::Chain;
use vp_shared::event::{BadEvent, Event};
use vp_shared::ids::{MissionId, VpId};
use vp_shared::mission::{Applied, EventKind, Mission};
use vp_shared::retry::RetryDelay;
use vp_shared::time::UtcTime;

use crate::api::{Pick, Raw, ask, read_message};
use crate::connect::Connection;
use crate::publish::Append;
use crate::retry::Delays;
use crate::subject::{ALL_TIMERS, BadSubject, MissionFilter, MissionSubject, Token, mission_in_any_lane};
use crate::topology::MISSIONS;

/// How long a read is tried.
const READ_PATIENCE: Duration = Duration::from_secs(20);
/// How long one try of it waits.
const TRY_PATIENCE: Duration = Duration::from_secs(2);

/// The missions' log.
#[derive(Debug, Clone)]
pub struct MissionLog {
    conn: Connection,
}

/// An event is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its stream sequence: what the next writer of the mission must expect.
    pub seq: u64,
}

/// Why an event is not known to be in the log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody wrote to the mission in between. Nobody has lost yet: read the mission, fold, decide again.
    #[error(
        "mission {mission_id} does not end with sequence {expected} any more: read it again and decide again"
    )]
    Conflict {
        /// The mission.
        mission_id: MissionId,
        /// What this writer expected.
        expected: u64,
    },
    /// The server gave no final answer in time. Whether the event is stored is unknown.
    #[error(
        "whether the `{event}` event of mission {mission_id} is stored is unknown after {tries} tries in {seconds:.1} s: \
             nats-server did not answer; ask for the mission before repeating"
    )]
    Unknown {
        /// The mission.
        mission_id: MissionId,
        /// The event's kind.
        event: &'static str,
        /// How often it was sent.
        tries: u32,
        /// How long it was tried.
        seconds: f64,
        /// What the last try ended with.
        #[source]
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// The server refuses it for good, such as a full store or a message too large: not stored.
    #[error("nats-server refused the `{event}` event of mission {mission_id}: {reason}")]
    Refused {
        /// The mission.
        mission_id: MissionId,
        /// The event's kind.
        event: &'static str,
        /// The server's own words.
        reason: String,
        /// True when it refuses for want of space.
        no_space: bool,
    },
}

/// Why a mission could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not read mission {mission_id} from the log in {seconds:.1} s: is nats-server reachable?")]
pub struct ReadError {
    /// The mission.
    pub mission_id: MissionId,
    /// How long it was tried.
    pub seconds: f64,
    /// What the last try ended with.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Why the timers could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("could not list the missions' timers: {0}")]
pub struct TimersError(String);

/// A mission as its log tells it.
#[derive(Debug)]
pub struct LoggedMission {
    /// The fold of its events.
    pub mission: Mission,
    /// Its events with their sequences, in order.
    pub events: Vec<(u64, Event)>,
    /// Messages on its subjects that are no lawful events; stepped over.
    pub anomalies: Vec<(u64, LogAnomaly)>,
}

/// A message in the log that is not a lawful event.
#[derive(Debug, thiserror::Error)]
pub enum LogAnomaly {
    /// The body is no event.
    #[error(transparent)]
    Body(#[from] BadEvent),
    /// It may not happen in the state it met.
    #[error("a `{event}` event may not follow the state `{status}`")]
    Illegal {
        /// The event's kind.
        event: &'static str,
        /// The state it met.
        status: String,
    },
    /// Subject and body speak of different missions or events.
    #[error("the subject does not fit the body: {0}")]
    Subject(String),
}

impl MissionLog {
    /// The log behind this connection.
    pub fn new(conn: &Connection) -> Self {
        Self { conn: conn.clone() }
    }

    /// Appends `event`, if the mission still ends with sequence `expected` (0: it has no event yet).
    ///
    /// Sent again, same event, same id, same expectation, until the server answers; the wait between is jittered
    /// and the whole bounded (30 s). A refusal is success when the event that got in is this one.
    ///
    /// # Errors
    /// [`AppendError`]. After `Conflict` nothing of this call is stored; after `Unknown` it may be.
    pub async fn append(&self, event: &Event, expected: u64) -> Result<Stored, AppendError> {
        Append::event(event, expected).run(&self.conn).await
    }

    /// As [`Self::append`], and removes the mission's timer in the same publish: for what ends a scheduled mission.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_purging_timer(&self, event: &Event, expected: u64) -> Result<Stored, AppendError> {
        Append::purging_timer(event, expected).run(&self.conn).await
    }

    /// One atomic batch: the `scheduled` event (with the expectation) and the timer that publishes `dispatched` at `at`.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_scheduled(
        &self,
        scheduled: &Event,
        dispatched: &Event,
        at: UtcTime,
        expected: u64,
    ) -> Result<Stored, AppendError> {
        Append::with_timer(scheduled, dispatched, at, expected).run(&self.conn).await
    }

    /// Makes the timer of a scheduled mission anew, if the mission still ends with sequence `expected`.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_timer(
        &self,
        dispatched: &Event,
        at: UtcTime,
        expected: u64,
    ) -> Result<Stored, AppendError> {
        Append::timer_alone(dispatched, at, expected).run(&self.conn).await
    }

    /// True when the mission's timer is in the log, by the leader's word.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn has_timer(&self, vp_id: &VpId, mission_id: &MissionId) -> Result<bool, ReadError> {
        let (vp_id, token) = (vp_id.clone(), Token::Timer);
        let timer = MissionSubject { vp_id, mission_id: mission_id.clone(), token }.to_string();
        Ok(Leader::new(&self.conn, mission_id).read(Pick::Last(&timer)).await?.is_some())
    }

    /// The missions that have a timer, all at once.
    ///
    /// # Errors
    /// When the server did not answer, or not readably.
    pub async fn all_timers(&self) -> Result<HashSet<MissionId>, TimersError> {
        let mut timers = HashSet::new();
        loop {
            let wanted = serde_json::json!({ "subjects_filter": ALL_TIMERS, "offset": timers.len() });
            let info = ask(&self.conn, &format!("STREAM.INFO.{MISSIONS}"), &wanted).await;
            let info = info.map_err(|error| TimersError(error.to_string()))?;
            let before = timers.len();
            let subjects = info["state"]["subjects"].as_object().into_iter().flatten();
            let parsed = subjects.filter_map(|(subject, _)| subject.parse::<MissionSubject>().ok());
            timers.extend(parsed.map(|subject| subject.mission_id));
            let total = info["total"].as_u64().unwrap_or_default();
            if timers.len() == before || timers.len() as u64 >= total {
                return Ok(timers);
            }
        }
    }

    /// Reads the whole mission from the stream's leader. `None`: it has no event. "Absent" is not final while
    /// another writer's publish is in flight.
    ///
    /// # Errors
    /// [`ReadError`] when the leader did not answer in time (retried for 20 s through elections and restarts).
    pub async fn read(
        &self,
        vp_id: &VpId,
        mission_id: &MissionId,
    ) -> Result<Option<LoggedMission>, ReadError> {
        let filter = MissionFilter::new(vp_id, mission_id);
        let leader = Leader::new(&self.conn, mission_id);
        let Some(last) = leader.read(Pick::Last(filter.as_str())).await? else { return Ok(None) };
        let mut reading = Reading::new(vp_id, mission_id);
        let mut next = 1;
        // The last message may be gone by now (a timer that fired); then a later one ends it.
        while next < last.seq {
            let Some(message) = leader.read(Pick::Next(next, filter.as_str())).await? else { break };
            next = message.seq + 1;
            reading.take(&message);
        }
        if next <= last.seq {
            reading.take(&last);
        }
        Ok(reading.finish())
    }

    /// The lane of a mission known only by its id, from the leader.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn lane_of(&self, mission_id: &MissionId) -> Result<Option<VpId>, ReadError> {
        let filter = mission_in_any_lane(mission_id);
        let found = Leader::new(&self.conn, mission_id).read(Pick::Last(&filter)).await?;
        Ok(found
            .and_then(|message| message.subject.parse::<MissionSubject>().ok())
            .map(|subject| subject.vp_id))
    }
}

/// Reads from the leader, through elections and restarts.
struct Leader<'a> {
    conn: &'a Connection,
    mission_id: &'a MissionId,
    begun: Instant,
}

impl<'a> Leader<'a> {
    fn new(conn: &'a Connection, mission_id: &'a MissionId) -> Self {
        Self { conn, mission_id, begun: Instant::now() }
    }

    async fn read(&self, pick: Pick<'_>) -> Result<Option<Raw>, ReadError> {
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        loop {
            let error = match read_message(self.conn, MISSIONS, pick, TRY_PATIENCE).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let next = Instant::now() + delays.next().unwrap_or(TRY_PATIENCE);
            if next.duration_since(self.begun) >= READ_PATIENCE {
                return Err(ReadError {
                    mission_id: self.mission_id.clone(),
                    seconds: self.begun.elapsed().as_secs_f64(),
                    source: Some(Arc::new(error)),
                });
            }
            tracing::debug!(mission_id = %self.mission_id, %error, "the log did not answer, trying again");
            sleep_until(next).await;
        }
    }
}

/// A mission while it is read.
struct Reading<'a> {
    vp_id: &'a VpId,
    mission_id: &'a MissionId,
    mission: Option<Mission>,
    events: Vec<(u64, Event)>,
    anomalies: Vec<(u64, LogAnomaly)>,
    last_seq: u64,
}

impl<'a> Reading<'a> {
    fn new(vp_id: &'a VpId, mission_id: &'a MissionId) -> Self {
        Self { vp_id, mission_id, mission: None, events: Vec::new(), anomalies: Vec::new(), last_seq: 0 }
    }

    fn take(&mut self, message: &Raw) {
        self.last_seq = message.seq;
        let event = match self.event_of(message) {
            Ok(Some(event)) => event,
            Ok(None) => return,
            Err(anomaly) => return self.anomalies.push((message.seq, anomaly)),
        };
        if let Applied::Illegal { status } = Mission::apply(&mut self.mission, &event, message.seq) {
            let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            self.anomalies.push((message.seq, LogAnomaly::Illegal { event: event.kind().name(), status }));
        }
        self.events.push((message.seq, event));
    }

    /// The event in a message; `None` for the timer, which is none.
    fn event_of(&self, message: &Raw) -> Result<Option<Event>, LogAnomaly> {
        let subject: MissionSubject =
            message.subject.parse().map_err(|error: BadSubject| LogAnomaly::Subject(error.to_string()))?;
        if subject.token == Token::Timer {
            return Ok(None);
        }
        let event = Event::from_json(&message.payload)?;
        if event.mission_id != *self.mission_id || event.vp_id != *self.vp_id {
            return Err(LogAnomaly::Subject(format!(
                "the body is about {} of {}",
                event.mission_id, event.vp_id
            )));
        }
        let said = match subject.token {
            Token::Event(kind) => kind,
            Token::Dispatched(_) | Token::Timer => EventKind::Dispatched,
        };
        if said != event.kind() {
            return Err(LogAnomaly::Subject(format!("`{said}` with the body of `{}`", event.kind())));
        }
        Ok(Some(event))
    }

    fn finish(self) -> Option<LoggedMission> {
        for (seq, anomaly) in &self.anomalies {
            tracing::warn!(
                mission_id = %self.mission_id, vp_id = %self.vp_id, seq, error = %Chain(anomaly),
                "stepped over a message that is no lawful event"
            );
        }
        let mut mission = self.mission?;
        // The timer and what is no event count too: the server looks at every subject of the mission.
        mission.last_seq = self.last_seq;
        Some(LoggedMission { mission, events: self.events, anomalies: self.anomalies })
    }
}
