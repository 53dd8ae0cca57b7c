//! Credentials, contexts, and what a connection is made of.

use super::*;

#[test]
fn secrets_are_masked_when_shown_and_in_no_error() {
    let world = World::new().given(format!(
        "[nats]\nurl = \"nats://ann:{SECRET}@h:1\"\nuser = \"ann\"\npassword = \"{SECRET}\"\n\
         [bridge]\nledger = \"postgres://ann:{SECRET}@db/vp\"\n\
         [lanes.\"vp.coder.primary\".executor]\nkind = \"command\"\nargv = [\"x\"]\nenv = {{ API_KEY = \"{SECRET}\" }}\n"
    ));
    let loaded = world.load();
    let shown = serde_json::to_string(&loaded.shown).unwrap();
    let lines: Vec<String> = loaded.shown.iter().map(ToString::to_string).collect();
    assert!(!shown.contains(SECRET) && !lines.join("\n").contains(SECRET));
    let nats = format!("{:?} {:?}", loaded.settings.nats, loaded.settings.bridge);
    assert!(!nats.contains(SECRET), "{nats}");
    assert_eq!(world.shown("bridge.ledger").value, "postgres://ann@db:5432/vp");
    assert_eq!(loaded.settings.ledger(), format!("postgres://ann:{SECRET}@db/vp"));
    assert_eq!(world.shown("nats.password").value, "***");
    assert_eq!(world.shown("nats.token").value, "");
    assert_eq!(world.shown("nats.url").value, "nats://h:1");
    assert_eq!(world.shown("lanes.\"vp.coder.primary\".executor.env.API_KEY").value, "***");
    assert_eq!(loaded.settings.nats.password.unwrap().expose(), SECRET);

    for text in [
        format!("[nats]\npassword = [\"{SECRET}\"]\n"),
        format!("[nats]\ntoken = {{ a = \"{SECRET}\" }}\n"),
        format!("[nats]\npassword = \"{SECRET}\n"),
        format!("[nats]\npassword = {SECRET}\n"),
        format!("[nats]\nurl = \"http://ann:{SECRET}@h\"\n"),
        format!("[bridge]\nledger = \"postgres://ann:{SECRET}@db\"\n"),
        format!("[bridge]\nledger = \"postgres:ann:{SECRET}@db\"\n"),
        format!("[bridge]\nledger = \"mysql://ann:{SECRET}@db/vp\"\n"),
        format!("[nats]\npassword = \"{SECRET}\\u0000\"\n"),
        format!("[nats]\nuser = \"a\"\npassword = \"{SECRET}\"\ntoken = \"{SECRET}\"\nurl = \"nats://h\"\n"),
    ] {
        let error = World::new().given(&text).error();
        let told = format!("{error} {error:?} {}", serde_json::to_string(&error.problems).unwrap());
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[test]
fn credentials_of_systemd_are_read_by_name() {
    let world = World::new().given("[nats]\nurl = \"nats://h\"\ncreds = \"credential:nats.creds\"\n");
    let dir = world.path("creds");
    write(dir.join("nats.creds"), "whatever");
    let world = world.env("CREDENTIALS_DIRECTORY", &dir);
    let config = world.settings().connect_config("x").unwrap().unwrap();
    assert_eq!(config.auth, Auth::CredsFile(dir.join("nats.creds")));
}

#[test]
fn a_credential_that_is_missing_or_no_line_is_refused() {
    let world = World::new();
    write(world.path("creds/pw"), format!("{SECRET}\n"));
    write(world.path("creds/two"), format!("{SECRET}\nb\n"));
    let dir = world.path("creds");
    let with = |name: &str| {
        World::new()
            .given(format!("[nats]\nurl = \"nats://h\"\ntoken = \"credential:{name}\"\n"))
            .env("CREDENTIALS_DIRECTORY", &dir)
    };
    let config = with("pw").settings().connect_config("x").unwrap().unwrap();
    assert!(matches!(config.auth, Auth::Token(token) if token.expose() == SECRET));
    assert_eq!(with("pw").shown("nats.token").value, "credential:pw");
    assert!(with("none").problem().contains("`nats.token` in `"));
    let problem = with("two").problem();
    assert!(problem.contains("must be one line") && !problem.contains(SECRET), "{problem}");
    let mut world = with("pw");
    world.layers.env.remove(&OsString::from("CREDENTIALS_DIRECTORY"));
    assert!(world.problem().contains("needs the variable CREDENTIALS_DIRECTORY"));
}

#[test]
fn what_must_stand_together_does() {
    for (text, problem) in [
        ("user = \"a\"", "`nats.user` in `FILE`: needs `nats.password`"),
        ("password = \"a\"", "`nats.password` in `FILE`: needs `nats.user`"),
        ("cert = \"/c\"", "`nats.cert` in `FILE`: needs `nats.key`"),
        ("key = \"/c\"", "`nats.key` in `FILE`: needs `nats.cert`"),
        ("creds = \"/c\"\ntoken = \"t\"", "`nats.creds` in `FILE`: `nats.token` is set too, in `FILE`"),
    ] {
        let world = World::new().given(format!("[nats]\nurl = \"nats://h\"\n{text}\n"));
        let problem = problem.replace("FILE", world.path("given.toml").to_str().unwrap());
        assert!(world.problem().starts_with(&problem), "{}", world.problem());
    }
    // For the managed server they would be ignored without a word.
    assert!(
        World::new()
            .given("[nats]\ntoken = \"t\"\n")
            .problem()
            .contains("the managed server has its own user")
    );
    World::new().env("NATS_TOKEN", "t").load();
}

#[test]
fn a_connection_is_what_is_set_over_what_the_context_says() {
    let context = r#"{"url": "nats://ctx:1", "user": "ann", "password": "hunter2", "ca": "~/ca.pem", "inbox_prefix": "I"}"#;
    let world = World::new();
    write(world.path("home/.config/nats/context/prod.json"), context);
    let world = world.env("NATS_CONTEXT", "prod").env("VP_NATS__REQUEST_TIMEOUT_SECONDS", "9");
    let config = world.settings().connect_config("vp-test").unwrap().unwrap();
    assert_eq!((config.url.as_str(), config.name.as_str()), ("nats://ctx:1", "vp-test"));
    assert!(matches!(&config.auth, Auth::UserPassword { user, .. } if user == "ann"));
    assert_eq!((config.tls.ca, config.inbox_prefix), (Some(world.path("home/ca.pem")), Some("I".into())));
    assert_eq!((config.connect_timeout.as_secs(), config.request_timeout.as_secs()), (5, 9));
    let world =
        world.env("NATS_URL", "nats://other:2").env("NATS_TOKEN", "t").env("VP_NATS__TLS_FIRST", "true");
    let config = world.settings().connect_config("x").unwrap().unwrap();
    assert_eq!(config.url, "nats://other:2");
    assert!(matches!(config.auth, Auth::Token(_)) && config.tls.first);
}
