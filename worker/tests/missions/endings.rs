//! How missions end.

use vp_shared::event::EventBody;
use vp_shared::failure::FailureClass;
use vp_shared::mission::{EventKind as E, Status};

use crate::world::{World, drained, lives, noop_lane, script, shell_lane};

#[tokio::test]
async fn a_mission_completes_with_its_work_product() {
    let world = World::new(shell_lane()).await;
    let worker = world.worker("w1").await;
    let id = world
        .dispatch(script(
            r#"echo '{"vp":"progress","text":"writing"}'
            echo '# report' > report.md
            echo '{"vp":"summary","text":"wrote the report"}'
            echo '{"vp":"usage","cost_usd":0.25,"tokens":100}'
            echo plain output; echo complaint >&2"#,
        ))
        .await;
    let mission = world.ended(&id).await;
    assert_eq!(mission.status, Status::Completed, "{:?}", mission.failure);
    assert_eq!(mission.summary, "wrote the report");
    assert_eq!((mission.usage.cost_usd, mission.usage.tokens), (Some(0.25), Some(100)));
    let result = mission.result.unwrap();
    let paths: Vec<_> = result.artifacts.iter().map(|found| found.path.as_str()).collect();
    assert_eq!(paths[0], "report.md");
    assert!(paths.contains(&"logs/stdout.log") && paths.contains(&"logs/stderr.log"), "{paths:?}");
    assert_eq!((result.artifacts_total, result.primary_total), (3, 1));
    assert_eq!(result.result_ref.unwrap(), format!("workspace://testhost{}", world.work(&id, 1).display()));

    let work = world.work(&id, 1);
    let receipt: serde_json::Value =
        serde_json::from_slice(&std::fs::read(work.join("mission_receipt.json")).unwrap()).unwrap();
    assert_eq!(receipt["status"], "completed");
    assert_eq!(receipt["artifacts"][0]["sha256"], result.artifacts[0].sha256);
    let marker: serde_json::Value =
        serde_json::from_slice(&std::fs::read(work.join("sync_ready.json")).unwrap()).unwrap();
    assert_eq!(marker["ready"], true);
    assert_eq!(std::fs::read_to_string(work.join("logs/stdout.log")).unwrap(), "plain output\n");

    assert_eq!(world.kinds(&id).await, [E::Dispatched, E::Started, E::OutcomeRecorded, E::Completed]);
    world.all_acked().await;
    drained(worker).await;
}

#[tokio::test]
async fn a_noop_mission_completes_without_a_workspace() {
    let world = World::new(noop_lane()).await;
    let _worker = world.worker("w1").await;
    let id = world.dispatch(script("x")).await;
    let mission = world.ended(&id).await;
    assert_eq!(mission.status, Status::Completed);
    assert_eq!(mission.result.unwrap().result_ref, None);
    assert!(!world.work(&id, 1).exists());
    world.all_acked().await;
}

#[tokio::test]
async fn each_exit_code_has_its_class() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    for (objective, class, message) in [
        (
            "echo last words >&2; exit 3",
            FailureClass::ExecutorError,
            "the executor exited with code 3: last words",
        ),
        ("exit 75", FailureClass::UpstreamUnavailable, "the executor exited with code 75"),
        ("exit 77", FailureClass::Auth, "the executor exited with code 77"),
        ("exit 78", FailureClass::InvalidMission, "the executor exited with code 78"),
        ("kill -KILL $$", FailureClass::ExecutorError, "the executor was ended by SIGKILL"),
        (
            r#"echo '{"vp":"failed","class":"guardrail","message":"not allowed"}'"#,
            FailureClass::Guardrail,
            "not allowed",
        ),
    ] {
        let id = world.dispatch(script(objective)).await;
        let failure = world.ended(&id).await.failure.unwrap();
        assert_eq!((failure.class, failure.message.as_str()), (class, message), "{objective}");
    }
    world.all_acked().await;
}

#[tokio::test]
async fn a_program_that_does_not_exist_fails_the_mission_and_says_so() {
    let mut lane = shell_lane();
    lane.executor =
        serde_json::from_value(serde_json::json!({"kind": "command", "argv": ["no-such-program"]})).unwrap();
    let world = World::new(lane).await;
    let _worker = world.worker("w1").await;
    let id = world.dispatch(script("x")).await;
    let failure = world.ended(&id).await.failure.unwrap();
    assert_eq!(failure.class, FailureClass::ExecutorError);
    assert!(failure.message.contains("check the lane's `executor.argv`"), "{}", failure.message);
}

