//! The words, rules and decisions of the mission queue, with no I/O.
