//! Workspaces go by policy, and only those that a worker made, recorded, and whose missions have ended.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vp_shared::ids::{MissionId, WorkerId};
use vp_shared::workspace::{WORKSPACE_RECORD, WorkspacePolicy, WorkspaceRecord, WorkspaceVerdict};
use vp_worker::{PruneRequest, WorkerConfig, prune};

use crate::world::{World, drained, noop_lane, script, shell_lane, until};

const SOON: WorkspacePolicy = WorkspacePolicy { keep_for: Some(Duration::ZERO), max_bytes: None };
const NEVER: WorkspacePolicy = WorkspacePolicy { keep_for: None, max_bytes: None };

fn sweeping(world: &World, worker_id: &str, retention: WorkspacePolicy) -> WorkerConfig {
    let mut config = world.config(worker_id);
    config.retention = retention;
    config.sweep_every = Duration::from_millis(100);
    config
}

fn attempt(world: &World, mission_id: &MissionId) -> PathBuf {
    world.work(mission_id, 1).parent().unwrap().to_owned()
}

fn record(dir: &Path) -> Option<WorkspaceRecord> {
    serde_json::from_slice(&fs::read(dir.join(WORKSPACE_RECORD)).ok()?).ok()
}

fn request(world: &World, policy: WorkspacePolicy, dry_run: bool) -> PruneRequest {
    let owners = BTreeSet::from([WorkerId::new("w1").unwrap()]);
    PruneRequest { root: world.config("w1").workspace_root, owners, policy, dry_run }
}

async fn verdicts(world: &World, request: &PruneRequest) -> Vec<(String, WorkspaceVerdict)> {
    let report = prune(&world.conn, request).await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    report.workspaces.into_iter().map(|one| (one.path, one.verdict)).collect()
}

/// As after more than the log's retention.
async fn forget_all(world: &World) {
    let stream = world.conn.jetstream().get_stream("MISSIONS").await.unwrap();
    stream.purge().await.unwrap();
}

#[tokio::test]
async fn only_the_workspace_of_an_ended_mission_goes_and_only_if_this_worker_recorded_it() {
    let world = World::new(shell_lane()).await;
    let worker = world.start(sweeping(&world, "w1", SOON)).await;
    let runs = world.dispatch(script("sleep 300")).await;
    world.running(&runs).await;
    until("the running one is recorded", async || record(&attempt(&world, &runs)).is_some()).await;

    let ended = world.dispatch(script("mkdir -p d/e; ln -s / d/root; echo x > d/e/out.txt")).await;
    let dir = attempt(&world, &ended);
    let mission = dir.parent().unwrap().to_owned();
    // As soon as there is a record it may be gone; what lies beside it is nobody's.
    fs::create_dir_all(mission.join("attempt-7/work")).unwrap();
    fs::create_dir_all(mission.join("attempt-1-kept")).unwrap();
    fs::write(mission.join("notes.txt"), "mine").unwrap();
    let foreign =
        WorkspaceRecord { attempt: 8, worker_id: WorkerId::new("w2").unwrap(), ..record_of(&world, &ended) };
    fs::create_dir_all(mission.join("attempt-8")).unwrap();
    fs::write(mission.join("attempt-8").join(WORKSPACE_RECORD), serde_json::to_vec(&foreign).unwrap())
        .unwrap();
    let copied = WorkspaceRecord { attempt: 1, ..record_of(&world, &ended) };
    fs::create_dir_all(mission.join("attempt-9")).unwrap();
    fs::write(mission.join("attempt-9").join(WORKSPACE_RECORD), serde_json::to_vec(&copied).unwrap())
        .unwrap();

    world.ended(&ended).await;
    until("the ended one's workspace is gone", async || !dir.exists()).await;
    let again = world.dispatch(script("true")).await;
    world.ended(&again).await;
    until("and so is the next one's, with its mission's directory", async || {
        !attempt(&world, &again).parent().unwrap().exists()
    })
    .await;
    for left in ["attempt-7/work", "attempt-1-kept", "notes.txt", "attempt-8", "attempt-9"] {
        assert!(mission.join(left).exists(), "{left}");
    }
    assert!(Path::new("/etc").exists(), "no link was followed");
    assert!(world.work(&runs, 1).exists() && record(&attempt(&world, &runs)).unwrap().ended.is_none());
    until("the worker says so", async || {
        let found =
            vp_nats::presence::lookup(&world.conn, &worker.identity().worker_id).await.unwrap().unwrap();
        found.workspaces.is_some_and(|status| status.removed == 2 && status.error.is_none())
    })
    .await;
    world.cancel(&runs).await;
    world.ended(&runs).await;
}

