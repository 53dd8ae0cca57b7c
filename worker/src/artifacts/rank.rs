//! Which artifacts are listed when there are too many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use vp_shared::artifact::Category;

use super::LISTED;

/// A file that may be listed. The least is the best: declared before found, primary before supporting, near the
/// top before deep, new before old.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    order: usize,
    pub(super) category: Category,
    depth: usize,
    changed: Reverse<i64>,
    pub(super) path: String,
}

impl Candidate {
    pub(super) fn new(order: usize, category: Category, path: &str, metadata: &Metadata) -> Self {
        Self {
            order,
            category,
            depth: path.matches('/').count(),
            changed: Reverse(metadata.mtime()),
            path: path.to_owned(),
        }
    }
}

/// The best so far, never more than are listed.
#[derive(Debug, Default)]
pub(super) struct Best(BinaryHeap<Candidate>);

impl Best {
    pub(super) fn offer(&mut self, candidate: Candidate) {
        if self.0.len() < LISTED {
            self.0.push(candidate);
        } else if let Some(mut worst) = self.0.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    pub(super) fn in_order(self) -> Vec<Candidate> {
        self.0.into_sorted_vec()
    }
}
