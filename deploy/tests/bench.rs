//! The measuring commands, each a short way down the road that the full scale goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use serde_json::Value;
use support::Sandbox;

/// What `vp bench` found, as JSON, and whether it says that all is well.
fn measured(args: &[&str]) -> (Vec<Value>, String) {
    let out = Sandbox::new().vp(args);
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    let found = serde_json::from_slice(&out.stdout);
    let found = found.unwrap_or_else(|error| panic!("{error}: {stderr}"));
    (found, format!("{:?} {stderr}", out.status.code()))
}

/// All but the lanes, which are only worth their time in great number (`nats/tests/topology.rs` has 251). About 15 s.
#[test]
fn limits_hold_on_the_small_scale() {
    let only = "objective,files,lines,output,waiting,history";
    let (sheets, said) = measured(&["bench", "limits", "--scale", "small", "--only", only, "-o", "json"]);
    let names: Vec<_> = sheets.iter().map(|sheet| sheet["limit"].as_str().unwrap()).collect();
    assert_eq!(names.join(","), only, "{said}");
    for sheet in &sheets {
        let found = sheet["found"].as_array().unwrap();
        let broken: Vec<_> = found.iter().filter(|one| one["ok"] != true).collect();
        assert!(broken.is_empty() && sheet["holds"] == true, "{broken:#?} {} {said}", sheet["error"]);
        assert!(found.len() > 5, "{sheet:#}");
    }
    assert!(said.starts_with("Some(0)"), "{said}");
}

#[test]
fn a_killed_worker_s_mission_is_timed_on_its_way_back() {
    let (found, said) = measured(&["bench", "return", "--kills", "1", "-o", "json"]);
    assert_eq!(found.len(), 2, "{said}");
    for way in &found {
        assert_eq!((&way["kills"], &way["ok"]), (&Value::from(1), &Value::from(true)), "{way:#} {said}");
        assert!(way["p99_ms"].as_f64().unwrap() > 0.0, "{way:#}");
    }
}
