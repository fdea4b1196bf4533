//! What requests do: the dialect's commands carried out on the hub, the answers into the outbox.

use mio::Token;

use super::allowance::{self, Allowance};
use super::connection::{Dialect, Open};
use super::date::Date;
use super::journal::{Journal, Who};
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::timers::{Millis, NEVER};
use crate::channel::name;
use crate::config::{Config, NO_LIMIT};
use crate::dialect::json::decode::ValueDecoder;
use crate::dialect::json::{
    self, Command, DecodeError, Decoder, ErrorCode, ErrorReply, Id, MessageFrame, Request, encode,
};
use crate::http::{self, Response, SocketPath, Status};
use crate::hub::{
    self, ChannelId, Encode, Epoch, Hub, HubConfig, Message, Numbering, PublishError, Published,
    Slot, SlotConfig, Start, SubscribeError, SubscriberId,
};
use crate::random::Random;
use crate::ws::close::CloseCode;
use crate::ws::deflate::{Deflater, Deflaters, Inflater, WindowBits};
use crate::ws::encode::{write_message, write_message_deflated};
use crate::ws::endpoint::{Endpoint, Role};
use crate::ws::extension::Agreed;
use crate::ws::frame::parse_header;
use crate::ws::handshake::server as handshake;
use crate::ws::violation::Violation;

/// The largest message that `/echo` sends back.
const ECHO_MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// So many subscribers make a channel large: a circle takes most of a millisecond, or more.
const LARGE_CHANNEL: usize = 256;

/// The slot of compressed frames. Base frames are legal among them (RFC 7692 §6).
pub(super) const DEFLATE: Slot = Slot(1);

/// Name and version, as the `welcome` says it.
const SERVER: &str = concat!("fanfare/", env!("CARGO_PKG_VERSION"));

/// What carrying out requests needs beyond the connection itself.
pub(super) struct Core {
    pub(super) config: Config,
    /// The time, read once a turn.
    pub(super) now: Millis,
    pub(super) hub: Hub,
    pub(super) metrics: Metrics,
    pub(super) journal: Journal,
    pub(super) date: Date,
    /// Bytes of memory of all connections' input that is half read or waits to be dealt with.
    pub(super) input_held: usize,
    /// What the visit under way may still cost.
    pub(super) allowance: Allowance,
    /// Bytes of memory that the outboxes of all connections take, as of when each was last counted.
    pub(super) outbox_bytes: usize,
    /// Where an answer is written before it is framed.
    pub(super) text: Vec<u8>,
    /// One for everybody: nobody's messages refer to an earlier one.
    pub(super) inflater: Inflater,
    deflaters: Deflaters,
    decoder: Decoder,
    values: ValueDecoder,
}

/// What a connection's input led to, for the loop to draw the consequences of.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Outcome {
    /// The peer said close, with this code.
    pub(super) peer_closed: Option<CloseCode>,
    /// At least one message was whole.
    pub(super) got_message: bool,
    /// It published to a channel that may take no more until its subscribers were swept.
    pub(super) congested: Option<ChannelId>,
}

impl Core {
    pub(super) fn new(config: Config) -> Core {
        // The hub keeps no lists for limits that there are not.
        let limit = |most| if most == NO_LIMIT { 0 } else { most };
        let mut slots = [SlotConfig::default(); Slot::COUNT];
        slots[usize::from(DEFLATE.0)].falls_back = true;
        let limits = HubConfig {
            retain_total: limit(config.retain_total),
            max_channels: limit(config.max_channels),
            max_subscriptions: limit(config.max_subscriptions),
            linger_ms: config.channel_linger_ms,
            large: if config.coalesce_ms == 0 {
                0
            } else {
                LARGE_CHANNEL
            },
            slots,
            payload: encode::data_of,
        };
        let deflate_level = config.deflate_level;
        let policies = config.clone();
        let mut random = Random::new();
        let hub = Hub::new(
            limits,
            Box::new(move |channel| policies.policy_for(channel)),
            Box::new(move |_| Numbering::Hub(Epoch::from_random(random.bytes()))),
        );
        Core {
            config,
            now: 0,
            hub,
            metrics: Metrics::default(),
            journal: Journal::default(),
            date: Date::default(),
            input_held: 0,
            allowance: Allowance::default(),
            outbox_bytes: 0,
            text: Vec::new(),
            inflater: Inflater::new(),
            deflaters: Deflaters::new(deflate_level),
            decoder: Decoder::new(),
            values: ValueDecoder::new(),
        }
    }

