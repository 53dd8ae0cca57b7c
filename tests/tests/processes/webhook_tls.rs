//! A webhook over TLS, against a real TLS server with certificates made by the test.

use std::path::Path;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use vp_tests::lanes::{CODER, noop_lane};
use vp_tests::process::{Installation, Process};
use vp_tests::until::until_true;
use vp_tests::world::World;

use crate::deliver::{append, missions, request};

const SECRET: &str = "0123456789abcdef";

/// What signs certificates.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new(name: &str) -> Self {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// A server's side of TLS with a certificate for this name, good until the end of `year`.
    fn server(&self, name: &str, year: i32) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 12, 31);
        let certificate = params.signed_by(&key, &self.0).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(ring).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
    }
}

/// The fields and the body of a request.
type Heard = (String, Vec<u8>);

/// An HTTPS server: what it shows can be changed while it runs; with nothing to show it stalls in the handshake.
#[derive(Clone, Default)]
struct Server {
    shows: Arc<Mutex<Option<Arc<ServerConfig>>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Server {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/hook?key=x", listener.local_addr().unwrap().port());
        let server = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        url
    }

    async fn serve(&self, stream: TcpStream) {
        let Some(config) = self.shows.lock().unwrap().clone() else {
            let _kept = stream;
            return std::future::pending().await;
        };
        // Who does not like the certificate hangs up.
        let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
        let mut stream = BufReader::new(stream);
        let Ok(heard) = request(&mut stream).await else { return };
        self.heard.lock().unwrap().push(heard);
        let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
    }

    fn show(&self, config: Option<Arc<ServerConfig>>) {
        *self.shows.lock().unwrap() = config;
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

/// A world with one notice to deliver to this server.
async fn world(server: &Server) -> (World, Installation) {
    let world = World::builder().lane(CODER, noop_lane()).workers(1).start().await;
    let vp = Installation::of(&world);
    let url = server.start().await;
    let target = format!(
        "[[deliver]]\nname = \"ops\"\nsessions = [\"chat\"]\nkind = \"webhook\"\nurl = {url:?}\n\
         secret = {SECRET:?}\ntimeout_seconds = 1"
    );
    append(&vp, &target);
    missions(&world, 1).await;
    (world, vp)
}

/// A deliverer that trusts this authority and no other.
fn deliverer(vp: &Installation, trusted: &Authority) -> Process {
    let roots = vp.dir().join("roots.pem");
    std::fs::write(&roots, &trusted.1).unwrap();
    vp.spawn_with("deliver", ["deliver"], &[("SSL_CERT_FILE", path(&roots))])
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_over_tls_and_what_it_is_told_is_signed() {
    let (ours, server) = (Authority::new("ours"), Server::default());
    server.show(Some(ours.server("localhost", 2100)));
    let (_world, vp) = world(&server).await;
    let deliverer = deliverer(&vp, &ours);
    until_true("it is told", async || !server.heard().is_empty()).await;
    assert!(deliverer.terminate().await.success());
    let heard = server.heard();
    let (fields, body) = &heard[0];
    let field = |name: &str| {
        let mut lines = fields.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).unwrap().1.trim().to_owned()
    };
    assert!(fields.starts_with("POST /hook?key=x HTTP/1.1"), "{fields}");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{}.", field("vp-timestamp")).as_bytes());
    mac.update(body);
    let given = field("vp-signature");
    let hex = given.strip_prefix("v1=").unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    mac.verify_slice(&(0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>()).unwrap();
    let event: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(event["type"], "vp.mission.completed", "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_trusted_is_told_nothing_and_the_notice_is_kept_until_it_can() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = Server::default();
    let (world, vp) = world(&server).await;
    let mut deliverer = deliverer(&vp, &ours);
    for (shows, why) in [
        (Some(ours.server("other.example", 2100)), "certificate not valid for name"),
        (Some(theirs.server("localhost", 2100)), "no authority that this system trusts"),
        (Some(ours.server("localhost", 2020)), "certificate expired"),
        (None, "no answer within 1 s"),
    ] {
        server.show(shows);
        deliverer.until_it_says(why).await;
    }
    assert_eq!(server.heard(), [], "nothing is said to whom nobody knows");
    assert_eq!(vp_nats::notices::unread(world.conn()).await.unwrap().values().sum::<u64>(), 1);
    server.show(Some(ours.server("localhost", 2100)));
    until_true("it is told", async || !server.heard().is_empty()).await;
    until_true("it is acked", async || vp_nats::notices::unread(world.conn()).await.unwrap().is_empty())
        .await;
    assert!(deliverer.terminate().await.success());
    assert_eq!(server.heard().len(), 1);
}
