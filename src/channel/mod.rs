//! Names and patterns: what a channel may be called, and which channels a pattern matches.
//!
//! Pure functions of text. This part knows no dialect, no hub and no configuration.

pub mod name;
pub mod pattern;
