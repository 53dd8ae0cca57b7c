//! Background duties with an owner: each is joined, and the death of one is told.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The parts of a bridge that run until told to stop.
#[derive(Debug, Clone)]
pub(crate) struct Duties {
    died: watch::Sender<Option<&'static str>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Duty {
    part: &'static str,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Duties {
    pub(crate) fn new() -> Self {
        Self { died: watch::Sender::new(None) }
    }

    /// Runs `work`, which ends when its token is cancelled. An end before that, or a panic, is a death.
    pub(crate) fn start<F>(&self, part: &'static str, work: impl FnOnce(CancellationToken) -> F) -> Duty
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let (died, told) = (self.died.clone(), stop.clone());
        let work = AssertUnwindSafe(work(stop.clone())).catch_unwind();
        let task = tokio::spawn(async move {
            let ended = work.await;
            if ended.is_err() || !told.is_cancelled() {
                tracing::error!(part, panicked = ended.is_err(), "a part of the bridge has ended by itself");
                died.send_if_modified(|first| {
                    let news = first.is_none();
                    first.get_or_insert(part);
                    news
                });
            }
        });
        Duty { part, stop, task }
    }

    /// Ends when a duty has died, with its name.
    pub(crate) fn died(&self) -> impl Future<Output = &'static str> + Send + use<> {
        let mut died = self.died.subscribe();
        async move {
            let first = died.wait_for(Option::is_some).await.map(|part| *part);
            match first {
                Ok(Some(part)) => part,
                // The bridge was stopped: nothing can die any more.
                _ => std::future::pending().await,
            }
        }
    }
}

impl Duty {
    /// Tells it to stop and waits until it has, at most `patience`; then it is ended where it stands.
    pub(crate) async fn stop(mut self, patience: Duration) {
        self.stop.cancel();
        if timeout(patience, &mut self.task).await.is_err() {
            tracing::warn!(
                part = self.part,
                seconds = patience.as_secs(),
                "ended a part of the bridge that did not stop"
            );
            self.task.abort();
        }
    }
}

impl Drop for Duty {
    /// A dropped bridge stops as a crash would: its transactions are whole or not there.
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn an_end_that_nobody_asked_for_is_told() {
        let duties = Duties::new();
        let died = duties.died();
        let _stays = duties.start("stays", |stop| async move { stop.cancelled().await });
        let _ends = duties.start("ends", |_| async {});
        assert_eq!(timeout(PATIENCE, died).await.unwrap(), "ends");
        assert_eq!(timeout(PATIENCE, duties.died()).await.unwrap(), "ends", "and to who asks later");
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        let duties = Duties::new();
        let _breaks = duties.start("breaks", |_| async { panic!("a fault") });
        assert_eq!(timeout(PATIENCE, duties.died()).await.unwrap(), "breaks");
    }

    #[tokio::test]
    async fn a_stop_is_no_death() {
        let duties = Duties::new();
        let duty = duties.start("stopped", |stop| async move { stop.cancelled().await });
        duty.stop(PATIENCE).await;
        assert!(duties.died().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_does_not_stop_is_ended() {
        let duties = Duties::new();
        let duty = duties.start("stubborn", |_| std::future::pending());
        timeout(PATIENCE, duty.stop(Duration::from_millis(10))).await.unwrap();
    }
}
