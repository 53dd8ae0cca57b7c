//! The wish to stop: SIGINT or SIGTERM once, and a second time to hurry.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled at the first signal.
pub fn token() -> CancellationToken {
    signals().0.clone()
}

/// Cancelled at the second signal.
pub fn hurry() -> CancellationToken {
    signals().1.clone()
}

fn signals() -> &'static (CancellationToken, CancellationToken) {
    static SIGNALS: OnceLock<(CancellationToken, CancellationToken)> = OnceLock::new();
    SIGNALS.get_or_init(|| {
        let tokens = (CancellationToken::new(), CancellationToken::new());
        let count = Arc::new(AtomicU32::new(0));
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let (first, second) = tokens.clone();
            let count = count.clone();
            match signal(kind) {
                Ok(mut stream) => {
                    tokio::spawn(async move {
                        while stream.recv().await.is_some() {
                            let token =
                                if count.fetch_add(1, Ordering::Relaxed) == 0 { &first } else { &second };
                            token.cancel();
                        }
                    });
                }
                Err(error) => tracing::error!(%error, "cannot listen for signals: stop it with SIGKILL"),
            }
        }
        tokens
    })
}
