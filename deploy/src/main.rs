//! The vp binary.
fn main() {}
