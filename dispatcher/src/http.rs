//! The door over HTTP: the tools as resources, the session's notices as a stream, and MCP mounted at `/mcp`.
//!
//! | path | what |
//! |---|---|
//! | `POST /api/v1/missions`, `GET /api/v1/missions` | dispatch, list |
//! | `GET /api/v1/missions/{id}` | get |
//! | `POST /api/v1/missions/{id}/wait`, `.../cancel` | wait, cancel |
//! | `GET /api/v1/missions/{id}/artifacts`, `.../artifacts/{path}` | read artifacts; one, whole |
//! | `POST /api/v1/route` | what the user's own words ask for |
//! | `GET /api/v1/sessions/{session}/notices`, `POST .../notices/ack` | server-sent events; mark as shown |
//! | `/mcp` | MCP over streamable HTTP |
//! | `/openapi.json`, `/healthz` | this, for machines; whether the broker is reached |
//!
//! Every answer is the contract's JSON; its code decides the status. The guard (`vp_shared::door`) looks at every
//! request before anything else does.

mod answer;
mod guard;
mod missions;
mod notices;
pub mod openapi;
mod sessions;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Router, middleware};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use vp_shared::api::MAX_INPUTS_BYTES;
use vp_shared::door::Guard;

use crate::mcp::McpServer;
use crate::provider::Provider;
use sessions::Conversations;

/// The longest body of a request: a dispatch's inputs as JSON, each byte of which may be written as six.
const MAX_BODY_BYTES: usize = 6 * MAX_INPUTS_BYTES + 64 * 1024;
/// How often a port is tried that another process has.
const BIND_AGAIN: Duration = Duration::from_secs(2);
/// How long requests may take to end once the door is closing.
const CLOSE_PATIENCE: Duration = Duration::from_secs(3);
/// How long a host may say nothing before it has to begin again: a conversation pauses over night.
const MCP_SESSION: Duration = Duration::from_hours(24);
/// How many waits, and how many streams of notices, may stand at a time.
const MAX_STANDING: usize = 1024;

/// What all requests share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) tools: Provider,
    pub(crate) waits: Arc<Semaphore>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
}

/// An open door. [`HttpDoor::stop`] closes it; dropped, it closes without waiting for anybody.
#[derive(Debug)]
pub struct HttpDoor {
    stop: CancellationToken,
    serving: JoinHandle<()>,
    address: watch::Receiver<Option<SocketAddr>>,
}

impl HttpDoor {
    /// Opens the door at `address` (port 0: any free one). A port that another process has is tried again until it is
    /// free: the other one may be a dispatcher that is about to go.
    ///
    /// # Errors
    /// When the address cannot be used for any other reason.
    pub async fn open(address: SocketAddr, guard: Guard, tools: Provider) -> io::Result<Self> {
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::warn!(%address, "another process serves at this address: waiting until it is free");
                None
            }
            Err(error) => return Err(error),
        };
        let stop = CancellationToken::new();
        let (told, bound) = watch::channel(listener.as_ref().and_then(|listener| listener.local_addr().ok()));
        let app = router(guard, tools, stop.clone());
        let serving = tokio::spawn(serve(listener, address, app, told, stop.clone()));
        Ok(Self { stop, serving, address: bound })
    }

    /// Where it is open; `None` while another process has the port.
    pub fn address(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.address.clone()
    }

    /// Closes the door: no new request, and what stands is ended within seconds.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if timeout(CLOSE_PATIENCE, &mut self.serving).await.is_err() {
            tracing::warn!("requests over HTTP did not end in time and are cut off");
            self.serving.abort();
        }
    }
}

impl Drop for HttpDoor {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(
    listener: Option<TcpListener>,
    address: SocketAddr,
    app: Router,
    told: watch::Sender<Option<SocketAddr>>,
    stop: CancellationToken,
) {
    let listener = match listener {
        Some(listener) => listener,
        None => match stop.run_until_cancelled(bind_again(address)).await {
            Some(listener) => listener,
            None => return,
        },
    };
    let bound = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %bound, "serving the tools over http");
    told.send_replace(Some(bound));
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(address = %bound, %error, "the door over http has closed");
    }
    told.send_replace(None);
}

async fn bind_again(address: SocketAddr) -> TcpListener {
    loop {
        sleep(BIND_AGAIN).await;
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => tracing::debug!(%address, %error, "the address is not free yet"),
        }
    }
}

/// All paths, behind the guard.
fn router(guard: Guard, tools: Provider, stop: CancellationToken) -> Router {
    let standing = || Arc::new(Semaphore::new(MAX_STANDING));
    let shared = Shared { tools: tools.clone(), waits: standing(), streams: standing(), stop: stop.clone() };
    let waits = Arc::clone(&shared.waits);
    let api = Router::new()
        .route("/missions", post(missions::dispatch).get(missions::list))
        .route("/missions/{mission_id}", get(missions::get))
        .route("/missions/{mission_id}/wait", post(missions::wait))
        .route("/missions/{mission_id}/cancel", post(missions::cancel))
        .route("/missions/{mission_id}/artifacts", get(missions::artifacts))
        .route("/missions/{mission_id}/artifacts/{*path}", get(missions::artifact))
        .route("/route", post(missions::route))
        .route("/sessions/{session}/notices", get(notices::stream))
        .route("/sessions/{session}/notices/ack", post(notices::ack))
        .with_state(shared.clone());
    let mcp = Router::new()
        .route_service("/mcp", mcp(tools, waits, stop))
        .layer(middleware::from_fn(guard::needs_session));
    Router::new()
        .nest("/api/v1", api)
        .merge(mcp)
        .route("/openapi.json", get(openapi::serve))
        .route("/healthz", get(missions::health).with_state(shared))
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::admit))
}

/// Hosts and origins are the guard's business, which knows the configured names.
fn mcp(
    tools: Provider,
    waits: Arc<Semaphore>,
    stop: CancellationToken,
) -> StreamableHttpService<McpServer, Conversations> {
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_max_request_body_bytes(MAX_BODY_BYTES)
        .with_cancellation_token(stop);
    let mut local = LocalSessionManager::default();
    local.session_config.keep_alive = Some(MCP_SESSION);
    let conversations = Arc::new(Conversations::new(local));
    let server = move || Ok(McpServer::of_requests(tools.clone(), Arc::clone(&waits)));
    StreamableHttpService::new(server, conversations, config)
}
