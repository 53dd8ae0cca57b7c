//! The server: what an acknowledged write has survived, copies, clock, versions, limits.

use std::collections::{BTreeMap, BTreeSet};

use vp_nats::connect::Connection;
use vp_nats::health::{self, AccountUse, StreamHealth};
use vp_nats::server::SyncMode;
use vp_nats::topology::{LANES, MISSIONS, NOTICES, PROGRESS, WORKERS};
use vp_shared::error::Chain;

use super::Finding;
use crate::config::Settings;

/// A clock that is further off than this makes deadlines, timers and retries early or late.
const CLOCK_OFF_MS: i64 = 2_000;
/// What a message may need: an objective with its inputs, or a result with its artifacts.
const PAYLOAD_WANTED: usize = 1024 * 1024;
/// From here on a limit is nearly reached, in percent.
const NEARLY: u64 = 80;

pub(super) async fn look(conn: &Connection, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut streams = Vec::new();
    for name in [MISSIONS, NOTICES, PROGRESS, &format!("KV_{WORKERS}"), &format!("KV_{LANES}")] {
        match health::stream(conn, name).await {
            Ok(Some(health)) => streams.push(health),
            Ok(None) => {
                let found = format!("{name} does not exist: run `vp up`, or `vp lanes --apply`");
                findings.push(Finding::failed("streams", found));
            }
            Err(error) => findings.push(Finding::failed("streams", Chain(&error).to_string())),
        }
    }
    let managed = settings.is_managed().then(|| settings.server_config());
    let missions = streams.iter().find(|health| health.name == MISSIONS);
    if let Some(missions) = missions {
        findings.push(durability(missions.replicas, managed.as_ref().map(|config| config.sync)));
    }
    findings.extend(copies(&streams, settings.nats.replicas));
    findings.extend(missions.map(clock));
    findings.push(versions(&conn.server_version().to_string(), &streams));
    match health::account(conn).await {
        Ok(used) => {
            findings.extend(limits(&used, managed.as_ref().map(|config| config.max_file_store_bytes)));
        }
        Err(error) => findings.push(Finding::failed("limits", Chain(&error).to_string())),
    }
    findings.push(payload(health::max_payload(conn)));
    findings
}

fn durability(replicas: u64, managed: Option<SyncMode>) -> Finding {
    const CHECK: &str = "durability";
    match managed {
        Some(SyncMode::Always) => Finding::ok(CHECK, "every acked write is on disk (sync always)"),
        Some(SyncMode::Deferred) => Finding::warning(
            CHECK,
            "flush deferred: a power cut can lose the last acked writes; set `server.sync = \"always\"`",
        ),
        None if replicas >= 3 => Finding::ok(
            CHECK,
            format!(
                "{replicas} copies: an acked write is on most of them; each server's sync cannot be seen from here"
            ),
        ),
        None => Finding::warning(
            CHECK,
            "one copy on an existing server, whose sync cannot be seen from here: see that it has \
             `sync_interval: always` in its `jetstream` block, or set `nats.replicas = 3`",
        ),
    }
}

fn copies(streams: &[StreamHealth], wanted: usize) -> Vec<Finding> {
    const CHECK: &str = "copies";
    let mut findings = Vec::new();
    for stream in streams {
        let (name, replicas) = (&stream.name, stream.replicas);
        if replicas % 2 == 0 {
            let found = format!(
                "{name} has {replicas} copies: an even number survives no more dead servers than one less and waits \
                 for more; run `nats stream edit {name} --replicas {}`",
                if replicas < 4 { 3 } else { 5 }
            );
            findings.push(Finding::warning(CHECK, found));
        } else if replicas != wanted as u64 {
            let found = format!(
                "{name} has {replicas} copies and `nats.replicas` is {wanted}: set it to {replicas}, or run \
                 `nats stream edit {name} --replicas {wanted}`"
            );
            findings.push(Finding::warning(CHECK, found));
        }
        for peer in stream.peers.iter().filter(|peer| peer.offline || !peer.current) {
            let how = if peer.offline { "is offline" } else { "is behind" };
            let found = format!(
                "{name}: the copy on {} {how}; another loss may stop all writes, so look at it",
                peer.name
            );
            findings.push(Finding::warning(CHECK, found));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{wanted} of each stream, all there")));
    }
    findings
}

fn clock(missions: &StreamHealth) -> Finding {
    const CHECK: &str = "clock";
    let Some(ahead) = missions.clock_ahead_ms else {
        return Finding::warning(CHECK, "the server did not tell its time: compare the clocks by hand");
    };
    let said =
        format!("the server's is {ahead} ms ahead of this host's, give or take {}", missions.clock_error_ms);
    if ahead.saturating_abs() > CLOCK_OFF_MS.saturating_add(missions.clock_error_ms) {
        let found = format!("{said}: timers, deadlines and retries are off by that; run NTP on both");
        return Finding::warning(CHECK, found);
    }
    Finding::ok(CHECK, said)
}

fn versions(connected: &str, streams: &[StreamHealth]) -> Finding {
    const CHECK: &str = "server versions";
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    seen.entry(connected).or_default().insert("the one connected to");
    for stream in streams {
        if let Some(version) = &stream.version {
            seen.entry(version)
                .or_default()
                .insert(stream.leader.as_deref().unwrap_or("the one connected to"));
        }
    }
    let said: Vec<_> = seen
        .iter()
        .map(|(version, servers)| {
            format!("{version} ({})", servers.iter().copied().collect::<Vec<_>>().join(", "))
        })
        .collect();
    if seen.len() > 1 {
        let found = format!("{}: bring all servers of the cluster to one version", said.join(", "));
        return Finding::warning(CHECK, found);
    }
    Finding::ok(CHECK, said.join(", "))
}

fn limits(used: &AccountUse, managed_files: Option<u64>) -> Vec<Finding> {
    const CHECK: &str = "limits";
    let storage = used.max_storage.or(managed_files);
    let rows = [
        (
            "bytes of file storage",
            used.storage,
            storage,
            "raise it (`server.max_file_store_mib`, or the account's)",
        ),
        ("bytes of memory storage", used.memory, used.max_memory, "raise the account's limit"),
        ("streams", used.streams, used.max_streams, "raise the account's limit"),
        ("consumers", used.consumers, used.max_consumers, "raise the account's limit; each lane needs four"),
    ];
    let mut findings: Vec<_> = rows
        .into_iter()
        .filter_map(|(what, used, limit, advice)| {
            let limit = limit?;
            let nearly = u128::from(used) * 100 >= u128::from(limit) * u128::from(NEARLY);
            nearly.then(|| {
                let found =
                    format!("{used} of {limit} {what}: at the limit every dispatch is refused; {advice}");
                Finding::warning(CHECK, found)
            })
        })
        .collect();
    if findings.is_empty() {
        let found = match storage {
            Some(limit) => format!("{} of {limit} bytes of file storage", used.storage),
            None => format!(
                "{} bytes of file storage; the server's own limit cannot be seen from here",
                used.storage
            ),
        };
        findings.push(Finding::ok(CHECK, found));
    }
    findings
}

fn payload(max_payload: usize) -> Finding {
    const CHECK: &str = "largest message";
    if max_payload < PAYLOAD_WANTED {
        let found = format!(
            "{max_payload} bytes: long objectives, inputs or results are refused; set `max_payload` of the server to \
             {PAYLOAD_WANTED}"
        );
        return Finding::warning(CHECK, found);
    }
    Finding::ok(CHECK, format!("{max_payload} bytes"))
}

#[cfg(test)]
#[path = "broker_tests.rs"]
mod tests;
