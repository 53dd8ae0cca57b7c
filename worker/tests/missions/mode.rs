//! Lanes that an operator has paused, drained and resumed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vp_nats::clock;
use vp_nats::lane_modes;
use vp_nats::presence::{self, Questions};
use vp_nats::topology;
use vp_shared::api::WorkerAnswer;
use vp_shared::ids::MissionId;
use vp_shared::lane::{LaneMode, LaneModeRecord};
use vp_shared::mission::{EventKind as E, Status};
use vp_shared::tier::Tier;
use vp_worker::Worker;

use crate::leases::{started_by, stranger};
use crate::world::{World, drained, is_gone, noop_lane, script, shell_lane, until};

fn record(mode: LaneMode) -> LaneModeRecord {
    LaneModeRecord { mode, by: "test".into(), reason: None, since: clock::now() }
}

async fn set(world: &World, mode: LaneMode) {
    lane_modes::set(&world.conn, &world.vp_id, record(mode)).await.unwrap();
}

/// Sets the mode and returns when the worker says that it knows.
async fn known(world: &World, worker: &Worker, mode: LaneMode) {
    set(world, mode).await;
    says(world, worker, mode).await;
}

async fn says(world: &World, worker: &Worker, mode: LaneMode) {
    until("the worker knows the mode", async || {
        let found = presence::lookup(&world.conn, &worker.identity().worker_id).await.unwrap();
        found.is_some_and(|found| found.lanes[0].mode == mode)
    })
    .await;
}

async fn waiting(world: &World) -> u64 {
    let queues = topology::lane_state(&world.conn, &world.vp_id).await.unwrap();
    queues.values().map(|queue| queue.waiting).sum()
}

async fn pulls(world: &World) -> u64 {
    let queues = topology::lane_state(&world.conn, &world.vp_id).await.unwrap();
    queues.values().map(|queue| queue.pulls).sum()
}

/// Waits as long as a pull stands: nothing of the lane has been started then, and nothing is in anybody's hand.
async fn nothing_starts(world: &World, missions: &[MissionId]) {
    tokio::time::sleep(Duration::from_secs(6)).await;
    for mission in missions {
        assert_eq!(world.kinds(mission).await, [E::Dispatched]);
    }
    assert_eq!((waiting(world).await, pulls(world).await), (missions.len() as u64, 0));
}

#[tokio::test]
async fn a_paused_lane_starts_nothing_while_entries_wait_and_goes_on_at_once_when_resumed() {
    let world = World::new(noop_lane()).await;
    let mut config = world.config("w1");
    // The alarm for entries that wait would be given by now.
    config.starved_after = Duration::from_secs(1);
    let worker = world.start(config).await;
    until("pulls stand", async || pulls(&world).await == 4).await;
    known(&world, &worker, LaneMode::Paused).await;
    until("no pull stands any more", async || pulls(&world).await == 0).await;
    let mut missions = Vec::new();
    for tier in Tier::ALL {
        let mut ask = script("");
        ask.tier = tier;
        missions.push(world.dispatch(ask).await);
    }
    nothing_starts(&world, &missions).await;
    let found = presence::lookup(&world.conn, &worker.identity().worker_id).await.unwrap().unwrap();
    assert_eq!(found.lanes[0].starved_since, None, "a lane that is paused is not starved");
    set(&world, LaneMode::Open).await;
    for mission in &missions {
        assert_eq!(world.ended(mission).await.status, Status::Completed);
    }
    world.all_acked().await;
}

#[tokio::test]
async fn pausing_a_lane_under_load_loses_no_entry_and_holds_none() {
    let world = World::new(noop_lane()).await;
    let worker = world.worker("w1").await;
    let mut missions = Vec::new();
    for round in 0..6 {
        for _ in 0..20 {
            missions.push(world.dispatch(script("")).await);
        }
        if round % 2 == 0 {
            known(&world, &worker, LaneMode::Paused).await;
            until("nothing is in anybody's hand", async || {
                let queues = topology::lane_state(&world.conn, &world.vp_id).await.unwrap();
                queues.values().all(|queue| queue.pulls == 0)
            })
            .await;
        } else {
            set(&world, LaneMode::Open).await;
        }
    }
    set(&world, LaneMode::Open).await;
    for mission in &missions {
        let ended = world.ended(mission).await;
        assert_eq!((ended.status, ended.attempt), (Status::Completed, 1));
    }
    world.all_acked().await;
}

