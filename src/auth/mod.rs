//! The identity of a client, and what it may do. Pure decisions: no sockets, no clock, no files but keys.
//!
//! - [`blocked`]: of whom older tokens are refused.
//! - [`forwarded`]: the client behind a proxy.
//! - [`passwords`]: names with passwords, as an htpasswd file has them.
//! - [`presented`]: what a request presents to show who sent it.
//! - [`token`]: whether a token holds, and what it says.
//! - [`identity`]: what a client is known as, and by which means that was shown.
//! - [`origin`]: which pages may use the daemon, and by which names it may be asked for.
//! - [`rates`]: how often somebody may do something.
//! - [`rules`]: what the configuration grants to whom, and the [`Rights`](rules::Rights) of one client that follow.

pub mod blocked;
pub mod forwarded;
pub mod glob;
pub mod identity;
pub mod origin;
pub mod passwords;
pub mod presented;
pub mod rates;
pub mod rules;
pub(crate) mod snapshot;
pub mod token;
