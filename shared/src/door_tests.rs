#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::net::SocketAddr;

use super::*;

const TOKEN: &str = "0123456789abcdef-general";
const SIMONE: &str = "0123456789abcdef-simone";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn session(text: &str) -> SessionId {
    SessionId::new(text).unwrap()
}

fn keys() -> DoorKeys {
    DoorKeys {
        token: Some(TokenDigest::new(TOKEN).unwrap()),
        credentials: vec![Credential::parse(&format!("simone:{SIMONE}")).unwrap()],
        allowed_hosts: vec![
            AllowedHost::new("vp.example.org").unwrap(),
            AllowedHost::new("box:8080").unwrap(),
        ],
    }
}

fn open(hosts: &[&str]) -> Guard {
    let allowed_hosts = hosts.iter().map(|host| AllowedHost::new(host).unwrap()).collect();
    Guard::new(address("127.0.0.1:7410"), DoorKeys { allowed_hosts, ..DoorKeys::default() }, None).unwrap()
}

fn to(host: &str) -> Asked<'_> {
    Asked { host: Some(host), ..Asked::default() }
}

#[test]
fn a_loopback_door_answers_to_loopback_names_and_configured_ones_only() {
    let guard = open(&["vp.example.org", "box:8080"]);
    for host in [
        "localhost",
        "LOCALHOST:7410",
        "localhost.:7410",
        "127.0.0.1",
        "127.0.0.1:7410",
        "127.8.9.1:1",
        "[::1]:7410",
        "[::1]",
        "[::ffff:127.0.0.1]:80",
        "vp.example.org",
        "VP.Example.org:443",
        "box:8080",
    ] {
        assert_eq!(guard.admit(&to(host)), Ok(Admitted::default()), "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.localhost",
        "10.0.0.1:7410",
        "0.0.0.0:7410",
        "box:8081",
        "box",
        "[::2]",
        "2130706433",
    ] {
        assert_eq!(guard.admit(&to(host)), Err(Refusal::ForeignHost), "{host}");
    }
    for host in [
        "",
        ":7410",
        "a b",
        "user@localhost",
        "localhost:port",
        "localhost:99999",
        "[::1",
        "[::1]x",
        "localhost/",
    ] {
        assert_eq!(guard.admit(&to(host)), Err(Refusal::BadHost), "{host}");
    }
    assert_eq!(guard.admit(&Asked::default()), Err(Refusal::BadHost));
}

#[test]
fn only_the_page_that_the_door_served_may_call_it() {
    let guard = open(&["vp.example.org"]);
    let from = |origin| Asked { origin: Some(origin), ..to("localhost:7410") };
    for origin in ["http://localhost:7410", "HTTP://LOCALHOST:7410", "https://vp.example.org"] {
        assert!(guard.admit(&from(origin)).is_ok(), "{origin}");
    }
    for origin in [
        "null",
        "http://evil.example",
        "http://localhost:3000",
        "http://localhost",
        "file://",
        "",
        "http://127.0.0.1:7410",
    ] {
        assert_eq!(guard.admit(&from(origin)), Err(Refusal::ForeignOrigin), "{origin}");
    }
}

#[test]
fn a_door_that_others_can_reach_needs_a_token() {
    for text in ["0.0.0.0:7410", "10.0.0.1:7410", "[::]:7410"] {
        let refused = Guard::new(address(text), DoorKeys::default(), None);
        assert_eq!(refused.unwrap_err(), OpenDoor { address: address(text) });
        assert!(Guard::new(address(text), keys(), None).is_ok());
    }
    for text in ["127.0.0.1:0", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(Guard::new(address(text), DoorKeys::default(), None).is_ok(), "{text}");
    }
}

#[test]
fn a_door_that_others_can_reach_answers_to_its_address() {
    let bearer = format!("Bearer {TOKEN}");
    let asked = |host| Asked { authorization: Some(&bearer), ..to(host) };
    let one = Guard::new(address("10.0.0.1:7410"), keys(), None).unwrap();
    assert!(one.admit(&asked("10.0.0.1:7410")).is_ok());
    assert_eq!(one.admit(&asked("10.0.0.2:7410")), Err(Refusal::ForeignHost));
    assert_eq!(one.admit(&asked("evil.example")), Err(Refusal::ForeignHost));
    let any = Guard::new(address("0.0.0.0:7410"), keys(), None).unwrap();
    assert!(any.admit(&asked("10.0.0.2:7410")).is_ok());
    assert_eq!(any.admit(&asked("evil.example")), Err(Refusal::ForeignHost));
}

#[test]
fn with_a_token_every_request_needs_it() {
    let guard = Guard::new(address("127.0.0.1:7410"), keys(), Some(session("default"))).unwrap();
    let with = |authorization| Asked { authorization: Some(authorization), ..to("localhost") };
    assert_eq!(guard.admit(&to("localhost")), Err(Refusal::NoToken));
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer 0123456789abcdef",
        TOKEN,
        "Basic eDp5",
        "Bearer 0123456789abcdef-generaL",
    ] {
        assert_eq!(guard.admit(&with(wrong)), Err(Refusal::WrongToken), "{wrong}");
    }
    let general = format!("bearer {TOKEN}");
    let admitted = guard.admit(&with(&general)).unwrap();
    assert_eq!(admitted, Admitted { session_id: Some(session("default")), bound: false });
    assert!(admitted.may_read(&session("any")));
}

