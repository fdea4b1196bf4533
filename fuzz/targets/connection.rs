//! A whole connection as a stranger makes it, in a whole server: the request, the handshake, frames, requests in JSON. Whatever
//! comes and however it is cut, what the server says is well-formed, what it holds stays within the limits, and a subscriber
//! beside the stranger gets what it should.

#![no_main]

use fanfare::auth::origin::{HostName, Hosts};
use fanfare::auth::rules::{Grant, Rule, Rules, Who};
use fanfare::channel::topic::Topic;
use fanfare::config::{Config, Policy};
use fanfare::dialect::json::{Event as Told, EventDecoder};
use fanfare::hub::Place;
use fanfare::limit::Limit;
use fanfare::server::simulation::{PeerId, Simulation};
use fanfare::ws::deflate::Inflater;
use fanfare::ws::encode::{write_message, write_pong};
use fanfare::ws::endpoint::{Endpoint, Event, Role};
use fanfare_fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

const MAX_MESSAGE: usize = 4096;
const HEADER_MAX: usize = 1024;
const OUTBOX: usize = 1024;

/// The longest answer of the server, as text of a request's and words about it.
const ANSWER_MAX: usize = 2048;

/// Where the watcher is subscribed: what the seeds publish to.
const CHANNELS: [&str; 2] = ["prices", "a"];

/// It is subscribed to everything as well.
const PATTERN: &str = ">";

/// What the first byte of an input says.
struct Settings(u8);

impl Settings {
    /// The stranger offers compression, where the target shakes hands for it.
    fn deflates(&self) -> bool {
        self.0 & 1 != 0
    }

    /// The input begins with a request. Otherwise the target shakes hands, and the input is frames.
    fn begins_with_request(&self) -> bool {
        self.0 & 2 != 0
    }

    /// How much the stranger takes after each piece that it sends.
    fn takes(&self) -> usize {
        if self.0 & 4 != 0 { 10 } else { usize::MAX }
    }

    /// How many milliseconds pass after each piece.
    fn pause_ms(&self) -> u64 {
        if self.0 & 8 != 0 { 1_500 } else { 0 }
    }

    /// Everybody is an administrator.
    fn is_administered(&self) -> bool {
        self.0 & 32 != 0
    }

    /// The stranger finishes at the end. Otherwise it goes without a word.
    fn finishes(&self) -> bool {
        self.0 & 16 != 0
    }
}

/// Reads what the server says to one peer, and insists that it is well-formed.
struct Listener {
    peer: PeerId,
    /// What was said before the WebSocket, as far as it was not understood yet; `None` once the WebSocket is open.
    http: Option<Vec<u8>>,
    /// A HEAD request may be among the peer's: then an answer's length says nothing.
    has_head_request: bool,
    /// What is said is an answer that ends with the connection: whether it is an event stream.
    last_answer: Option<bool>,
    endpoint: Endpoint,
    inflater: Inflater,
    events: EventDecoder,
    messages: u64,
    /// The number of the last message of [`PATTERN`] that it got, or was told that it does not. Only the watcher's is of interest.
    of_pattern: Option<u64>,
}

impl Listener {
    fn new(peer: PeerId) -> Self {
        Listener {
            peer,
            http: Some(Vec::new()),
            has_head_request: false,
            last_answer: None,
            endpoint: Endpoint::new(Role::Client, false, true),
            inflater: Inflater::new(),
            events: EventDecoder::new(),
            messages: 0,
            of_pattern: None,
        }
    }

