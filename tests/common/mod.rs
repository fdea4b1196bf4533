//! The built daemon as a child process, and a client that speaks raw bytes to it.
//!
//! The client's framing is its own and deliberately plain: what the daemon sends is judged by
//! something that shares no code with it.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of this"
)]

pub mod command;
pub mod fake;
pub mod relay;
pub mod tls;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// How long anything may take before a test fails: far longer than it ever does.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running daemon. It is killed when the test ends, however that ends.
pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
    log: Receiver<String>,
    seen: Vec<String>,
}

impl Daemon {
    /// Starts `fanfare serve` on a free port, with these arguments beside.
    pub fn start(arguments: &[&str]) -> Daemon {
        Self::start_at("127.0.0.1:0", arguments)
    }

    /// Starts it on a port of the caller's choice: on that of one that is gone, for instance.
    pub fn start_at(listen: &str, arguments: &[&str]) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.args(["serve", "--listen", listen]).args(arguments);
        // What others log is not what a test waits for.
        command.env_remove("RUST_LOG");
        Self::spawn(command)
    }

    /// Starts it as the caller says, and waits until it listens.
    pub fn spawn(mut command: Command) -> Daemon {
        // Tests run beside each other, and a flag wins over it.
        if !command.get_envs().any(|(name, _)| name == "FANFARE_ADMIN") {
            command.env("FANFARE_ADMIN", "off");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = command::lines(stderr);
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut daemon = Daemon {
            child,
            address: unknown,
            log,
            seen: Vec::new(),
        };
        daemon.address = daemon.address_after("listening on ws://");
        daemon
    }

    /// Waits for a log line that contains `text`, from the beginning of the log.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        if let Some(line) = self.seen.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no log line with {text:?} in {:#?}", self.seen),
            }
        }
    }

    /// Where it is administered, as this machine reaches that.
    pub fn admin_address(&mut self) -> SocketAddr {
        let mut address = self.address_after("administration on http://");
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        address
    }

    /// Where it speaks TLS.
    pub fn tls_address(&mut self) -> SocketAddr {
        self.address_after("listening on wss://")
    }

    /// The address that the log has after this.
    fn address_after(&mut self, what: &str) -> SocketAddr {
        let line = self.wait_for_log(what);
        let address = line
            .split(what)
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        address
            .and_then(|address| address.parse().ok())
            .expect("the line has an address")
    }

    /// The next log line, not seen before, that contains `text`.
    pub fn next_log(&mut self, text: &str) -> String {
        self.seen.clear();
        self.wait_for_log(text)
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    /// Stops the daemon where it is, until it is sent `CONT`: what is sent to it meanwhile reaches it in one moment.
    pub fn stop(&self) {
        self.signal("STOP");
        let path = format!("/proc/{}/stat", self.child.id());
        let until = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&path).is_ok_and(|stat| stat.contains(") T ")) {
            assert!(Instant::now() < until, "it did not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The memory that the daemon takes, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the daemon runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
            .expect("the kernel says how much is resident")
    }

    /// A number in the line that SIGUSR1 makes the daemon log: the one after `name`.
    pub fn sum(&mut self, name: &str) -> u64 {
        self.signal("USR1");
        let line = self.next_log("half-read bytes");
        let text = line.split(&format!("{name} ")).nth(1).unwrap_or_default();
        let digits = text.split(|c: char| !c.is_ascii_digit()).next();
        digits
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {line}"))
    }

    /// Waits until that number is as `wanted`.
    pub fn wait_for_sum(&mut self, name: &str, wanted: impl Fn(u64) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let sum = self.sum(name);
            if wanted(sum) {
                return;
            }
            assert!(Instant::now() < until, "{name} stayed at {sum}");
        }
    }

    /// Waits until the daemon has ended by itself; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the daemon did not end");
    }

    /// The most memory that the daemon has had resident so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the daemon lives");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|rest| rest.trim().strip_suffix(" kB"));
        peak.and_then(|kib| kib.parse().ok())
            .expect("the kernel counts it")
    }

    pub fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the daemon accepts");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout can be set");
        stream.set_nodelay(true).expect("nodelay can be set");
        stream
    }

    /// Sends `request` as it is and returns everything up to the end of the stream.
    pub fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.raw();
        // A client that is refused may find the stream closed before all is written.
        let _ = stream.write_all(request);
        read_to_end(&mut stream)
    }

    /// Sends `request` as it is and returns the one answer to it, whether or not the connection
    /// stays open.
    pub fn answer(&self, request: &str) -> String {
        let mut stream = self.raw();
        let _ = stream.write_all(request.as_bytes());
        read_answer(&mut stream)
    }

    /// An open connection that has read its `welcome`.
    pub fn connect(&self) -> Client {
        let mut client = self.open("/", "");
        let welcome = client.text();
        assert!(
            welcome.starts_with(r#"{"type":"welcome","protocol":"json.fanfare.v1""#),
            "{welcome}"
        );
        client
    }

    /// A connection whose handshake at `path`, with these header lines beside, succeeded.
    pub fn open(&self, path: &str, headers: &str) -> Client {
        let mut stream = self.raw();
        stream
            .write_all(handshake(path, headers).as_bytes())
            .expect("the request goes out");
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Client { stream, head }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A handshake request with the RFC's own sample key.
pub fn handshake(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}

/// An HTTP response's head, with the empty line that ends it.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the answer comes");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("the answer is text")
}

/// An HTTP response whose body has the length that it announces.
pub fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = read_head(stream);
    let len = header(&answer, "Content-Length").map_or(0, |len| len.parse().expect("a number"));
    let mut body = vec![0; len];
    stream.read_exact(&mut body).expect("the body comes");
    answer.push_str(str::from_utf8(&body).expect("the body is text"));
    answer
}

