//! What a request is for.

use std::borrow::Cow;

use super::fields::Handshake;
use super::query::Query;
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
    /// Something is asked of channels.
    Channels(Resource<'a>, Method, Query<'a>),
}

/// What is asked about channels. A name is decoded and not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// `/channels/{channel}`: POST publishes the request's body there, GET reads what is held.
    Channel(Cow<'a, str>),
    /// `/channels/{channel}/events`: what is published there from now on, as an event stream.
    Events(Cow<'a, str>),
    /// `/patterns/{pattern}/events`: the same of all channels that a pattern stands for.
    PatternEvents(Cow<'a, str>),
    /// `/publish`: POST publishes many messages.
    Publish,
}

/// What is to be done with a [`Resource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, and HEAD, whose answer is left out where it is written.
    Read,
    /// POST.
    Post,
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

/// Where many messages are published at once.
const BATCH: &str = "/publish";

const READ: &str = "GET, HEAD, OPTIONS";
const PUBLISH: &str = "POST, OPTIONS";
const BOTH: &str = "GET, HEAD, POST, OPTIONS";

/// What a path is, before anybody asks with which method.
enum Place<'a> {
    Root,
    Socket(SocketPath),
    Health,
    Channels(Resource<'a>),
}

impl Place<'_> {
    /// The methods that work on it, as `Allow` lists them.
    fn allows(&self) -> &'static str {
        match self {
            Place::Root | Place::Socket(_) | Place::Health => READ,
            Place::Channels(resource) => match resource {
                Resource::Channel(_) => BOTH,
                Resource::Events(_) | Resource::PatternEvents(_) => READ,
                Resource::Publish => PUBLISH,
            },
        }
    }
}

/// Decides what to do about `request`. Nothing happens here.
pub fn route<'a>(request: &Request<'a>, site: &Site) -> Route<'a> {
    let answer = |response: Response| {
        Route::Answer(response.for_head_request(request.head.method == "HEAD"))
    };
    let (path, query) = match request.target {
        Target::Server => return answer(options(BOTH)),
        Target::Resource { path, query } => (path, query),
    };
    let place = match place(path, site) {
        Ok(Some(place)) => place,
        Ok(None) => return answer(not_found(path, site)),
        Err(why) => return answer(Response::problem(Status::BAD_REQUEST, "bad_channel", why)),
    };
    match (&place, Handshake::of(&request.head)) {
        // At `/` there is a page as well, for a browser behind a proxy that asks for an upgrade with everything.
        (Place::Root, Handshake::Fields) => return Route::WebSocket(SocketPath::Channels),
        (Place::Socket(socket), Handshake::Upgrade | Handshake::Fields) => {
            return Route::WebSocket(*socket);
        }
        _ => {}
    }
    let allows = place.allows();
    match (place, request.head.method) {
        (_, "OPTIONS") => answer(options(allows)),
        (_, method) if !allows.split(", ").any(|allowed| allowed == method) => {
            answer(method_not_allowed(method, path, allows))
        }
        (Place::Root, _) => answer(page::page(request, site)),
        (Place::Socket(socket), _) => answer(upgrade_required(socket)),
        (Place::Health, _) => answer(Response::text(Status::OK, "ok\n")),
        (Place::Channels(_), "POST") if fields::has_content_coding(&request.head) => {
            answer(unsupported_coding())
        }
        (Place::Channels(resource), method) => {
            let method = match method {
                "POST" => Method::Post,
                _ => Method::Read,
            };
            Route::Channels(resource, method, Query::new(query))
        }
    }
}

/// Whether the body of a request for `target` has many publications in it.
pub(super) fn is_batch(target: Target<'_>) -> bool {
    matches!(target, Target::Resource { path: BATCH, .. })
}

/// Whether this only asks if the server is well.
pub fn is_health_check(request: &Request<'_>) -> bool {
    let is_read = matches!(request.head.method, "GET" | "HEAD");
    is_read && matches!(request.target, Target::Resource { path: HEALTH, .. })
}

/// What is at a path, if anything is.
///
/// # Errors
/// A name in it cannot be decoded, for this reason.
fn place<'a>(path: &'a str, site: &Site) -> Result<Option<Place<'a>>, &'static str> {
    let place = match path {
        "/" => Place::Root,
        "/ws" => Place::Socket(SocketPath::Channels),
        "/echo" if site.echo => Place::Socket(SocketPath::Echo),
        HEALTH => Place::Health,
        BATCH => Place::Channels(Resource::Publish),
        _ => return Ok(resource(path)?.map(Place::Channels)),
    };
    Ok(Some(place))
}

/// What of a channel or a pattern is at a path. No name has a `/` that is not encoded.
fn resource(path: &str) -> Result<Option<Resource<'_>>, &'static str> {
    let mut parts = path.split('/').skip(1);
    let (kind, name) = (parts.next(), parts.next().unwrap_or_default());
    let (below, more) = (parts.next(), parts.next());
    if name.is_empty() || more.is_some() {
        return Ok(None);
    }
    let name = || percent_decode(name);
    Ok(match (kind, below) {
        (Some("channels"), None) => Some(Resource::Channel(name()?)),
        (Some("channels"), Some("events")) => Some(Resource::Events(name()?)),
        (Some("patterns"), Some("events")) => Some(Resource::PatternEvents(name()?)),
        _ => None,
    })
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
    let hint = if allow.contains("POST") {
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
             \x20 POST /channels/{{channel}}   publishes the JSON in the request's body\n\
             \x20 POST /publish              publishes many messages\n\
             \x20 GET /channels/{{channel}}    the messages that are held\n\
             \x20 GET /channels/{{channel}}/events, /patterns/{{pattern}}/events\n\
             \x20                            what is published, as an event stream\n"
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
