//! `vp up`: the whole system in one process, killed and started again.

use serde_json::Value;
use vp_tests::process::{Installation, Process, is_alive};
use vp_tests::until::until_true;

const LANES: &str = r#"
[lanes."vp.general.primary"]
enabled = false
[lanes."vp.coder.primary"]
requires_deliverable = false
[lanes."vp.coder.primary".executor]
kind = "command"
argv = ["sh", "-c", "until test -e \"$VP_CONSTRAINT_GATE\"; do sleep 0.05; done; echo done > result.md"]
"#;

async fn up(vp: &Installation) -> Process {
    let mut up = vp.spawn("up", ["up"]);
    up.until_it_says("vp is up").await;
    up
}

fn dispatch(vp: &Installation, key: &str) -> String {
    let gate = format!("gate={}", vp.dir().join("gate").display());
    let answer = vp.json([
        "dispatch",
        "--session",
        "chat",
        "--lane",
        "vp.coder.primary",
        "--key",
        key,
        "--constraint",
        &gate,
        "Do it",
    ]);
    answer["mission_id"].as_str().unwrap().to_owned()
}

fn notices(vp: &Installation) -> Vec<Value> {
    let output = vp.run(["-o", "ndjson", "notices", "--session", "chat"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_data_directory_is_used_by_one_system_at_a_time() {
    let vp = Installation::new(None, LANES);
    let first = up(&vp).await;
    let second = vp.run(["up"]);
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(vp.data_dir().to_str().unwrap()), "{said}");
    // The first one is unharmed.
    std::fs::write(vp.dir().join("gate"), "").unwrap();
    let mission = dispatch(&vp, "k");
    assert_eq!(vp.json(["wait", &mission, "--timeout", "60"])["mission"]["status"], "completed");
    assert!(first.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_system_that_is_started_again_has_lost_nothing() {
    let vp = Installation::new(None, LANES);
    let first = up(&vp).await;
    let mission = dispatch(&vp, "k");
    until_true("the mission runs", async || vp.json(["get", &mission])["mission"]["status"] == "running")
        .await;
    let pid = first.pid();
    first.kill();
    assert!(!is_alive(pid));
    let second = up(&vp).await;
    std::fs::write(vp.dir().join("gate"), "").unwrap();
    let waited = vp.json(["wait", &mission, "--timeout", "60"]);
    assert_eq!(waited["mission"]["status"], "completed", "{waited}");
    assert_eq!(dispatch(&vp, "k"), mission);
    let mut told = Vec::new();
    until_true("the session is told of the end", async || {
        told.extend(notices(&vp));
        told.iter().any(|notice| notice["terminal"] == true)
    })
    .await;
    let mut ids: Vec<_> = told.iter().map(|notice| notice["notice_id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), told.len(), "a notice came twice");
    assert!(second.terminate().await.success());
    let third = up(&vp).await;
    assert_eq!(notices(&vp), Vec::<Value>::new());
    let check = vp.json(["ledger", "rebuild", "--check"]);
    assert!(check["tables"].as_array().unwrap().iter().all(|table| table["equal"] == true), "{check}");
    assert!(third.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_mission_is_the_exit_code_of_its_wait() {
    let script = "case \"$(cat \"$VP_OBJECTIVE_FILE\")\" in good) exit 0;; bad) exit 1;; esac; sleep 60";
    let lanes = LANES.split("[lanes.\"vp.coder.primary\".executor]").next().unwrap();
    let vp = Installation::new(
        None,
        &format!(
            "{lanes}\n[lanes.\"vp.coder.primary\".executor]\nkind = \"command\"\nargv = [\"sh\", \"-c\", {script:?}]\n"
        ),
    );
    let up = up(&vp).await;
    let run = |objective: &str, timeout: &str| {
        let args = [
            "dispatch",
            "--session",
            "chat",
            "--lane",
            "vp.coder.primary",
            "--wait",
            "--timeout",
            timeout,
            objective,
        ];
        vp.run(args).status.code()
    };
    assert_eq!(run("good", "60"), Some(0));
    assert_eq!(run("bad", "60"), Some(3));
    assert_eq!(run("slow", "1"), Some(5));
    let slow =
        vp.json(["list", "--status", "running"])["missions"][0]["mission_id"].as_str().unwrap().to_owned();
    assert_eq!(vp.json(["cancel", &slow])["status"], "cancel_requested");
    assert_eq!(vp.run(["wait", &slow]).status.code(), Some(4));
    let unknown = vp.run(["dispatch", "--session", "chat", "--lane", "vp.nobody.primary", "x"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("vp.coder.primary"));
    assert!(up.terminate().await.success());
    assert_eq!(vp.run(["list"]).status.code(), Some(69));
}