    /// What may wait in one outbox before its connection is no longer read from: less than `--outbox` once all of them
    /// together come near `--outbox-total`, and always room for an answer.
    pub(super) fn outbox_limit(&self) -> usize {
        let left = (self.config.outbox_total).saturating_sub(self.outbox_bytes);
        left.max(Config::OUTBOX_BYTES_MIN).min(self.config.outbox)
    }

    /// The longest message taken from who speaks this dialect.
    pub(super) fn max_message(&self, dialect: Dialect) -> usize {
        match dialect {
            Dialect::Json => self.config.max_message,
            Dialect::Echo => ECHO_MESSAGE_MAX,
        }
    }

    /// Judges an opening handshake, and queues the answer and the first message if it holds.
    ///
    /// # Errors
    /// The response that says what is wrong with it.
    pub(super) fn shake_hands(
        &mut self,
        request: &http::Request<'_>,
        path: SocketPath,
        token: Token,
        outbox: &mut Outbox,
    ) -> Result<Open, Response> {
        let dialect = match path {
            SocketPath::Channels => Dialect::Json,
            SocketPath::Echo => Dialect::Echo,
        };
        let protocols: &[&str] = match dialect {
            Dialect::Json => &[json::SUB_PROTOCOL],
            Dialect::Echo => &[],
        };
        let terms = handshake::Terms {
            protocols,
            deflate: self.config.deflate,
        };
        let accept = handshake::check(&request.head, &terms)?;
        handshake::write_accept(outbox.private(), &accept, None);
        let window = accept.deflate.map(Agreed::window);
        if dialect == Dialect::Json {
            let session = self.journal.session(token);
            self.text.clear();
            let welcome = encode::Welcome {
                server: SERVER,
                session: &session,
                max_message: self.config.max_message as u64,
                features: &[],
            };
            encode::welcome(&mut self.text, &welcome);
            write_answer(outbox, &self.text, window, &mut self.deflaters);
        }
        // The JSON parser would find bad UTF-8 too, but only when the message is whole.
        let check_utf8 = true;
        Ok(Open {
            endpoint: Endpoint::new(Role::Server, window.is_some(), check_utf8),
            dialect,
            deflate: window,
            pinged_at: NEVER,
            message_since: NEVER,
            late_visits: 0,
        })
    }

    /// Publishes the body of a POST. `congested` is set to the channel that may take no more
    /// until its subscribers were swept.
    pub(super) fn publish_body(
        &mut self,
        channel: &str,
        body: &[u8],
        congested: &mut Option<ChannelId>,
    ) -> Response {
        if let Err(why) = name::check(channel) {
            return Response::problem(Status::BAD_REQUEST, "bad_channel", &why.to_string());
        }
        if name::is_daemons_own(channel) {
            let why = "channels whose names begin with $ are the daemon's own";
            return Response::problem(Status::FORBIDDEN, "forbidden", why);
        }
        let data = match self.values.decode(body) {
            Ok(data) => data,
            Err(DecodeError::NotUtf8) => {
                return Response::problem(Status::BAD_REQUEST, "bad_json", "not UTF-8");
            }
            Err(DecodeError::Refused(error)) => {
                let why = match error.offset {
                    Some(offset) => format!("{}, at byte {offset}", error.message),
                    None => error.message.into_owned(),
                };
                return Response::problem(Status::BAD_REQUEST, error.code.as_str(), &why);
            }
        };
        let frame = MessageFrame::new(channel, data);
        let mut compress = Compress::new(&mut self.deflaters);
        let published = self.hub.publish(channel, &frame, &mut compress, self.now);
        self.allowance.charge(compress.cost);
        match published {
            Ok(published) => {
                self.metrics.published += 1;
                if published.congested {
                    *congested = Some(published.channel);
                }
                Response::published(published.epoch, published.seq)
            }
            Err(error) => {
                let why = publish_error(error, &self.config);
                Response::problem(Status::UNAVAILABLE, "limit", &why)
            }
        }
    }
}

