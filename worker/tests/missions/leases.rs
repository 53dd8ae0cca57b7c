//! Whose mission it is: leases, takeovers, fencing, and what disturbs nothing.

use std::time::Duration;

use tokio::time::Instant;
use vp_nats::delivery::hand_back;
use vp_nats::presence::Questions;
use vp_nats::topology;
use vp_shared::api::WorkerAnswer;
use vp_shared::event::{EventBody, Outcome, OutcomeStatus, Usage, WorkerRef};
use vp_shared::failure::FailureClass;
use vp_shared::ids::{MissionId, WorkerId};
use vp_shared::lane::LaneProfile;
use vp_shared::mission::{EventKind as E, Status};
use vp_shared::tier::Tier;

use crate::world::{World, is_gone, lives, script, shell_lane};

fn short_lease(seconds: u64) -> LaneProfile {
    LaneProfile { ack_wait_seconds: seconds, ..shell_lane() }
}

/// A script that notes each run, and ends after so many seconds.
fn noting(world: &World, seconds: u32) -> String {
    format!("echo $VP_ATTEMPT >> {}; sleep {seconds}; echo x > x.md", world.path("effects").display())
}

fn effects(world: &World) -> String {
    std::fs::read_to_string(world.path("effects")).unwrap_or_default()
}

async fn lease_of(world: &World, id: &MissionId) -> String {
    world.running(id).await.owner.unwrap().lease
}

#[tokio::test]
async fn a_mission_ten_times_longer_than_its_lease_runs_once() {
    let world = World::new(short_lease(1)).await;
    let _workers = (world.worker("w1").await, world.worker("w2").await);
    let id = world.dispatch(script(noting(&world, 11))).await;
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 1));
    assert_eq!(effects(&world), "1\n");
    world.all_acked().await;
}

#[tokio::test]
async fn an_executor_whose_lease_cannot_be_renewed_is_killed() {
    let world = World::new(short_lease(3)).await;
    let _worker = world.worker("w1").await;
    let pid = world.path("pid");
    let id = world
        .dispatch(script(format!(
            "echo x > x.md; [ $VP_ATTEMPT = 2 ] && exit 0; echo $$ > {}; while :; do sleep 0.1; done",
            pid.display()
        )))
        .await;
    let pid = world.number_in(&pid).await;
    let frozen = Instant::now();
    world.server.freeze();
    is_gone(pid).await;
    let took = frozen.elapsed();
    world.server.thaw();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(4), "killed after {took:?}");
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 2));
    assert_eq!(
        world.kinds(&id).await,
        [E::Dispatched, E::Started, E::Started, E::OutcomeRecorded, E::Completed]
    );
}

#[tokio::test]
async fn a_server_restart_shorter_than_the_lease_disturbs_nothing() {
    let mut world = World::new(shell_lane()).await;
    let _workers = (world.worker("w1").await, world.worker("w2").await);
    let id = world.dispatch(script(noting(&world, 6))).await;
    world.running(&id).await;
    // Killed at once, it forgets who has which delivery, and hands the mission out again.
    world.server.restart().await;
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 1), "{:?}", mission.failure);
    assert_eq!(effects(&world), "1\n");
    world.all_acked().await;
}

#[tokio::test]
async fn a_redelivery_while_the_owner_lives_changes_nothing() {
    let world = World::new(shell_lane()).await;
    let _owner = world.worker("w1").await;
    let id = world.dispatch(script(noting(&world, 7))).await;
    let lease = lease_of(&world, &id).await;
    let _other = world.worker("w2").await;
    // For a while after its start the other one takes no absence for a proof; later it asks the owner.
    for _ in 0..6 {
        hand_back(&world.conn, &lease).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 1));
    assert_eq!(effects(&world), "1\n");
    assert_eq!(world.kinds(&id).await, [E::Dispatched, E::Started, E::OutcomeRecorded, E::Completed]);
    world.all_acked().await;
}

