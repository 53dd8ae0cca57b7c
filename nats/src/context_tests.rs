use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ContextDirs, ContextError};
use crate::connect::{Auth, ConnectConfig, Secret};

/// A configuration home with these contexts, as the nats tool lays it out.
fn world(contexts: &[(&str, &str)], selected: Option<&str>) -> (TempDir, ContextDirs) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("nats/context");
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in contexts {
        fs::write(folder.join(format!("{name}.json")), text).unwrap();
    }
    if let Some(name) = selected {
        fs::write(dir.path().join("nats/context.txt"), name).unwrap();
    }
    let dirs = ContextDirs { config_home: dir.path().to_owned(), home: Some(PathBuf::from("/home/ann")) };
    (dir, dirs)
}

fn read(text: &str) -> Result<ConnectConfig, ContextError> {
    let (_dir, dirs) = world(&[("one", text)], None);
    ConnectConfig::from_context(Some("one"), &dirs).map(Option::unwrap)
}

#[test]
fn a_file_as_the_nats_tool_writes_it_is_read() {
    let config = read(
        r#"{"description":"prod","url":"nats://a:4222,nats://b:4222","socks_proxy":"","token":"","user":"",
            "password":"","creds":"~/ann.creds","nkey":"","cert":"/c.pem","key":"/k.pem","ca":"/ca.pem","nsc":"",
            "jetstream_domain":"hub","jetstream_api_prefix":"","jetstream_event_prefix":"",
            "inbox_prefix":"_INBOX_ann","user_jwt":"","color_scheme":"","tls_first":true}"#,
    )
    .unwrap();
    assert_eq!(config.url, "nats://a:4222,nats://b:4222");
    assert_eq!(config.auth, Auth::CredsFile(PathBuf::from("/home/ann/ann.creds")));
    assert_eq!(config.tls.ca.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(config.tls.cert.as_deref(), Some(Path::new("/c.pem")));
    assert_eq!(config.tls.key.as_deref(), Some(Path::new("/k.pem")));
    assert!(config.tls.first);
    assert_eq!(config.jetstream_domain.as_deref(), Some("hub"));
    assert_eq!(config.inbox_prefix.as_deref(), Some("_INBOX_ann"));
}

#[test]
fn an_empty_context_is_the_tools_default() {
    let config = read("{}").unwrap();
    assert_eq!((config.url.as_str(), config.auth), ("nats://127.0.0.1:4222", Auth::None));
}

#[test]
fn each_way_to_identify_is_read() {
    let secret = |text: &str| Secret::new(text);
    for (text, auth) in [
        (
            r#"{"user":"ann","password":"pw"}"#,
            Auth::UserPassword { user: "ann".into(), password: secret("pw") },
        ),
        (r#"{"user":"t0ken"}"#, Auth::Token(secret("t0ken"))),
        (r#"{"token":"t0ken"}"#, Auth::Token(secret("t0ken"))),
        (r#"{"nkey":"/ann.nk"}"#, Auth::NkeySeedFile("/ann.nk".into())),
    ] {
        assert_eq!(read(text).unwrap().auth, auth);
    }
}

#[test]
fn the_selected_context_is_used_when_none_is_named() {
    let (_dir, dirs) = world(&[("one", r#"{"url":"one:1"}"#), ("two", r#"{"url":"two:2"}"#)], Some("two\n"));
    assert_eq!(ConnectConfig::from_context(None, &dirs).unwrap().unwrap().url, "two:2");
    assert_eq!(ConnectConfig::from_context(Some("one"), &dirs).unwrap().unwrap().url, "one:1");
}

#[test]
fn without_a_name_and_a_selection_there_is_none() {
    let (_dir, dirs) = world(&[("one", "{}")], None);
    assert!(ConnectConfig::from_context(None, &dirs).unwrap().is_none());
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let (_dir, dirs) = world(&[("prod", "{}"), ("dev", "{}")], None);
    let error = ConnectConfig::from_context(Some("porod"), &dirs).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no NATS context `porod` (there are: dev, prod); see `nats context ls`"
    );
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let (_dir, dirs) = world(&[], None);
    for name in ["", "..", "../x", "/etc/passwd", "a/b"] {
        let error = ConnectConfig::from_context(Some(name), &dirs).unwrap_err();
        assert!(matches!(error, ContextError::BadName { .. }), "{name}: {error}");
    }
}

#[test]
fn what_cannot_be_obeyed_is_refused_and_no_secret_is_told() {
    for text in [
        r#"{"user_jwt":"hunter2"}"#,
        r#"{"nsc":"nsc://hunter2"}"#,
        r#"{"jetstream_api_prefix":"hunter2"}"#,
        r#"{"token":"hunter2","creds":"/c"}"#,
        r#"{"token":"hunter2" "#,
        r#"{"token":["hunter2"]}"#,
        "hunter2",
    ] {
        let error = read(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
