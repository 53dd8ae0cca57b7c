//! Hints about the missions in hand, one subscription per lane.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vp_nats::watch::MissionWatch;
use vp_shared::mission::EventKind;

use crate::held::HeldMissions;

/// What somebody else may write to a mission that runs here.
pub(crate) const KINDS: [EventKind; 4] =
    [EventKind::CancelRequested, EventKind::Cancelled, EventKind::Failed, EventKind::Started];

/// Passes hints on until `end`. A lost connection is made good by the look at every tail after a reconnect.
pub(crate) async fn follow(mut watch: MissionWatch, held: Arc<HeldMissions>, end: CancellationToken) {
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            hint = watch.next() => match hint {
                Some(subject) => held.hint(&subject),
                None => {
                    // The client has shut down; leases end by their own time.
                    end.cancelled().await;
                    return;
                }
            },
        }
    }
}