#[tokio::test]
async fn a_dead_workers_mission_is_taken_over_by_a_word_long_before_its_lease_is_over() {
    let world = World::new(short_lease(300)).await;
    let owner = world.worker("w1").await;
    let other = world.worker("w2").await;
    let pid = world.path("pid");
    let id = world
        .dispatch(script(format!(
            "echo x > x.md; [ $VP_ATTEMPT = 2 ] && exit 0; echo $$ > {}; sleep 600",
            pid.display()
        )))
        .await;
    let pid = world.number_in(&pid).await;
    let (lease, ran) =
        (lease_of(&world, &id).await, world.running(&id).await.owner.unwrap().worker.worker_id);
    let (dead, _alive) = if ran.as_str() == "w1" { (owner, other) } else { (other, owner) };
    // As a killed process: no word, no withdrawal.
    drop(dead);
    is_gone(pid).await;
    // Its process is this one and lives, so its keepers say nothing: the word they would give.
    let conn = world.conn.clone();
    let mut questions = Questions::open(&conn, &ran).await.unwrap();
    let keepers = tokio::spawn(async move {
        questions.serve(|_| std::future::ready(Some(WorkerAnswer::DoesNotHold))).await;
    });
    hand_back(&world.conn, &lease).await.unwrap();
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 2));
    keepers.abort();
    let logged = world.logged(&id).await;
    let EventBody::Started { took_over: Some(lost), worker, .. } = &logged.events[2].1.body else {
        panic!("{:?}", logged.events[2])
    };
    assert_eq!(lost.class, FailureClass::WorkerLost);
    assert_ne!(worker.worker_id, ran);
    world.all_acked().await;
}

#[tokio::test]
async fn a_restarted_worker_takes_over_from_its_own_earlier_life() {
    let world = World::new(short_lease(300)).await;
    let first = world.worker("w1").await;
    let id = world.dispatch(script("echo x > x.md; [ $VP_ATTEMPT = 2 ] || sleep 600")).await;
    let lease = lease_of(&world, &id).await;
    drop(first);
    let _second = world.worker("w1").await;
    hand_back(&world.conn, &lease).await.unwrap();
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 2));
}

#[tokio::test]
async fn a_mission_that_kills_its_workers_ends_as_worker_lost() {
    let world = World::new(short_lease(300)).await;
    let id = world.dispatch(script("echo x > x.md; sleep 600")).await;
    for _ in 0..2 {
        let worker = world.worker("w1").await;
        let before = world.mission(&id).await.attempt;
        let mission = world
            .until(&id, "the next attempt runs", |mission| {
                mission.status == Status::Running && mission.attempt == before + 1
            })
            .await;
        drop(worker);
        hand_back(&world.conn, &mission.owner.unwrap().lease).await.unwrap();
    }
    let _worker = world.worker("w1").await;
    let mission = world.ended(&id).await;
    assert_eq!((mission.attempt, mission.failure.unwrap().class), (2, FailureClass::WorkerLost));
    world.all_acked().await;
}

/// A worker that is not there.
pub(crate) fn stranger() -> WorkerRef {
    WorkerRef {
        worker_id: WorkerId::new("w9").unwrap(),
        incarnation: "earlier".into(),
        host: "elsewhere".into(),
        version: "0".into(),
    }
}

pub(crate) async fn started_by(world: &World, id: &MissionId, worker: WorkerRef) {
    let mission = world.mission(id).await;
    let body = EventBody::Started { worker, lease: "lease".into(), took_over: None };
    let mut event = world.event(id, body);
    event.attempt = mission.attempt + 1;
    world.log.append(&event, mission.last_seq).await.unwrap();
}

async fn recorded(world: &World, id: &MissionId) {
    let mission = world.mission(id).await;
    let outcome = Outcome {
        status: OutcomeStatus::Completed,
        failure: None,
        summary: "done before".into(),
        usage: Usage::default(),
    };
    let mut event = world.event(id, EventBody::OutcomeRecorded { outcome });
    event.attempt = mission.attempt;
    world.log.append(&event, mission.last_seq).await.unwrap();
}

