//! What is refused, and how it is said.

use super::*;

#[test]
fn unknown_keys_in_files_are_refused_with_key_and_file() {
    for (text, key, hint) in [
        ("sesion = \"x\"", "sesion", "did you mean `session`?"),
        ("[nats]\nurll = \"x\"", "nats.urll", "did you mean `nats.url`?"),
        ("[nat]\nx = 1", "nat", "did you mean `nats`?"),
        ("[completely.different]\nx = 1", "completely", "`vp config show` lists all"),
        ("\"nats.url\" = \"x\"", "nats.url", "no such key"),
        ("[nats]\n\"a.b\" = 1", "nats.a.b", "no such key"),
        ("[lanes.\"vp.coder.primary\"]\nslot = 1", "lanes.\"vp.coder.primary\".slot", "unknown field `slot`"),
        (
            "[lanes.\"vp.coder.primary\".limits]\nwall = 1",
            "lanes.\"vp.coder.primary\".limits.wall",
            "unknown field",
        ),
    ] {
        let world = World::new().given(text);
        let problem = world.problem();
        let start = format!("`{key}` in `{}`: ", world.path("given.toml").display());
        assert!(problem.starts_with(&start) && problem.contains(hint), "{text:?}: {problem}");
    }
}

#[test]
fn unknown_variables_are_refused_by_name_and_others_are_left_alone() {
    for (name, hint) in [
        ("VP_NATS_URL", "did you mean `VP_NATS__URL`?"),
        ("VP_NATS__URI", "did you mean `VP_NATS__URL`?"),
        ("VP_LOGS", "did you mean `VP_LOG`?"),
        ("VP_WHATEVER", "`vp config show` lists all"),
        ("VP_LANES__X", "lanes can only be set in files"),
    ] {
        let problem = World::new().env(name, "hunter2").problem();
        assert!(problem.starts_with(&format!("`${name}`: ")) && problem.contains(hint), "{problem}");
        assert!(!problem.contains("hunter2"));
    }
    let mut world = World::new();
    let known =
        ["VP_LOG", "VP_CONFIG", "VP_NATS_SERVER", "VP_TEST_X", "VP_CONSTRAINT_REPO", "VPX", "vp_x", "NATS_X"];
    for name in known.into_iter().chain(env::EXECUTOR) {
        world = world.env(name, "anything");
    }
    world.load();
}

#[test]
fn an_unknown_flag_key_is_refused() {
    assert!(
        World::new()
            .flag("nats.urk", "x")
            .problem()
            .contains("`nats.urk` in `the command line`: there is no such key")
    );
    let problem = World::new().flag("lanes.vp.coder.primary.slots", "3").problem();
    assert!(problem.contains("lanes can only be set in files"), "{problem}");
}

