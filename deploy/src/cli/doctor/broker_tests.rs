use vp_nats::health::Peer;

use super::super::Verdict;
use super::*;

fn stream(replicas: u64) -> StreamHealth {
    StreamHealth {
        name: MISSIONS.to_owned(),
        replicas,
        leader: Some("n1".to_owned()),
        peers: Vec::new(),
        version: Some("2.15.1".to_owned()),
        clock_ahead_ms: Some(3),
        clock_error_ms: 1,
    }
}

#[test]
fn one_copy_is_only_fine_where_it_is_known_to_be_synced() {
    assert_eq!(durability(1, Some(SyncMode::Always)).verdict, Verdict::Ok);
    assert_eq!(durability(1, Some(SyncMode::Deferred)).verdict, Verdict::Warning);
    let unknown = durability(1, None);
    assert_eq!(unknown.verdict, Verdict::Warning);
    assert!(
        unknown.found.contains("cannot be seen from here") && unknown.found.contains("sync_interval: always")
    );
    assert_eq!(durability(3, None).verdict, Verdict::Ok);
}

#[test]
fn even_missing_and_unwanted_copies_are_warned_of() {
    assert_eq!(copies(&[stream(3)], 3)[0].verdict, Verdict::Ok);
    let even = &copies(&[stream(2)], 3)[0];
    assert!(even.verdict == Verdict::Warning && even.found.contains("even"), "{even:?}");
    let fewer = &copies(&[stream(1)], 3)[0];
    assert!(fewer.verdict == Verdict::Warning && fewer.found.contains("--replicas 3"), "{fewer:?}");
    let mut lame = stream(3);
    lame.peers = vec![
        Peer { name: "n2".to_owned(), current: true, offline: false },
        Peer { name: "n3".to_owned(), current: false, offline: true },
    ];
    let found = copies(&[lame], 3);
    assert_eq!(found.len(), 1);
    assert!(found[0].found.contains("n3 is offline"), "{found:?}");
}

#[test]
fn a_clock_may_be_off_by_two_seconds_and_what_the_question_took() {
    let at = |ahead| clock(&StreamHealth { clock_ahead_ms: ahead, clock_error_ms: 500, ..stream(1) }).verdict;
    for fine in [-2_500, 0, 2_500] {
        assert_eq!(at(Some(fine)), Verdict::Ok, "{fine}");
    }
    for off in [i64::MIN, -2_501, 2_501, 86_400_000] {
        assert_eq!(at(Some(off)), Verdict::Warning, "{off}");
    }
    assert_eq!(at(None), Verdict::Warning);
}

#[test]
fn servers_of_two_versions_are_warned_of_by_name() {
    assert_eq!(versions("2.15.1", &[stream(3)]).verdict, Verdict::Ok);
    let mixed = versions("2.15.0", &[stream(3)]);
    assert_eq!(mixed.verdict, Verdict::Warning);
    assert!(mixed.found.contains("2.15.1 (n1)"), "{mixed:?}");
}

#[test]
fn a_limit_is_warned_of_when_four_fifths_are_used() {
    let used = AccountUse { storage: 79, max_storage: Some(100), consumers: 10, ..AccountUse::default() };
    assert_eq!(limits(&used, None)[0].verdict, Verdict::Ok);
    let full = AccountUse { storage: 80, ..used };
    assert_eq!(limits(&full, None)[0].verdict, Verdict::Warning);
    let few = AccountUse { max_consumers: Some(12), ..used };
    assert!(limits(&few, None)[0].found.contains("10 of 12 consumers"));
    // The managed server's limit counts where the account has none.
    let unlimited = AccountUse { max_storage: None, ..full };
    assert_eq!(limits(&unlimited, Some(90))[0].verdict, Verdict::Warning);
    assert!(limits(&unlimited, None)[0].found.contains("cannot be seen from here"));
    assert_eq!(payload(PAYLOAD_WANTED).verdict, Verdict::Ok);
    assert_eq!(payload(65_536).verdict, Verdict::Warning);
}
