//! `handshakes`: full TLS handshakes and nothing else, so many at once and without pause.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Poll, Token};

use super::Bench;
use crate::fault::check_interruption;
use crate::latency::Latencies;
use crate::meter::{Meter, Own};
use crate::probe::Probe;
use crate::progress::Progress;
use crate::report::Report;
use crate::server::Server;
use crate::socket::Socket;

/// Bytes taken from a socket at once: more than a server says in a handshake.
const BUFFER: usize = 16 << 10;
/// Events taken from the poll at once.
const EVENTS: usize = 1_024;

/// Shakes hands for some time and reports the server's CPU time for each handshake, and how a client is served meanwhile that is
/// inside already.
///
/// A handshake is over when the server's tickets are there, which come after the client's last word. Then the client
/// resets the connection and begins the next one.
///
/// # Errors
/// The server is gone, or finishes no handshake at all.
pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let parameters = &bench.parameters;
    let pid = bench.server.pid;
    let probe = match parameters.probe {
        true => Some(Probe::start(&bench.server, bench.dialect)?),
        false => None,
    };
    let mut storm = Storm::begin(&bench.server, parameters.n as usize)?;
    storm.yields = probe.is_some();
    storm.rage(parameters.warmup)?;
    storm.forget();
    let meter = Meter::read(pid, storm.own)?;
    storm.rage(parameters.seconds)?;
    let cost = meter.until_now(storm.own)?;
    if storm.finished == 0 {
        bail!(
            "no handshake was finished, and {} were refused: a server that sends no tickets can't be measured",
            storm.refused
        );
    }
    let finished = storm.finished as f64;
    report.add("handshakes", finished);
    report.add("handshakes_per_s", finished * 1e9 / cost.wall_ns as f64);
    report.add("refused", storm.refused as f64);
    if cost.server_cpu_ns > 0 {
        report.add(
            "cpu_per_handshake_us",
            cost.server_cpu_ns as f64 / finished / 1e3,
        );
        report.add("user_share_percent", cost.server_user_share * 100.0);
    }
    report.add_load(&cost);
    report.latency = Some(storm.latencies.quantiles());
    if let Some(probe) = probe {
        probe.report(report)?;
    }
    Ok(())
}

/// Clients that shake hands again and again.
struct Storm<'s> {
    server: &'s Server,
    poll: Poll,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    plaintext: Vec<u8>,
    own: Own,
    finished: u64,
    /// Connections that the server ended before the handshake was over.
    refused: u64,
    /// From the beginning of a connection to the end of its handshake.
    latencies: Latencies,
    begun: Instant,
    /// Whether another thread of ours needs the core now and then.
    yields: bool,
}

/// One that shakes hands.
struct Client {
    socket: Socket,
    is_connected: bool,
    began: Instant,
}

impl<'s> Storm<'s> {
    /// Begins the first handshake of each client.
    fn begin(server: &'s Server, clients: usize) -> Result<Self> {
        let poll = Poll::new().context("no poll")?;
        let begin = |at| Client::begin(server, &poll, at);
        Ok(Self {
            clients: (0..clients).map(begin).collect::<Result<_>>()?,
            server,
            poll,
            buffer: vec![0; BUFFER],
            plaintext: Vec::new(),
            own: Own::default(),
            finished: 0,
            refused: 0,
            latencies: Latencies::new(),
            begun: Instant::now(),
            yields: false,
        })
    }

    /// Goes on for so many seconds.
    fn rage(&mut self, seconds: f64) -> Result<()> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        let mut events = Events::with_capacity(EVENTS);
        let now_ns = |storm: &Self| storm.begun.elapsed().as_nanos() as u64;
        let mut progress = Progress::from(now_ns(self));
        while Instant::now() < until {
            check_interruption()?;
            progress.show(now_ns(self), || format!("{} handshakes", self.finished));
            let began = Instant::now();
            match self.poll.poll(&mut events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other.context("poll")?,
            }
            if events.is_empty() {
                self.own.idle_ns += began.elapsed().as_nanos() as u64;
            }
            for event in &events {
                self.ready(event.token().0)?;
            }
            if self.yields {
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    /// Goes on with a client, or has it begin anew.
    fn ready(&mut self, at: usize) -> Result<()> {
        let client = &mut self.clients[at];
        let is_over = match client.go_on(&mut self.own, &mut self.buffer, &mut self.plaintext) {
            Ok(is_over) => is_over,
            // It may have had too many of them.
            Err(_) => {
                self.refused += 1;
                return self.begin_anew(at);
            }
        };
        if !is_over {
            return Ok(());
        }
        self.finished += 1;
        let took = client.began.elapsed().as_nanos() as u64;
        self.latencies.record(took, 1);
        self.begin_anew(at)
    }

    fn begin_anew(&mut self, at: usize) -> Result<()> {
        let next = Client::begin(self.server, &self.poll, at)?;
        std::mem::replace(&mut self.clients[at], next)
            .socket
            .abort();
        Ok(())
    }

    /// Forgets what was counted: it was the warm-up's.
    fn forget(&mut self) {
        self.finished = 0;
        self.refused = 0;
        self.latencies.clear();
    }
}

impl Client {
    fn begin(server: &Server, poll: &Poll, at: usize) -> Result<Self> {
        let mut socket = Socket::connect(server.address, at, server.tls().as_ref())?;
        socket.register(poll.registry(), Token(at))?;
        Ok(Self {
            socket,
            is_connected: false,
            began: Instant::now(),
        })
    }

    /// Says and hears what can be said and heard now, and whether the handshake is over.
    fn go_on(&mut self, own: &mut Own, buffer: &mut [u8], plaintext: &mut Vec<u8>) -> Result<bool> {
        if !self.is_connected {
            self.socket.is_connected()?;
            self.is_connected = true;
        }
        own.sends += self.socket.flush()?;
        loop {
            let len = match self.socket.receive(buffer) {
                Ok(0) => bail!("closed during the handshake"),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("can't receive"),
            };
            own.received_bytes += len as u64;
            plaintext.clear();
            self.socket.decrypt(&mut buffer[..len], plaintext)?;
            own.sends += self.socket.flush()?;
            if self.socket.is_done_for_the_server() {
                return Ok(true);
            }
        }
    }
}
