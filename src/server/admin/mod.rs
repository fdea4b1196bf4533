//! To look into the daemon and to look after it, by HTTP.
//!
//! `/readyz` is there for everybody, and the rest only by the listener of administration. What only the server as a whole knows or can do is
//! asked of it: the connection waits, and the turn answers once its work is done.

mod answers;
mod scrape;

use std::fmt;

use mio::Token;

use crate::http::{Request, Response, Status, Target};

/// How far the daemon is with its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does not accept yet.
    #[default]
    Starting,
    Ready,
    /// It accepts nobody any more, and sends its clients away.
    Draining,
    /// The same, and then it ends.
    Ending,
}

impl Standing {
    /// Whether new clients are welcome.
    pub(super) fn is_ready(self) -> bool {
        self == Standing::Ready
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Standing::Starting => "starting",
            Standing::Ready => "ready",
            Standing::Draining => "draining",
            Standing::Ending => "ending",
        })
    }
}

/// What is asked of the server as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `GET /metrics`.
    Metrics,
    /// `GET /config`.
    Config,
    /// `POST /reload`.
    Reload,
    /// `POST /drain`.
    Drain,
}

/// A resource of this part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    /// `GET /readyz`: whether new clients are welcome.
    Ready,
    Of(Wanted),
}

impl Resource {
    /// The one that a request is for, if it is for one. `is_admin`: it came by the listener of administration.
    pub(super) fn of(request: &Request<'_>, is_admin: bool) -> Option<Resource> {
        let Target::Resource { path, .. } = request.target else {
            return None;
        };
        Some(match path {
            "/readyz" => Resource::Ready,
            _ if !is_admin => return None,
            "/metrics" => Resource::Of(Wanted::Metrics),
            "/config" => Resource::Of(Wanted::Config),
            "/reload" => Resource::Of(Wanted::Reload),
            "/drain" => Resource::Of(Wanted::Drain),
            _ => return None,
        })
    }

    /// The methods that work on it, as `Allow` lists them.
    pub(super) fn allows(self) -> &'static str {
        match self {
            Resource::Ready | Resource::Of(Wanted::Metrics | Wanted::Config) => {
                "GET, HEAD, OPTIONS"
            }
            Resource::Of(Wanted::Reload | Wanted::Drain) => "POST, OPTIONS",
        }
    }
}

/// A request that waits for the end of the turn.
#[derive(Debug)]
struct Asked {
    connection: Token,
    wanted: Wanted,
    is_head: bool,
}

/// How things stand with the daemon, and what is asked of it. A connection asks for one thing at a time.
#[derive(Debug, Default)]
pub(super) struct Inside {
    pub(super) standing: Standing,
    asked: Vec<Asked>,
}

impl Inside {
    /// The answer to this will be told to a connection that waits for it.
    pub(super) fn ask(&mut self, connection: Token, wanted: Wanted, is_head: bool) {
        self.asked.push(Asked {
            connection,
            wanted,
            is_head,
        });
    }

    /// The answer to `GET /readyz`.
    pub(super) fn readiness(&self) -> Response {
        let status = match self.standing.is_ready() {
            true => Status::OK,
            false => Status::UNAVAILABLE,
        };
        Response::text(status, format!("{}\n", self.standing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::check_method;

    #[test]
    fn new_clients_are_welcome_only_where_the_daemon_is_ready() {
        for (standing, status) in [
            (Standing::Starting, 503),
            (Standing::Ready, 200),
            (Standing::Draining, 503),
            (Standing::Ending, 503),
        ] {
            let inside = Inside {
                standing,
                asked: Vec::new(),
            };
            let response = inside.readiness();
            assert_eq!(response.status().0, status, "{standing}");
            assert_eq!(response.body(), format!("{standing}\n").as_bytes());
        }
    }

    #[test]
    fn a_method_that_does_not_work_is_answered_with_those_that_do() {
        let check = |resource: Resource, method| check_method(resource.allows(), method, "/");
        let drain = Resource::Of(Wanted::Drain);
        assert!(check(drain, "POST").is_ok());
        let refused = check(drain, "GET").expect_err("it changes something");
        assert_eq!(refused.status().0, 405);
        assert!(check(Resource::Ready, "HEAD").is_ok());
        let options = check(Resource::Ready, "OPTIONS");
        assert_eq!(options.expect_err("it is answered").status().0, 200);
    }
}
