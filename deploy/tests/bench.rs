//! The measuring commands, each a short way down the road that the full scale goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use serde_json::Value;
use support::Sandbox;

/// What `vp bench` found, as JSON, after an exit in good order.
fn measured(args: &[&str]) -> Vec<Value> {
    let out = Sandbox::new().vp(args);
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(0), "{stdout}\n{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn every_limit_holds_on_the_small_scale() {
    let sheets = measured(&["bench", "limits", "--scale", "small", "-o", "json"]);
    let names: Vec<_> = sheets.iter().map(|sheet| sheet["limit"].as_str().unwrap()).collect();
    assert_eq!(names, ["objective", "files", "lines", "output", "waiting", "lanes", "history"]);
    for sheet in &sheets {
        assert_eq!(sheet["holds"], true, "{sheet:#}");
        assert!(sheet["found"].as_array().unwrap().len() > 5, "{sheet:#}");
    }
}

#[test]
fn a_killed_worker_s_mission_is_timed_on_its_way_back() {
    let found = measured(&["bench", "return", "--kills", "1", "-o", "json"]);
    assert_eq!(found.len(), 2);
    for way in &found {
        assert_eq!((&way["kills"], &way["ok"]), (&Value::from(1), &Value::from(true)), "{way:#}");
        assert!(way["p99_ms"].as_f64().unwrap() > 0.0, "{way:#}");
    }
}