    /// Takes up to `most` bytes. What has to be answered is appended to `answers`.
    fn listen(&mut self, simulation: &mut Simulation, most: usize, answers: &mut Vec<u8>) {
        let mut bytes = simulation.receive(self.peer, most);
        if let Some(mut http) = self.http.take() {
            http.extend_from_slice(&bytes);
            match self.answers(http) {
                Some(rest) => bytes = rest,
                None => return,
            }
        }
        let (mut pos, end) = (0, bytes.len());
        loop {
            let event =
                self.endpoint
                    .receive(&mut bytes, &mut pos, end, 1 << 20, &mut self.inflater);
            match event.expect("the server keeps to the protocol") {
                None => return,
                Some(Event::Message { text, data }) => {
                    assert!(text);
                    let told = self.events.decode_whole(data).expect("an event in JSON");
                    assert!(!matches!(told, Told::Unknown { .. }));
                    match told {
                        Told::Message(message) => match message.place {
                            Place::Channel { .. } => self.messages += 1,
                            Place::Pattern { seq, .. } => self.goes_on(seq, seq),
                        },
                        Told::Gap {
                            topic, from, to, ..
                        } if topic.is_pattern() => {
                            self.goes_on(from, to);
                        }
                        _ => {}
                    }
                }
                Some(Event::Ping(payload)) => write_pong(answers, payload, Some([0; 4])),
                Some(Event::Pong(_) | Event::Close(_)) => {}
            }
        }
    }

    /// The pattern's messages from the first to the last came, or will not come.
    fn goes_on(&mut self, first: u64, last: u64) {
        if let Some(before) = &mut self.of_pattern {
            assert_eq!(first, *before + 1);
            *before = last;
        }
    }

    /// Reads answers over HTTP. What comes after the one that opens the WebSocket is handed back.
    fn answers(&mut self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        if let Some(is_event_stream) = self.last_answer {
            if is_event_stream {
                take_events(&mut bytes);
            }
            self.http = Some(bytes);
            return None;
        }
        while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes[..end]).expect("text");
            assert!(head.starts_with("HTTP/1.1 "), "{head}");
            let status = &head[9..12];
            if status == "101" {
                let deflates = head.contains("permessage-deflate");
                self.endpoint = Endpoint::new(Role::Client, deflates, true);
                return Some(bytes.split_off(end + 4));
            }
            let field = |name| head.lines().find_map(|line: &str| line.strip_prefix(name));
            let is_chunked = field("Transfer-Encoding: ") == Some("chunked");
            let len = match field("Content-Length: ") {
                _ if matches!(status, "100" | "304") => 0,
                _ if self.has_head_request => break,
                Some(len) => len.parse().expect("a length"),
                None if is_chunked => match chunked_len(&bytes[end + 4..]) {
                    Some(len) => len,
                    None => break,
                },
                None => {
                    assert_eq!(status, "200", "{head}");
                    assert_eq!(field("Connection: "), Some("close"), "{head}");
                    self.last_answer = Some(field("Content-Type: ") == Some("text/event-stream"));
                    bytes.drain(..end + 4);
                    return self.answers(bytes);
                }
            };
            if bytes.len() < end + 4 + len {
                break;
            }
            bytes.drain(..end + 4 + len);
        }
        self.http = Some(bytes);
        None
    }
}

/// Takes the whole lines of an event stream, each of which is one that it may have.
fn take_events(bytes: &mut Vec<u8>) {
    while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
        let line: Vec<u8> = bytes.drain(..=end).collect();
        let line = std::str::from_utf8(&line).expect("text");
        let fields = ["id: ", "event: ", "data: ", "retry: ", ":"];
        let is_known = line == "\n" || fields.iter().any(|field| line.starts_with(field));
        assert!(is_known && !line.contains('\r'), "{line:?}");
    }
}

/// How long a body in chunks is with all that is around them; `None` if it is not whole.
fn chunked_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let len = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + len]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        at += len + 2 + size;
        let end = bytes.get(at..at + 2)?;
        assert_eq!(end, b"\r\n");
        at += 2;
        if size == 0 {
            return Some(at);
        }
    }
}

/// Everybody may do everything, and is an administrator.
fn administered() -> Rules {
    let all = || vec![Grant::parse(">").expect("a grant")];
    Rules {
        rules: vec![Rule {
            who: Who::Anonymous,
            subscribe: all(),
            publish: all(),
            admin: true,
            place: "here".into(),
        }],
        ..Rules::default()
    }
}

