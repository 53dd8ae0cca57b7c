//! What runs an attempt, and how its end is told.

pub(crate) mod command;
mod listen;
mod logs;
pub(crate) mod noop;
mod outcome;
mod output;
mod protocol;
mod redact;

use serde::{Deserialize, Serialize};
use vp_shared::artifact::Category;
use vp_shared::event::Outcome;

use crate::held::Stop;
use crate::keeper::Link;
use crate::workspace::Workspace;

/// What became of an executor.
#[derive(Debug)]
pub(crate) enum Executed {
    /// It has ended, or was stopped for a reason that ends the attempt.
    Ended(Attempted),
    /// It was stopped to be given back, or because it is no longer ours.
    Stopped(Stop),
}

/// An attempt whose executor has ended.
#[derive(Debug)]
pub(crate) struct Attempted {
    /// How.
    pub(crate) outcome: Outcome,
    /// Where its files are.
    pub(crate) workspace: Option<Workspace>,
    /// What it declared to be its products, in order.
    pub(crate) declared: Vec<Declared>,
    /// It said why there is no product.
    pub(crate) no_deliverable: bool,
    /// Who gives the mission back if this process dies before it is concluded.
    pub(crate) keeper: Option<Link>,
}

/// A file that the executor declared to be a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared {
    /// Where it says it is, relative to the workspace.
    pub(crate) path: String,
    /// What it says it is.
    pub(crate) category: Category,
}

impl Attempted {
    /// An attempt that has no files.
    pub(crate) fn without_workspace(outcome: Outcome) -> Self {
        Self { outcome, workspace: None, declared: Vec::new(), no_deliverable: false, keeper: None }
    }

    /// Saves what is not in the log, for a finaliser in a later life. A failure costs the declarations, not the end.
    pub(crate) async fn save(&self) {
        if let Some(workspace) = &self.workspace {
            workspace.save(&self.declared, self.no_deliverable).await;
        }
    }

    /// Lets the keeper go: the attempt is concluded, or is another's to conclude.
    pub(crate) async fn release_keeper(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.finish(true).await;
        }
    }
}
