//! How a connection to the server in memory ends.

/// Where a connection is cut, and what happens then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cut {
    /// After so many bytes from the server.
    pub(super) after_read: Option<usize>,
    /// After so many bytes from the client.
    pub(super) after_written: Option<usize>,
    /// The client's writes go on to succeed: the system takes what nobody will read.
    pub(super) writes_vanish: bool,
    /// The end shows as a reset.
    pub(super) reset: bool,
    /// How many tries to connect are refused afterwards.
    pub(super) refusals: u8,
    /// The server begins anew.
    pub(super) restart: bool,
    /// The connection is to an older server, which has none of the features.
    pub(super) older: bool,
}