#[tokio::test]
async fn what_runs_goes_on_under_a_pause_and_is_given_back_uncounted_under_a_drain() {
    let world = World::new(shell_lane()).await;
    let mut config = world.config("w1");
    config.drain_timeout = Duration::from_millis(300);
    let worker = world.start(config).await;
    let (pid, gate) = (world.path("pid"), world.path("gate"));
    let short = world
        .dispatch(script(format!("echo x > x.md; until test -e {}; do sleep 0.01; done", gate.display())))
        .await;
    let long = world
        .dispatch(script(format!(
            "echo x > x.md; [ $VP_ATTEMPT = 2 ] && exit 0; echo $$ > {}; sleep 60",
            pid.display()
        )))
        .await;
    world.running(&short).await;
    let pid = world.number_in(&pid).await;
    known(&world, &worker, LaneMode::Paused).await;
    // Longer than the drain time, which a pause has none of.
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::write(&gate, "").unwrap();
    assert_eq!(world.ended(&short).await.status, Status::Completed);
    assert_eq!(world.kinds(&long).await, [E::Dispatched, E::Started]);
    set(&world, LaneMode::Draining).await;
    is_gone(pid).await;
    let handed_back = [E::Dispatched, E::Started, E::Released];
    world.until(&long, "it is given back", |mission| mission.status == Status::Queued).await;
    // It waits, although a worker with free slots lives.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.kinds(&long).await, handed_back);
    set(&world, LaneMode::Open).await;
    let mission = world.ended(&long).await;
    assert_eq!((mission.status, mission.attempt, mission.counted_attempts()), (Status::Completed, 2, 1));
    world.all_acked().await;
}

#[tokio::test]
async fn an_entry_that_is_being_decided_about_when_its_lane_is_paused_is_not_started() {
    let world = World::new(noop_lane()).await;
    let mission = world.dispatch(script("")).await;
    started_by(&world, &mission, stranger()).await;
    // Asked for its owner before it is taken over; the lane is paused before the answer.
    let asked = Arc::new(AtomicU32::new(0));
    let (count, conn, vp_id) = (Arc::clone(&asked), world.conn.clone(), world.vp_id.clone());
    let mut questions = Questions::open(&world.conn, &stranger().worker_id).await.unwrap();
    let owner = tokio::spawn(async move {
        let answer = |_| {
            let (count, conn, vp_id) = (Arc::clone(&count), conn.clone(), vp_id.clone());
            async move {
                if count.fetch_add(1, Ordering::SeqCst) == 0 {
                    lane_modes::set(&conn, &vp_id, record(LaneMode::Paused)).await.unwrap();
                    // The worker hears of it.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Some(WorkerAnswer::DoesNotHold)
            }
        };
        questions.serve(answer).await;
    });
    let _worker = world.worker("w1").await;
    until("the owner is asked", async || asked.load(Ordering::SeqCst) > 0).await;
    // What follows the answer at once.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.kinds(&mission).await, [E::Dispatched, E::Started]);
    set(&world, LaneMode::Open).await;
    let ended = world.ended(&mission).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 2));
    owner.abort();
    world.all_acked().await;
}

#[tokio::test]
async fn a_lane_resumed_within_the_drain_time_gives_nothing_back() {
    let world = World::new(shell_lane()).await;
    let mut config = world.config("w1");
    config.drain_timeout = Duration::from_secs(3);
    let worker = world.start(config).await;
    let gate = world.path("gate");
    let until_gate = format!("echo x > x.md; until test -e {}; do sleep 0.01; done", gate.display());
    let id = world.dispatch(script(until_gate)).await;
    world.running(&id).await;
    known(&world, &worker, LaneMode::Draining).await;
    known(&world, &worker, LaneMode::Open).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    std::fs::write(&gate, "").unwrap();
    world.ended(&id).await;
    assert!(!world.kinds(&id).await.contains(&E::Released));
}

#[tokio::test]
async fn a_mode_survives_a_restart_of_the_server_and_a_new_worker_obeys_it() {
    let mut world = World::new(noop_lane()).await;
    let worker = world.worker("w1").await;
    known(&world, &worker, LaneMode::Paused).await;
    world.server.restart().await;
    world.conn = world.server.connect().await;
    world.log = vp_nats::mission_log::MissionLog::new(&world.conn);
    let mission = world.dispatch(script("")).await;
    let other = world.worker("w2").await;
    says(&world, &other, LaneMode::Paused).await;
    nothing_starts(&world, std::slice::from_ref(&mission)).await;
    drained(worker).await;
    set(&world, LaneMode::Open).await;
    assert_eq!(world.ended(&mission).await.status, Status::Completed);
}

#[tokio::test]
async fn a_bucket_that_is_gone_means_open() {
    let world = World::new(noop_lane()).await;
    let worker = world.worker("w1").await;
    known(&world, &worker, LaneMode::Paused).await;
    let mission = world.dispatch(script("")).await;
    world.conn.jetstream().delete_stream("KV_LANES").await.unwrap();
    assert_eq!(world.ended(&mission).await.status, Status::Completed);
    let other = world.worker("w2").await;
    says(&world, &other, LaneMode::Open).await;
}
