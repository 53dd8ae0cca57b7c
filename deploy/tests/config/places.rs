//! Which place wins, and where a value is said to come from.

use super::*;

#[test]
fn each_place_wins_over_those_before_it() {
    let origin =
        |world: &World| (world.settings().nats.url.expose().to_owned(), world.shown("nats.url").source);
    let file = |host: &str| format!("[nats]\nurl = \"nats://{host}\"\n");
    let world = World::new();
    assert_eq!(origin(&world), (String::new(), Origin::Default));
    let world = world.system(&file("system"));
    assert_eq!(origin(&world), ("nats://system".into(), Origin::File(world.layers.system_file.clone())));
    let world = world.user(&file("user"));
    assert_eq!(origin(&world), ("nats://user".into(), Origin::File(world.layers.user_file().unwrap())));
    let world = world.given(file("given"));
    assert_eq!(origin(&world), ("nats://given".into(), Origin::File(world.path("given.toml"))));
    let world = world.env("NATS_URL", "nats://fallback");
    assert_eq!(origin(&world), ("nats://fallback".into(), Origin::Variable("NATS_URL".into())));
    let world = world.env("VP_NATS__URL", "nats://variable");
    assert_eq!(origin(&world), ("nats://variable".into(), Origin::Variable("VP_NATS__URL".into())));
    let world = world.flag("nats.url", "nats://flag");
    assert_eq!(origin(&world), ("nats://flag".into(), Origin::Flag));
    let files = world.load().files;
    assert_eq!(
        files,
        [world.layers.system_file.clone(), world.layers.user_file().unwrap(), world.path("given.toml")]
    );
}

#[test]
fn every_key_can_be_set_by_its_variable_and_says_so() {
    for key in keys() {
        let value = match default_of(key) {
            Toml::Boolean(on) => (!on).to_string(),
            Toml::Integer(_) if key == "nats.replicas" => "3".to_owned(),
            // Not below the log's retention.
            Toml::Integer(_) if key == "retention.ledger_days" => "91".to_owned(),
            Toml::Integer(_) => "64".to_owned(),
            _ => String::new(),
        };
        let value = if key.ends_with("ledger_timeout_seconds") { "7".to_owned() } else { value };
        let text = match key {
            "server.sync" => "deferred",
            "log.format" => "json",
            "worker.lanes" => "vp.coder.primary, vp.general.primary",
            "worker.worker_id" => "me",
            "http.dispatcher" | "http.console" => "127.0.0.1:0",
            "http.credentials" => "simone:0123456789abcdef",
            "http.allowed_hosts" => "vp.example.org",
            "http.token" => "0123456789abcdef",
            _ if value.is_empty() => "/x/y",
            _ => &value,
        };
        // Those that cannot stand alone.
        let skip = ["nats.context", "nats.url", "nats.inbox_prefix", "nats.jetstream_domain", "log.filter"];
        let pairs =
            ["nats.creds", "nats.nkey", "nats.user", "nats.password", "nats.token", "nats.cert", "nats.key"];
        if skip.contains(&key) || pairs.contains(&key) {
            continue;
        }
        let variable = env::variable_of(key);
        let shown = World::new().env(&variable, text).shown(key);
        assert_eq!(shown.source, Origin::Variable(variable), "{key}");
    }
    let settings = World::new()
        .env("VP_SESSION", "simone-1")
        .env("VP_WORKER__LANES", "vp.general.primary,")
        .env("VP_SERVER__PORT", "4333")
        .env("VP_SERVER__SYNC", "deferred")
        .env("VP_NATS__INBOX_PREFIX", "_INBOX.vp")
        .env("VP_NATS__JETSTREAM_DOMAIN", "hub")
        .env("VP_LOG__FILTER", "warn,vp_worker=debug")
        .settings();
    assert_eq!(settings.session.unwrap().as_str(), "simone-1");
    assert_eq!(settings.worker.lanes, [VpId::new("vp.general.primary").unwrap()]);
    assert_eq!((settings.server.port, settings.server.sync), (4333, SyncMode::Deferred));
    assert_eq!(settings.nats.inbox_prefix.as_deref(), Some("_INBOX.vp"));
}