#[test]
fn every_key_refuses_every_other_type_and_names_key_and_file() {
    let values = ["\"text\"", "1", "1.5", "true", "[1]", "{ a = 1 }", "2026-01-01", "[[\"a\"]]"];
    let mut tried = 0;
    for key in keys() {
        let own = default_of(key);
        for value in values {
            let parsed: toml::Table = format!("v = {value}").parse().unwrap();
            if parsed["v"].same_type(&own) && !own.is_array() {
                continue;
            }
            let world = World::new().given(file_with(key, value));
            let problem = world.problem();
            let start = format!("`{key}` in `{}`: want ", world.path("given.toml").display());
            assert!(problem.starts_with(&start), "{key} = {value}: {problem}");
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn every_number_and_switch_refuses_other_text_in_its_variable_and_names_it() {
    for key in keys() {
        let own = default_of(key);
        if !own.is_integer() && !own.is_bool() {
            continue;
        }
        for text in ["", "x", "1.5", "yes", "99999999999999999999", "-1", "0x10", "1 2"] {
            let variable = env::variable_of(key);
            let problem = World::new().env(&variable, text).problem();
            assert!(
                problem.starts_with(&format!("`{key}` in `${variable}`: want ")),
                "{key} {text:?}: {problem}"
            );
        }
    }
}

#[test]
fn every_text_refuses_what_is_too_long_or_not_text() {
    for key in keys() {
        let own = default_of(key);
        if !own.is_str() && !own.is_array() {
            continue;
        }
        for bad in ["a\0b", "a\nb", "a\u{1b}[31mb", &"a".repeat(5_000_000)] {
            let error = World::new().flag(key, bad).error();
            let text = error.to_string();
            assert_eq!(error.problems.len(), 1, "{key}: {}", &text[..text.len().min(500)]);
            assert_eq!(error.problems[0].key.as_deref(), Some(key));
            assert!(
                text.len() < 1000 && !text.contains('\0') && !text.contains('\u{1b}'),
                "{key}: {} bytes",
                text.len()
            );
        }
        let variable = env::variable_of(key);
        let not_text = OsString::from_vec(vec![b'a', 0xff]);
        let problem = World::new().env(&variable, not_text).problem();
        assert!(problem.contains("want UTF-8 text") && problem.contains(&variable), "{problem}");
    }
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for (key, value, want) in [
        ("nats.replicas", "2", "want 1 or 3 or 5, not 2"),
        ("nats.retention_days", "30", "want a whole number from 31 to 3650, not 30"),
        ("nats.retention_days", "3651", "from 31 to 3650"),
        ("nats.notice_retention_days", "0", "from 1 to 3650"),
        ("nats.connect_timeout_seconds", "0", "from 1 to 300"),
        ("nats.request_timeout_seconds", "301", "from 1 to 300"),
        ("nats.start_wait_seconds", "86401", "from 0 to 86400"),
        ("server.port", "65536", "from 0 to 65535"),
        ("server.port", "-1", "from 0 to 65535"),
        ("server.sync", "\"never\"", "want \"always\" or \"deferred\", not \"never\""),
        ("server.max_file_store_mib", "0", "from 64 to 1073741824"),
        ("server.max_memory_store_mib", "9223372036854775807", "from 16 to 1048576"),
        ("worker.drain_seconds", "86401", "from 0 to 86400"),
        ("worker.worker_id", "\"Not Good\"", "valid worker_id"),
        ("worker.lanes", "[\"vp.coder\"]", "valid vp_id"),
        ("worker.lanes", "[\"\"]", "no empty text"),
        ("worker.lanes", "[\"vp.no.where\"]", "there is no lane `vp.no.where`"),
        (
            "retention.ledger_days",
            "89",
            "want 0, which is for ever, or at least the 90 days of `nats.retention_days`",
        ),
        ("retention.ledger_days", "-1", "from 0 to 36500"),
        ("retention.workspace_days", "3651", "from 0 to 3650"),
        ("retention.workspace_max_mib", "-1", "from 0 to 1073741824"),
        ("dispatcher.ledger_timeout_seconds", "61", "from 1 to 60"),
        ("session", "\"two words\"", "valid session_id"),
        ("bridge.ledger", "\"mysql://u:s3cret@h/db\"", "`mysql://...` is not a ledger"),
        ("bridge.ledger", "\"postgres://u:s3cret@h\"", "it names no database"),
        ("log.format", "\"xml\"", "want \"auto\" or \"text\" or \"json\""),
        ("log.filter", "\"vp=loud\"", "want levels such as"),
        ("nats.inbox_prefix", "\"a.*\"", "without `*`"),
        ("nats.jetstream_domain", "\"a.b\"", "want one token"),
        ("nats.url", "\"http://h\"", "server url 1: invalid scheme"),
        ("nats.url", "\"nats://h:99999\"", "server url 1"),
        ("nats.creds", "\"credential:../x\"", "without `/`"),
        ("nats.context", "\"none\"", "there is no NATS context `none`"),
    ] {
        let world = World::new().given(file_with(key, value));
        let problem = world.problem();
        let start = format!("`{key}` in `{}`: ", world.path("given.toml").display());
        assert!(problem.starts_with(&start) && problem.contains(want), "{key} = {value}: {problem}");
    }
}

#[test]
fn a_ledger_may_not_forget_what_the_log_still_holds() {
    let longer_log = World::new().given(file_with("nats.retention_days", "400"));
    let problem = longer_log.problem();
    assert!(problem.contains("`retention.ledger_days`: want 0") && problem.contains("not 365"), "{problem}");
    for (ledger, seconds) in [("0", None), ("400", Some(400 * 86_400)), ("401", Some(401 * 86_400))] {
        let world =
            World::new().given(file_with("nats.retention_days", "400")).flag("retention.ledger_days", ledger);
        assert_eq!(world.load().settings.ledger_keeps().map(|keeps| keeps.as_secs()), seconds);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let error = World::new()
        .system("x = 1\n[nats]\nreplicas = 2\n")
        .given("[server]\nsync = 1\n[lanes.\"vp.a.b\"]\nslots = 0\n[lanes.coder]\n")
        .env("VP_Y", "1")
        .flag("z", "1")
        .error();
    let keys: BTreeSet<_> = error.problems.iter().filter_map(|problem| problem.key.as_deref()).collect();
    let want = ["x", "nats.replicas", "server.sync", "lanes.\"vp.a.b\"", "lanes.\"coder\"", "z"];
    assert_eq!(keys, want.into());
    assert!(error.to_string().starts_with("the configuration cannot be used, 7 problems:\n  `"), "{error}");
    let json = serde_json::to_value(&error.problems).unwrap();
    assert!(
        json.as_array()
            .unwrap()
            .iter()
            .any(|problem| problem["source"] == json!({"kind": "variable", "name": "VP_Y"}))
    );
}

#[test]
fn a_file_with_countless_mistakes_gives_a_short_answer_soon() {
    let text = (0..50_000).map(|n| format!("key_{n} = 1\n")).collect::<Vec<_>>().concat();
    let error = World::new().given(text).error();
    assert_eq!(error.problems.len(), 100);
    let error = World::new().given(format!("{} = 1", "k".repeat(1_000_000))).error().to_string();
    assert!(error.len() < 1000, "{} bytes", error.len());
}

#[test]
fn files_that_cannot_be_read_are_refused_and_missing_ones_only_where_they_were_asked_for() {
    let mut world = World::new();
    world.layers.given_file = Some("no/such.toml".into());
    assert_eq!(
        world.problem(),
        format!("`{}`: there is no such file", world.path("here/no/such.toml").display())
    );
    for (content, why) in [
        (b"\xff\xfe".to_vec(), "it is not UTF-8 text"),
        (vec![b'#'; (1 << 20) + 1], "it is longer than 1048576 bytes"),
        (b"\0".to_vec(), "line 1, column 2 is not TOML"),
        (b"[nats]\nurl = \"a\"\nurl = \"b\"\n".to_vec(), "line 3, column 1 is not TOML: duplicate key"),
    ] {
        let world = World::new().given(content);
        let problem = world.problem();
        assert!(
            problem.starts_with(&format!("`{}`: {why}", world.path("given.toml").display())),
            "{problem}"
        );
    }
    let world = World::new();
    fs::create_dir_all(&world.layers.system_file).unwrap();
    assert!(world.problem().contains("it is not a file"));
}

#[test]
fn targets_of_notices_are_refused_by_their_place_and_key_and_no_secret_is_told() {
    let target = |more: &str| format!("[[deliver]]\nname = \"ops\"\nsessions = [\"s\"]\n{more}");
    let webhook = "kind = \"webhook\"\nsecret = \"hunter2hunter2hunter2\"\n";
    for (text, key, hint) in [
        ("deliver = 1".to_owned(), "deliver", "[[deliver]]"),
        ("[[deliver]]\nname = \"x\"".to_owned(), "deliver[0]", "sessions"),
        (target("kind = \"fax\""), "deliver[0].kind", "fax"),
        (target("kind = \"inbox\""), "deliver[0].dir", "needs a directory"),
        (target("kind = \"inbox\"\ndir = \"d\"\nurl = \"x\""), "deliver[0].url", "no such key"),
        (target(&format!("{webhook}url = \"http://example.org/\"")), "deliver[0].url", "https"),
        (target(&format!("{webhook}url = \"https://u:p@example.org/\"")), "deliver[0].url", "password"),
        (target(&format!("{webhook}url = \"https://x/\"\nattempts = 0")), "deliver[0].attempts", "1 to 1000"),
        (
            target("kind = \"webhook\"\nurl = \"https://x/\"\nsecret = \"hunter2\""),
            "deliver[0].secret",
            "16 bytes",
        ),
        (format!("{0}\n{0}", target("kind = \"inbox\"\ndir = \"d\"")), "deliver[1].name", "two targets"),
    ] {
        let problem = World::new().given(&text).problem();
        assert!(problem.starts_with(&format!("`{key}")) && problem.contains(hint), "{text:?}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    let world = World::new().given(target("kind = \"inbox\"\ndir = \"d\""));
    assert_eq!(world.settings().deliver[0].name, "ops");
}
