//! Notices as sessions see them.

use serde_json::json;

use super::*;
use crate::mission::Applied;

const MISSION: &str = "m-aaaaaaaaaaaaaaaaaaaaaaaaaa";

fn event(kind: &str, attempt: u32, second: u32, reply_mode: &str, body: serde_json::Value) -> Event {
    let json = json!({
        "schema": 1, "type": format!("vp.mission.{kind}"), "id": "0193a1b2-0000-7000-8000-000000000000",
        "mission_id": MISSION, "vp_id": "vp.coder.primary", "attempt": attempt,
        "time": format!("2026-11-22T09:00:{second:02}.000000Z"), "actor": {"kind": "worker", "id": "w1"},
        "source": {"session_id": "demo", "turn_id": "t7", "reply_mode": reply_mode}, "body": body,
    });
    Event::from_json(json.to_string().as_bytes()).unwrap()
}

fn script(end: (&str, serde_json::Value), reply_mode: &str) -> Vec<Event> {
    let mission = json!({
        "objective": "Write the release notes\nfor version 2", "mission_type": "task",
        "deadline": "2026-11-29T09:00:00.000000Z", "content_sha256": "d",
    });
    let worker =
        json!({"worker": {"worker_id": "w1", "incarnation": "i", "host": "h", "version": "v"}, "lease": "l"});
    let failure = json!({"class": "worker_lost", "message": "gone"});
    let e = |kind, attempt, second, body| event(kind, attempt, second, reply_mode, body);
    vec![
        e("dispatched", 0, 0, json!({"mission": mission, "tier": "low"})),
        e("dispatched", 0, 1, json!({"mission": mission, "tier": "high"})),
        e("started", 1, 2, worker.clone()),
        e("attempt_failed", 1, 3, json!({"failure": failure, "retry_at": "2026-11-22T09:00:09.000000Z"})),
        e("started", 2, 9, worker),
        e("cancel_requested", 2, 10, json!({"reason": "changed my mind", "by": "demo"})),
        e("outcome_recorded", 2, 11, json!({"outcome": {"status": "completed", "summary": "Written."}})),
        e(end.0, 2, 12, end.1),
    ]
}

fn result() -> serde_json::Value {
    let file = |path: &str, category: &str, bytes: u64| json!({"path": path, "category": category, "bytes": bytes, "media_type": "text/plain", "sha256": "00"});
    json!({
        "result_ref": "workspace://host1/srv/vp/work", "worker_id": "w1",
        "artifacts": [
            file("NOTES.md", "primary_work_product", 4210),
            file("logs/stdout.log", "supporting_artifact", 99),
        ],
        "artifacts_total": 14, "primary_total": 1,
        "receipt": "mission_receipt.json", "sync_marker": "sync_ready.json",
    })
}

fn told(events: &[Event]) -> Vec<Notice> {
    let mut mission = None;
    let mut notices = Vec::new();
    for (seq, event) in (1..).zip(events) {
        let applied = Mission::apply(&mut mission, event, seq);
        assert!(!matches!(applied, Applied::Illegal { .. }));
        notices.extend(notice(mission.as_ref().unwrap(), event, "CODIE"));
    }
    notices
}

#[test]
fn a_session_is_told_each_thing_once_and_no_retries() {
    let usage = json!({"wall_ms": 1});
    let completed = ("completed", json!({"summary": "Written.", "result": result(), "usage": usage}));
    let notices = told(&script(completed, "async"));
    let texts: Vec<_> = notices.iter().map(|n| format!("[{}]\n{}", n.notice_id, n.text)).collect();
    insta::assert_snapshot!(texts.join("\n\n"));
    let json = serde_json::to_string_pretty(notices.last().unwrap()).unwrap();
    insta::assert_snapshot!("terminal_as_json", json);
}

#[test]
fn failures_and_cancels_say_why() {
    let usage = json!({});
    let failure = json!({"class": "timeout", "message": "ran longer than 5 s"});
    let failed = ("failed", json!({"failure": failure, "result": {"partial": true}, "usage": usage}));
    let cancelled = ("cancelled", json!({"reason": "changed my mind", "result": {}, "usage": usage}));
    let texts: Vec<_> = [failed, cancelled].map(|end| told(&script(end, "final")).remove(0).text).into();
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn reply_mode_is_obeyed() {
    let end = || ("completed", json!({"summary": "", "result": result(), "usage": {}}));
    let kinds = |mode| told(&script(end(), mode)).into_iter().map(|n| n.event).collect::<Vec<_>>();
    assert_eq!(
        kinds("async"),
        [
            "vp.mission.dispatched",
            "vp.mission.started",
            "vp.mission.cancel_requested",
            "vp.mission.completed"
        ]
    );
    assert_eq!(kinds("final"), ["vp.mission.completed"]);
    assert!(kinds("silent").is_empty());
}

#[test]
fn without_a_session_nobody_is_told() {
    let mut events = script(("completed", json!({"summary": "", "result": {}, "usage": {}})), "async");
    for event in &mut events {
        event.source.session_id = None;
    }
    assert!(told(&events).is_empty());
}

#[test]
fn a_notice_that_does_not_fit_goes_without_its_list_and_says_where_that_is() {
    let mut result = result();
    result["artifacts"][0]["path"] = "long/".repeat(2_000).into();
    let completed = ("completed", json!({"summary": "Written.", "result": result, "usage": {}}));
    let whole = told(&script(completed, "final")).remove(0);
    let size = |notice: &Notice| serde_json::to_string(notice).unwrap().len();
    assert_eq!(whole.clone().within(size(&whole)).as_ref(), Some(&whole), "what fits stays as it is");
    let shorter = whole.clone().within(size(&whole) - 1).unwrap();
    assert!(size(&shorter) < 2_000);
    insta::assert_snapshot!(shorter.text);
    let (is, was) = (shorter.result.unwrap(), whole.result.unwrap());
    assert_eq!((is.artifacts.len(), is.artifacts_total, is.primary_total), (0, 14, 1));
    assert_eq!((is.receipt, is.result_ref), (was.receipt, was.result_ref));
    assert_eq!(shorter.notice_id, whole.notice_id);
}

#[test]
fn texts_of_any_length_are_cut_until_the_notice_fits() {
    // Six bytes each as JSON.
    let long = "\u{1}".repeat(50_000);
    for (end, texts) in [
        ("completed", json!({"summary": long, "result": {}, "usage": {}})),
        ("failed", json!({"failure": {"class": "internal", "message": long}, "result": {}, "usage": {}})),
        ("cancelled", json!({"reason": long, "result": {}, "usage": {}})),
    ] {
        let whole = told(&script((end, texts), "final")).remove(0);
        for max in [100_000, 20_000, 5_000] {
            let shorter = whole.clone().within(max).unwrap();
            assert!(serde_json::to_string(&shorter).unwrap().len() <= max);
            assert!(shorter.text.contains("vp_get_mission"));
        }
        assert_eq!(whole.within(300), None, "there is an end to it");
    }
}
