//! The daemon's configuration: flags over environment over file over defaults.
