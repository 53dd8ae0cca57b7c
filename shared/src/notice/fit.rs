//! A notice that is too large for a message, with less in it.

use super::{Notice, text};
use crate::text::cut;

/// What a text may have when the list of files was not enough to leave out, in bytes, one after the other.
const SHORTER: [usize; 3] = [4096, 1024, 256];

/// Where the rest is.
const REST: &str =
    "\nNote: too long for a notice; `vp_get_mission` and `vp_read_result_artifacts` have what is not here.";

impl Notice {
    /// This notice in at most `max` bytes of JSON: as it is, or without its list of files, or with its texts cut as well.
    /// Its counts, its receipt and where to ask for the rest stay. `None` when even so it does not fit.
    pub fn within(mut self, max: usize) -> Option<Self> {
        if self.fits(max) {
            return Some(self);
        }
        if !self.terminal && self.reason.is_none() {
            // It holds nothing that could be left out.
            return None;
        }
        if let Some(result) = &mut self.result {
            result.artifacts.clear();
        }
        for longest in std::iter::once(usize::MAX).chain(SHORTER) {
            self.cut_texts(longest);
            self.text = text(&self, None) + REST;
            if self.fits(max) {
                return Some(self);
            }
        }
        None
    }

    fn fits(&self, max: usize) -> bool {
        serde_json::to_vec(self).is_ok_and(|json| json.len() <= max)
    }

    fn cut_texts(&mut self, longest: usize) {
        let failure = self.failure.as_mut().map(|failure| &mut failure.message);
        for text in [self.summary.as_mut(), failure, self.reason.as_mut()].into_iter().flatten() {
            *text = cut(std::mem::take(text), longest);
        }
    }
}
