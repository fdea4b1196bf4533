//! A connection beside the load that asks again and again for a pong: is anybody else still served?
//!
//! It has a thread of its own, so that what the load client is busy with is not counted as the server's delay.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use fanfare::ws::frame::Opcode;

use crate::client::MAX_HEAD;
use crate::dialect::{Dialect, Role};
use crate::latency::{Latencies, Quantiles};
use crate::report::Report;
use crate::server::Server;
use crate::tls::{self, Duplex};
use crate::wire;

/// The pause between a pong and the next ping.
const PAUSE: Duration = Duration::from_millis(5);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A running probe.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Quantiles>>>,
}

impl Probe {
    /// Connects and begins to ask.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) fn start(server: &Server, dialect: Dialect) -> Result<Self> {
        let socket = TcpStream::connect(server.address).context("the probe can't connect")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut socket: Box<dyn Duplex> = match server.tls() {
            Some(config) => tls::encrypted(socket, &config)?,
            None => Box::new(socket),
        };
        let mut request = Vec::new();
        let host = server.address.to_string();
        // A channel that nothing is published to, for the dialects that have channels in paths.
        dialect.handshake(
            &mut request,
            &host,
            &server.path,
            Role::Subscriber,
            999_999,
            None,
        )?;
        socket.write_all(&request)?;
        let mut received = Vec::new();
        let end = loop {
            receive(&mut *socket, &mut received)?;
            if let Some(end) = dialect.agreed(&received, None)? {
                break end;
            }
            if received.len() > MAX_HEAD {
                bail!("the answer to the probe's handshake has no end");
            }
        };
        received.drain(..end);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || ask(&mut *socket, received, &stopped));
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends it and returns how long the answers took.
    ///
    /// # Errors
    /// The connection was lost, or an answer took longer than half a minute.
    fn finish(mut self) -> Result<Quantiles> {
        self.stop.store(true, Ordering::Relaxed);
        // Only this takes it, and only once.
        let thread = self.thread.take().context("the probe has ended")?;
        thread.join().map_err(|_| anyhow!("the probe panicked"))?
    }

    /// Ends it and adds how long the answers took to a report.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub(crate) fn report(self, report: &mut Report) -> Result<()> {
        let pongs = self.finish()?;
        report.add("pings", pongs.count as f64);
        report.add("ping_p50_ms", pongs.p50_ms);
        report.add("ping_p99_ms", pongs.p99_ms);
        report.add("ping_max_ms", pongs.max_ms);
        report.remarks.push(
            "the pings share the load client's core: their times include its delays".to_owned(),
        );
        Ok(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // A run that failed is not waited for by its probe: it ends at its next answer.
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ask(socket: &mut dyn Duplex, mut received: Vec<u8>, stop: &AtomicBool) -> Result<Quantiles> {
    let mut latencies = Latencies::new();
    let mut ping = Vec::new();
    wire::write_ping(&mut ping, b"probe");
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        socket.write_all(&ping).context("the probe can't send")?;
        while !take_pong(&mut received)? {
            receive(socket, &mut received)?;
        }
        latencies.record(asked.elapsed().as_nanos() as u64, 1);
        std::thread::sleep(PAUSE);
    }
    Ok(latencies.quantiles())
}

/// Takes frames off the front until a pong was among them.
fn take_pong(received: &mut Vec<u8>) -> Result<bool> {
    while let Some(frame) = wire::parse(received)? {
        received.drain(..frame.len);
        match frame.opcode {
            Opcode::Pong => return Ok(true),
            Opcode::Close => bail!("the server closed the probe's connection"),
            _ => {}
        }
    }
    Ok(false)
}

fn receive(socket: &mut dyn Duplex, received: &mut Vec<u8>) -> Result<()> {
    let mut chunk = [0; 4_096];
    let len = socket.read(&mut chunk).context("the probe got no answer")?;
    if len == 0 {
        bail!("the server closed the probe's connection");
    }
    received.extend_from_slice(&chunk[..len]);
    Ok(())
}
