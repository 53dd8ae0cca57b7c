//! Lines out of a stream of bytes, never more of one in memory than its limit.

/// The longest line that is kept whole; of a longer one the beginning.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// A line of output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// What was kept of it, without its end.
    pub(super) text: &'a [u8],
    /// How many bytes of it were dropped.
    pub(super) dropped: u64,
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    kept: Vec<u8>,
    dropped: u64,
    begun: bool,
}

impl Lines {
    /// Takes the next bytes and tells each line that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(Line<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.begun {
                self.keep(head);
                self.tell(&mut line);
            } else {
                // The usual case: a whole line in one piece is not copied.
                let kept = head.len().min(MAX_LINE);
                line(Line { text: trimmed(&head[..kept]), dropped: (head.len() - kept) as u64 });
            }
            bytes = rest;
        }
        if !bytes.is_empty() {
            self.keep(bytes);
        }
    }

    /// Tells what is left when the stream has ended.
    pub(super) fn end(&mut self, mut line: impl FnMut(Line<'_>)) {
        if self.begun {
            self.tell(&mut line);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.begun = true;
        let room = MAX_LINE.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.dropped += (bytes.len() - room) as u64;
    }

    fn tell(&mut self, line: &mut impl FnMut(Line<'_>)) {
        line(Line { text: trimmed(&self.kept), dropped: self.dropped });
        self.kept.clear();
        self.dropped = 0;
        self.begun = false;
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(Vec<u8>, u64)> {
        let mut all = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.feed(chunk, |line| all.push((line.text.to_vec(), line.dropped)));
            assert!(lines.kept.len() <= MAX_LINE);
        }
        lines.end(|line| all.push((line.text.to_vec(), line.dropped)));
        all
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let whole = b"one\ntwo\r\n\nlast";
        let want: Vec<(Vec<u8>, u64)> =
            [&b"one"[..], b"two", b"", b"last"].iter().map(|text| (text.to_vec(), 0)).collect();
        assert_eq!(lines(&[whole]), want);
        for cut in 0..whole.len() {
            assert_eq!(lines(&[&whole[..cut], &whole[cut..]]), want, "cut at {cut}");
        }
        assert_eq!(lines(&whole.chunks(1).collect::<Vec<_>>()), want);
    }

    #[test]
    fn ten_mebibytes_without_an_end_are_one_short_line() {
        let chunk = vec![b'x'; 8192];
        let chunks: Vec<&[u8]> = (0..1280).map(|_| &chunk[..]).chain([&b"\nnext\n"[..]]).collect();
        let got = lines(&chunks);
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].0.len(), got[0].1), (MAX_LINE, 10 * 1024 * 1024 - MAX_LINE as u64));
        assert_eq!(got[1], (b"next".to_vec(), 0));
        let one = [vec![b'y'; MAX_LINE + 5], b"\n".to_vec()].concat();
        assert_eq!(lines(&[&one])[0].1, 5);
    }
}
