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
    /// Whether the client comes by the listener of administration, where there is more.
    pub admin: bool,
}

/// What to do about a request.
#[derive(Debug)]
pub enum Route<'a> {
    /// Send this; there is nothing else to it.
    Answer(Response),
    /// It would become a WebSocket: let the handshake check it, and answer what that says.
    WebSocket(SocketPath),
    /// Something is asked of channels or of connections.
    Ask(Resource<'a>, Method, Query<'a>),
}

/// What is asked about. A name is decoded and not checked.
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
    /// `/channels`: GET lists the channels.
    Channels,
    /// `/channels/{channel}/messages`: DELETE lets go of what is held.
    Messages(Cow<'a, str>),
    /// `/connections`: GET lists the connections.
    Connections,
    /// `/connections/{id}`: DELETE ends it.
    Connection(Cow<'a, str>),
    /// `/subjects/{name}`: DELETE ends its connections, and has its older tokens refused.
    Subject(Cow<'a, str>),
}

impl Resource<'_> {
    /// Whether it is for administrators alone.
    pub fn is_for_administrators(&self) -> bool {
        match self {
            Resource::Channel(_)
            | Resource::Events(_)
            | Resource::PatternEvents(_)
            | Resource::Publish => false,
            Resource::Channels
            | Resource::Messages(_)
            | Resource::Connections
            | Resource::Connection(_)
            | Resource::Subject(_) => true,
        }
    }

    /// The methods that work on it, as `Allow` lists them.
    fn allows(&self) -> &'static str {
        match self {
            Resource::Channel(_) => BOTH,
            Resource::Events(_)
            | Resource::PatternEvents(_)
            | Resource::Channels
            | Resource::Connections => READ,
            Resource::Publish => PUBLISH,
            Resource::Messages(_) | Resource::Connection(_) | Resource::Subject(_) => DELETE,
        }
    }
}

/// What is to be done with a [`Resource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, and HEAD, whose answer is left out where it is written.
    Read,
    /// POST.
    Post,
    /// DELETE.
    Delete,
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

/// Where the channels are listed.
const CHANNELS: &str = "/channels";

/// Where the connections are.
const CONNECTIONS: &str = "/connections";

const READ: &str = "GET, HEAD, OPTIONS";
const PUBLISH: &str = "POST, OPTIONS";
const BOTH: &str = "GET, HEAD, POST, OPTIONS";
const DELETE: &str = "DELETE, OPTIONS";
const ALL: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// What a path is, before anybody asks with which method.
enum Place<'a> {
    Root,
    Socket(SocketPath),
    Health,
    Resource(Resource<'a>),
}

impl Place<'_> {
    /// The methods that work on it, as `Allow` lists them.
    fn allows(&self) -> &'static str {
        match self {
            Place::Root | Place::Socket(_) | Place::Health => READ,
            Place::Resource(resource) => resource.allows(),
        }
    }
}

/// Decides what to do about `request`. Nothing happens here.
pub fn route<'a>(request: &Request<'a>, site: &Site) -> Route<'a> {
    let answer = |response: Response| {
        Route::Answer(response.for_head_request(request.head.method == "HEAD"))
    };
    let (path, query) = match request.target {
        Target::Server => return answer(options(ALL)),
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
    if let Err(response) = check_method(place.allows(), request.head.method, path) {
        return answer(response);
    }
    match (place, request.head.method) {
        (Place::Root, _) => answer(page::page(request, site)),
        (Place::Socket(socket), _) => answer(upgrade_required(socket)),
        (Place::Health, _) => answer(Response::text(Status::OK, "ok\n")),
        (Place::Resource(_), "POST") if fields::has_content_coding(&request.head) => {
            answer(unsupported_coding())
        }
        (Place::Resource(resource), method) => {
            let method = match method {
                "POST" => Method::Post,
                "DELETE" => Method::Delete,
                _ => Method::Read,
            };
            Route::Ask(resource, method, Query::new(query))
        }
    }
}

/// Whether a method works on what is at a path, where those work that `allows` lists as the value of an `Allow`.
///
/// # Errors
/// The response that lists them: 405, or the answer to OPTIONS.
pub(crate) fn check_method(allows: &'static str, method: &str, path: &str) -> Result<(), Response> {
    if method == "OPTIONS" {
        return Err(options(allows));
    }
    // By bytes: this is asked of each request, and a search for a text takes longer.
    let mut allowed = allows.as_bytes().split(|byte| *byte == b',');
    match allowed.any(|allowed| allowed.trim_ascii() == method.as_bytes()) {
        true => Ok(()),
        false => Err(method_not_allowed(method, path, allows)),
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
        BATCH => Place::Resource(Resource::Publish),
        CHANNELS => Place::Resource(Resource::Channels),
        CONNECTIONS => Place::Resource(Resource::Connections),
        _ => return Ok(resource(path)?.map(Place::Resource)),
    };
    Ok(Some(place))
}

/// What of a channel, a pattern, a connection or a subject is at a path. No name has a `/` that is not encoded.
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
        (Some("channels"), Some("messages")) => Some(Resource::Messages(name()?)),
        (Some("connections"), None) => Some(Resource::Connection(name()?)),
        (Some("subjects"), None) => Some(Resource::Subject(name()?)),
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
    let why = "Bodies are taken as they are, without Content-Encoding.";
    Response::refusal(Status::UNSUPPORTED_MEDIA_TYPE, why)
        .with_header("Accept-Encoding", "identity")
}

fn upgrade_required(socket: SocketPath) -> Response {
    let what = match socket {
        SocketPath::Channels => {
            "Connect with a WebSocket client (sub-protocol json.fanfare.v1). GET / says how."
        }
        SocketPath::Echo => "Connect with a WebSocket client: each message comes back.",
    };
    let why = format!("Here lives a WebSocket. {what}");
    Response::refusal(Status::UPGRADE_REQUIRED, &why).with_header("Upgrade", "websocket")
}

fn method_not_allowed(method: &str, path: &str, allow: &'static str) -> Response {
    let (method, path) = (excerpt(method), excerpt(path));
    let hint = match method.as_str() {
        "POST" | "PUT" => " To publish, POST /channels/{channel}.",
        _ => "",
    };
    let why = format!("{method} does not work on {path}; {allow} do.{hint}");
    Response::refusal(Status::METHOD_NOT_ALLOWED, &why).with_header("Allow", allow)
}

fn not_found(path: &str, site: &Site) -> Response {
    let path = excerpt(path);
    let echo = if site.echo { ", /echo" } else { "" };
    let admin = match site.admin {
        true => " /metrics, /config, /reload, /drain,",
        false => "",
    };
    let why = format!(
        "There is no {path} here. There is / (a page that says how to connect, and a WebSocket), /ws (the WebSocket){echo}, /healthz, /readyz,{admin} \
         /publish, /channels, /channels/{{channel}}, /channels/{{channel}}/events, /channels/{{channel}}/messages, \
         /patterns/{{pattern}}/events, /connections, /connections/{{id}} and /subjects/{{name}}."
    );
    Response::refusal(Status::NOT_FOUND, &why)
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
