//! The door over HTTP.
