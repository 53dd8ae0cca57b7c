//! The doors over HTTP: which addresses need a token, and that no token is shown.

use super::*;

const TOKEN: &str = "0123456789abcdef-secret";

#[test]
fn the_doors_are_on_loopback_unless_configured() {
    let http = World::new().settings().http;
    let shown = [http.dispatcher, http.console].map(|door| door.unwrap().0.to_string());
    assert_eq!(shown, ["127.0.0.1:7410", "127.0.0.1:7411"]);
    let off = World::new().given("[http]\ndispatcher = \"\"").settings().http;
    assert!(off.dispatcher.is_none() && off.console.is_some());
}

#[test]
fn a_door_that_others_can_reach_is_refused_without_a_token() {
    for (key, text) in [
        ("http.dispatcher", "[http]\ndispatcher = \"0.0.0.0:7410\""),
        ("http.console", "[http]\nconsole = \"10.0.0.1:7411\""),
    ] {
        let problem = World::new().given(text).problem();
        assert!(problem.starts_with(&format!("`{key}` in ")) && problem.contains("http.token"), "{problem}");
        World::new().given(format!("{text}\ntoken = \"{TOKEN}\"")).load();
    }
}

#[test]
fn a_wrong_token_host_or_address_is_refused_without_showing_a_token() {
    for (text, key, what) in [
        ("token = \"hunter2\"", "http.token", "want a token of 16 to 512 characters"),
        ("token = \"hunter2 hunter2 hunter2\"", "http.token", "want only letters"),
        ("credentials = [\"hunter2hunter2hunter2\"]", "http.credentials", "SESSION:TOKEN"),
        ("credentials = [\"simone:hunter2\"]", "http.credentials", "want a token of 16"),
        ("credentials = [1]", "http.credentials", "want a list of texts"),
        ("credentials = \"hunter2\"", "http.credentials", "want a list of texts"),
        ("allowed_hosts = [\"http://x\"]", "http.allowed_hosts", "want a host's name"),
        ("dispatcher = \"7410\"", "http.dispatcher", "want an address and a port"),
        ("dispatcher = \"localhost:7410\"", "http.dispatcher", "want an address and a port"),
    ] {
        let problem = World::new().given(format!("[http]\n{text}")).problem();
        assert!(problem.starts_with(&format!("`{key}` in ")) && problem.contains(what), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn tokens_of_doors_are_masked() {
    let text = format!("[http]\ntoken = \"{TOKEN}\"\ncredentials = [\"simone:{TOKEN}\"]");
    let loaded = World::new().given(&text).load();
    let shown = loaded.shown.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(
        shown.contains("http.token = \"***\"") && shown.contains("http.credentials = [\"***\"]"),
        "{shown}"
    );
    assert!(!format!("{shown}{:?}", loaded.settings).contains("0123456789"), "{shown}");
}
