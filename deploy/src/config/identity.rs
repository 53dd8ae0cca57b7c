//! A worker's name, where the user gives none.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use vp_shared::ids::{BadId, WorkerId};

/// The longest worker id, in bytes.
const MAX_ID: usize = 64;
/// The longest part that comes from the caller; the rest is the host's name.
const MAX_INSTANCE: usize = 40;
/// The file with the suffix.
const SUFFIX_FILE: &str = "worker-suffix";
const SUFFIX_LENGTH: usize = 6;

/// The name `<host>-<instance>` in the characters a worker id may have; the host's name is cut to fit.
///
/// Two processes must never have the same name, so `instance` must differ for each on a host, such as by
/// [`kept_suffix`] and the lane.
///
/// # Errors
/// If neither part has a letter or digit.
pub fn default_worker_id(host: &str, instance: &str) -> Result<WorkerId, BadId> {
    let instance = plain(instance, MAX_INSTANCE);
    // The domain says nothing on one's own network, and the suffix tells equal hosts apart.
    let host = plain(host.split('.').next().unwrap_or_default(), MAX_ID - 1 - instance.len());
    let parts = [host, instance];
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    WorkerId::new(parts.join("-"))
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

/// A random suffix of six characters, made at the first call and the same for this `data_dir` ever after.
///
/// Two processes that start at once get the same one. A crash leaves it unmade or whole.
///
/// # Errors
/// If `data_dir` cannot be made, read or written.
pub fn kept_suffix(data_dir: &Path) -> io::Result<String> {
    let path = data_dir.join(SUFFIX_FILE);
    if let Some(kept) = read_suffix(&path)? {
        return Ok(kept);
    }
    fs::create_dir_all(data_dir)?;
    let suffix = random_suffix()?;
    let draft = data_dir.join(format!("{SUFFIX_FILE}.{suffix}"));
    fs::write(&draft, &suffix)?;
    // Unlike a rename, a link fails where another process was first.
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    read_suffix(&path)?.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`{}` should hold {SUFFIX_LENGTH} letters and digits; remove it", path.display()),
        )
    })
}

/// The suffix in the file; `None` if there is no file or not a suffix in it.
fn read_suffix(path: &Path) -> io::Result<Option<String>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = text.trim();
    let fine = text.len() == SUFFIX_LENGTH
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    Ok(fine.then(|| text.to_owned()))
}

fn random_suffix() -> io::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0_u8; SUFFIX_LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::{default_worker_id, kept_suffix};

    #[test]
    fn a_worker_is_named_after_its_host_and_instance() {
        for (host, instance, want) in [
            ("box", "k3x9", "box-k3x9"),
            ("Build_Host.example.org", "coder-k3x9", "build-host-coder-k3x9"),
            ("box", "", "box"),
            ("...", "k3x9", "k3x9"),
            ("-a--b-", "X", "a-b-x"),
            ("größe", "a", "gr-e-a"),
        ] {
            assert_eq!(default_worker_id(host, instance).unwrap().as_str(), want, "{host:?} {instance:?}");
        }
        assert!(default_worker_id("", "").is_err());
    }

    #[test]
    fn a_long_host_never_cuts_the_instance() {
        let id = default_worker_id(&"h".repeat(100), "coder-k3x9").unwrap();
        assert_eq!(id.as_str().len(), 64);
        assert!(id.as_str().ends_with("h-coder-k3x9"), "{id}");
    }

    #[test]
    fn the_suffix_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("not/yet");
        let first = kept_suffix(&below).unwrap();
        assert_eq!(kept_suffix(&below).unwrap(), first);
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1, "a draft was left behind");
        assert_ne!(kept_suffix(dir.path()).unwrap(), first);
    }

    #[test]
    fn a_damaged_suffix_is_refused_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("worker-suffix"), "../x").unwrap();
        let error = kept_suffix(dir.path()).unwrap_err().to_string();
        assert!(error.contains("worker-suffix") && error.contains("remove it"), "{error}");
    }
}