fn record_of(world: &World, mission_id: &MissionId) -> WorkspaceRecord {
    WorkspaceRecord {
        v: 1,
        vp_id: world.vp_id.clone(),
        mission_id: mission_id.clone(),
        attempt: 1,
        worker_id: WorkerId::new("w1").unwrap(),
        created_at: vp_nats::clock::now(),
        ended: None,
    }
}

#[tokio::test]
async fn a_workspace_goes_also_when_the_log_has_forgotten_its_mission_if_its_end_was_recorded() {
    let world = World::new(shell_lane()).await;
    let worker = world.start(sweeping(&world, "w1", NEVER)).await;
    let known = world.dispatch(script("echo x > out.txt")).await;
    world.ended(&known).await;
    until("its end is recorded", async || {
        record(&attempt(&world, &known)).is_some_and(|record| record.ended.is_some())
    })
    .await;
    drained(worker).await;
    let unswept = world.worker("w1").await;
    let unknown = world.dispatch(script("echo x > out.txt")).await;
    world.ended(&unknown).await;
    drained(unswept).await;
    forget_all(&world).await;
    let report = prune(&world.conn, &request(&world, SOON, false)).await.unwrap();
    assert_eq!(report.removed, 1, "{report:?}");
    assert!(!attempt(&world, &known).exists());
    assert!(world.work(&unknown, 1).join("out.txt").exists(), "in doubt it is kept");
}

#[tokio::test]
async fn a_dry_run_tells_the_plan_and_changes_nothing() {
    let world = World::new(shell_lane()).await;
    let worker = world.worker("w1").await;
    let ended = world.dispatch(script("echo x > out.txt")).await;
    world.ended(&ended).await;
    drained(worker).await;
    let path = format!("{}/{ended}/attempt-1", world.vp_id);
    let planned = verdicts(&world, &request(&world, SOON, true)).await;
    assert_eq!(planned, [(path.clone(), WorkspaceVerdict::TooOld)]);
    assert_eq!(record(&attempt(&world, &ended)).unwrap().ended, None, "not even its end is recorded");
    assert_eq!(
        verdicts(&world, &request(&world, NEVER, false)).await,
        [(path.clone(), WorkspaceVerdict::Kept)]
    );
    let end = record(&attempt(&world, &ended)).unwrap().ended.unwrap();
    assert!(end.bytes >= 4096 && end.at == world.mission(&ended).await.finished_at.unwrap(), "{end:?}");
    assert_eq!(verdicts(&world, &request(&world, SOON, false)).await, [(path, WorkspaceVerdict::TooOld)]);
    assert!(!attempt(&world, &ended).exists());
}

#[tokio::test]
async fn a_key_that_is_used_again_after_the_log_forgot_it_keeps_what_it_makes() {
    let world = World::new(shell_lane()).await;
    let worker = world.start(sweeping(&world, "w1", NEVER)).await;
    let id = world.dispatch(script("echo old > out.txt")).await;
    world.ended(&id).await;
    until("its end is recorded", async || {
        record(&attempt(&world, &id)).is_some_and(|record| record.ended.is_some())
    })
    .await;
    drained(worker).await;
    forget_all(&world).await;
    let again = script("echo new > out.txt");
    let event = world.event(
        &id,
        vp_shared::event::EventBody::Dispatched { mission: again.spec.clone(), tier: again.tier },
    );
    world.log.append(&event, 0).await.unwrap();
    let report = prune(&world.conn, &request(&world, SOON, false)).await.unwrap();
    assert_eq!((report.removed, report.failed), (0, 1), "{report:?}");
    assert!(report.workspaces[0].trouble.as_ref().unwrap().contains("lives again"));
    let _worker = world.start(sweeping(&world, "w1", NEVER)).await;
    world.ended(&id).await;
    assert_eq!(fs::read_to_string(world.work(&id, 1).join("out.txt")).unwrap(), "new\n");
}

#[tokio::test]
async fn a_worker_without_workspaces_sweeps_in_peace() {
    let world = World::new(noop_lane()).await;
    let worker = world.start(sweeping(&world, "w1", SOON)).await;
    until("it has swept", async || {
        let found = vp_nats::presence::lookup(&world.conn, &worker.identity().worker_id).await.unwrap();
        found.unwrap().workspaces.is_some_and(|status| status.swept_at.is_some() && status.error.is_none())
    })
    .await;
}
