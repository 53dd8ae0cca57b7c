#![allow(clippy::unwrap_used)]
use super::*;
use vp_shared::event::{Actor, ActorKind, Event, EventBody, Source};
use vp_shared::ids::{MissionId, VpId};
use vp_shared::mission::Input;
use vp_shared::tier::Tier;

fn mission(inputs: Vec<Input>) -> Mission {
    let vp_id = VpId::new("vp.coder.primary").unwrap();
    let spec = MissionSpec {
        objective: "do it".into(),
        mission_type: "task".into(),
        constraints: serde_json::Map::default(),
        budget: vp_shared::mission::Budget::default(),
        inputs,
        idempotency_key: None,
        not_before: None,
        deadline: clock::now(),
        max_attempts: None,
        content_sha256: String::new(),
    };
    let event = Event {
        id: clock::event_id(),
        mission_id: MissionId::of_key(&vp_id, "k"),
        vp_id,
        attempt: 0,
        time: clock::now(),
        actor: Actor { kind: ActorKind::Dispatcher, id: "x".into() },
        source: Source::default(),
        body: EventBody::Dispatched { mission: spec, tier: Tier::Normal },
    };
    Mission { attempt: 1, ..Mission::fold([(1, &event)]).unwrap() }
}

fn worker() -> WorkerId {
    WorkerId::new("w-1").unwrap()
}

fn text(path: &str, text: &str) -> Input {
    Input { path: path.into(), source: InputSource::Text(text.into()) }
}

#[test]
fn an_attempt_gets_a_fresh_directory_with_its_inputs() {
    let root = tempfile::tempdir().unwrap();
    let mission = mission(vec![text("a.txt", "A"), text("d/e/b.txt", "B")]);
    let workspace = make(root.path(), &mission, &worker()).unwrap();
    assert_eq!(fs::read_to_string(workspace.work().join("d/e/b.txt")).unwrap(), "B");
    assert_eq!(fs::read_to_string(workspace.objective_file()).unwrap(), "do it");
    let described: serde_json::Value =
        serde_json::from_slice(&fs::read(workspace.mission_file()).unwrap()).unwrap();
    assert_eq!(described["inputs"], json!(["a.txt", "d/e/b.txt"]));

    fs::write(workspace.work().join("left.txt"), "over").unwrap();
    let again = make(root.path(), &mission, &worker()).unwrap();
    assert!(!again.work().join("left.txt").exists());
    assert_eq!(fs::read_dir(again.control().parent().unwrap()).unwrap().count(), 2);
}

#[test]
fn no_input_leads_out_of_the_workspace() {
    for path in [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/../b",
        "./a",
        "a/",
        "a\0b",
        "mission_receipt.json",
        "sync_ready.json",
    ] {
        let root = tempfile::tempdir().unwrap();
        let failure: Failure =
            make(root.path(), &mission(vec![text(path, "x")]), &worker()).unwrap_err().into();
        assert_eq!(failure.class, FailureClass::InvalidMission, "{path:?}");
    }
    for inputs in [vec![text("a", "x"), text("a", "y")], vec![text("a", "x"), text("a/b", "y")]] {
        let root = tempfile::tempdir().unwrap();
        let failure: Failure = make(root.path(), &mission(inputs), &worker()).unwrap_err().into();
        assert_eq!(failure.class, FailureClass::InvalidMission);
    }
}

#[test]
fn an_atomic_write_leaves_nothing_half() {
    let dir = tempfile::tempdir().unwrap();
    write_atomic(dir.path(), "a", b"1").unwrap();
    write_atomic(dir.path(), "a", b"2").unwrap();
    fs::create_dir(dir.path().join("b")).unwrap();
    write_atomic(dir.path(), "b", b"3").unwrap_err();
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"2");
}

#[test]
fn logs_never_follow_a_link_of_the_executor() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = dir.path().join("stdout.log");
    fs::write(&log, "x").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("logs")).unwrap();
    hand_over(&log, &dir.path().join("logs"), "stdout.log").unwrap_err();
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
