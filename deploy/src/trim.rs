//! Gives back what only the start needed.
//!
//! Half of the code that a worker has in memory when it begins to serve has read the command line and the configuration,
//! and never runs again.

use std::ffi::c_void;
use std::ops::Range;

use rustix::mm::{Advice, madvise};

/// Takes all code out of this process's memory. The kernel keeps it in its cache for as long as there is room, and what
/// runs again comes back from there, 16 pages at a time and within microseconds.
pub fn code_of_the_start() {
    let maps = match std::fs::read_to_string("/proc/self/maps") {
        Ok(maps) => maps,
        Err(error) => return tracing::debug!(%error, "code that only the start needed stays in memory"),
    };
    for code in code_in(&maps) {
        if let Err(error) = give_back(&code) {
            tracing::debug!(%error, ?code, "code that only the start needed stays in memory");
        }
    }
}

/// Where code of files is mapped, as the kernel lists it: `7f00-7fff r-xp 00000000 fe:00 123 /usr/bin/vp`.
fn code_in(maps: &str) -> impl Iterator<Item = Range<usize>> {
    maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (addresses, rights) = (fields.next()?, fields.next()?);
        let file = fields.nth(3)?;
        if rights != "r-xp" || !file.starts_with('/') {
            return None;
        }
        let (start, end) = addresses.split_once('-')?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    })
}

#[expect(unsafe_code, reason = "there is no safe way to say what of the address space is not needed")]
fn give_back(code: &Range<usize>) -> rustix::io::Result<()> {
    // SAFETY: the range is one mapping of a file, readable and executable and never writable, so that nobody has changed
    // its pages: the kernel reads the same bytes again when somebody runs or reads them.
    unsafe {
        madvise(
            std::ptr::with_exposed_provenance_mut::<c_void>(code.start),
            code.len(),
            Advice::LinuxDontNeed,
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_files_is_given_back() {
        let maps = "\
55d0-55d8 r--p 00000000 fe:00 10 /usr/bin/vp
55d8-55f0 r-xp 00008000 fe:00 10 /usr/bin/vp
55f0-55f1 r--p 00020000 fe:00 10 /usr/bin/vp
55f1-55f2 rw-p 00021000 fe:00 10 /usr/bin/vp
6000-6100 rw-p 00000000 00:00 0 [heap]
7000-7080 r-xp 00000000 fe:00 11 /usr/lib/a library.so
7100-7200 r-xp 00000000 00:00 0
7200-7300 rwxp 00000000 fe:00 12 /tmp/jit
7ffe-7fff r-xp 00000000 00:00 0 [vdso]
";
        assert_eq!(code_in(maps).collect::<Vec<_>>(), [0x55d8..0x55f0, 0x7000..0x7080]);
    }

    #[test]
    fn less_code_is_in_memory_and_what_runs_comes_back() {
        let before = resident_code_kib();
        code_of_the_start();
        let after = resident_code_kib();
        assert!(after < before, "{before} KiB before, {after} KiB after");
    }

    fn resident_code_kib() -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut of_code = false;
        let mut sum = 0;
        for line in smaps.lines() {
            if let Some(resident) = line.strip_prefix("Rss:") {
                let kib = resident.trim().strip_suffix(" kB").unwrap();
                sum += if of_code { kib.parse().unwrap() } else { 0 };
            } else if line.split(' ').next().is_some_and(|first| first.contains('-')) {
                of_code = code_in(line).next().is_some();
            }
        }
        sum
    }
}
