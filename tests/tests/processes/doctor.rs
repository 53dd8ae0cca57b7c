//! What `vp doctor` says of a real system.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vp_tests::lanes::{CODER, noop_lane};
use vp_tests::process::Installation;
use vp_tests::until::until_true;
use vp_tests::world::World;

/// What is not fine, by check.
fn complaints(vp: &Installation) -> BTreeMap<String, String> {
    let report: Value = vp.json(["doctor"]);
    let checks = report["checks"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks
        .filter(|check| check["verdict"] != "ok")
        .map(|check| (text(&check["check"]), text(&check["found"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_system_on_an_existing_server_has_one_warning_what_cannot_be_seen() {
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    let mission = world.dispatch(CODER, json!({})).await;
    world.wait(&mission).await;
    world.until_projected().await;
    // The reconciler has looked once by then.
    until_true("only durability is in doubt", async || complaints(&vp).keys().eq(["durability"])).await;
    assert!(complaints(&vp)["durability"].contains("cannot be seen from here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_shown_with_what_to_do_and_is_no_failure() {
    let world = World::builder().lane(CODER, noop_lane()).start().await;
    let vp = Installation::of(&world);
    world.dispatch(CODER, json!({})).await;
    let future = format!("missions.{CODER}.m-aaaaaaaaaaaaaaaaaaaaaaaaaa.dispatched.low");
    let body = r#"{"schema": 99, "type": "vp.mission.dispatched"}"#;
    world.conn().jetstream().publish(future, body.into()).await.unwrap().await.unwrap();
    world.until_projected().await;
    let found = complaints(&vp);
    let workers = &found["live workers"];
    assert!(
        workers.contains("missions wait and nobody serves it") && workers.contains("vp worker --lane"),
        "{workers}"
    );
    assert!(found["anomalies"].contains("schema"), "{found:?}");
    // No worker has touched it: that is what the warning is for.
    assert_eq!(vp.run(["doctor"]).status.code(), Some(0));
}