/// Why a publication was refused: which limit it passes, with its number.
fn publish_error(error: PublishError, config: &Config) -> String {
    match error {
        PublishError::TooManyChannels => {
            let max = config.max_channels;
            format!(
                "there are as many channels as --max-channels allows, {max}, and all of them have subscribers"
            )
        }
        PublishError::RetainTotal => {
            let max = config.retain_total;
            format!("the message by itself is larger than --retain-total allows: {max} bytes")
        }
        PublishError::NotNewer | PublishError::BrokerNumbers => error.to_string(),
    }
}

/// Compresses base frames for the slot [`DEFLATE`], once for all its subscribers.
struct Compress<'d> {
    deflater: &'d mut Deflater,
    /// What it has cost, in the units of [`Allowance`].
    cost: usize,
}

impl<'d> Compress<'d> {
    fn new(deflaters: &'d mut Deflaters) -> Self {
        Compress {
            deflater: deflaters.for_window(WindowBits::MAX),
            cost: 0,
        }
    }
}

impl Encode for Compress<'_> {
    fn encode(&mut self, _: Slot, message: &Message<'_>, out: &mut Vec<u8>) {
        let frame = message.frame;
        self.cost += allowance::DEFLATE + allowance::DEFLATE_BYTE * frame.len();
        match parse_header(frame) {
            Ok(Some((_, header_len))) => {
                let text = &frame[header_len..];
                write_message_deflated(out, true, text, None, self.deflater);
            }
            // The log holds nothing but whole frames; were it otherwise, it goes as it is.
            _ => out.extend_from_slice(frame),
        }
    }
}

/// One connection's requests, as far as they reach: its place in the hub and its outbox.
pub(super) struct Session<'s> {
    pub(super) core: &'s mut Core,
    pub(super) who: Who<'s>,
    pub(super) subscriber: SubscriberId,
    pub(super) outbox: &'s mut Outbox,
    /// The window of what is compressed for it, if anything is.
    pub(super) deflate: Option<WindowBits>,
    pub(super) outcome: Outcome,
}