#[tokio::test]
async fn done_with_nothing_delivered_is_a_failure() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let id = world.dispatch(script("echo only talk")).await;
    let mission = world.ended(&id).await;
    assert_eq!(mission.failure.unwrap().class, FailureClass::MissingDeliverable);
    let receipt = std::fs::read_to_string(world.work(&id, 1).join("mission_receipt.json")).unwrap();
    assert!(
        receipt.contains(r#""status": "failed""#) && receipt.contains("missing_deliverable"),
        "{receipt}"
    );
}

#[tokio::test]
async fn nothing_to_deliver_may_be_right_when_it_is_said() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let id = world.dispatch(script(r#"echo '{"vp":"no_deliverable","because":"nothing to change"}'"#)).await;
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.summary.as_str()), (Status::Completed, "nothing to change"));
}

#[tokio::test]
async fn cancelled_while_running_the_whole_tree_is_gone() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let (leader, escapee) = (world.path("leader"), world.path("escapee"));
    let id = world
        .dispatch(script(format!(
            "echo partial > partial.md
            setsid sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' &
            echo $$ > {}; while :; do sleep 1; done",
            escapee.display(),
            leader.display()
        )))
        .await;
    let (leader, escapee) = (world.number_in(&leader).await, world.number_in(&escapee).await);
    assert!(lives(leader) && lives(escapee));
    world.cancel(&id).await;
    let mission = world.ended(&id).await;
    assert_eq!(mission.status, Status::Cancelled);
    assert!(!lives(leader) && !lives(escapee), "gone before it is said");
    let logged = world.logged(&id).await;
    let Some((_, last)) = logged.events.last() else { panic!("no events") };
    let EventBody::Cancelled { reason, result, .. } = &last.body else { panic!("{last:?}") };
    assert_eq!(reason, "changed my mind");
    assert_eq!(result.artifacts[0].path, "partial.md");
    world.all_acked().await;
}

#[tokio::test]
async fn cancelled_while_queued_it_is_acked_away() {
    let world = World::new(shell_lane()).await;
    let effects = world.path("effects");
    let id = world.dispatch(script(format!("echo x >> {}", effects.display()))).await;
    let body = EventBody::Cancelled {
        reason: "no".into(),
        result: vp_shared::artifact::MissionResult::default(),
        usage: vp_shared::event::Usage::default(),
    };
    world.write(&id, body).await;
    let _worker = world.worker("w1").await;
    world.all_acked().await;
    assert_eq!(world.kinds(&id).await, [E::Dispatched, E::Cancelled]);
    assert!(!effects.exists());
}

#[tokio::test]
async fn a_failed_attempt_is_followed_by_another_in_a_fresh_workspace() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let mut ask = script("ls > seen.txt; echo mess > mess.md; [ $VP_ATTEMPT = 2 ]");
    ask.spec.max_attempts = Some(3);
    let id = world.dispatch(ask).await;
    let mission = world.ended(&id).await;
    assert_eq!((mission.status, mission.attempt), (Status::Completed, 2), "{:?}", mission.failure);
    assert_eq!(
        world.kinds(&id).await,
        [E::Dispatched, E::Started, E::AttemptFailed, E::Started, E::OutcomeRecorded, E::Completed]
    );
    assert_eq!(std::fs::read_to_string(world.work(&id, 2).join("seen.txt")).unwrap(), "seen.txt\n");
    world.all_acked().await;
}

#[tokio::test]
async fn when_all_attempts_are_used_up_the_last_failure_stands() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let mut ask = script("exit 9");
    ask.spec.max_attempts = Some(2);
    let id = world.dispatch(ask).await;
    let mission = world.ended(&id).await;
    assert_eq!((mission.attempt, mission.failure.unwrap().class), (2, FailureClass::ExecutorError));
    world.all_acked().await;
}

#[tokio::test]
async fn secrets_do_not_leave_the_executor() {
    let mut lane = shell_lane();
    lane.executor = serde_json::from_value(serde_json::json!({
        "kind": "command", "argv": ["/bin/sh", "-c", r#"exec /bin/sh "$VP_OBJECTIVE_FILE""#],
        "env": {"LANE_TOKEN": "tok-5ecret-1"},
    }))
    .unwrap();
    let world = World::new(lane).await;
    let _worker = world.worker("w1").await;
    let id = world
        .dispatch(script(r#"echo "{\"vp\":\"summary\",\"text\":\"$LANE_TOKEN\"}"; echo $LANE_TOKEN; echo $LANE_TOKEN >&2; exit 1"#))
        .await;
    world.ended(&id).await;
    for (_, event) in world.logged(&id).await.events.iter().skip(1) {
        assert!(!String::from_utf8(event.to_json()).unwrap().contains("5ecret"));
    }
    for file in ["logs/stdout.log", "logs/stderr.log", "mission_receipt.json"] {
        let text = std::fs::read_to_string(world.work(&id, 1).join(file)).unwrap();
        assert!(!text.contains("5ecret"), "{file}: {text}");
    }
}
