//! Lanes: how they are merged, filled in and refused.

use super::*;

#[test]
fn lanes_are_merged_key_by_key_and_executors_as_a_whole() {
    let world = World::new()
        .system("[lanes.\"vp.coder.primary\"]\nslots = 7\nexecutor = { kind = \"noop\" }\n")
        .given("[lanes.\"vp.coder.primary\".limits]\nwall_seconds = 60\n[lanes.\"vp.new.one\"]\ndisplay_name = \"New\"\nexecutor = { kind = \"noop\" }\n");
    let lanes = world.settings().lanes;
    assert_eq!(lanes.len(), 3);
    let coder = &lanes[&VpId::new("vp.coder.primary").unwrap()];
    assert_eq!((coder.display_name.as_str(), coder.slots, coder.limits.wall_seconds), ("CODIE", 7, 60));
    assert_eq!(coder.executor, ExecutorProfile::Noop {});
}

#[test]
fn a_lane_can_be_taken_out_but_not_all_of_them() {
    let off = |id: &str| format!("[lanes.\"{id}\"]\nenabled = false\n");
    let world = World::new().given(off("vp.coder.primary"));
    assert_eq!(world.settings().served_lanes(), [VpId::new("vp.general.primary").unwrap()]);
    let world = World::new().given(off("vp.coder.primary") + &off("vp.general.primary"));
    assert!(world.problem().starts_with("no lane is enabled"));
    let world = World::new().given(off("vp.coder.primary") + "[worker]\nlanes = [\"vp.coder.primary\"]\n");
    assert!(world.problem().contains("there is no lane `vp.coder.primary`"));
}

#[test]
fn bad_lanes_are_refused_with_their_key() {
    for (text, key, why) in [
        ("[lanes]\ncoder = { slots = 1 }", "lanes.\"coder\"", "is not a valid vp_id"),
        ("[lanes]\n\"vp.a.b\" = 1", "lanes.\"vp.a.b\"", "want a table"),
        ("lanes = 1", "lanes", "want a table"),
        ("[lanes.\"vp.a.b\"]\nslots = 1", "lanes.\"vp.a.b\"", "missing field `display_name`"),
        ("[lanes.\"vp.coder.primary\"]\nslots = \"2\"", "lanes.\"vp.coder.primary\".slots", "invalid type"),
        ("[lanes.\"vp.coder.primary\"]\nslots = 0", "lanes.\"vp.coder.primary\".slots", "want 1 to 1024"),
        ("[lanes.\"vp.coder.primary\"]\nslots = 2026-01-01", "lanes.\"vp.coder.primary\".slots", "a date"),
        (
            "[lanes.\"vp.coder.primary\"]\nenabled = 0",
            "lanes.\"vp.coder.primary\".enabled",
            "want true or false",
        ),
        (
            "[lanes.\"vp.coder.primary\".retry.delay]\njitter = nan",
            "lanes.\"vp.coder.primary\".retry.delay.jitter",
            "want a finite number",
        ),
        (
            "[lanes.\"vp.coder.primary\".retry.delay]\njitter = 2",
            "lanes.\"vp.coder.primary\".retry.delay.jitter",
            "want 0 to 1",
        ),
        (
            "[lanes.\"vp.coder.primary\".retry]\nretry_on = [\"missing_deliverable\"]",
            "lanes.\"vp.coder.primary\".retry.retry_on",
            "want only classes that can be retried",
        ),
        (
            "[lanes.\"vp.coder.primary\".executor]\nkind = \"magic\"",
            "lanes.\"vp.coder.primary\".executor.kind",
            "unknown variant `magic`",
        ),
        (
            "[lanes.\"vp.coder.primary\".executor]\nkind = \"command\"\nargv = []",
            "lanes.\"vp.coder.primary\".executor.argv",
            "want a program",
        ),
        (
            "[lanes.\"vp.coder.primary\"]\naliases = [\"General vp\"]",
            "lanes.\"vp.general.primary\".display_name",
            "is already a name of vp.coder.primary",
        ),
    ] {
        let problem = World::new().given(text).problem();
        assert!(problem.starts_with(&format!("`{key}")) && problem.contains(why), "{text:?}: {problem}");
    }
}

#[test]
fn the_data_dir_is_filled_into_a_lanes_command() {
    let argv = |settings: &Settings| match &settings.lanes[&VpId::new("vp.coder.primary").unwrap()].executor {
        ExecutorProfile::Command { argv, .. } => argv.clone(),
        ExecutorProfile::Noop {} => panic!("not a command"),
    };
    let world =
        World::new().flag("data_dir", "/d").given("[bridge]\nledger = \"/l\"\n[nats]\nurl = \"nats://h\"\n");
    let mut settings = world.settings();
    assert_eq!(argv(&settings), ["sh", "/d/lanes/coder.sh"]);
    settings.use_data_dir(Path::new("/other"));
    assert_eq!(argv(&settings), ["sh", "/other/lanes/coder.sh"]);
    assert_eq!((settings.ledger().as_str(), settings.is_managed()), ("/other/ledger.sqlite", true));
}

#[test]
fn two_data_dirs_never_give_one_worker_id() {
    let of = |dir: &str| World::new().flag("data_dir", dir).settings();
    assert_eq!(of("/a").worker_id("box"), of("/a").worker_id("box"));
    assert_ne!(of("/a").worker_id("box"), of("/b").worker_id("box"));
    let parts: BTreeSet<_> = ["coder", "general"].map(|part| of("/a").worker_id_of("box", part)).into();
    assert_eq!(parts.len(), 2);
    let named = World::new().flag("worker.worker_id", "me").settings();
    assert_eq!(
        (named.worker_id("box").as_str(), named.worker_id_of("box", "coder").as_str()),
        ("me", "me-coder")
    );
}
