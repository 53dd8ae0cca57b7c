//! Request and reply: micro services that `nats micro ls` sees, and asking them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE, Request, ServiceExt};
use bytes::Bytes;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use vp_shared::ids::SessionId;

use crate::ack::header_of;
use crate::api::{self, ApiError};
use crate::connect::Connection;
use crate::headers::SESSION;

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

/// How long a stopping service waits for the requests it has.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A service that runs until dropped or stopped.
#[derive(Debug)]
pub struct Service {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
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
        let failed =
            |error: async_nats::Error| ServiceError { name: spec.name.clone(), why: error.to_string() };
        let builder = conn.client().service_builder().description(&spec.description);
        let service = builder.start(&spec.name, env!("CARGO_PKG_VERSION")).await.map_err(failed)?;
        let mut requests = SelectAll::new();
        for endpoint in &spec.endpoints {
            let builder = service.endpoint_builder().name(&endpoint.name).metadata(endpoint.metadata.clone());
            let added = builder.add(&endpoint.subject).await.map_err(failed)?;
            let name = endpoint.name.clone();
            requests.push(added.map(move |request| (name.clone(), request)).boxed());
        }
        conn.flush().await.map_err(|error| failed(error.into()))?;
        let stop = CancellationToken::new();
        let serving = Serving {
            client: conn.client().clone(),
            name: spec.name.clone(),
            handler: Arc::new(handler),
            places: Arc::new(Semaphore::new(spec.max_in_flight.max(1))),
            tasks: JoinSet::new(),
        };
        let task = tokio::spawn(serving.run(service, requests, stop.clone()));
        Ok(Self { stop, task: Some(task) })
    }

    /// Takes no more requests and answers those it has, at most 5 s.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "a service ended abnormally");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

type Requests = SelectAll<BoxStream<'static, (String, Request)>>;

struct Serving<H> {
    client: async_nats::Client,
    name: String,
    handler: Arc<H>,
    places: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl<H, F> Serving<H>
where
    H: Fn(ServiceRequest) -> F + Send + Sync + 'static,
    F: Future<Output = Vec<u8>> + Send + 'static,
{
    async fn run(
        mut self,
        service: async_nats::service::Service,
        mut requests: Requests,
        stop: CancellationToken,
    ) {
        loop {
            let next = async {
                // The place first: a request that waits for one stays in the client's buffer.
                let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
                Some((place, requests.next().await?))
            };
            let (place, (endpoint, request)) = tokio::select! {
                next = next => match next {
                    Some(next) => next,
                    None => break,
                },
                () = stop.cancelled() => break,
            };
            self.handle(place, endpoint, request);
            while let Some(ended) = self.tasks.try_join_next() {
                self.report(ended);
            }
        }
        if let Err(error) = service.stop().await {
            tracing::debug!(service = self.name, error, "could not stop a service in order");
        }
        self.finish(requests).await;
    }

    fn handle(&mut self, place: OwnedSemaphorePermit, endpoint: String, request: Request) {
        let (handler, client) = (Arc::clone(&self.handler), self.client.clone());
        self.tasks.spawn(async move {
            let session_id = header_of(request.message.headers.as_ref(), &SESSION);
            let body = request.message.payload.clone();
            let reply = handler(ServiceRequest { endpoint, body, session_id }).await;
            if let Err(error) = respond(&client, &request, reply).await {
                tracing::debug!(%error, "could not answer a request");
            }
            drop(place);
        });
    }

    fn report(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            tracing::error!(service = self.name, %error, "a request's handler ended abnormally");
        }
    }

    /// Answers what had come before the stop.
    async fn finish(mut self, mut requests: Requests) {
        let deadline = Instant::now() + STOP_PATIENCE;
        while let Some(Some((endpoint, request))) = requests.next().now_or_never() {
            match timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await {
                Ok(Ok(place)) => self.handle(place, endpoint, request),
                _ => break,
            }
        }
        drop(requests);
        while let Ok(Some(ended)) = timeout_at(deadline, self.tasks.join_next()).await {
            self.report(ended);
        }
        if !self.tasks.is_empty() {
            tracing::warn!(service = self.name, requests = self.tasks.len(), "requests cut off by the stop");
        }
    }
}

/// Answers; an error keeps its body, which the crate's own error reply has not, and counts as one.
async fn respond(
    client: &async_nats::Client,
    request: &Request,
    reply: Vec<u8>,
) -> Result<(), async_nats::PublishError> {
    let Some(error) = error_of(&reply) else { return request.respond(Ok(reply.into())).await };
    let mut headers = HeaderMap::new();
    headers.insert(NATS_SERVICE_ERROR, error.status.as_str());
    headers.insert(NATS_SERVICE_ERROR_CODE, error.code.to_string());
    match &request.message.reply {
        Some(subject) => client.publish_with_headers(subject.clone(), headers, reply.into()).await,
        None => Ok(()),
    }
}

/// The error that a reply tells of.
fn error_of(reply: &[u8]) -> Option<async_nats::service::error::Error> {
    #[derive(Deserialize)]
    struct Reply {
        ok: bool,
        error: Option<Told>,
    }
    #[derive(Deserialize)]
    struct Told {
        code: String,
    }
    // A large answer that is fine says so in its first bytes.
    if reply.starts_with(br#"{"ok":true"#) {
        return None;
    }
    let Reply { ok: false, error } = serde_json::from_slice(reply).ok()? else { return None };
    let status = error.map_or_else(|| "failed".to_owned(), |error| error.code);
    Some(async_nats::service::error::Error { status, code: 400 })
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
    let mut headers = None;
    if let Some(session_id) = session_id {
        headers.get_or_insert_with(HeaderMap::new).insert(SESSION, session_id.as_str());
    }
    match api::request(conn, subject.to_owned(), headers, body, timeout).await {
        Ok(message) => Ok(message.payload),
        Err(ApiError::NoResponders) => Err(RequestError::NoResponders(subject.to_owned())),
        Err(ApiError::TimedOut(_)) => {
            Err(RequestError::TimedOut { subject: subject.to_owned(), seconds: timeout.as_secs_f64() })
        }
        Err(error) => Err(RequestError::Failed { subject: subject.to_owned(), why: error.to_string() }),
    }
}
