//! `GET /`: what this is and how to talk to it, as HTML for browsers and as plain text for `curl`.

use super::{ContentType, Request, Response, Site, Status, fields};

const HTML: &str = include_str!("page.html");
const TEXT: &str = include_str!("page.txt");

/// Shown where the request does not say what the server is called: HTTP/1.0 without `Host`.
const FALLBACK_HOST: &str = "localhost:8040";

/// What the page may do in a browser: show itself, with exactly the style sheet and the script it brings. `connect-src` is for the
/// reader: the console obeys the page's policy, and the page says to open a WebSocket there.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-DvfMRXomxTM1SJmyIaD3s/f26RXEIpCAcEv+EYMuR8E='; \
    script-src 'sha256-bF2L0jkUPUI904q8MgLGCMk5LIAc30u20Rk9xim/QBY='; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, made out to the host that the request was sent to, as far as that is known here. In a browser its script
/// writes what the address bar says: a proxy may have taken another name, port or path for it.
pub(super) fn page(request: &Request<'_>, site: &Site) -> Response {
    // Checked by the request parser to hold nothing that means something to HTML, a shell or JavaScript.
    let host = request.host.unwrap_or(FALLBACK_HOST);
    let (http, ws) = if site.secure {
        ("https", "wss")
    } else {
        ("http", "ws")
    };
    let fill = |template: &str| {
        template
            .replace("{{http}}", &format!("{http}://{host}"))
            .replace("{{ws}}", &format!("{ws}://{host}"))
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
            .into_bytes()
    };
    let response = if fields::accepts_html(&request.head) {
        Response::new(Status::OK, ContentType::Html, fill(HTML))
            .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            .with_header("Referrer-Policy", "no-referrer")
    } else {
        Response::new(Status::OK, ContentType::Text, fill(TEXT))
    };
    // One URL, two forms: a cache has to keep them apart, and to ask again after an upgrade of the daemon.
    response
        .with_header("Vary", "Accept, Forwarded, X-Forwarded-Proto")
        .with_cache_control("no-cache")
}
