use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_nats::{Client, ClientError, Event, ServerError, Statistics};
use tokio::sync::watch;
use tokio::time::Instant;

/// Reconnect delays double from the first to the last.
const DELAY_MIN: Duration = Duration::from_millis(50);
const DELAY_MAX: Duration = Duration::from_secs(2);

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionState {
    /// Whether it is usable now.
    pub connected: bool,
    /// How often it has been connected: 1 after the first connect, +1 at each reconnect.
    pub generation: u64,
    /// Whether it was drained or given up; it will not come back.
    pub closed: bool,
    /// Since when the present connection stands, or the last one stood.
    pub since: Option<Instant>,
}

/// One connection's events: to the log and to the watchers of its state.
///
/// It holds the client's counters but no client, which would keep the connection open for ever.
#[derive(Debug)]
pub(super) struct Link {
    url: String,
    state: watch::Sender<ConnectionState>,
    counters: OnceLock<Arc<Statistics>>,
    refusal: Mutex<Option<String>>,
}

impl Link {
    pub(super) fn new(url: String) -> (Arc<Self>, watch::Receiver<ConnectionState>) {
        let (state, watcher) = watch::channel(ConnectionState::default());
        let link = Self { url, state, counters: OnceLock::new(), refusal: Mutex::new(None) };
        (Arc::new(link), watcher)
    }

    /// Called once after the first connect.
    pub(super) fn established(&self, client: &Client) {
        let counters = self.counters.get_or_init(|| client.statistics());
        let generation = counters.connects.load(Ordering::Relaxed);
        self.state.send_if_modified(|state| advance(state, generation));
    }

    /// The last thing the server refused on this connection.
    pub(super) fn last_refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn on_event(&self, event: &Event) {
        self.track(event);
        let url = &self.url;
        match event {
            Event::Connected => {
                tracing::info!(%url, generation = self.state.borrow().generation, "connected to NATS");
            }
            Event::Disconnected => tracing::warn!(%url, "disconnected from NATS, reconnecting"),
            Event::LameDuckMode => tracing::warn!(%url, "the NATS server is about to stop"),
            Event::Draining => tracing::debug!(%url, "draining the NATS connection"),
            Event::Closed => tracing::info!(%url, "NATS connection closed"),
            Event::SlowConsumer(subscription)
            | Event::ServerError(ServerError::SlowConsumer(subscription)) => {
                tracing::warn!(%url, subscription, "messages dropped: a subscription is read too slowly");
            }
            Event::ServerError(error) => self.on_server_error(error),
            // The client tells each failed reconnect attempt in this way.
            Event::ClientError(ClientError::Other(error)) => {
                tracing::debug!(%url, error, "NATS client error");
            }
            Event::ClientError(error) => tracing::warn!(%url, %error, "NATS client error"),
        }
    }

    fn on_server_error(&self, error: &ServerError) {
        let (url, text) = (&self.url, error.to_string());
        if let Some((action, subject)) = violation(&text) {
            tracing::warn!(%url, action, subject, "the NATS server denies a permission");
        } else {
            tracing::warn!(%url, error = text, "the NATS server reports an error");
        }
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// Updates the state. Events can be lost in a flood, so the generation comes from the client's counter.
    fn track(&self, event: &Event) {
        let Some(counters) = self.counters.get() else {
            return;
        };
        let generation = counters.connects.load(Ordering::Relaxed);
        self.state.send_if_modified(|state| {
            let before = *state;
            advance(state, generation);
            match event {
                Event::Connected => state.connected = true,
                Event::Disconnected => state.connected = false,
                Event::Closed => (state.connected, state.closed) = (false, true),
                _ => {}
            }
            *state != before
        });
    }

    /// The wait before a connection attempt: none at the first connect, then jittered and growing.
    pub(super) fn delay(&self, attempts: usize) -> Duration {
        if self.state.borrow().generation == 0 {
            return Duration::ZERO;
        }
        jittered(ceiling(attempts), rand::random())
    }
}

/// A connect that is newer than the one known of means connected.
fn advance(state: &mut ConnectionState, generation: u64) -> bool {
    let newer = generation > state.generation;
    if newer {
        (state.generation, state.connected, state.since) = (generation, true, Some(Instant::now()));
    }
    newer
}

fn ceiling(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    DELAY_MIN.saturating_mul(1 << doublings).min(DELAY_MAX)
}

/// Between half of the ceiling and all of it, so that many clients do not return in one instant.
fn jittered(ceiling: Duration, random: u32) -> Duration {
    let half = ceiling / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Takes (action, subject) out of `Permissions Violation for Publish to "a.b"`.
fn violation(text: &str) -> Option<(&str, &str)> {
    let rest = &text[text.find("ermissions Violation for ")? + "ermissions Violation for ".len()..];
    let action = rest.split_whitespace().next()?;
    let subject = rest.split('"').nth(1)?;
    Some((action, subject))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use super::{ConnectionState, DELAY_MAX, advance, ceiling, jittered, violation};

    #[test]
    fn reconnect_delays_grow_from_50_ms_to_2_s_and_no_further() {
        let millis: Vec<u128> = (1..=8).map(|n| ceiling(n).as_millis()).collect();
        assert_eq!(millis, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(ceiling(0), Duration::from_millis(50));
        assert_eq!(ceiling(usize::MAX), DELAY_MAX);
    }

    #[test]
    fn jitter_stays_in_the_upper_half() {
        for random in [0, 1, u32::MAX / 2, u32::MAX] {
            let delay = jittered(DELAY_MAX, random);
            assert!((DELAY_MAX / 2..=DELAY_MAX).contains(&delay), "{delay:?}");
        }
    }

    #[test]
    fn a_newer_generation_means_connected_and_an_old_one_changes_nothing() {
        let mut state = ConnectionState { generation: 2, ..ConnectionState::default() };
        assert!(!advance(&mut state, 2));
        assert!(!state.connected);
        assert!(advance(&mut state, 4));
        assert!(state.connected && state.generation == 4 && !state.closed && state.since.is_some());
    }

    #[test]
    fn a_permission_violation_gives_action_and_subject() {
        assert_eq!(violation("nats: Permissions Violation for Publish to \"a.b\""), Some(("Publish", "a.b")));
        assert_eq!(
            violation("nats: Permissions Violation for Subscription to \"a.>\" using queue \"q\""),
            Some(("Subscription", "a.>"))
        );
        assert_eq!(violation("nats: maximum connections exceeded"), None);
        assert_eq!(violation("Permissions Violation for Publish"), None);
    }
}
