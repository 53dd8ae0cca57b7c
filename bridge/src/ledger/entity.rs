//! The ledger's tables, one entity each. Times are microseconds since 1970 in `*_us`; a `pos` is a
//! [`super::Place`] as one number.

#![allow(unreachable_pub, missing_docs, reason = "sea-orm's derives make public items without docs")]

pub mod anomaly;
pub mod artifact;
pub mod attempt;
pub mod cursor;
pub mod event;
pub mod mission;
pub mod notice;
pub mod outbox;
