//! Encrypted connections, with certificates made by the test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use vp_nats::connect::{ConnectConfig, ConnectError, TlsConfig, connect};

use support::{PlainServer, plain_server};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// An authority, and what it has signed, as files.
struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::from_params(&params, &key);
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params =
                CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            std::fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A server with this authority's certificate; `more` goes into its `tls` block.
    async fn server(&self, more: &str) -> PlainServer {
        let dir = self.path().display();
        plain_server(&format!(
            "jetstream {{ store_dir: \"DIR/js\" }}\n\
             tls {{ cert_file: \"{dir}/server.pem\", key_file: \"{dir}/server.key\", ca_file: \"{dir}/ca.pem\"\n{more}\n}}"
        ))
        .await
    }

    fn trusted(&self) -> TlsConfig {
        TlsConfig { ca: Some(self.path().join("ca.pem")), ..TlsConfig::default() }
    }

    fn identified(&self) -> TlsConfig {
        let file = |name: &str| Some(self.path().join(name));
        TlsConfig { cert: file("client.pem"), key: file("client.key"), ..self.trusted() }
    }
}

fn config(server: &PlainServer, tls: TlsConfig) -> ConnectConfig {
    let connect_timeout = Duration::from_secs(3);
    ConnectConfig { tls, connect_timeout, ..ConnectConfig::new(&server.url, "test") }
}

#[tokio::test]
async fn a_server_whose_authority_is_known_is_trusted_and_no_other() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = ours.server("").await;
    connect(&config(&server, ours.trusted())).await.unwrap();
    let error = connect(&config(&server, theirs.trusted())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_where_one_is_asked_for() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = ours.server("verify: true").await;
    connect(&config(&server, ours.identified())).await.unwrap();
    let stranger = TlsConfig { ca: ours.trusted().ca, ..theirs.identified() };
    for tls in [ours.trusted(), stranger] {
        let error = connect(&config(&server, tls)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_wants_the_handshake_first_gets_it() {
    let ours = Authority::new();
    let server = ours.server("handshake_first: true").await;
    let tls = TlsConfig { first: true, ..ours.trusted() };
    connect(&config(&server, tls)).await.unwrap();
}