#[tokio::test]
async fn a_fenced_worker_kills_its_executor_and_writes_nothing_more() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let pid = world.path("pid");
    let id = world
        .dispatch(script(format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", pid.display())))
        .await;
    let pid = world.number_in(&pid).await;
    assert!(lives(pid));
    let fenced = Instant::now();
    started_by(&world, &id, stranger()).await;
    is_gone(pid).await;
    assert!(fenced.elapsed() < Duration::from_secs(3), "{:?}", fenced.elapsed());
    assert_eq!(world.kinds(&id).await, [E::Dispatched, E::Started, E::Started]);
    // It does not hold the mission any more, and neither acks nor naks it.
    let state = topology::lane_state(&world.conn, &world.vp_id).await.unwrap();
    assert_eq!(state[&Tier::Normal].in_hand, 1);
}

#[tokio::test]
async fn what_ended_elsewhere_is_concluded_and_never_run_again() {
    let world = World::new(shell_lane()).await;
    let id = world.dispatch(script(noting(&world, 0))).await;
    started_by(&world, &id, stranger()).await;
    recorded(&world, &id).await;
    let mut config = world.config("w1");
    config.finalize_grace = Duration::from_millis(100);
    let _worker = world.start(config).await;
    let mission = world.ended(&id).await;
    // Its files are on a host that stayed away: said so, and not called done.
    assert_eq!(mission.failure.unwrap().class, FailureClass::MissingDeliverable);
    assert!(mission.result.unwrap().partial);
    assert_eq!(world.kinds(&id).await, [E::Dispatched, E::Started, E::OutcomeRecorded, E::Failed]);
    assert_eq!(effects(&world), "");
    world.all_acked().await;
}

#[tokio::test]
async fn what_ended_here_in_an_earlier_life_is_concluded_with_its_files() {
    let world = World::new(shell_lane()).await;
    let id = world.dispatch(script(noting(&world, 0))).await;
    let me = WorkerRef { worker_id: WorkerId::new("w1").unwrap(), host: "testhost".into(), ..stranger() };
    started_by(&world, &id, me).await;
    recorded(&world, &id).await;
    let work = world.work(&id, 1);
    std::fs::create_dir_all(&work).unwrap();
    std::fs::write(work.join("notes.log"), "declared").unwrap();
    std::fs::write(
        work.join("../ended.json"),
        r#"{"declared":[{"path":"notes.log","category":"primary_work_product"}],"no_deliverable":false}"#,
    )
    .unwrap();
    let _worker = world.worker("w1").await;
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.summary.as_str()), (Status::Completed, "done before"));
    let result = mission.result.unwrap();
    assert_eq!(
        (result.artifacts[0].path.as_str(), result.primary_total, result.partial),
        ("notes.log", 1, false)
    );
    assert!(work.join("sync_ready.json").exists());
    assert_eq!(effects(&world), "");
    world.all_acked().await;
}

#[tokio::test]
async fn deleted_queues_do_not_stop_what_runs_and_are_made_again_where_that_is_allowed() {
    let world = World::new(short_lease(2)).await;
    let mut config = world.config("w1");
    config.may_create_consumers = true;
    let _worker = world.start(config).await;
    let running = world.dispatch(script(noting(&world, 6))).await;
    world.running(&running).await;
    let stream = world.conn.jetstream().get_stream(topology::MISSIONS).await.unwrap();
    for tier in Tier::ALL {
        stream.delete_consumer(&topology::queue_consumer(&world.vp_id, tier)).await.unwrap();
    }
    let next = world.dispatch(script("echo x > x.md")).await;
    assert_eq!(world.ended(&next).await.status, Status::Completed);
    let mission = world.ended(&running).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 1), "{:?}", mission.failure);
    assert_eq!(effects(&world), "1\n");
}

#[tokio::test]
async fn an_executor_that_ends_while_the_server_is_away_is_not_run_again() {
    let world = World::new(short_lease(4)).await;
    let _workers = (world.worker("w1").await, world.worker("w2").await);
    let done = world.path("done");
    let id = world.dispatch(script(format!("{}; echo 1 > {}", noting(&world, 1), done.display()))).await;
    world.running(&id).await;
    world.server.freeze();
    world.number_in(&done).await;
    // Long enough for its lease and its presence to run out.
    tokio::time::sleep(Duration::from_secs(6)).await;
    world.server.thaw();
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 1), "{:?}", mission.failure);
    assert_eq!(effects(&world), "1\n");
    assert_eq!(world.kinds(&id).await, [E::Dispatched, E::Started, E::OutcomeRecorded, E::Completed]);
    world.all_acked().await;
}