impl Session<'_> {
    /// Whether it may ask for nothing more at the moment: this visit has cost enough, it published to
    /// a channel that is congested, or it does not read the answers.
    pub(super) fn has_to_wait(&self) -> bool {
        self.core.allowance.is_spent()
            || self.outcome.congested.is_some()
            || self.outbox.private_bytes() > self.core.outbox_limit()
    }

    /// Carries out one message of `json.fanfare.v1` and queues its answer.
    ///
    /// # Errors
    /// What a message can do to end the connection: text that is not UTF-8.
    pub(super) fn request(&mut self, message: &mut [u8]) -> Result<(), Violation> {
        match self.core.decoder.decode(message) {
            Ok(request) => self.carry_out(request),
            Err(DecodeError::NotUtf8) => {
                return Err(Violation::invalid_data("text that is not UTF-8"));
            }
            Err(DecodeError::Refused(error)) => self.refuse(&error),
        }
        Ok(())
    }

    fn carry_out(&mut self, request: Request<'_>) {
        let id = request.id;
        match request.command {
            Command::Publish { channel, data } => self.publish(id, channel, data),
            Command::Subscribe { channel, start } => self.subscribe(id, channel, start),
            Command::Unsubscribe { channel } => self.unsubscribe(id, channel),
            Command::Ping => self.answer(|text| encode::pong(text, id)),
            // The decoder was not told to read it.
            Command::Auth { .. } => self.fail(id, None, ErrorCode::UnknownType, "no auth here"),
        }
    }

    fn publish(&mut self, id: Option<Id<'_>>, channel: &str, data: &[u8]) {
        let frame = MessageFrame::new(channel, data);
        let Core {
            hub,
            text,
            now,
            deflaters,
            allowance,
            ..
        } = &mut *self.core;
        let mut compress = Compress::new(deflaters);
        let published = hub.publish(channel, &frame, &mut compress, *now);
        allowance.charge(compress.cost);
        match published {
            Ok(Published {
                channel: at,
                epoch,
                seq,
                congested,
            }) => {
                if congested {
                    self.outcome.congested = Some(at);
                }
                if id.is_some() {
                    text.clear();
                    encode::published(text, id, channel, epoch, seq);
                    write_answer(self.outbox, text, self.deflate, deflaters);
                }
                self.core.metrics.published += 1;
            }
            Err(error) => {
                let why = publish_error(error, &self.core.config);
                self.fail(id, Some(channel), ErrorCode::Limit, &why);
            }
        }
    }

    fn subscribe(&mut self, id: Option<Id<'_>>, channel: &str, start: Start<'_>) {
        self.core.allowance.charge(allowance::SUBSCRIBE);
        let Core {
            hub,
            text,
            now,
            metrics,
            deflaters,
            ..
        } = &mut *self.core;
        let (code, why) = match hub.subscribe(self.subscriber, channel, start, *now) {
            Ok(made) => {
                text.clear();
                encode::subscribed(text, id, channel, made.epoch, made.seq, made.recovered);
                write_answer(self.outbox, text, self.deflate, deflaters);
                if let Some(gap) = made.gap {
                    metrics.gaps += 1;
                    write_gap(self.outbox.private(), text, &gap);
                }
                self.core.note_channel(self.who, "subscribed to", channel);
                return;
            }
            Err(SubscribeError::AlreadySubscribed) => (
                ErrorCode::AlreadySubscribed,
                "this connection is subscribed to it already".to_owned(),
            ),
            Err(SubscribeError::TooManyChannels) => (
                ErrorCode::Limit,
                publish_error(PublishError::TooManyChannels, &self.core.config),
            ),
            Err(SubscribeError::TooManySubscriptions) => {
                let max = self.core.config.max_subscriptions;
                let why = format!(
                    "this connection has as many subscriptions as --max-subscriptions allows: {max}"
                );
                (ErrorCode::Limit, why)
            }
        };
        self.fail(id, Some(channel), code, &why);
    }

    fn unsubscribe(&mut self, id: Option<Id<'_>>, channel: &str) {
        self.core.allowance.charge(allowance::SUBSCRIBE);
        match self.core.hub.unsubscribe(self.subscriber, channel) {
            Ok(()) => {
                self.core
                    .note_channel(self.who, "unsubscribed from", channel);
                self.answer(|text| encode::unsubscribed(text, id, channel));
            }
            Err(hub::NotSubscribed) => {
                let why = "this connection is not subscribed to it";
                self.fail(id, Some(channel), ErrorCode::NotSubscribed, why);
            }
        }
    }

    fn fail(&mut self, id: Option<Id<'_>>, channel: Option<&str>, code: ErrorCode, why: &str) {
        let error = ErrorReply {
            id,
            channel,
            ..ErrorReply::new(code, why)
        };
        self.refuse(&error);
    }

    fn refuse(&mut self, error: &ErrorReply<'_>) {
        (self.core).note_refusal(self.who, error.channel, error.code.as_str(), &error.message);
        self.answer(|text| encode::error(text, error));
    }

    /// Queues the text message that `write` writes.
    fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let text = &mut self.core.text;
        text.clear();
        write(text);
        write_answer(self.outbox, text, self.deflate, &mut self.core.deflaters);
    }

    /// Sends a message back as it came.
    pub(super) fn echo(&mut self, text: bool, payload: &[u8]) {
        let out = self.outbox.private();
        match self.deflate {
            Some(window) => {
                let deflater = self.core.deflaters.for_window(window);
                write_message_deflated(out, text, payload, None, deflater);
            }
            None => write_message(out, text, payload, None),
        }
    }
}

/// Queues a text message for one connection alone, compressed if that is agreed and pays.
fn write_answer(
    outbox: &mut Outbox,
    text: &[u8],
    window: Option<WindowBits>,
    deflaters: &mut Deflaters,
) {
    let out = outbox.private();
    match window {
        Some(window) => {
            write_message_deflated(out, true, text, None, deflaters.for_window(window));
        }
        None => write_message(out, true, text, None),
    }
}

/// Appends a gap as a frame; `text` is where it is written first.
pub(super) fn write_gap(out: &mut Vec<u8>, text: &mut Vec<u8>, gap: &hub::Gap<'_>) {
    text.clear();
    encode::gap(
        text,
        gap.channel,
        gap.epoch,
        gap.from,
        gap.to,
        gap.reason.as_str(),
    );
    write_message(out, true, text, None);
}
