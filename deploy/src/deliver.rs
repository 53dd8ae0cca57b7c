//! Notices into places: one engine, and a sink for each kind of target.
//!
//! The NOTICES stream is the truth. Each session and target has a durable consumer, which gives one notice at a time, in
//! order; it is acked after the target has accepted it. What is accepted and not acked, because something died in
//! between, comes again with the same notice id, by which a sink or its reader knows it.

mod dead;
mod engine;
mod http;
mod inbox;
mod run;
#[cfg(test)]
mod sample;
mod standing;
mod trouble;
mod webhook;

use std::fmt::Write as _;

use vp_shared::notice::Notice;

pub use dead::DeadLetters;
pub use engine::{Line, Place, Refusal, Sink, pump};
pub use http::{Poster, check_url};
pub use run::{Deliverers, sink_of};
pub use standing::TargetStanding;
pub use trouble::Trouble;

/// Several notices as one message: each with its id, so that one that comes again is recognised.
pub fn grouped(notices: &[Notice], more: u64) -> String {
    let mut text = match notices.len() {
        1 => "A notice of the VP lanes:".to_owned(),
        many => format!("{many} notices of the VP lanes, oldest first:"),
    };
    for notice in notices {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n\n[{}] {}", notice.notice_id, notice.text);
    }
    if more > 0 {
        let _ = write!(text, "\n\n{more} more wait: `vp notices` shows them.");
    }
    text
}
