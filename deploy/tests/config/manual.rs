//! The built-in file: it is the manual, and it holds.

use super::*;

#[test]
fn the_built_in_file_holds_every_key_and_nothing_else() {
    let mut found = BTreeSet::new();
    let table: toml::Table = DEFAULTS.parse().unwrap();
    for (section, value) in &table {
        match value {
            Toml::Table(_) if section == "lanes" => {}
            Toml::Table(below) => found.extend(below.keys().map(|name| format!("{section}.{name}"))),
            _ => drop(found.insert(section.clone())),
        }
    }
    assert_eq!(found, keys().map(str::to_owned).collect());
}

#[test]
fn the_built_in_file_explains_every_key_of_a_lane() {
    let settings = World::new().settings();
    let coder = serde_json::to_value(&settings.lanes[&VpId::new("vp.coder.primary").unwrap()]).unwrap();
    let mut names = Vec::new();
    let mut below = vec![coder];
    while let Some(value) = below.pop() {
        for (name, value) in value.as_object().into_iter().flatten() {
            names.push(name.clone());
            below.push(value.clone());
        }
    }
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(DEFAULTS.contains(&name), "`{name}` is not in the manual");
    }
}

#[test]
fn what_the_manual_says_of_a_lane_is_what_a_lane_has_when_nothing_is_said() {
    let loaded = World::new()
        .given(
            "[lanes.\"vp.x.y\"]\ndisplay_name = \"X\"\nexecutor = { kind = \"command\", argv = [\"x\"] }\n",
        )
        .load();
    let of = |id: &str| loaded.settings.lanes[&VpId::new(id).unwrap()].clone();
    let (said, unsaid) = (of("vp.coder.primary"), of("vp.x.y"));
    assert_eq!((said.limits, said.retry), (unsaid.limits, unsaid.retry));
    assert_eq!((said.ack_wait_seconds, said.max_backlog), (unsaid.ack_wait_seconds, unsaid.max_backlog));
    assert_eq!(
        (said.requires_deliverable, said.categories),
        (unsaid.requires_deliverable, unsaid.categories)
    );
    let pass_env = |executor| match executor {
        ExecutorProfile::Command { pass_env, .. } => pass_env,
        ExecutorProfile::Noop {} => panic!("not a command"),
    };
    assert_eq!(pass_env(said.executor), pass_env(unsaid.executor));
}

#[test]
fn without_any_file_the_defaults_hold() {
    let world = World::new();
    let loaded = world.load();
    assert!(loaded.files.is_empty());
    let settings = loaded.settings;
    assert_eq!(settings.session, None);
    assert_eq!(settings.data_dir, world.path("home/.local/state/vp"));
    assert!(settings.is_managed() && settings.connect_config("x").unwrap().is_none());
    assert_eq!((settings.topology().replicas, settings.topology().retention.as_secs()), (1, 90 * 86_400));
    let server = settings.server_config();
    assert_eq!((server.port, server.sync, server.binary), (None, SyncMode::Always, None));
    assert_eq!((server.max_file_store_bytes, server.max_memory_store_bytes), (8 << 30, 256 << 20));
    assert_eq!(settings.ledger(), world.path("home/.local/state/vp/ledger.sqlite").to_str().unwrap());
    assert_eq!(settings.workspace_root(), world.path("home/.local/state/vp/workspaces"));
    assert_eq!(settings.worker.drain().as_secs(), 30);
    assert_eq!(settings.ledger_keeps().map(|keeps| keeps.as_secs()), Some(365 * 86_400));
    let kept = settings.workspace_policy();
    assert_eq!((kept.keep_for.map(|keep_for| keep_for.as_secs()), kept.max_bytes), (Some(90 * 86_400), None));
    assert_eq!(settings.dispatcher.ledger_timeout().as_secs(), 5);
    assert_eq!((settings.log.filter.as_str(), settings.log.format), ("info", LogFormat::Auto));
    let lanes: Vec<String> = settings.served_lanes().iter().map(ToString::to_string).collect();
    assert_eq!(lanes, ["vp.coder.primary", "vp.general.primary"]);
}
