//! How many a second.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use vp_nats::reader::{Reader, Start};
use vp_nats::{raw, subject, topology};
use vp_shared::ids::{MissionId, NoticeId};

use super::world::World;
use crate::exit::{Exit, Failed};

/// No round takes longer.
const DEADLINE: Duration = Duration::from_mins(2);

/// Plain JetStream: so many 1 KiB messages stored, delivered and acked, a second.
pub async fn raw_ceiling(world: &World, jobs: usize) -> Result<f64, Failed> {
    let took = raw::store_deliver_ack(&world.conn, jobs, 1024, DEADLINE)
        .await
        .map_err(|why| Failed::new(Exit::Failure, format!("the raw ceiling could not be measured: {why}")))?;
    Ok(rate(jobs, took))
}

/// The messages of missions and nothing else, a second: four conditional events, a delivery, a notice.
pub async fn mission_messages(world: &World, missions: usize) -> Result<f64, Failed> {
    let took = raw::mission_messages(&world.conn, missions, 1024, DEADLINE).await.map_err(|why| {
        Failed::new(Exit::Failure, format!("the messages of missions could not be measured: {why}"))
    })?;
    Ok(rate(missions, took))
}

/// Dispatches a second with so many calls in flight, then waits until all of them have ended and are told.
pub async fn dispatch(world: &World, missions: usize, in_flight: usize) -> Result<f64, Failed> {
    let told = Told::open(world).await?;
    let started = Instant::now();
    let ids = send(world, missions, in_flight, &told).await?;
    let took = started.elapsed();
    told.all(ids).await?;
    Ok(rate(missions, took))
}

/// Missions a second from the first dispatch until the last terminal notice is in its stream, 64 dispatches in
/// flight. Each mission must be told once, and none may be missing.
pub async fn end_to_end(world: &World, missions: usize) -> Result<f64, Failed> {
    let told = Told::open(world).await?;
    let started = Instant::now();
    let ids = send(world, missions, 64, &told).await?;
    told.all(ids).await?;
    Ok(rate(missions, started.elapsed()))
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

async fn send(
    world: &World,
    missions: usize,
    in_flight: usize,
    told: &Told,
) -> Result<Vec<MissionId>, Failed> {
    let caller = World::caller(&told.session);
    let mission = world.mission()?;
    stream::iter(0..missions)
        .map(|_| async {
            Ok::<_, Failed>(world.dispatcher.dispatch(mission.clone(), &caller).await?.mission_id)
        })
        .buffer_unordered(in_flight)
        .try_collect()
        .await
}

/// Collects what a session is told, straight from the stream, while the round runs.
struct Told {
    session: vp_shared::ids::SessionId,
    seen: tokio::sync::watch::Receiver<Arc<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    ids: HashSet<NoticeId>,
    repeats: usize,
    error: Option<String>,
}

impl Told {
    async fn open(world: &World) -> Result<Self, Failed> {
        let session = world.session()?;
        let filter = [subject::notices(&session)];
        let mut reader = Reader::open(&world.conn, topology::NOTICES, &filter, Start::After(0))
            .await
            .map_err(|error| Failed::from_error(Exit::Unavailable, &error))?;
        let (tx, seen) = tokio::sync::watch::channel(Arc::new(Seen::default()));
        let task = tokio::spawn(async move {
            while !tx.is_closed() {
                let batch = reader.next_batch(1000, Duration::from_secs(1)).await;
                tx.send_modify(|seen| {
                    let seen = Arc::make_mut(seen);
                    match batch {
                        Ok(records) => {
                            for record in &records {
                                seen.note(record.message_id.as_deref());
                            }
                        }
                        Err(error) => seen.error = Some(error.to_string()),
                    }
                });
            }
        });
        Ok(Self { session, seen, task })
    }

    /// Waits until every mission has been told; void when one was told twice or an unknown one was told.
    async fn all(mut self, missions: Vec<MissionId>) -> Result<(), Failed> {
        let wanted = missions.len();
        let enough = self.seen.wait_for(|seen| seen.ids.len() >= wanted || seen.error.is_some());
        // Out of time, what was seen until then says what is missing.
        let _ = tokio::time::timeout(DEADLINE, enough).await.is_ok();
        let seen = self.seen.borrow().clone();
        self.task.abort();
        if let Some(error) = &seen.error {
            return Err(Failed::new(Exit::Failure, format!("the round is void: {error}")));
        }
        let expected: HashSet<NoticeId> = missions.iter().map(|id| NoticeId::of(id, "terminal")).collect();
        if seen.repeats > 0 || seen.ids != expected || expected.len() != wanted {
            let why = format!(
                "the round is void: {wanted} missions, {} told, {} of them twice",
                seen.ids.len(),
                seen.repeats
            );
            return Err(Failed::new(Exit::Failure, why));
        }
        Ok(())
    }
}

impl Seen {
    fn note(&mut self, id: Option<&str>) {
        match id.map(NoticeId::new) {
            Some(Ok(id)) => {
                if !self.ids.insert(id) {
                    self.repeats += 1;
                }
            }
            _ => self.error = Some("a notice has no id".into()),
        }
    }
}
