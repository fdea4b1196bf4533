//! The plain layer over a stream that is a script: no sockets, no clock.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use flate2::{Compress, Compression, FlushCompress};

use super::*;
use crate::client::in_memory::{InMemory, take_frames};
use crate::ws::encode::{write_close, write_message, write_ping, write_pong};
use crate::ws::extension::{Answer, Offer};
use crate::ws::frame::{Opcode, write_frame};

/// What one `read` does.
enum Read {
    Bytes(Vec<u8>),
    TimedOut,
}

type Hook = Box<dyn FnOnce() + Send>;

/// A stream that reads from a script, and ends with it.
#[derive(Default)]
struct Script {
    reads: Mutex<VecDeque<Read>>,
    written: Mutex<Vec<u8>>,
    /// There is no room for anything that does not wait for some.
    full: AtomicBool,
    /// Done in the middle of the next write.
    while_writing: Mutex<Option<Hook>>,
    aborted: AtomicBool,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl InMemory for Script {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reads.lock().unwrap().pop_front() {
            Some(Read::Bytes(bytes)) => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            Some(Read::TimedOut) => Err(io::ErrorKind::WouldBlock.into()),
            None => Ok(0),
        }
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(hook) = self.while_writing.lock().unwrap().take() {
            hook();
        }
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.full.load(Relaxed) {
            return Ok(0);
        }
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn abort(&self) {
        self.aborted.store(true, Relaxed);
    }
}

impl Script {
    /// The frames that were written since the last look: opcode and payload.
    fn frames(&self) -> Vec<(Opcode, Vec<u8>)> {
        let mut wire = self.written.lock().unwrap();
        let frames = take_frames(&mut wire);
        assert!(wire.is_empty());
        frames
    }
}

/// A WebSocket whose peer sends these.
fn socket(reads: Vec<Read>, deflate: Option<Answer>) -> (WebSocket, Arc<Script>) {
    let script = Arc::new(Script {
        reads: Mutex::new(reads.into()),
        ..Script::default()
    });
    let opened = Opened {
        protocol: None,
        deflate,
        rest: Vec::new(),
    };
    let close_timeout = Duration::from_secs(5);
    let socket = WebSocket::new(script.clone(), opened, 1000, close_timeout);
    (socket, script)
}

/// What a server writes.
fn wire(write: impl FnOnce(&mut Vec<u8>)) -> Read {
    let mut bytes = Vec::new();
    write(&mut bytes);
    Read::Bytes(bytes)
}

fn text(text: &str) -> Read {
    wire(|out| write_message(out, true, text.as_bytes(), None))
}

fn close_of(code: u16, reason: &str) -> Read {
    wire(|out| {
        let code = CloseCode(code);
        write_close(
            out,
            Some(crate::ws::close::CloseFrame { code, reason }),
            None,
        );
    })
}

fn is_closed(error: &Error, expected: u16) -> bool {
    matches!(error, Error::Closed { code, .. } if code.0 == expected)
}

#[test]
fn a_ping_is_answered_with_its_own_bytes_before_the_next_message_is_handed_out() {
    let ping = wire(|out| write_ping(out, b"you there?", None));
    let (mut socket, script) = socket(vec![ping, text("hi")], None);
    assert_eq!(socket.receive().unwrap(), Message::Text("hi".into()));
    assert_eq!(script.frames(), [(Opcode::Pong, b"you there?".to_vec())]);
}

#[test]
fn a_pong_for_which_there_is_no_room_waits_for_the_next_write_and_keeps_nobody_waiting() {
    let ping = wire(|out| write_ping(out, b"1", None));
    let (mut socket, script) = socket(vec![ping, text("hi")], None);
    script.full.store(true, Relaxed);
    assert_eq!(socket.receive().unwrap(), Message::Text("hi".into()));
    assert!(script.frames().is_empty());
    socket.send_text("ho").unwrap();
    let expected = [
        (Opcode::Pong, b"1".to_vec()),
        (Opcode::Text, b"ho".to_vec()),
    ];
    assert_eq!(script.frames(), expected);
}

#[test]
fn a_peer_that_pings_and_does_not_read_piles_up_no_answers() {
    let pings =
        (0..10_000).map(|n| wire(|out| write_ping(out, format!("{n:0>125}").as_bytes(), None)));
    let (socket, script) = socket(pings.chain([text("hi")]).collect(), None);
    let (mut sender, mut receiver) = socket.split();
    script.full.store(true, Relaxed);
    assert_eq!(receiver.receive().unwrap(), Message::Text("hi".into()));
    assert!(sender.waiting_bytes() < 400, "{}", sender.waiting_bytes());
    // Once there is room again, the newest ping has its answer, behind the one that had begun to go out.
    script.full.store(false, Relaxed);
    sender.send_text("ho").unwrap();
    let frames = script.frames();
    let pong = |n: u32| (Opcode::Pong, format!("{n:0>125}").into_bytes());
    assert_eq!(
        frames,
        [pong(0), (Opcode::Text, b"ho".to_vec()), pong(9999)]
    );
}

#[test]
fn a_peer_that_pings_for_ever_does_not_keep_a_close_waiting() {
    let pings = (0..10_000).map(|_| wire(|out| write_ping(out, b"", None)));
    let script = Arc::new(Script {
        reads: Mutex::new(pings.collect()),
        ..Script::default()
    });
    let opened = Opened {
        protocol: None,
        deflate: None,
        rest: Vec::new(),
    };
    let socket = WebSocket::new(script.clone(), opened, 1000, Duration::ZERO);
    assert!(matches!(socket.close(), Err(Error::TimedOut)));
    assert!(script.aborted.load(Relaxed));
    assert!(!script.reads.lock().unwrap().is_empty());
}

#[test]
fn a_pong_that_is_owed_while_a_message_is_being_written_follows_that_message() {
    let (socket, script) = socket(Vec::new(), None);
    let (mut sender, receiver) = socket.split();
    let other = sender.clone();
    *script.while_writing.lock().unwrap() = Some(Box::new(move || other.owe_pong(b"2")));
    sender.send_text("a long one").unwrap();
    let expected = [
        (Opcode::Text, b"a long one".to_vec()),
        (Opcode::Pong, b"2".to_vec()),
    ];
    assert_eq!(script.frames(), expected);
    drop(receiver);
}

#[test]
fn the_peers_close_is_answered_with_its_code_and_reported_every_time() {
    let (mut socket, script) = socket(vec![close_of(4508, "too slow")], None);
    for _ in 0..2 {
        let error = socket.receive().unwrap_err();
        assert!(matches!(&error, Error::Closed { reason, .. } if reason == "too slow"));
        assert!(is_closed(&error, 4508) && error.comes_back());
    }
    assert_eq!(
        script.frames(),
        [(Opcode::Close, 4508_u16.to_be_bytes().to_vec())]
    );
    assert!(matches!(socket.send_text("more"), Err(Error::Closing)));
    assert!(script.aborted.load(Relaxed));
}

#[test]
fn a_close_without_a_code_is_answered_without_one() {
    let (mut socket, script) = socket(vec![wire(|out| write_close(out, None, None))], None);
    assert!(is_closed(&socket.receive().unwrap_err(), 1005));
    assert_eq!(script.frames(), [(Opcode::Close, Vec::new())]);
}

#[test]
fn a_stream_that_just_ends_counts_as_1006() {
    let (mut socket, _) = socket(Vec::new(), None);
    assert!(is_closed(&socket.receive().unwrap_err(), 1006));
}

#[test]
fn a_close_waits_for_the_peers_and_drops_what_was_under_way() {
    let reads = vec![text("late"), Read::TimedOut, close_of(1000, "")];
    let (socket, script) = socket(reads, None);
    socket.close_with(CloseCode::GOING_AWAY, "bye").unwrap();
    assert_eq!(script.frames(), [(Opcode::Close, b"\x03\xe9bye".to_vec())]);
}

#[test]
fn nothing_can_be_sent_after_a_close_and_no_ping_is_answered() {
    let reads = vec![wire(|out| write_ping(out, b"", None)), text("last")];
    let (socket, script) = socket(reads, None);
    let (mut sender, mut receiver) = socket.split();
    sender.close(CloseCode::NORMAL, "").unwrap();
    assert!(matches!(sender.send_text("x"), Err(Error::Closing)));
    assert_eq!(receiver.receive().unwrap(), Message::Text("last".into()));
    assert_eq!(script.frames().len(), 1);
}

#[test]
fn a_masked_frame_fails_the_connection_with_1002() {
    let masked = wire(|out| write_message(out, true, b"x", Some([1, 2, 3, 4])));
    let (mut socket, script) = socket(vec![masked, text("more")], None);
    let error = socket.receive().unwrap_err();
    assert!(matches!(error, Error::Violation(violation) if violation.code == CloseCode::PROTOCOL));
    assert!(!error.comes_back());
    let frames = script.frames();
    assert_eq!(
        (frames.len(), &frames[0].1[..2]),
        (1, &1002_u16.to_be_bytes()[..])
    );
    assert!(socket.receive().is_err());
}

#[test]
fn a_message_over_the_limit_fails_the_connection_with_1009_and_bad_text_with_1007() {
    for (bytes, is_text, code) in [
        (vec![b'x'; 1001], false, 1009),
        (b"a\xffb".to_vec(), true, 1007),
    ] {
        let sent = wire(|out| write_message(out, is_text, &bytes, None));
        let (mut socket, script) = socket(vec![sent], None);
        assert!(
            matches!(socket.receive(), Err(Error::Violation(violation)) if violation.code.0 == code)
        );
        assert_eq!(script.frames()[0].1[..2], code.to_be_bytes());
    }
}

#[test]
fn a_message_in_pieces_with_timeouts_and_control_frames_between_them_comes_whole() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, false, false, Opcode::Text, b"on", None);
    write_pong(&mut bytes, b"!", None);
    write_frame(&mut bytes, true, false, Opcode::Continuation, b"ce", None);
    let reads = bytes
        .iter()
        .flat_map(|byte| [Read::Bytes(vec![*byte]), Read::TimedOut]);
    let (mut socket, _) = socket(reads.collect(), None);
    let mut received = Vec::new();
    let mut timeouts = 0;
    while received.len() < 2 {
        match socket.receive() {
            Ok(message) => received.push(message),
            Err(Error::TimedOut) => timeouts += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let expected = [Message::Pong(b"!".to_vec()), Message::Text("once".into())];
    assert_eq!(received, expected);
    assert_eq!(timeouts, bytes.len() - 1);
}

#[test]
fn what_came_with_the_answer_to_the_handshake_is_the_first_to_be_received() {
    let Read::Bytes(rest) = text("early") else {
        unreachable!()
    };
    let opened = Opened {
        protocol: Some("p".into()),
        deflate: None,
        rest,
    };
    let script = Arc::new(Script::default());
    let mut socket = WebSocket::new(script, opened, 1000, Duration::ZERO);
    assert_eq!(socket.receive().unwrap(), Message::Text("early".into()));
    assert_eq!(socket.protocol(), Some("p"));
}

/// The answer of a server that keeps its window from message to message.
fn with_takeover() -> Answer {
    let offer = Offer {
        server_no_context_takeover: false,
        ..Offer::default()
    };
    let answer = offer.check_answer([b"permessage-deflate".as_slice()]);
    answer.expect("a good answer").expect("it agrees")
}

#[test]
fn a_server_that_keeps_its_window_is_understood() {
    let message = "the same words over and over, once and again: ".repeat(5);
    let mut compressor = Compress::new_with_window_bits(Compression::new(6), false, 15);
    let mut lens = Vec::new();
    let mut reads = Vec::new();
    for _ in 0..3 {
        let mut compressed = Vec::with_capacity(1000);
        compressor
            .compress_vec(message.as_bytes(), &mut compressed, FlushCompress::Sync)
            .unwrap();
        compressed.truncate(compressed.len() - 4);
        lens.push(compressed.len());
        reads.push(wire(|out| {
            write_frame(out, true, true, Opcode::Text, &compressed, None);
        }));
    }
    assert!(lens[1] < lens[0] / 2, "the window is in use: {lens:?}");
    let (mut socket, _) = socket(reads, Some(with_takeover()));
    for _ in 0..3 {
        assert_eq!(socket.receive().unwrap(), Message::Text(message.clone()));
    }
}

#[test]
fn what_shrinks_is_sent_compressed_where_that_was_agreed_on() {
    let (mut socket, script) = socket(Vec::new(), Some(with_takeover()));
    socket.send_text(&"x".repeat(900)).unwrap();
    socket.send_text("short").unwrap();
    let frames = script.frames();
    assert!(frames[0].1.len() < 100);
    assert_eq!(frames[1].1, b"short");
}

#[test]
fn many_texts_go_out_whole_and_in_order() {
    let mut texts = Texts::default();
    for n in 0..20_000 {
        texts
            .bytes
            .extend_from_slice(format!("message number {n}").as_bytes());
        texts.ends.push(texts.bytes.len());
    }
    let (socket, script) = socket(Vec::new(), None);
    let (sender, _receiver) = socket.split();
    sender.send_texts(&texts).unwrap();
    let frames = script.frames();
    assert_eq!(frames.len(), 20_000);
    let expected = |n: usize| format!("message number {n}").into_bytes();
    assert!((0..20_000).all(|n| frames[n].1 == expected(n)));
}

#[test]
fn a_small_frame_that_inflates_beyond_the_limit_fails_the_connection_with_1009() {
    let mut compressor = Compress::new_with_window_bits(Compression::new(9), false, 15);
    let mut compressed = Vec::with_capacity(100_000);
    compressor
        .compress_vec(&[b'1'; 10_000_000], &mut compressed, FlushCompress::Sync)
        .unwrap();
    compressed.truncate(compressed.len() - 4);
    assert!(compressed.len() < 20_000, "{}", compressed.len());
    let bomb = wire(|out| write_frame(out, true, true, Opcode::Text, &compressed, None));
    let (mut socket, _) = socket(vec![bomb], Some(with_takeover()));
    let error = socket.receive().unwrap_err();
    assert!(matches!(error, Error::Violation(violation) if violation.code.0 == 1009));
}
