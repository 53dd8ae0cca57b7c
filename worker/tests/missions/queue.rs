//! Who gets which mission, and when.

use std::collections::{BTreeMap, BTreeSet};

use vp_nats::presence;
use vp_shared::ids::MissionId;
use vp_shared::mission::Status;
use vp_shared::tier::Tier;
use vp_worker::{Worker, WorkerError};

use crate::world::{Ask, World, noop_lane, script, shell_lane, until};

#[tokio::test]
async fn two_workers_on_one_lane_never_run_an_attempt_twice() {
    let world = World::new(shell_lane()).await;
    let effects = world.path("effects");
    let objective = format!("echo $VP_MISSION_ID $VP_ATTEMPT >> {}; echo x > x.md", effects.display());
    let mut ids = BTreeSet::new();
    for _ in 0..40 {
        ids.insert(world.dispatch(script(&objective)).await);
    }
    let _workers = (world.worker("w1").await, world.worker("w2").await);
    let mut by = BTreeMap::<String, u32>::new();
    for id in &ids {
        let mission = world.ended(id).await;
        assert_eq!(mission.status, Status::Completed, "{:?}", mission.failure);
        *by.entry(mission.result.unwrap().worker_id.unwrap().to_string()).or_default() += 1;
    }
    world.all_acked().await;
    let lines = std::fs::read_to_string(&effects).unwrap();
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    let want: Vec<_> = ids.iter().map(|id| format!("{id} 1")).collect();
    assert_eq!(lines, want);
    assert_eq!(by.len(), 2, "both worked: {by:?}");
}

#[tokio::test]
async fn a_worker_says_how_many_of_its_slots_are_taken() {
    let world = World::new(shell_lane()).await;
    let worker = world.worker("w1").await;
    let gate = world.path("gate");
    let busy = async || {
        let presence = presence::lookup(&world.conn, &worker.identity().worker_id).await.unwrap();
        presence.map(|presence| presence.lanes[0].busy)
    };
    // Also while it waits for entries, with a slot that is free for the first.
    world.ended(&world.dispatch(script("echo x > x.md")).await).await;
    until("none is taken", async || busy().await == Some(0)).await;
    let wait = format!("echo x > x.md; until test -e {}; do sleep 0.01; done", gate.display());
    let mission = world.dispatch(script(wait)).await;
    until("one is taken", async || busy().await == Some(1)).await;
    std::fs::write(&gate, "").unwrap();
    world.ended(&mission).await;
    until("it is free again", async || busy().await == Some(0)).await;
}

async fn order(world: &World, count: usize) -> Vec<String> {
    let effects = world.path("effects");
    let lines = || std::fs::read_to_string(&effects).unwrap_or_default();
    until("all have run", async || lines().lines().count() >= count).await;
    lines().lines().map(str::to_owned).collect()
}

fn noting(world: &World, name: &str, tier: Tier) -> Ask {
    Ask { tier, ..script(format!("echo {name} >> {}; echo x > x.md", world.path("effects").display())) }
}

#[tokio::test]
async fn urgent_overtakes_what_waits_and_low_is_not_starved() {
    let mut lane = shell_lane();
    lane.slots = 1;
    let world = World::new(lane).await;
    for _ in 0..30 {
        world.dispatch(noting(&world, "normal", Tier::Normal)).await;
    }
    for _ in 0..30 {
        world.dispatch(noting(&world, "low", Tier::Low)).await;
    }
    let _worker = world.worker("w1").await;
    order(&world, 5).await;
    let before = order(&world, 5).await.len();
    world.dispatch(noting(&world, "urgent", Tier::Urgent)).await;
    let order = order(&world, 61).await;
    let urgent = order.iter().position(|name| name == "urgent").unwrap();
    assert!(urgent <= before + 3, "urgent came as number {urgent} after {before}: {order:?}");
    let early_lows = order[..32].iter().filter(|name| *name == "low").count();
    assert!((2..=6).contains(&early_lows), "low had {early_lows} of the first 32: {order:?}");
}

#[tokio::test]
async fn what_can_never_run_is_stepped_over() {
    let world = World::new(noop_lane()).await;
    let garbage = MissionId::of_key(&world.vp_id, "garbage");
    let subject = format!("missions.{}.{garbage}.dispatched.normal", world.vp_id);
    world.conn.client().publish(subject, "not an event".into()).await.unwrap();
    let id = world.dispatch(script("x")).await;
    let _worker = world.worker("w1").await;
    assert_eq!(world.ended(&id).await.status, Status::Completed);
    world.all_acked().await;
}

#[tokio::test]
async fn an_identity_is_never_in_two_processes() {
    let world = World::new(noop_lane()).await;
    let first = world.worker("w1").await;
    let second = Worker::start(world.server.connect().await, world.config("w1")).await;
    assert!(matches!(second, Err(WorkerError::IdentityTaken { .. })), "{second:?}");
    // The first one is not disturbed.
    let id = world.dispatch(script("x")).await;
    assert_eq!(world.ended(&id).await.status, Status::Completed);
    first.drain();
    first.stopped().await;
    // It left in good order: its name is free at once.
    let started = std::time::Instant::now();
    let _again = world.worker("w1").await;
    assert!(started.elapsed() < std::time::Duration::from_secs(2));
}

#[tokio::test]
async fn a_thousand_noop_missions_all_end_once() {
    let mut lane = noop_lane();
    lane.slots = 16;
    let world = World::new(lane).await;
    let _worker = world.worker("w1").await;
    let mut ids = Vec::new();
    for n in 0..1000 {
        let tier = Tier::ALL[n % 4];
        ids.push(world.dispatch(Ask { tier, ..script("x") }).await);
    }
    for id in &ids {
        let mission = world.ended(id).await;
        assert_eq!((mission.status, mission.attempt), (Status::Completed, 1));
    }
    world.all_acked().await;
}

#[tokio::test]
async fn a_bad_config_is_refused_by_its_field() {
    let world = World::new(noop_lane()).await;
    let mut config = world.config("w1");
    config.host = "a b".into();
    let refused = Worker::start(world.conn.clone(), config).await.unwrap_err();
    assert!(matches!(&refused, WorkerError::Config { field, .. } if field == "host"), "{refused}");
    let mut config = world.config("w1");
    config.lanes.clear();
    let refused = Worker::start(world.conn.clone(), config).await.unwrap_err();
    assert!(matches!(&refused, WorkerError::Config { field, .. } if field == "lanes"), "{refused}");
}

/// `cargo test --release -p vp-worker --test missions -- --ignored --nocapture throughput`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn noop_throughput() {
    const MISSIONS: u32 = 20_000;
    let mut lane = noop_lane();
    lane.slots = 16;
    let world = std::sync::Arc::new(World::new(lane).await);
    let mut dispatchers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let world = std::sync::Arc::clone(&world);
        dispatchers.spawn(async move {
            for _ in 0..MISSIONS / 64 {
                world.dispatch(script("x")).await;
            }
        });
    }
    dispatchers.join_all().await;
    let started = std::time::Instant::now();
    let _worker = world.worker("w1").await;
    world.all_acked().await;
    let rate = f64::from(MISSIONS / 64 * 64) / started.elapsed().as_secs_f64();
    eprintln!("{rate:.0} no-op missions a second");
    let before = cpu_ticks();
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    eprintln!("{} hundredths of a second of CPU in 10 idle seconds", cpu_ticks() - before);
}

fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat[stat.rfind(')').unwrap()..].split_ascii_whitespace().skip(12).take(2);
    fields.map(|field| field.parse::<u64>().unwrap()).sum()
}
