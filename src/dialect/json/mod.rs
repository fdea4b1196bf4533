//! `json.fanfare.v1`.
