//! What has changed, without a reload: a stream of server-sent events for a page.
//!
//! A page is looked at again when the ledger has moved and at least every few seconds, and what is sent is a part of the
//! page as it would be rendered now. A browser that comes back says which it had last, so it misses nothing.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::IntoResponse;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::desk::{Desk, hex};
use super::refused::Refused;
use crate::status::BridgeStatus;

/// The shortest time between two looks.
const AT_MOST_EVERY: Duration = Duration::from_millis(250);
/// The longest time between two looks.
const AT_LEAST_EVERY: Duration = Duration::from_secs(2);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// When to look again.
#[derive(Debug)]
pub(super) struct Looks {
    status: watch::Receiver<BridgeStatus>,
    last: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

impl Looks {
    /// # Errors
    /// [`Refused::Busy`] when too many pages are open.
    pub(super) fn new(desk: &Desk) -> Result<Self, Refused> {
        Ok(Self { status: desk.status(), last: None, _place: desk.live_place()? })
    }

    /// At once the first time; then when the bridge has moved, or some seconds have passed.
    pub(super) async fn next(&mut self) {
        if let Some(last) = self.last {
            sleep_until(last + AT_MOST_EVERY).await;
            tokio::select! {
                // A bridge that is gone ends the stream by its stop.
                changed = self.status.changed() => if changed.is_err() { std::future::pending().await },
                () = sleep_until(last + AT_LEAST_EVERY) => {}
            }
        }
        self.status.mark_unchanged();
        self.last = Some(Instant::now());
    }
}

/// Which text it is.
pub(super) fn mark(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}

/// An event of a stream. A carriage return would break its frame, and HTML does not need it.
pub(super) fn event(name: &str, id: &str, html: &str) -> Event {
    Event::default().event(name).id(id).data(html.replace('\r', ""))
}

/// Sends a part of a page, as `part`, whenever it has become another one than `seen`.
///
/// # Errors
/// [`Refused::Busy`] when too many pages are open.
pub(super) fn part<F>(
    desk: &Desk,
    seen: Option<String>,
    render: impl Fn(Desk) -> F + Send + Sync + 'static,
) -> Result<Response, Refused>
where
    F: Future<Output = Result<String, Refused>> + Send + 'static,
{
    let state = (Looks::new(desk)?, desk.clone(), seen.unwrap_or_default(), render);
    let parts = futures_util::stream::unfold(state, |(mut looks, desk, seen, render)| async move {
        loop {
            looks.next().await;
            // A ledger that is away for a moment is looked at again; the page says how old it is.
            let Ok(Ok(html)) = timeout(PATIENCE, render(desk.clone())).await else { continue };
            let now = mark(&html);
            if now != seen {
                return Some((event("part", &now, &html), (looks, desk, now, render)));
            }
        }
    });
    Ok(streamed(desk, parts))
}

/// A stream of events that ends with the bridge.
pub(super) fn streamed(desk: &Desk, events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = events.map(Ok::<_, Infallible>).take_until(desk.stop.clone().cancelled_owned());
    let quiet = KeepAlive::new().interval(Duration::from_secs(15));
    Sse::new(events).keep_alive(quiet).into_response()
}