#[test]
fn a_credential_speaks_for_its_session_and_no_other() {
    let guard = Guard::new(address("127.0.0.1:7410"), keys(), Some(session("default"))).unwrap();
    let bearer = format!("Bearer {SIMONE}");
    let asked = |session| Asked { authorization: Some(&bearer), session, ..to("localhost") };
    let admitted = guard.admit(&asked(None)).unwrap();
    assert_eq!(admitted, Admitted { session_id: Some(session("simone")), bound: true });
    assert!(admitted.may_read(&session("simone")) && !admitted.may_read(&session("other")));
    assert_eq!(guard.admit(&asked(Some("simone"))).unwrap(), admitted);
    assert_eq!(guard.admit(&asked(Some("other"))), Err(Refusal::ForeignSession));
    assert_eq!(guard.admit(&asked(Some("no id at all"))), Err(Refusal::BadSession));
}

#[test]
fn who_is_bound_to_no_session_may_name_one() {
    let named = Asked { session: Some("mine"), ..to("localhost") };
    assert_eq!(open(&[]).admit(&named).unwrap().session_id, Some(session("mine")));
}

#[test]
fn a_browser_comes_in_with_the_cookie_of_its_login() {
    let guard = Guard::new(address("127.0.0.1:7410"), keys(), None).unwrap();
    assert_eq!(guard.login("0123456789abcdef-nobody", false), None);
    assert_eq!(guard.login(SIMONE, false), None);
    let set = guard.login(TOKEN, false).unwrap();
    assert!(
        set.contains("; HttpOnly; SameSite=Strict") && !set.contains(TOKEN) && !set.contains("Secure"),
        "{set}"
    );
    assert!(guard.login(TOKEN, true).unwrap().ends_with("; Secure"));
    let pair = set.split(';').next().unwrap();
    let cookies = format!("theme=dark; {pair}");
    assert!(guard.admit(&Asked { cookie: Some(&cookies), ..to("localhost") }).is_ok());
    let forged = format!("{COOKIE}={}", "0".repeat(64));
    assert_eq!(guard.admit(&Asked { cookie: Some(&forged), ..to("localhost") }), Err(Refusal::WrongToken));
    assert_eq!(guard.admit(&Asked { cookie: Some("theme=dark"), ..to("localhost") }), Err(Refusal::NoToken));
}

#[test]
fn no_text_of_a_guard_shows_a_token() {
    let guard = Guard::new(address("127.0.0.1:7410"), keys(), None).unwrap();
    let text = format!("{guard:?}");
    assert!(!text.contains("0123456789abcdef") && !text.contains("48, 49"), "{text}");
    for wrong in ["short", "0123456789abcdef with spaces", "simone:0123456789abcde", "0123456789abcdef"] {
        let error = Credential::parse(wrong).unwrap_err();
        assert!(!error.contains("0123"), "{error}");
    }
}
