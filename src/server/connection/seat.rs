//! What a connection may do, by where there was room for it.

use crate::config::Config;
use crate::http::{Request, Resource, Response, Route, Site, is_health_check, route};
use crate::limit::Limit;

/// How long the head of a request may take beyond the limit.
const PATIENCE_MS: Limit = Limit::of(2_000);

/// When a client that was turned away may try again, in seconds.
const RETRY_AFTER_S: u32 = 5;

/// What a connection may do, by where there was room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Seat {
    /// It counts against `--max-connections` and may do everything.
    Regular,
    /// It came from this machine and may make one HTTP request.
    Reserve,
    /// It may ask `/healthz` once.
    Lobby,
}

impl Seat {
    /// How long the head of a request may take.
    pub(in crate::server) fn head_timeout_ms(self, config: &Config) -> Limit {
        match self {
            Seat::Regular => config.handshake_timeout_ms,
            Seat::Reserve | Seat::Lobby => config.handshake_timeout_ms.min(PATIENCE_MS),
        }
    }

    /// Whether more requests may follow the first.
    pub(super) fn keeps_alive(self) -> bool {
        self == Seat::Regular
    }

    /// What to do about a request, or nothing where this seat is not for it.
    pub(super) fn route<'a>(self, request: &Request<'a>, site: &Site) -> Option<Route<'a>> {
        let route = route(request, site);
        let is_served = match self {
            Seat::Regular => true,
            Seat::Reserve => !stays(&route),
            Seat::Lobby => is_health_check(request),
        };
        is_served.then_some(route)
    }
}

/// Whether what is asked for keeps its connection for as long as the client likes.
fn stays(route: &Route<'_>) -> bool {
    use Resource::{Events, PatternEvents};
    matches!(
        route,
        Route::WebSocket(_) | Route::Ask(Events(_) | PatternEvents(_), ..)
    )
}

/// The answer to a request that there is no seat for.
pub(super) fn full() -> Response {
    Response::too_many_connections(RETRY_AFTER_S)
}
