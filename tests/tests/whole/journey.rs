//! The way of a mission, from the dispatch to the notice.

use serde_json::json;
use vp_shared::api::ToolName;
use vp_shared::mission::Status;
use vp_tests::lanes::{CODER, GENERAL, shell_lane};
use vp_tests::world::{SESSION, World};

const REPORT: &str = r#"cat "$VP_OBJECTIVE_FILE" > report.md; echo trace > run.log
echo '{"vp":"progress","text":"half way"}'
echo '{"vp":"summary","text":"Wrote the report."}'"#;

fn delivering() -> vp_shared::lane::LaneProfile {
    let mut lane = shell_lane(REPORT);
    lane.requires_deliverable = true;
    lane
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_goes_out_and_its_result_comes_back_in_both_lanes() {
    let world =
        World::builder().lane(CODER, delivering()).lane(GENERAL, delivering()).workers(1).start().await;
    for lane in [CODER, GENERAL] {
        let session = format!("chat-{lane}");
        let mission = world.dispatch_as(&session, lane, json!({"objective": "Say hello"})).await;
        let ended = world.wait(&mission).await;
        assert_eq!((ended.status, ended.summary.as_str()), (Status::Completed, "Wrote the report."));
        let notices = world.notices_until(&session, 1).await;
        let told: Vec<_> = notices.iter().map(|notice| notice.event.as_str()).collect();
        assert_eq!(told, ["vp.mission.dispatched", "vp.mission.started", "vp.mission.completed"]);
        assert!(
            notices
                .iter()
                .all(|notice| notice.session_id.as_str() == session && notice.mission_id == mission)
        );
        let text = &notices[2].text;
        for line in [
            "Summary: Wrote the report.",
            "Primary work product: report.md",
            "Supporting artifact: ",
            "Receipt: mission_receipt.json",
            "Sync marker: sync_ready.json",
        ] {
            assert!(text.contains(line), "`{line}` is not in:\n{text}");
        }
        let input = json!({"mission_id": mission, "category": "primary_work_product"});
        let read = world.call(ToolName::ReadArtifacts, input).await.unwrap();
        assert_eq!(read["artifacts"][0]["path"], "report.md");
        assert_eq!(read["artifacts"][0]["excerpt"].as_str().unwrap().trim(), "Say hello");
        assert_eq!((&read["files_total"], &read["files_listed"]), (&json!(1), &json!(1)));
    }
    world.assert_ledger_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_ledger_show_the_same_mission() {
    let world = World::builder().lane(CODER, delivering()).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({"idempotency_key": "k", "source_turn_id": "t1"})).await;
    world.wait(&mission).await;
    world.until_projected().await;
    let by_ledger = world.get(&mission).await;
    let mut world = world;
    world.stop_bridge().await;
    let by_log = world.get(&mission).await;
    assert_eq!(serde_json::to_value(&by_ledger).unwrap(), serde_json::to_value(&by_log).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_what_was_dispatched_newest_first() {
    let world =
        World::builder().lane(CODER, delivering()).lane(GENERAL, delivering()).workers(1).start().await;
    let mut missions = Vec::new();
    for n in 0..5 {
        let lane = if n % 2 == 0 { CODER } else { GENERAL };
        missions.push(world.dispatch(lane, json!({})).await);
    }
    for mission in &missions {
        world.wait(mission).await;
    }
    world.until_projected().await;
    let mut seen = Vec::new();
    let mut input = json!({"limit": 2, "status": "completed", "session_id": SESSION});
    loop {
        let page = world.call(ToolName::List, input.clone()).await.unwrap();
        seen.extend(page["missions"].as_array().unwrap().iter().map(|mission| mission["mission_id"].clone()));
        let Some(next) = page.get("next_cursor") else { break };
        input["cursor"] = next.clone();
    }
    missions.reverse();
    assert_eq!(json!(seen), json!(missions));
    let coder = world.call(ToolName::List, json!({"vp_id": CODER})).await.unwrap();
    assert_eq!(coder["count"], 3);
    let none = world.call(ToolName::List, json!({"session_id": "nobody"})).await.unwrap();
    assert_eq!(none["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_times_out_has_the_last_progress() {
    let script = r#"echo '{"vp":"progress","text":"half way"}'; while :; do sleep 0.05; done"#;
    let world = World::builder().lane(CODER, shell_lane(script)).workers(1).start().await;
    let mission = world.dispatch(CODER, json!({})).await;
    world.until_status(&mission, Status::Running).await;
    vp_tests::until::until("progress is told", async || {
        let input = json!({"mission_id": mission, "timeout_seconds": 1});
        let waited = world.call(ToolName::Wait, input).await.unwrap();
        assert_eq!((&waited["timed_out"], &waited["mission"]["status"]), (&json!(true), &json!("running")));
        (waited["progress"] == "half way").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_lie_in_the_workspace_before_the_executor_starts() {
    let world =
        World::builder().lane(CODER, shell_lane("cat in/notes.txt > out.md")).workers(1).start().await;
    let inputs = json!([{"path": "in/notes.txt", "text": "from Simone"}]);
    let mission = world.dispatch(CODER, json!({"inputs": inputs})).await;
    assert_eq!(world.wait(&mission).await.status, Status::Completed);
    let read = world.call(ToolName::ReadArtifacts, json!({"mission_id": mission})).await.unwrap();
    assert_eq!(read["artifacts"][0]["path"], "out.md");
    assert_eq!(read["artifacts"][0]["excerpt"], "from Simone");
}
