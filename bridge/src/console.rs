//! The console: the ledger and the lanes as pages, for people. Loopback by default; elsewhere with a token.
//!
//! - `desk`: what every page works with. `door`: who comes in, and what every answer carries.
//! - `sessions`, `feed`, `missions`, `mission`, `lanes`, `standing`: a page each. `login`, `assets`.
//! - `actions`: cancel and dispatch again, asked of the dispatcher over NATS. `lane_mode`: pause, drain, resume.
//! - `log`: what an executor says, asked of its worker. `files`: artifacts, read where the worker left them. `live`: what has changed, without a reload.
//! - `view`: times, sizes and outputs as they are shown. `refused`: what could not be shown, as a page.
//!
//! All text for people is in `templates/`. Every page works without a script; scripts only keep it up to date.

mod actions;
mod assets;
mod desk;
mod door;
mod feed;
mod files;
mod lane_mode;
mod lanes;
mod live;
mod log;
mod login;
mod mission;
mod missions;
mod refused;
mod sessions;
mod standing;
mod view;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vp_nats::retry::Delays;
use vp_shared::door::Guard;
use vp_shared::error::Chain;
use vp_shared::retry::RetryDelay;

use crate::status::StatusBoard;

pub(crate) use desk::{Desk, Shelf};

/// The largest form.
const MAX_FORM_BYTES: usize = 16 * 1024;
/// The longest wait between tries to listen at an address that another process has.
const AT_MOST: Duration = Duration::from_secs(5);

/// Where the console is served, and to whom.
#[derive(Debug, Clone)]
pub struct ConsoleConfig {
    /// The address; port 0 is any free one, which [`crate::BridgeStatus::console`] tells.
    pub listen: SocketAddr,
    /// Who may come in.
    pub guard: Guard,
    /// The host this is, as workers name it: artifacts that were left here can be read here.
    pub host: String,
}

/// Serves the pages.
#[derive(Debug)]
pub(crate) struct Console {
    pub(crate) listen: SocketAddr,
    pub(crate) desk: Desk,
    pub(crate) status: StatusBoard,
}

impl Console {
    /// Serves until `stop`. While another process has the address, tries again: it may be the console of the bridge
    /// that this one stands by for.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while let Some(Some(listener)) = stop.run_until_cancelled(self.listener()).await {
            let at = listener.local_addr().ok();
            self.status.update(|status| (status.console, status.console_error) = (at, None));
            tracing::info!(address = at.map(tracing::field::display), "serving the console");
            let served = axum::serve(listener, router(self.desk.clone()))
                .with_graceful_shutdown(stop.clone().cancelled_owned());
            let desk_stop = self.desk.clone();
            let served = tokio::select! {
                served = served => served,
                () = desk_stop.closed_late(&stop) => Ok(()),
            };
            if let Err(error) = served {
                tracing::error!(%error, "the console has ended, serving it again");
            }
        }
        self.status.update(|status| status.console = None);
    }

    async fn listener(&self) -> Option<TcpListener> {
        let mut delays = Delays::new(&RetryDelay::REQUEST);
        loop {
            match TcpListener::bind(self.listen).await {
                Ok(listener) => return Some(listener),
                Err(error) => {
                    let text = format!("could not serve the console at {}: {}", self.listen, Chain(&error));
                    self.status.update(|status| {
                        if status.console_error.is_none() {
                            tracing::warn!(error = text, "trying again; is another bridge's console there?");
                        }
                        status.console_error = Some(text);
                    });
                }
            }
            tokio::time::sleep(delays.next().unwrap_or(AT_MOST).min(AT_MOST)).await;
        }
    }
}

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::to("/sessions") }))
        .route("/sessions", get(sessions::page))
        .route("/feed", get(feed::page))
        .route("/feed/live", get(feed::live))
        .route("/missions", get(missions::page))
        .route("/missions/{mission_id}", get(mission::page))
        .route("/missions/{mission_id}/live", get(mission::live))
        .route("/missions/{mission_id}/file", get(files::download))
        .route("/missions/{mission_id}/image", get(files::image))
        .route("/missions/{mission_id}/text", get(files::text))
        .route("/missions/{mission_id}/cancel", get(actions::ask_cancel).post(actions::cancel))
        .route("/missions/{mission_id}/again", get(actions::ask_again).post(actions::again))
        .route("/lanes", get(lanes::page))
        .route("/lanes/live", get(lanes::live))
        .route("/lanes/{vp_id}/{act}", get(lane_mode::ask).post(lane_mode::set))
        .route("/ledger", get(standing::page))
        .route("/ledger/live", get(standing::live))
        .route("/login", get(login::page).post(login::login))
        .route("/logout", axum::routing::post(login::logout))
        .route("/assets/{name}", get(assets::asset))
        .fallback(refused::nowhere)
        .layer(axum::middleware::from_fn_with_state(desk.clone(), door::pass))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .with_state(desk)
}