fn config(settings: &Settings) -> Config {
    Config {
        rules: match settings.is_administered() {
            true => administered(),
            false => Rules::default(),
        },
        policy: Policy {
            retain_bytes: Limit::of(16 * 1024),
            ..Policy::default()
        },
        max_message: MAX_MESSAGE,
        max_batch: MAX_MESSAGE,
        max_header: HEADER_MAX,
        max_channels: Limit::of(10),
        max_subscriptions: Limit::of(5),
        max_patterns: Limit::of(3),
        max_keys: Limit::of(2),
        outbox: OUTBOX,
        // What the seeds and the watcher ask for.
        hosts: Hosts::of(HostName::parse("x").into_iter().collect()),
        ..Config::default()
    }
}

/// A handshake that the server takes.
fn handshake(deflate: bool) -> Vec<u8> {
    let extensions = match deflate {
        true => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        false => "",
    };
    format!(
        "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: json.fanfare.v1\r\n{extensions}\r\n"
    )
    .into_bytes()
}

/// A subscriber to what the stranger may publish to.
fn watcher(simulation: &mut Simulation) -> Listener {
    let mut watcher = Listener::new(simulation.connect());
    watcher.of_pattern = Some(0);
    simulation.send(watcher.peer, &handshake(true));
    let [one, other] = CHANNELS.map(|channel| format!(r#""channel":"{channel}""#));
    for topic in [one, other, format!(r#""pattern":"{PATTERN}""#)] {
        let mut request = Vec::new();
        let text = format!(r#"{{"type":"subscribe",{topic}}}"#);
        write_message(&mut request, true, text.as_bytes(), Some([0; 4]));
        simulation.send(watcher.peer, &request);
    }
    simulation.settle();
    watcher
}

fuzz_target!(|data: &[u8]| {
    let Some(([settings, cuts @ ..], bytes)) = data.split_first_chunk::<9>() else {
        return;
    };
    let settings = Settings(*settings);
    let mut simulation = Simulation::new(config(&settings));
    let mut watcher = watcher(&mut simulation);
    let mut stranger =
        Listener::new(simulation.connect_with(if settings.0 & 4 != 0 { 64 } else { 1 << 20 }));
    stranger.has_head_request = bytes.windows(5).any(|five| five == b"HEAD ");
    // Who administers the daemon may end the watcher.
    let may_end_others =
        settings.is_administered() && bytes.windows(7).any(|seven| seven == b"DELETE ");
    let mut answers = Vec::new();
    if !settings.begins_with_request() {
        simulation.send(stranger.peer, &handshake(settings.deflates()));
        simulation.settle();
        stranger.listen(&mut simulation, usize::MAX, &mut Vec::new());
    }
    for piece in Cuts(*cuts).pieces(bytes) {
        simulation.send(stranger.peer, piece);
        simulation.settle();
        simulation.advance(settings.pause_ms());
        stranger.listen(&mut simulation, settings.takes(), &mut Vec::new());
        watcher.listen(&mut simulation, usize::MAX, &mut answers);
        simulation.send(watcher.peer, &std::mem::take(&mut answers));
        // A message and a frame of it at most, or a request, in buffers that double; and what was read and waits.
        assert!(simulation.input_bytes() <= 2 * (MAX_MESSAGE + HEADER_MAX) + 1024 + bytes.len());
        // Answers over the limit end the reading. Beside them half of a message may wait.
        assert!(simulation.outbox_bytes() <= 2 * (OUTBOX + ANSWER_MAX) + 2 * MAX_MESSAGE);
        assert!(simulation.held_bytes() <= 64 * 1024);
    }
    simulation.settle();
    watcher.listen(&mut simulation, usize::MAX, &mut answers);
    if !may_end_others {
        let published = CHANNELS
            .iter()
            .map(|channel| simulation.published(*channel));
        assert_eq!(watcher.messages, published.sum::<u64>());
        assert_eq!(
            watcher.of_pattern,
            Some(simulation.published(Topic::pattern(PATTERN)))
        );
        assert!(simulation.is_open(watcher.peer));
    }
    match settings.finishes() {
        true => simulation.finish(stranger.peer),
        false => simulation.reset(stranger.peer),
    }
    stranger.listen(&mut simulation, usize::MAX, &mut Vec::new());
    simulation.settle();
    simulation.receive(stranger.peer, usize::MAX);
    simulation.advance(130_000);
    assert!(!simulation.is_open(stranger.peer));
});
