//! One HTTP POST on a connection of its own. No redirect is followed: what is signed goes to the host that was named.

use std::io;
use std::sync::{Arc, OnceLock};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What an answer's body may have; it is read so that the server sees its answer taken.
const MAX_ANSWER: usize = 64 * 1024;

/// Checks that a url can be posted to: https, or http to this very machine.
///
/// # Errors
/// What is wanted.
pub fn check_url(url: &str) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|error| format!("want a url: {error}"))?;
    let authority = uri.authority().ok_or("want a url with a host")?;
    if authority.as_str().contains('@') {
        return Err("want no user and password in it".to_owned());
    }
    let host = authority.host();
    let here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if here => Ok(()),
        Some("http") => Err("want https; http is for the loopback address only".to_owned()),
        _ => Err("want a url that begins with https://".to_owned()),
    }
}

/// What posts to one target.
#[derive(Debug, Clone, Default)]
pub struct Poster {
    /// Who is trusted: the roots that this system had at the first post over TLS. Others are seen after a restart.
    trust: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Poster {
    /// Posts a JSON body and returns the status. Who calls sets the limit of time.
    ///
    /// # Errors
    /// What was attempted, and the words of who failed.
    pub(super) async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<u16, String> {
        let uri: Uri = url.parse().map_err(|error| format!("no url: {error}"))?;
        let authority = uri.authority().ok_or("no host in the url")?;
        let tls = uri.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(path)
            .header("host", authority.as_str())
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .header("user-agent", concat!("vp/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(|error| format!("could not connect to {host}:{port}: {error}"))?;
        if !tls {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(self.trust()?).connect(name, stream).await;
        exchange(stream.map_err(|error| format!("no TLS with {host}: {}", in_words(&error)))?, request).await
    }

    /// TLS with the system's roots, on ring as everything here. Where there are none, the next post looks again.
    fn trust(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(known) = self.trust.get() {
            return Ok(Arc::clone(known));
        }
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let what = "this system has no root certificates".to_owned();
            let why = found.errors.iter().map(ToString::to_string);
            return Err(std::iter::once(what).chain(why).collect::<Vec<_>>().join(": "));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(self.trust.get_or_init(|| Arc::new(config))))
    }
}

/// Why there is no TLS; a name alone is made a sentence.
fn in_words(error: &io::Error) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) = of_tls {
        return format!("{error}: no authority that this system trusts has signed its certificate");
    }
    error.to_string()
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| format!("could not post: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let posted = async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let mut read = 0;
        // What the server says beside the status decides nothing.
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > MAX_ANSWER {
                break;
            }
        }
        Ok(status)
    };
    tokio::pin!(posted, connection);
    tokio::select! {
        biased;
        status = &mut posted => status,
        ended = &mut connection => match ended {
            // It may have ended in good order with the answer's last bytes.
            Ok(()) => posted.await,
            Err(error) => Err(failed(error)),
        },
    }
}
