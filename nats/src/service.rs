//! Request and reply: micro services that `nats micro ls` sees, and asking them.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use vp_shared::ids::SessionId;

use crate::connect::Connection;

/// A service to be served.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Its name: letters, digits, `-`, `_`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its endpoints.
    pub endpoints: Vec<EndpointSpec>,
    /// How many requests are handled at a time; more wait, and are bounded by the client's own buffer.
    pub max_in_flight: usize,
}

/// One endpoint.
#[derive(Debug, Clone)]
pub struct EndpointSpec {
    /// Its name: letters, digits, `-`, `_`.
    pub name: String,
    /// Its subject.
    pub subject: String,
    /// Shown by `nats micro info`, such as schemas.
    pub metadata: std::collections::HashMap<String, String>,
}

/// A request.
#[derive(Debug, Clone)]
pub struct ServiceRequest {
    /// The name of the endpoint it came to.
    pub endpoint: String,
    /// Its body.
    pub body: Bytes,
    /// Who asks: from the header `Vp-Session`, set by the caller's door.
    pub session_id: Option<String>,
}

/// Why a service could not be served.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not serve `{name}`: {why}")]
pub struct ServiceError {
    /// Its name.
    pub name: String,
    /// The client's words.
    pub why: String,
}

/// A service that runs until dropped or stopped.
#[derive(Debug)]
pub struct Service {
    stop: tokio_util::sync::CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Service {
    /// Begins to serve. Each request is handled on its own task; the returned bytes are the reply. A reply whose
    /// JSON has `"ok": false` also sets the service error headers.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn start<H, F>(conn: &Connection, spec: ServiceSpec, handler: H) -> Result<Self, ServiceError>
    where
        H: Fn(ServiceRequest) -> F + Send + Sync + 'static,
        F: Future<Output = Vec<u8>> + Send + 'static,
    {
        let _ = (conn, spec, handler);
        todo!()
    }

    /// Takes no more requests and answers those it has, at most 5 s.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// Why a request had no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// Nobody serves the subject.
    #[error("nobody answers on `{0}`")]
    NoResponders(String),
    /// No answer in time.
    #[error("no answer on `{subject}` within {seconds:.1} s")]
    TimedOut {
        /// The subject.
        subject: String,
        /// How long was waited.
        seconds: f64,
    },
    /// The client could not send it.
    #[error("could not ask on `{subject}`: {why}")]
    Failed {
        /// The subject.
        subject: String,
        /// The client's words.
        why: String,
    },
}

/// Asks and waits for the answer.
///
/// # Errors
/// [`RequestError`].
pub async fn request(
    conn: &Connection,
    subject: &str,
    body: Bytes,
    session_id: Option<&SessionId>,
    timeout: Duration,
) -> Result<Bytes, RequestError> {
    let _ = (conn, subject, body, session_id, timeout);
    todo!()
}
