//! The command line as a user meets it: the real binary, a real nats-server, exit codes and streams.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use support::{Sandbox, git_repository};

#[test]
fn help_says_what_there_is() {
    let sandbox = Sandbox::new();
    let help = |args: &[&str]| String::from_utf8(sandbox.vp(args).stdout).unwrap();
    insta::assert_snapshot!("help", help(&["--help"]));
    for command in [
        "dispatch",
        "wait",
        "notices",
        "bench",
        "demo",
        "ledger rebuild",
        "lanes",
        "prune",
        "prune workspaces",
    ] {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.push("--help");
        insta::assert_snapshot!(format!("help_{}", command.replace(' ', "_")), help(&args));
    }
}

#[test]
fn without_a_server_every_command_that_needs_one_exits_69_and_says_what_to_do() {
    let sandbox = Sandbox::new();
    for args in [
        &["list"][..],
        &["get", "m-aaaaaaaaaaaaaaaaaaaaaaaaaa"],
        &["dispatch", "--session", "s", "--lane", "vp.coder.primary", "x"],
        &["notices", "--session", "s"],
        &["events"],
        &["lanes"],
        &["worker"],
        &["bridge"],
    ] {
        let out = sandbox.vp(args);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(69), "{args:?}: {said}");
        assert!(said.contains("vp up") && said.contains("--nats-url"), "{args:?}: {said}");
        assert!(out.stdout.is_empty(), "{args:?}");
    }
    let out = sandbox.vp(&["list", "--nats-url", "nats://127.0.0.1:1"]);
    assert_eq!(out.status.code(), Some(69), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn usage_and_configuration_errors_have_their_own_codes() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.vp(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(sandbox.vp(&["wait"]).status.code(), Some(2));
    assert_eq!(sandbox.vp(&["list", "--set", "nats.replicas"]).status.code(), Some(2));
    let out = sandbox.vp(&["config", "check", "--set", "nats.replicas=2"]);
    assert_eq!(out.status.code(), Some(78));
    assert!(String::from_utf8(out.stderr).unwrap().contains("nats.replicas"));
    let out = sandbox.vp(&["config", "check", "--set", "no.such.key=1"]);
    assert_eq!(out.status.code(), Some(78));
    assert!(String::from_utf8(out.stderr).unwrap().contains("no.such.key"));
    assert_eq!(sandbox.vp(&["config", "check"]).status.code(), Some(0));
}

#[test]
fn a_mission_goes_out_and_its_result_comes_back() {
    let sandbox = Sandbox::new();
    let repo = git_repository();
    let up = sandbox.up();
    let constraint = format!("repo={}", repo.path().display());
    let dispatch = [
        "dispatch",
        "--session",
        "me",
        "--lane",
        "vp.general.primary",
        "--key",
        "one",
        "--constraint",
        &constraint,
        "--wait",
        "-o",
        "ndjson",
        "Report on the repository",
    ];
    let out = sandbox.vp(&dispatch);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let waited: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(waited["mission"]["status"], "completed");
    let mission = waited["mission"]["mission_id"].as_str().unwrap();

    // The same key is the same mission, run once.
    let again: Value = serde_json::from_slice(&sandbox.vp(&dispatch).stdout).unwrap();
    assert_eq!(again["mission"]["mission_id"], mission);
    assert_eq!(again["mission"]["attempt"], 1);

    let told = || {
        let out = sandbox.vp(&["notices", "--session", "me", "-o", "ndjson"]);
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let notices = told();
    let last = notices.last().unwrap();
    assert_eq!(last["event"], "vp.mission.completed");
    let text = last["text"].as_str().unwrap();
    for line in [
        "Primary work product: report.md",
        "Supporting artifact: ",
        "Receipt: mission_receipt.json",
        "Sync marker: sync_ready.json",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(told().is_empty(), "shown once, never again");

    let out = sandbox.vp(&["artifacts", mission, "--category", "primary_work_product", "-o", "json"]);
    let read: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(read["artifacts"][0]["path"], "report.md");
    assert!(read["artifacts"][0]["excerpt"].as_str().unwrap().contains('#'));

    let out = sandbox.vp(&["ledger", "rebuild", "--check"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let out = sandbox.vp(&["doctor", "-o", "json"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stdout));
    let out = sandbox.vp(&["events", "--mission", mission, "-o", "ndjson"]);
    let kinds: Vec<String> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        kinds,
        ["dispatched", "started", "outcome_recorded", "completed"].map(|kind| format!("vp.mission.{kind}"))
    );
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn what_is_too_old_is_pruned_by_hand_and_the_mission_is_still_told_of() {
    let sandbox = Sandbox::new();
    let repo = git_repository();
    let up = sandbox.up();
    let constraint = format!("repo={}", repo.path().display());
    let json = |args: &[&str]| {
        let out = sandbox.vp(&[args, &["-o", "json"]].concat());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        (out.status.code(), serde_json::from_slice::<Value>(&out.stdout).unwrap_or_default(), said)
    };
    let dispatch = [
        "dispatch",
        "--session",
        "me",
        "--lane",
        "vp.general.primary",
        "--constraint",
        &constraint,
        "--wait",
        "Report",
    ];
    let (code, waited, said) = json(&dispatch);
    assert_eq!(code, Some(0), "{said}");
    let mission = waited["mission"]["mission_id"].as_str().unwrap().to_owned();
    let (code, kept, said) = json(&["prune", "workspaces"]);
    assert_eq!(
        (code, &kept["removed"], &kept["workspaces"][0]["verdict"]),
        (Some(0), &0.into(), &"kept".into()),
        "{said}"
    );

    // As 91 days later.
    let dir = sandbox.data().join("workspaces").join(kept["workspaces"][0]["path"].as_str().unwrap());
    let record = dir.join("workspace.json");
    let mut text: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    assert_eq!(
        (text["mission_id"].as_str(), text["ended"]["status"].as_str()),
        (Some(&*mission), Some("completed"))
    );
    text["ended"]["at"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&record, text.to_string()).unwrap();
    let (_, planned, _) = json(&["prune", "workspaces", "--dry-run"]);
    assert_eq!((&planned["removed"], &planned["workspaces"][0]["verdict"]), (&1.into(), &"too_old".into()));
    assert_eq!(json(&["artifacts", &mission]).0, Some(0), "a dry run removes nothing");
    let out = sandbox.vp(&["prune", "workspaces", "--dry-run"]);
    assert!(String::from_utf8_lossy(&out.stdout).contains("would go"), "{out:?}");
    assert_eq!(json(&["prune", "workspaces"]).1["removed"], 1);
    assert!(!dir.exists());
    let (code, answer, said) = json(&["artifacts", &mission]);
    assert_eq!((code, &answer["error"]["code"]), (Some(1), &"artifact_unavailable".into()), "{said}");
    let said = answer["error"].to_string();
    assert!(said.contains("have expired") && said.contains("retention.workspace_days"), "{said}");
    assert_eq!(json(&["get", &mission]).1["mission"]["status"], "completed");

    let (code, ledger, said) = json(&["prune", "ledger", "--dry-run"]);
    assert_eq!((code, &ledger["missions"]), (Some(0), &0.into()), "{said}");
    assert!(json(&["ledger", "status"]).1["retention"]["next_at"].is_string());
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_lane_is_paused_by_name_and_everybody_is_told_until_it_is_resumed() {
    let sandbox = Sandbox::new();
    let repo = git_repository();
    let up = sandbox.up();
    let lane = "vp.general.primary";
    let vp = |args: &[&str]| {
        let out = sandbox.vp(args);
        let (said, shown) = (String::from_utf8(out.stderr).unwrap(), String::from_utf8(out.stdout).unwrap());
        (out.status.code(), shown, said)
    };
    let json = |args: &[&str]| -> Value {
        let (code, shown, said) = vp(&[args, &["-o", "json"]].concat());
        assert_eq!(code, Some(0), "{args:?}: {said}");
        serde_json::from_str(&shown).unwrap()
    };
    let of = |lanes: &Value| {
        lanes["lanes"].as_array().unwrap().iter().find(|found| found["vp_id"] == lane).unwrap().clone()
    };
    assert_eq!(of(&json(&["lanes"]))["mode"], "open");
    let (code, shown, said) = vp(&["lanes", "--pause", lane, "--reason", "mending it"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(shown.contains("MODE") && shown.contains("paused"), "{shown}");
    assert!(said.contains(&format!("{lane} is paused by ")) && said.contains(": mending it"), "{said}");
    let paused = of(&json(&["lanes", "--pause", lane]));
    assert_eq!((&paused["mode"], &paused["mode_set"]["reason"]), (&"paused".into(), &"mending it".into()));
    let by = paused["mode_set"]["by"].as_str().unwrap();
    let uid = format!("uid {}", rustix::process::getuid().as_raw());
    assert!(by.contains(&uid) && by.contains('@') && paused["mode_set"]["since"].is_string(), "{by}");

    let constraint = format!("repo={}", repo.path().display());
    let dispatch = ["dispatch", "--session", "me", "--lane", lane, "--constraint", &constraint, "Report"];
    let dispatched = json(&dispatch);
    assert!(dispatched["warnings"].to_string().contains("mending it"), "{dispatched}");
    let mission = dispatched["mission_id"].as_str().unwrap();
    let got = json(&["get", mission]);
    assert!(got["waiting_because"].as_str().unwrap().contains("is paused by"), "{got}");
    let checks = json(&["doctor"])["checks"].to_string();
    assert!(checks.contains(&format!("1 missions wait until `vp lanes --resume {lane}`")), "{checks}");
    assert_eq!(vp(&["wait", mission, "--timeout", "1"]).0, Some(5));

    assert_eq!(of(&json(&["lanes", "--resume", lane]))["mode"], "open");
    assert_eq!(json(&["wait", mission])["mission"]["status"], "completed");
    assert_eq!(of(&json(&["lanes", "--drain", lane]))["mode"], "draining");
    for wrong in [
        &["lanes", "--pause", "vp.no.lane"][..],
        &["lanes", "--pause", "nonsense"],
        &["lanes", "--pause", lane, "--resume", lane],
        &["lanes", "--reason", "x"],
        &["lanes", "--pause", lane, "--reason", ""],
    ] {
        assert_ne!(vp(wrong).0, Some(0), "{wrong:?}");
    }
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn bad_input_is_refused_by_name_and_nothing_is_published() {
    let sandbox = Sandbox::new();
    let up = sandbox.up();
    let dispatch = |args: &[&str]| {
        let mut all = vec!["dispatch", "--session", "me", "-o", "json"];
        all.extend(args);
        let out = sandbox.vp(&all);
        let answer: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        (out.status.code(), answer["error"]["code"].as_str().unwrap_or_default().to_owned(), answer)
    };
    for (args, field) in [
        (&["--lane", "vp.*.primary", "x"][..], "vp_id"),
        (&["--lane", "vp.coder.primary", ""], "objective"),
        (&["--lane", "vp.coder.primary", "--priority", "soon", "x"], "priority"),
        (&["--lane", "vp.coder.primary", "--reply-mode", "loud", "x"], "reply_mode"),
        (&["--lane", "vp.coder.primary", "--deadline", "tomorrow", "x"], "deadline"),
        (&["--lane", "vp.coder.primary", "--max-attempts", "0", "x"], "max_attempts"),
        (&["--lane", "vp.coder.primary", "--wall-seconds", "0", "x"], "wall_seconds"),
    ] {
        let (exit, code, answer) = dispatch(args);
        assert_eq!((exit, code.as_str()), (Some(2), "validation_error"), "{args:?}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(field), "{field}: {answer}");
    }
    let (exit, code, answer) = dispatch(&["--lane", "vp.nobody.primary", "x"]);
    assert_eq!((exit, code.as_str()), (Some(2), "unknown_lane"), "{answer}");
    let out = sandbox.vp(&["list", "--status", "sleeping", "-o", "json"]);
    assert_eq!(out.status.code(), Some(2));
    let out = sandbox.vp(&["get", "m-aaaaaaaaaaaaaaaaaaaaaaaaaa", "-o", "json"]);
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), &answer["error"]["code"]), (Some(1), &Value::from("not_found")));
    assert!(String::from_utf8(sandbox.vp(&["events"]).stdout).unwrap().is_empty(), "nothing was published");
    // Who asks is never guessed.
    let out = sandbox.vp(&["dispatch", "--lane", "vp.coder.primary", "x"]);
    assert!(matches!(out.status.code(), Some(2 | 77)), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_data_dir_serves_one_system_at_a_time() {
    let sandbox = Sandbox::new();
    let up = sandbox.up();
    let second = sandbox.vp(&["up"]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("lock") || said.contains("in use") || said.contains("already"), "{said}");
    assert_eq!(up.stop(), Some(0));
    // Released by a stop, and what was kept is still there.
    assert_eq!(sandbox.up().stop(), Some(0));
}

#[test]
fn dead_letters_that_find_no_room_are_kept_whole_where_they_were() {
    let sandbox = Sandbox::new();
    let (config, dead) = (sandbox.data().join("vp.toml"), sandbox.data().join("deliver"));
    std::fs::create_dir_all(&dead).unwrap();
    let target = "[[deliver]]\nname = \"ops\"\nsessions = [\"chat\"]\nkind = \"webhook\"\n\
                  url = \"http://127.0.0.1:1/hook\"\nsecret = \"0123456789abcdef\"\n";
    std::fs::write(&config, target).unwrap();
    let letter = |what: char| {
        let notice = json!({
            "notice_id": format!("m-aaaaaaaaaaaaaaaaaaaaaaaaaa.terminal_{what}"), "session_id": "chat", "event": "vp.mission.completed",
            "mission_id": "m-aaaaaaaaaaaaaaaaaaaaaaaaaa", "vp_id": "vp.coder.primary", "vp_name": "CODIE",
            "status": "completed", "terminal": true, "attempt": 1, "time": "2026-11-22T23:27:05.918190Z",
            "objective": "x".repeat(900), "text": "CODIE completed it",
        });
        json!({"time": "2026-11-22T23:27:06.000000Z", "why": "no", "tries": 20, "notice": notice}).to_string()
            + "\n"
    };
    std::fs::write(dead.join("ops.dead.ndjson"), letter('a') + &letter('b')).unwrap();
    let config = config.to_str().unwrap();
    let out = sandbox.vp_without_room(&["--config", config, "deliver", "--resend"]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("ops.dead.ndjson") && said.contains("too large"), "{said}");
    assert_eq!(std::fs::read_to_string(dead.join("ops.dead.ndjson")).unwrap(), "", "no half of a letter");
    let listed = || {
        let out = sandbox.vp(&["--config", config, "deliver", "--dead", "-o", "ndjson"]);
        String::from_utf8(out.stdout).unwrap().lines().count()
    };
    assert_eq!(listed(), 2);
    // With room they are dead letters again.
    assert_eq!(sandbox.vp(&["--config", config, "deliver", "--resend"]).status.code(), Some(1));
    assert_eq!((listed(), dead.join("ops.dead.resend").exists()), (2, false));
}

#[test]
fn the_demo_does_the_main_job_on_a_repository() {
    let sandbox = Sandbox::new();
    let repo = git_repository();
    let out = sandbox.vp(&["demo", "--repo", repo.path().to_str().unwrap()]);
    let (shown, said) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert_eq!(out.status.code(), Some(0), "{shown}\n{said}");
    for wanted in [
        "Primary work product: report.md",
        "Primary work product: changes.patch",
        "Receipt: ",
        "Sync marker: ",
        "dispatch to start",
    ] {
        assert!(shown.contains(wanted), "no `{wanted}` in:\n{shown}\n{said}");
    }
    assert!(!sandbox.vp(&["demo", "--repo", "/nonexistent"]).status.success());
}
