//! What an attempt finds, and what it leaves behind.

use vp_shared::artifact::{Category, MissionResult};
use vp_shared::failure::FailureClass;
use vp_shared::mission::{Input, InputSource, Status};

use crate::world::{World, script, shell_lane};

fn text(path: &str, text: &str) -> Input {
    Input { path: path.into(), source: InputSource::Text(text.into()) }
}

#[tokio::test]
async fn an_executor_finds_its_mission_and_nothing_of_ours() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let mut ask = script(
        r#"cat > stdin.json; cat "$VP_MISSION_FILE" > file.json; env | sort > env.txt; ls > ls.txt; pwd > pwd.txt; cat d/in.txt > out.txt"#,
    );
    ask.spec.inputs = vec![text("d/in.txt", "given")];
    let id = world.dispatch(ask).await;
    let mission = world.ended(&id).await;
    assert_eq!(mission.status, Status::Completed, "{:?}", mission.failure);
    let work = world.work(&id, 1);
    let read = |name: &str| std::fs::read_to_string(work.join(name)).unwrap();
    assert_eq!(read("stdin.json"), read("file.json"));
    let described: serde_json::Value = serde_json::from_str(&read("file.json")).unwrap();
    assert_eq!(described["mission_id"], id.as_str());
    assert_eq!(read("out.txt"), "given");
    assert_eq!(read("ls.txt"), "d\nenv.txt\nfile.json\nls.txt\nstdin.json\n");
    assert_eq!(read("pwd.txt").trim(), work.to_str().unwrap());
    let env = read("env.txt");
    assert!(env.contains(&format!("VP_MISSION_ID={id}\n")) && env.contains("VP_ATTEMPT=1\n"));
    for line in env.lines() {
        let name = line.split('=').next().unwrap();
        let known = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"];
        assert!(known.contains(&name) || name.starts_with("VP_"), "{line}");
    }
    // What was given and not changed is no result.
    assert!(mission.result.unwrap().artifacts.iter().all(|found| found.path != "d/in.txt"));
}

#[tokio::test]
async fn a_mission_with_a_bad_input_fails_without_running() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    for input in [text("../escape", "x"), Input { path: "o".into(), source: InputSource::Object("x".into()) }]
    {
        let ran = world.path("ran");
        let mut ask = script(format!("touch {}", ran.display()));
        ask.spec.inputs = vec![input];
        let id = world.dispatch(ask).await;
        assert_eq!(world.ended(&id).await.failure.unwrap().class, FailureClass::InvalidMission);
        assert!(!ran.exists());
    }
}

async fn result_of(objective: &str) -> (Status, MissionResult) {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let id = world.dispatch(script(objective)).await;
    let mission = world.ended(&id).await;
    (mission.status, mission.result.unwrap())
}

#[tokio::test]
async fn declared_products_lead_and_links_lead_nowhere() {
    let (status, result) = result_of(
        r#"echo a > a.md; mkdir sub; echo z > sub/z.csv; ln -s /etc/passwd stolen.md; ln -s /etc etc
        echo '{"vp":"deliverable","path":"sub/z.csv","category":"primary_work_product"}'
        echo '{"vp":"deliverable","path":"a.md","category":"supporting_artifact"}'
        echo '{"vp":"deliverable","path":"stolen.md"}'
        echo '{"vp":"deliverable","path":"etc/hostname"}'
        echo '{"vp":"deliverable","path":"/etc/passwd"}'"#,
    )
    .await;
    assert_eq!(status, Status::Completed);
    let listed: Vec<_> = result.artifacts.iter().map(|found| (found.path.as_str(), found.category)).collect();
    assert_eq!(listed, [("sub/z.csv", Category::PrimaryWorkProduct), ("a.md", Category::SupportingArtifact)]);
}

#[tokio::test]
async fn a_declared_product_that_is_not_there_is_none() {
    let (status, result) = result_of(r#"echo '{"vp":"deliverable","path":"report.md"}'"#).await;
    assert_eq!((status, result.artifacts_total), (Status::Failed, 0));
}

#[tokio::test]
async fn ten_thousand_files_are_counted_and_fifty_listed() {
    let (status, result) = result_of(
        "seq 10000 | xargs touch; echo x > best.md; echo '{\"vp\":\"deliverable\",\"path\":\"best.md\"}'",
    )
    .await;
    assert_eq!(status, Status::Completed);
    assert_eq!((result.artifacts_total, result.artifacts.len()), (10_001, MissionResult::MAX_LISTED));
    assert_eq!(result.artifacts[0].path, "best.md");
}

#[tokio::test]
async fn an_executor_that_replaces_its_workspace_delivers_nothing_and_breaks_nothing() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let outside = world.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret.md"), "s").unwrap();
    for replace in [format!("ln -s {} work", outside.display()), "echo x > work".into(), "true".into()] {
        let id = world.dispatch(script(format!("echo log; cd ..; rm -rf work; {replace}"))).await;
        let mission = world.ended(&id).await;
        assert_eq!(mission.failure.unwrap().class, FailureClass::MissingDeliverable);
        assert_eq!(mission.result.unwrap().artifacts_total, 0);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_forged_receipt_is_replaced() {
    let world = World::new(shell_lane()).await;
    let _worker = world.worker("w1").await;
    let outside = world.path("outside");
    std::fs::write(&outside, "untouched").unwrap();
    let id = world
        .dispatch(script(format!(
            "echo x > x.md; ln -s {} mission_receipt.json; echo forged > sync_ready.json",
            outside.display()
        )))
        .await;
    assert_eq!(world.ended(&id).await.status, Status::Completed);
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "untouched");
    let work = world.work(&id, 1);
    assert!(!work.join("mission_receipt.json").is_symlink());
    assert!(std::fs::read_to_string(work.join("sync_ready.json")).unwrap().contains("receipt_sha256"));
}
