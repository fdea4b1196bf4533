//! Keys that are fetched, when, and what is said about it.