/// The value of the header line called `name`, in the case in which it is written.
pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let line = |line: &'h str| line.strip_prefix(name)?.strip_prefix(": ");
    head.split("\r\n").find_map(line)
}

pub fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let result = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if let Err(error) = result {
        panic!("{error} after {text:?}");
    }
    text
}

/// One frame as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub payload: Vec<u8>,
}

/// The client's side of an open connection.
pub struct Client {
    pub stream: TcpStream,
    pub head: String,
}

impl Client {
    pub fn send_text(&mut self, text: &str) {
        let frame = masked(0x81, text.as_bytes());
        self.stream.write_all(&frame).expect("the frame goes out");
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the bytes go out");
    }

    pub fn frame(&mut self) -> Frame {
        self.try_frame().expect("a frame comes")
    }

    pub fn try_frame(&mut self) -> std::io::Result<Frame> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                self.stream.read_exact(&mut len)?;
                u64::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.stream.read_exact(&mut len)?;
                u64::from_be_bytes(len)
            }
            len => u64::from(len),
        };
        let mut payload = vec![0; len as usize];
        self.stream.read_exact(&mut payload)?;
        Ok(Frame {
            first: head[0],
            payload,
        })
    }

    /// The next text message; pings are passed over.
    pub fn text(&mut self) -> String {
        loop {
            let frame = self.frame();
            match frame.first {
                0x81 => return String::from_utf8(frame.payload).expect("text is UTF-8"),
                0x89 => {}
                _ => panic!("not text: {frame:?}"),
            }
        }
    }

    /// Sends a request and returns what comes next.
    pub fn ask(&mut self, request: &str) -> String {
        self.send_text(request);
        self.text()
    }

    /// The code and reason of the close that comes next, messages before it passed over, and then
    /// the end of the stream.
    pub fn close(&mut self) -> (u16, String) {
        let frame = loop {
            let frame = self.frame();
            if frame.first == 0x88 {
                break frame;
            }
        };
        if frame.payload.is_empty() {
            return (1005, String::new());
        }
        let code = u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
        let reason = String::from_utf8(frame.payload[2..].to_vec()).expect("a reason is UTF-8");
        (code, reason)
    }
}

/// A client's frame, masked with a fixed key.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let key = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend_from_slice(&key);
    frame.extend(
        payload
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key[i % 4]),
    );
    frame
}

/// The value of a member of a flat JSON object, as it was written.
pub fn member<'t>(text: &'t str, name: &str) -> &'t str {
    let at = text
        .find(&format!("\"{name}\":"))
        .unwrap_or_else(|| panic!("no {name} in {text}"));
    let value = &text[at + name.len() + 3..];
    let end = match value.as_bytes()[0] {
        b'"' => 2 + value[1..].find('"').expect("the string ends"),
        _ => value.find([',', '}']).expect("the object ends"),
    };
    &value[..end]
}
