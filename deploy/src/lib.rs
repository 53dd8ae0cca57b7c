//! The vp binary: configuration, supervision and the command line.
