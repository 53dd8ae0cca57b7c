//! Connections, tried against real servers and, where a real one cannot be had, named stand-ins.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "support/jwt.rs"]
mod jwt;
mod support;

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use vp_nats::connect::{Auth, ConnectConfig, ConnectError, LinkError, Secret, connect};
use vp_nats::harness::TestServer;

use jwt::JwtWorld;
use support::plain_server;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A stand-in for an old nats-server: it greets with that version, takes any CONNECT and answers PING.
async fn old_server_stand_in(version: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (reader, mut writer) = socket.into_split();
                let greeting = format!(
                    "INFO {{\"server_id\":\"S\",\"server_name\":\"s\",\"version\":\"{version}\",\"go\":\"go1\",\
                     \"host\":\"127.0.0.1\",\"port\":4222,\"headers\":true,\"max_payload\":1048576,\"proto\":1,\
                     \"client_id\":1,\"client_ip\":\"127.0.0.1\"}}\r\n"
                );
                writer.write_all(greeting.as_bytes()).await.unwrap();
                let mut lines = BufReader::new(reader).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.starts_with("PING") && writer.write_all(b"PONG\r\n").await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn short(url: impl Into<String>) -> ConnectConfig {
    ConnectConfig {
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(1),
        ..ConnectConfig::new(url, "test")
    }
}

async fn refused(config: &ConnectConfig) -> ConnectError {
    timeout(PATIENCE, connect(config)).await.expect("a first connect fails fast").unwrap_err()
}

#[tokio::test]
async fn a_connection_knows_its_server_and_carries_its_name() {
    let server = TestServer::start().await;
    let connection = server.connect().await;
    assert!(connection.server_version().is_supported());
    let state = *connection.state().borrow();
    assert_eq!((state.connected, state.generation, state.closed), (true, 1, false));
    connection.jetstream().query_account().await.unwrap();
    connection.flush().await.unwrap();
}

#[tokio::test]
async fn no_server_is_told_at_once_without_the_password() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = refused(&short(format!("nats://ann:hunter2@127.0.0.1:{port}"))).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("nats://127.0.0.1:{port}")) && text.contains("refused"), "{text}");
    assert!(!format!("{text} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ConnectConfig {
        connect_timeout: Duration::from_millis(200),
        ..short(format!("nats://{}", silent.local_addr().unwrap()))
    };
    let error = refused(&config).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable() {
    let error = refused(&short("nats://no-such-host.invalid:4222")).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let server = TestServer::start().await;
    let auth = Auth::UserPassword { user: "vp".to_owned(), password: Secret::new("hunter2") };
    let error = refused(&ConnectConfig { auth, ..server.connect_config() }).await;
    assert!(matches!(error, ConnectError::AuthRefused { .. }), "{error:?}");
    assert!(error.to_string().contains("user `vp`"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn credentials_may_be_in_the_url() {
    let server = TestServer::start().await;
    let Auth::UserPassword { user, password } = server.connect_config().auth else { panic!("no password") };
    let url = server.url().replace("nats://", &format!("nats://{user}:{}@", password.expose()));
    connect(&ConnectConfig::new(url, "test")).await.unwrap();
}

#[tokio::test]
async fn the_second_of_two_urls_is_tried() {
    let server = TestServer::start().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = ConnectConfig { url: format!("nats://{dead},{}", server.url()), ..server.connect_config() };
    connect(&config).await.unwrap();
}

#[tokio::test]
async fn a_server_without_jetstream_is_told_apart() {
    let server = plain_server("").await;
    let error = refused(&short(&server.url)).await;
    assert!(matches!(error, ConnectError::NoJetStream { .. }), "{error:?}");
}

#[tokio::test]
async fn an_account_without_jetstream_is_told_apart() {
    let server = plain_server(
        "jetstream { store_dir: \"DIR/js\" }\naccounts { A { users: [ { user: a, password: a } ] } }",
    )
    .await;
    let auth = Auth::UserPassword { user: "a".to_owned(), password: Secret::new("a") };
    let error = refused(&ConnectConfig { auth, ..short(&server.url) }).await;
    assert!(matches!(error, ConnectError::NoJetStream { .. }), "{error:?}");
}

#[tokio::test]
async fn a_denied_jetstream_request_is_told_as_such() {
    let server = plain_server(
        "jetstream { store_dir: \"DIR/js\" }\n\
         authorization { users: [ { user: a, password: a, permissions: { publish: \"x\", subscribe: \"_INBOX.>\" } } ] }",
    )
    .await;
    let auth = Auth::UserPassword { user: "a".to_owned(), password: Secret::new("a") };
    let error = refused(&ConnectConfig { auth, ..short(&server.url) }).await;
    assert!(error.to_string().contains("Permissions Violation"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_too_old_is_named_with_its_version() {
    for version in ["2.9.10", "2.13.4", "nonsense"] {
        let url = old_server_stand_in(version).await;
        let error = refused(&short(&url)).await;
        assert!(
            matches!(&error, ConnectError::ServerTooOld { found, needed, .. } if found == version && needed == "2.14"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_a_clear_error() {
    let server = TestServer::start().await;
    let config = ConnectConfig { url: server.url().replace("nats://", "tls://"), ..server.connect_config() };
    let error = refused(&config).await;
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn bad_options_are_refused_before_any_server_is_asked() {
    let mut config = short("nats://127.0.0.1:1");
    config.tls.cert = Some("/nowhere/cert.pem".into());
    let error = refused(&config).await;
    assert!(matches!(error, ConnectError::File { what: "cert", .. }), "{error:?}");
    let config =
        ConnectConfig { auth: Auth::CredsFile("/nowhere/x.creds".into()), ..short("nats://127.0.0.1:1") };
    let error = refused(&config).await;
    assert!(matches!(error, ConnectError::File { what: "creds", .. }), "{error:?}");
    let error = refused(&short("http://127.0.0.1:1")).await;
    assert!(matches!(error, ConnectError::BadConfig { .. }), "{error:?}");
}

#[tokio::test]
async fn a_key_file_is_read_again_at_each_reconnect() {
    let (first, second) = (nkeys::KeyPair::new_user(), nkeys::KeyPair::new_user());
    let server = plain_server(&format!(
        "jetstream {{ store_dir: \"DIR/js\" }}\nauthorization {{ users: [ {{ nkey: {} }}, {{ nkey: {} }} ] }}",
        first.public_key(),
        second.public_key()
    ))
    .await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("worker.nk");
    std::fs::write(&path, first.seed().unwrap()).unwrap();
    let config = ConnectConfig { auth: Auth::NkeySeedFile(path.clone()), ..short(&server.url) };
    let connection = connect(&config).await.unwrap();
    assert_eq!(identity(&connection).await, first.public_key());

    std::fs::write(&path, second.seed().unwrap()).unwrap();
    let mut state = connection.state();
    connection.client().force_reconnect().await.unwrap();
    timeout(PATIENCE, state.wait_for(|state| state.connected && state.generation == 2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(identity(&connection).await, second.public_key());
}

#[tokio::test]
async fn a_creds_file_is_accepted_and_read_again_at_each_reconnect() {
    let world = JwtWorld::new();
    let server = plain_server(&world.server_config()).await;
    let (first, second) = (nkeys::KeyPair::new_user(), nkeys::KeyPair::new_user());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("worker.creds");
    std::fs::write(&path, world.creds(&first)).unwrap();
    let config = ConnectConfig { auth: Auth::CredsFile(path.clone()), ..short(&server.url) };
    let connection = connect(&config).await.unwrap();
    assert_eq!(identity(&connection).await, first.public_key());

    std::fs::write(&path, world.creds(&second)).unwrap();
    let mut state = connection.state();
    connection.client().force_reconnect().await.unwrap();
    timeout(PATIENCE, state.wait_for(|state| state.connected && state.generation == 2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(identity(&connection).await, second.public_key());
}

/// Whom the server takes us for.
async fn identity(connection: &vp_nats::connect::Connection) -> String {
    let request = connection.client().request("$SYS.REQ.USER.INFO", "".into());
    let reply = timeout(PATIENCE, request).await.unwrap().unwrap();
    let reply: serde_json::Value = serde_json::from_slice(&reply.payload).unwrap();
    reply["data"]["user"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_killed_and_restarted_server_is_found_again_and_counted() {
    let mut server = TestServer::start().await;
    let connection = server.connect().await;
    let mut state = connection.state();
    server.kill().await;
    timeout(PATIENCE, state.wait_for(|state| !state.connected)).await.unwrap().unwrap();
    server.restart().await;
    let after = *timeout(PATIENCE, state.wait_for(|state| state.connected)).await.unwrap().unwrap();
    assert_eq!(after.generation, 2);
    connection.jetstream().query_account().await.unwrap();
}

#[tokio::test]
async fn a_frozen_server_answers_nothing_and_a_thawed_one_goes_on() {
    let server = TestServer::start().await;
    let connection =
        connect(&ConnectConfig { request_timeout: Duration::from_millis(300), ..server.connect_config() })
            .await
            .unwrap();
    server.freeze();
    connection.jetstream().query_account().await.unwrap_err();
    server.thaw();
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = connection.jetstream().query_account().await {
        assert!(Instant::now() < deadline, "{error}");
    }
}

#[tokio::test]
async fn a_drained_connection_is_closed_for_all_clones() {
    let server = TestServer::start().await;
    let connection = server.connect().await;
    let clone = connection.clone();
    connection.drain().await.unwrap();
    assert!(clone.state().borrow().closed);
    assert_eq!(clone.flush().await, Err(LinkError::Closed));
    clone.drain().await.unwrap();
}

#[tokio::test]
async fn the_connection_ends_with_its_last_clone() {
    let server = TestServer::start().await;
    let connection = server.connect().await;
    let mut state = connection.state();
    drop(connection);
    // Either it says that it is closed, or the sender is gone with the connection.
    let closed = timeout(PATIENCE, state.wait_for(|state| state.closed)).await.unwrap();
    drop(closed);
}

#[tokio::test]
async fn a_restarted_test_server_keeps_port_and_data() {
    let mut server = TestServer::start().await;
    let connection = server.connect().await;
    let (port, pid) = (server.port(), server.pid());
    let config = async_nats::jetstream::stream::Config { name: "S".to_owned(), ..Default::default() };
    connection.jetstream().create_stream(config).await.unwrap();
    connection.jetstream().publish("S", "kept".into()).await.unwrap().await.unwrap();
    for orderly in [true, false] {
        if orderly {
            server.stop().await;
        }
        server.restart().await;
        assert_eq!(server.port(), port);
        assert_ne!(server.pid(), pid);
        let stream = server.connect().await.jetstream().get_stream("S").await.unwrap();
        assert_eq!(stream.cached_info().state.messages, 1);
    }
}
