//! What stops an attempt that would go on.

use std::time::Duration;

use vp_nats::clock;
use vp_shared::failure::FailureClass;
use vp_shared::mission::{EventKind, Status};

use crate::world::{World, lives, script, shell_lane};

#[tokio::test]
async fn a_timeout_takes_the_whole_tree_with_it() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let escapee = world.path("escapee");
    let mut ask = script(format!(
        "setsid sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' & while :; do sleep 1; done",
        escapee.display()
    ));
    ask.spec.budget.wall_seconds = Some(1);
    let id = world.dispatch(ask).await;
    let escapee = world.number_in(&escapee).await;
    let mission = world.ended(&id).await;
    assert!(!lives(escapee), "gone before it is said");
    assert_eq!(mission.failure.unwrap().class, FailureClass::Timeout);
    assert!(mission.usage.wall_ms >= 1000);
    world.all_acked().await;
}

#[tokio::test]
async fn the_lane_limits_what_a_mission_may_ask_for() {
    let mut lane = shell_lane();
    (lane.limits.max_wall_seconds, lane.limits.wall_seconds) = (1, 1);
    let world = World::new(lane).await;
    let _worker = world.worker("w1").await;
    let mut ask = script("sleep 60");
    ask.spec.budget.wall_seconds = Some(3600);
    let id = world.dispatch(ask).await;
    assert_eq!(world.ended(&id).await.failure.unwrap().class, FailureClass::Timeout);
}

#[tokio::test]
async fn silence_ends_an_attempt_and_talk_does_not() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let mut silent = script("sleep 60");
    silent.spec.budget.idle_seconds = Some(1);
    let mut talking = script("for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.25; done; echo x > x.md");
    talking.spec.budget.idle_seconds = Some(1);
    let (silent, talking) = (world.dispatch(silent).await, world.dispatch(talking).await);
    assert_eq!(world.ended(&silent).await.failure.unwrap().class, FailureClass::IdleTimeout);
    assert_eq!(world.ended(&talking).await.status, Status::Completed);
}

#[tokio::test]
async fn the_deadline_ends_a_running_attempt() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let mut ask = script("sleep 60");
    ask.spec.deadline = clock::now().plus(Duration::from_secs(2));
    let id = world.dispatch(ask).await;
    assert_eq!(world.ended(&id).await.failure.unwrap().class, FailureClass::DeadlineExceeded);
}

#[tokio::test]
async fn a_deadline_that_passed_in_the_queue_fails_without_an_attempt() {
    let world = World::new(shell_lane()).await;
    let mut ask = script("echo x > x.md");
    ask.spec.deadline = clock::now();
    let id = world.dispatch(ask).await;
    let _worker = world.worker("w1").await;
    world.ended(&id).await;
    assert_eq!(world.kinds(&id).await, [EventKind::Dispatched, EventKind::Failed]);
    world.all_acked().await;
}

#[tokio::test]
async fn what_costs_more_than_its_budget_is_stopped() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let mut ask = script(r#"echo '{"vp":"usage","tokens":11}'; sleep 60"#);
    ask.spec.budget.tokens = Some(10);
    let id = world.dispatch(ask).await;
    let mission = world.ended(&id).await;
    assert_eq!(mission.failure.unwrap().class, FailureClass::BudgetExceeded);
    assert_eq!(mission.usage.tokens, Some(11));
}

#[tokio::test]
async fn ten_mebibytes_in_one_line_do_no_harm() {
    let mut lane = shell_lane();
    lane.limits.max_log_bytes = 200_000;
    let world = World::new(lane).await;
    let _worker = world.worker("w1").await;
    let id = world
        .dispatch(script(
            r#"head -c 10485760 /dev/zero | tr '\0' x; echo
            echo '{"vp":"summary","text":"still heard"}'
            seq 100000 >&2
            echo x > x.md"#,
        ))
        .await;
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.summary.as_str()), (Status::Completed, "still heard"));
    let log = |name| std::fs::read_to_string(world.work(&id, 1).join("logs").join(name)).unwrap();
    let (out, err) = (log("stdout.log"), log("stderr.log"));
    assert!(out.contains("bytes of this line dropped") && out.len() < 70_000, "{}", out.len());
    assert!(err.contains("bytes dropped: the limit of the logs is reached"));
    assert!(out.len() + err.len() < 201_000);
}

#[tokio::test]
async fn an_executor_does_not_outlive_its_keeper() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let (pid, beats) = (world.path("pid"), world.path("beats"));
    // It has its output open, and ten beats a second.
    let script = script(format!(
        "echo $$ > {}; while :; do echo x >> {}; sleep 0.1; done",
        pid.display(),
        beats.display()
    ));
    let id = world.dispatch(script).await;
    let pid = world.number_in(&pid).await;
    let beaten = || std::fs::read_to_string(&beats).unwrap_or_default().lines().count();
    let keeper = rustix::process::Pid::from_raw(parent_of(pid)).unwrap();
    let before = beaten();
    rustix::process::kill_process(keeper, rustix::process::Signal::KILL).unwrap();
    assert_eq!(world.ended(&id).await.failure.unwrap().class, FailureClass::Internal);
    assert!(!lives(pid), "gone before it is said");
    // The two seconds that are given to the rest of its output would be twenty: it is killed first.
    let after = beaten() - before;
    assert!(after < 10, "it went on for {after} beats");
}

fn parent_of(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat[stat.rfind(')').unwrap()..].split_ascii_whitespace().nth(2).unwrap().parse().unwrap()
}
