//! What a request is for.

use std::borrow::Cow;

use super::fields::Handshake;
use super::target::percent_decode;
use super::{Request, Response, Status, Target, fields, page};

/// What this server has on offer, as far as HTTP tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// Whether `/echo` is there.
    pub echo: bool,
    /// Whether the client comes over TLS, to the daemon or to a trusted proxy, so that URLs for it begin with `https` and `wss`.
    pub secure: bool,
}

/// What to do about a request.
#[derive(Debug)]
pub enum Route<'a> {
    /// Send this; there is nothing else to it.
    Answer(Response),
    /// It would become a WebSocket: let the handshake check it, and answer what that says.
    WebSocket(SocketPath),
    /// Publish the request's body to this channel, whose name is decoded but not checked, and answer with
    /// [`Response::published`] or [`Response::problem`].
    Publish {
        /// The channel's name.
        channel: Cow<'a, str>,
    },
}

/// The paths at which a WebSocket can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketPath {
    /// `/` and `/ws`: publish and subscribe.
    Channels,
    /// `/echo`: each message comes back.
    Echo,
}

/// Where a load balancer asks whether the server is well.
const HEALTH: &str = "/healthz";

const READ: &str = "GET, HEAD, OPTIONS";
const PUBLISH: &str = "POST, OPTIONS";
const ANY: &str = "GET, HEAD, POST, OPTIONS";

/// What a path is, before anybody asks with which method.
enum Resource<'a> {
    Root,
    Socket(SocketPath),
    Health,
    Channel(&'a str),
}

/// Decides what to do about `request`. Nothing happens here.
pub fn route<'a>(request: &Request<'a>, site: &Site) -> Route<'a> {
    let answer = |response: Response| {
        Route::Answer(response.for_head_request(request.head.method == "HEAD"))
    };
    let path = match request.target {
        Target::Server => return answer(options(ANY)),
        Target::Resource { path, .. } => path,
    };
    let Some(resource) = resource(path, site) else {
        return answer(not_found(path, site));
    };
    match (&resource, Handshake::of(&request.head)) {
        // At `/` there is a page as well, for a browser behind a proxy that asks for an upgrade with everything.
        (Resource::Root, Handshake::Fields) => return Route::WebSocket(SocketPath::Channels),
        (Resource::Socket(socket), Handshake::Upgrade | Handshake::Fields) => {
            return Route::WebSocket(*socket);
        }
        _ => {}
    }
    match (resource, request.head.method) {
        (Resource::Root, "GET" | "HEAD") => answer(page::page(request, site)),
        (Resource::Socket(socket), "GET" | "HEAD") => answer(upgrade_required(socket)),
        (Resource::Health, "GET" | "HEAD") => answer(Response::text(Status::OK, "ok\n")),
        (Resource::Channel(_), "POST") if fields::has_content_coding(&request.head) => {
            answer(unsupported_coding())
        }
        (Resource::Channel(name), "POST") => match percent_decode(name) {
            Ok(channel) => Route::Publish { channel },
            Err(why) => answer(Response::problem(Status::BAD_REQUEST, "bad_channel", why)),
        },
        (Resource::Channel(_), "OPTIONS") => answer(options(PUBLISH)),
        (_, "OPTIONS") => answer(options(READ)),
        (Resource::Channel(_), method) => answer(method_not_allowed(method, path, PUBLISH)),
        (_, method) => answer(method_not_allowed(method, path, READ)),
    }
}

/// Whether this only asks if the server is well.
pub fn is_health_check(request: &Request<'_>) -> bool {
    let is_read = matches!(request.head.method, "GET" | "HEAD");
    is_read && matches!(request.target, Target::Resource { path: HEALTH, .. })
}

fn resource<'a>(path: &'a str, site: &Site) -> Option<Resource<'a>> {
    match path {
        "/" => Some(Resource::Root),
        "/ws" => Some(Resource::Socket(SocketPath::Channels)),
        "/echo" if site.echo => Some(Resource::Socket(SocketPath::Echo)),
        HEALTH => Some(Resource::Health),
        _ => path
            .strip_prefix("/channels/")
            .filter(|name| !name.is_empty())
            .map(Resource::Channel),
    }
}

/// The answer to OPTIONS, which has no body and says so (RFC 9110 §9.3.7).
fn options(allow: &'static str) -> Response {
    Response::text(Status::OK, "").with_header("Allow", allow)
}

/// The answer to a compressed body, which says what would be taken (RFC 9110 §15.5.16).
fn unsupported_coding() -> Response {
    Response::text(
        Status::UNSUPPORTED_MEDIA_TYPE,
        "415: bodies are taken as they are, without Content-Encoding.\n",
    )
    .with_header("Accept-Encoding", "identity")
}

fn upgrade_required(socket: SocketPath) -> Response {
    let what = match socket {
        SocketPath::Channels => {
            "Connect with a WebSocket client (sub-protocol json.fanfare.v1). GET / says how."
        }
        SocketPath::Echo => "Connect with a WebSocket client: each message comes back.",
    };
    Response::text(
        Status::UPGRADE_REQUIRED,
        format!("426: here lives a WebSocket. {what}\n"),
    )
    .with_header("Upgrade", "websocket")
}

fn method_not_allowed(method: &str, path: &str, allow: &'static str) -> Response {
    let (method, path) = (excerpt(method), excerpt(path));
    let hint = if allow == PUBLISH {
        ""
    } else {
        " To publish, POST /channels/{channel}."
    };
    Response::text(
        Status::METHOD_NOT_ALLOWED,
        format!("405: {method} does not work on {path}; {allow} do.{hint}\n"),
    )
    .with_header("Allow", allow)
}

fn not_found(path: &str, site: &Site) -> Response {
    let path = excerpt(path);
    let echo = if site.echo {
        "  /echo                      a WebSocket that sends each message back\n"
    } else {
        ""
    };
    Response::text(
        Status::NOT_FOUND,
        format!(
            "404: there is no {path} here. There is\n\n\
             \x20 /                          a page that says how to connect; a WebSocket, too\n\
             \x20 /ws                        the WebSocket: publish and subscribe\n\
             {echo}\
             \x20 /healthz                   answers ok\n\
             \x20 POST /channels/{{channel}}   publishes the JSON in the request's body\n"
        ),
    )
}

/// As much of what a stranger sent as is worth repeating, without what could play tricks on a terminal.
fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let mut excerpt: String = text
        .chars()
        .take(MAX_CHARS)
        .filter(|c| !c.is_control())
        .collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        excerpt.push('…');
    }
    excerpt
}