#[test]
fn an_empty_text_in_a_later_place_unsets_an_earlier_one() {
    let world = World::new().given("session = \"a\"\n[nats]\nurl = \"nats://h\"\n").env("VP_NATS__URL", "");
    assert!(world.settings().is_managed());
    assert!(world.flag("session", "").settings().session.is_none());
    // The nats tool's variables are not ours: an empty one says nothing.
    let world = World::new().given("[nats]\nurl = \"nats://h\"\n").env("NATS_URL", "");
    assert_eq!(world.settings().nats.url.expose(), "nats://h");
}

#[test]
fn a_mistake_is_found_even_where_a_later_place_overrides_it() {
    let world = World::new().system("[nats]\nreplicas = 2\n").flag("nats.replicas", "3");
    assert!(world.problem().contains("want 1 or 3 or 5"));
}

#[test]
fn what_is_shown_holds_every_key_once_with_its_source() {
    let world = World::new()
        .given("[lanes.\"vp.coder.primary\"]\nslots = 4\n[lanes.\"vp.coder.primary\".limits]\nwall_seconds = 60\n")
        .env("VP_DATA_DIR", "/d");
    let shown = world.load().shown;
    let names: Vec<&str> = shown.iter().map(|shown| shown.key.as_str()).collect();
    assert_eq!(names[..keys().count()], keys().collect::<Vec<_>>());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    let file = Origin::File(world.path("given.toml"));
    for (key, value, source) in [
        ("lanes.\"vp.coder.primary\".slots", json!(4), file.clone()),
        ("lanes.\"vp.coder.primary\".limits.wall_seconds", json!(60), file),
        ("lanes.\"vp.coder.primary\".limits.max_wall_seconds", json!(86_400), Origin::Default),
        ("lanes.\"vp.general.primary\".retry.delay.jitter", json!(0.2), Origin::Default),
        ("data_dir", json!("/d"), Origin::Variable("VP_DATA_DIR".into())),
        ("worker.lanes", json!([]), Origin::Default),
    ] {
        let found = world.shown(key);
        assert_eq!((found.value, found.source), (value, source), "{key}");
    }
    assert_eq!(world.shown("data_dir").to_string(), "data_dir = \"/d\"  # $VP_DATA_DIR");
}

#[test]
fn the_data_dir_is_where_systemd_or_xdg_says() {
    let world = World::new();
    assert_eq!(world.shown("data_dir").source, Origin::Default);
    let world = world.env("XDG_STATE_HOME", "/state");
    assert_eq!(world.settings().data_dir, Path::new("/state/vp"));
    assert_eq!(world.shown("data_dir").source, Origin::Variable("XDG_STATE_HOME".into()));
    let world = world.env("STATE_DIRECTORY", "/var/lib/vp:/var/lib/other");
    assert_eq!(world.settings().data_dir, Path::new("/var/lib/vp"));
    let world = world.flag("data_dir", "/mine");
    assert_eq!(world.settings().data_dir, Path::new("/mine"));
    let mut world = World::new();
    world.layers.env.clear();
    assert_eq!(
        world.problem(),
        "`data_dir`: its default needs the variable HOME, which is not set; set `data_dir`"
    );
    assert_eq!(world.flag("data_dir", "/d").settings().data_dir, Path::new("/d"));
}

#[test]
fn a_relative_path_starts_at_its_file_or_at_the_current_directory() {
    let world = World::new().system("data_dir = \"data\"\n[nats]\nca = \"~/ca.pem\"\n");
    let settings = world.settings();
    assert_eq!(settings.data_dir, world.path("etc/data"));
    assert_eq!(settings.nats.ca.unwrap(), world.path("home/ca.pem"));
    assert_eq!(world.env("VP_DATA_DIR", "data").settings().data_dir.file_name().unwrap(), "data");
    let world = World::new().flag("data_dir", "data");
    assert_eq!(world.settings().data_dir, world.path("here/data"));
    let mut world = World::new().flag("data_dir", "data");
    world.layers.current_dir = None;
    assert!(world.problem().contains("want an absolute path"));
}
