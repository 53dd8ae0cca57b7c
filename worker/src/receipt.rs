//! Receipt and sync marker: written whole, before the terminal event.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vp_nats::clock;
use vp_shared::artifact::{MissionResult, RECEIPT_FILE, SYNC_MARKER_FILE};
use vp_shared::event::EventBody;
use vp_shared::mission::{Command, Effect, decide};
use vp_shared::retry::RetryDelay;

use vp_nats::retry::Delays;

use crate::artifacts::hex;
use crate::executor::Attempted;
use crate::owner::Owned;
use crate::workspace::{Workspace, write_atomic};

/// How often a receipt is tried that cannot be written, with growing delays: about 15 s.
const TRIES: usize = 6;
const AGAIN: RetryDelay = RetryDelay { initial_ms: 500, multiplier: 2.0, max_ms: 8_000, jitter: 0.3 };

/// Writes both and names them in `result`. What cannot be written is named there by its absence: the event itself
/// holds the digests.
pub(crate) async fn write(
    own: &Owned<'_>,
    attempted: &Attempted,
    workspace: &Workspace,
    result: &mut MissionResult,
    requires_deliverable: bool,
) {
    let receipt = receipt(own, attempted, result, requires_deliverable);
    let receipt = pretty(&receipt);
    let marker = pretty(&json!({
        "version": 1,
        "ready": true,
        "mission_id": own.mission.mission_id,
        "vp_id": own.mission.vp_id,
        "attempt": own.mission.attempt,
        "worker_id": own.lane.shared.me.worker_id,
        "result_ref": result.result_ref,
        "receipt": RECEIPT_FILE,
        "receipt_sha256": hex(&Sha256::digest(&receipt)),
        "written_at": clock::now(),
    }));
    for delay in Delays::new(&AGAIN).take(TRIES) {
        let (work, receipt, marker) = (workspace.work(), receipt.clone(), marker.clone());
        let written = tokio::task::spawn_blocking(move || both(&work, &receipt, &marker)).await;
        let why = match written {
            Ok(Ok(())) => {
                result.receipt = Some(RECEIPT_FILE.to_owned());
                result.sync_marker = Some(SYNC_MARKER_FILE.to_owned());
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(
            mission_id = %own.mission.mission_id, vp_id = %own.mission.vp_id, attempt = own.mission.attempt, error = why,
            "the receipt cannot be written"
        );
        tokio::time::sleep(delay).await;
    }
}

/// The marker last: who sees it finds the receipt.
fn both(work: &Path, receipt: &[u8], marker: &[u8]) -> std::io::Result<()> {
    write_atomic(work, RECEIPT_FILE, receipt)?;
    write_atomic(work, SYNC_MARKER_FILE, marker)
}

fn receipt(
    own: &Owned<'_>,
    attempted: &Attempted,
    result: &MissionResult,
    requires_deliverable: bool,
) -> Value {
    let mission = &own.mission;
    let command =
        Command::Conclude { attempt: mission.attempt, result: result.clone(), requires_deliverable };
    // What the terminal event is going to say.
    let effects = decide(Some(mission), command, clock::now());
    let (status, failure) = match effects.first() {
        Some(Effect::Append { body: EventBody::Completed { .. }, .. }) => ("completed", None),
        Some(Effect::Append { body: EventBody::Failed { failure, .. }, .. }) => ("failed", Some(failure)),
        Some(Effect::Append { body: EventBody::Cancelled { .. }, .. }) => ("cancelled", None),
        _ => ("unknown", None),
    };
    json!({
        "version": 1,
        "mission_id": mission.mission_id,
        "vp_id": mission.vp_id,
        "attempt": mission.attempt,
        "status": status,
        "failure": failure,
        "mission_type": mission.spec.mission_type,
        "session_id": mission.source.session_id,
        "worker": own.lane.shared.me,
        "result_ref": result.result_ref,
        "summary": attempted.outcome.summary,
        "usage": attempted.outcome.usage,
        "created_at": mission.created_at,
        "started_at": mission.started_at,
        "written_at": clock::now(),
        "artifacts": result.artifacts,
        "artifacts_total": result.artifacts_total,
        "primary_total": result.primary_total,
    })
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}
