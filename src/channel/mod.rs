//! Names and patterns: what a channel may be called, and which channels a pattern matches.
//!
//! - [`name`] says what a channel may be called;
//! - [`pattern`] reads the patterns of the configuration;
//! - [`matcher`] has the ways in which a pattern stands for names, and [`patterns`] finds all that stand for one;
//! - [`topic`] is what a subscription is to: a channel or a pattern.
//!
//! Pure functions of text. This part knows no dialect, no hub and no configuration.

pub mod matcher;
pub mod name;
pub mod pattern;
pub mod patterns;
pub mod topic;
