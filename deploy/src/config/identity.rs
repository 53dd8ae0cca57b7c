//! A worker's name, where the user gives none.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use vp_shared::ids::WorkerId;

/// The longest worker id, in bytes.
const MAX_ID: usize = 64;
/// The longest part that comes from the caller; the rest is the host's name.
const MAX_INSTANCE: usize = 40;

/// The name `<host>-<instance>` in the characters a worker id may have; the host's name is cut to fit.
///
/// Two processes must never have the same name, so `instance` must differ for each on a host. With neither a
/// letter nor a digit in both parts it is `worker`.
pub fn default_worker_id(host: &str, instance: &str) -> WorkerId {
    let instance = plain(instance, MAX_INSTANCE);
    // The domain says nothing on one's own network, and the suffix tells equal hosts apart.
    let host = plain(host.split('.').next().unwrap_or_default(), MAX_ID - 1 - instance.len());
    let parts = [host, instance];
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let name = if parts.is_empty() { "worker".to_owned() } else { parts.join("-") };
    WorkerId::new(name).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Lower-case letters, digits and single dashes between them.
fn plain(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(max);
    out.truncate(out.trim_end_matches('-').len());
    out
}

/// Six letters that stand for a path: the same on every machine and in every version (FNV-1a).
pub(super) fn short_hash(path: &Path) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold);
    let letter = |i: usize| LETTERS[usize::from(hash.to_be_bytes()[i + 2] % 32)];
    (0..6).map(|i| char::from(letter(i))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use super::{default_worker_id, short_hash};

    #[test]
    fn a_worker_is_named_after_its_host_and_instance() {
        for (host, instance, want) in [
            ("box", "k3x9", "box-k3x9"),
            ("Build_Host.example.org", "coder-k3x9", "build-host-coder-k3x9"),
            ("box", "", "box"),
            ("...", "k3x9", "k3x9"),
            ("-a--b-", "X", "a-b-x"),
            ("größe", "a", "gr-e-a"),
            ("", "*", "worker"),
        ] {
            assert_eq!(default_worker_id(host, instance).as_str(), want, "{host:?} {instance:?}");
        }
    }

    #[test]
    fn a_long_host_never_cuts_the_instance() {
        let id = default_worker_id(&"h".repeat(100), "coder-k3x9");
        assert_eq!(id.as_str().len(), 64);
        assert!(id.as_str().ends_with("h-coder-k3x9"), "{id}");
    }

    #[test]
    fn the_hash_of_a_path_is_the_same_for_ever() {
        // Pinned: with another hash every worker would have another name after an update.
        assert_eq!(short_hash(Path::new("/var/lib/vp")), "7jy5b2");
        assert_ne!(short_hash(Path::new("/var/lib/vp")), short_hash(Path::new("/var/lib/vq")));
    }
}
