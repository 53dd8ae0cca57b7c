//! How long, on an idle system.

use std::time::{Duration, Instant};

use vp_nats::notices::NoticeReader;
use vp_nats::watch::MissionWatch;
use vp_shared::api::WaitMission;
use vp_shared::mission::EventKind;

use super::world::World;
use crate::exit::{Exit, Failed};

/// What one round measured.
#[derive(Debug, Default)]
pub struct Samples {
    /// From the call of dispatch until the worker's `started` event is seen published.
    pub dispatch_to_start: Vec<Duration>,
    /// From the terminal event seen published until the session's reader has the notice.
    pub terminal_to_notice: Vec<Duration>,
    /// From the terminal event seen published until `vp_wait_mission` returns.
    pub wait_return: Vec<Duration>,
}

/// One mission after the other; each waits until the one before was told.
pub async fn measure(world: &World, missions: usize) -> Result<Samples, Failed> {
    let session = world.session()?;
    let caller = World::caller(&session);
    let unavailable = |error: &dyn std::error::Error| Failed::from_error(Exit::Unavailable, error);
    let mut reader = NoticeReader::open(&world.conn, &session).await.map_err(|error| unavailable(&error))?;
    // A connection of its own, so that its hints do not queue behind the tools' traffic.
    let conn = world.system().connect("vp-bench-watch").await?;
    let kinds = [EventKind::Started, EventKind::Completed];
    let mut watch =
        MissionWatch::lane(&conn, &world.lane, &kinds).await.map_err(|error| unavailable(&error))?;
    conn.flush().await.map_err(|error| unavailable(&error))?;
    let mut samples = Samples::default();
    for _ in 0..missions {
        let mission = world.mission()?;
        let begin = Instant::now();
        let dispatched = world.dispatcher.dispatch(mission, &caller).await?;
        let wait = WaitMission { mission_id: dispatched.mission_id.clone(), timeout_seconds: 30 };
        let (seen, waited, told) = tokio::join!(
            async {
                let started = next(&mut watch, begin).await;
                let ended = next(&mut watch, begin).await;
                (started, ended)
            },
            async {
                let waited = world.dispatcher.wait(wait).await;
                (waited, begin.elapsed())
            },
            async {
                let told = reader.next(Duration::from_secs(30)).await;
                (told, begin.elapsed())
            },
        );
        let (Some(started), Some(ended)) = seen else {
            return Err(Failed::new(Exit::Failure, "an event was not seen within 30 s"));
        };
        waited.0?;
        let delivery = told.0.map_err(|error| unavailable(&error))?;
        let delivery = delivery.ok_or_else(|| Failed::new(Exit::Failure, "no notice came within 30 s"))?;
        delivery.ack().await.map_err(|error| unavailable(&error))?;
        samples.dispatch_to_start.push(started);
        samples.terminal_to_notice.push(told.1.saturating_sub(ended));
        samples.wait_return.push(waited.1.saturating_sub(ended));
    }
    Ok(samples)
}

async fn next(watch: &mut MissionWatch, begin: Instant) -> Option<Duration> {
    tokio::time::timeout(Duration::from_secs(30), watch.next()).await.ok().flatten().map(|_| begin.elapsed())
}
