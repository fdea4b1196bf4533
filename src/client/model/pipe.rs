//! Connections to the server in memory, each of which may be cut at any byte.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::world::{self, Idle, Line, World};
use crate::client::error::ConnectError;
use crate::client::in_memory::{InMemory, take_frames};
use crate::client::link::Dial;
use crate::client::opening::Opened;
use crate::client::websocket::WebSocket;
use crate::dialect::json::SUB_PROTOCOL;
use crate::ws::frame::{Opcode, write_frame};

/// The way to the server.
#[derive(Clone)]
pub(in crate::client) struct Wire(Arc<(Mutex<World>, Condvar)>);

/// How long a read may find nothing while another thread has something to do, before the model fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// The client's end of one connection.
struct Pipe {
    wire: Wire,
    number: usize,
}

impl Wire {
    pub(super) fn new(world: World) -> Self {
        Self(Arc::new((Mutex::new(world), Condvar::new())))
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on the server takes what is written, says nothing more, and takes no further connection for a long time.
    pub(in crate::client) fn vanish(&self) {
        let mut world = self.world();
        if let Some(line) = world.lines.last_mut() {
            line.cut.after_read = Some(0);
            line.cut.refusals = u8::MAX;
        }
    }

    /// Something has happened that a read may wait for.
    pub(super) fn notify(&self) {
        self.0.1.notify_all();
    }

    /// Waits until something has happened.
    fn wait<'w>(&self, world: MutexGuard<'w, World>) -> MutexGuard<'w, World> {
        let waited = self.0.1.wait_timeout(world, PATIENCE);
        let (world, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "the client listens, and nothing comes"
        );
        world
    }
}

impl Dial for Wire {
    fn dial(&self, _: Option<&str>) -> Result<WebSocket, ConnectError> {
        let mut world = self.world();
        world.idle_reads = 0;
        if let Some(line) = world.lines.last_mut()
            && !std::mem::replace(&mut line.ended, true)
        {
            // The client left this one by itself.
            line.output.clear();
        }
        if world.refusals > 0 {
            world.refusals -= 1;
            return Err(ConnectError::NoAnswer);
        }
        let cut = world.cuts.pop().unwrap_or_default();
        let mut line = Line {
            cut,
            ..Line::default()
        };
        let features = if cut.older {
            ""
        } else {
            r#""patterns","encoding","key""#
        };
        line.say(&format!(
            r#"{{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":65536,"features":[{features}]}}"#,
        ));
        world.was_older |= cut.older;
        world.lines.push(line);
        let pipe = Pipe {
            wire: self.clone(),
            number: world.lines.len() - 1,
        };
        drop(world);
        let opened = Opened {
            protocol: Some(SUB_PROTOCOL.to_owned()),
            deflate: None,
            rest: Vec::new(),
        };
        let close_timeout = Duration::from_secs(5);
        Ok(WebSocket::new(
            Arc::new(pipe),
            opened,
            1 << 20,
            close_timeout,
        ))
    }
}

impl World {
    /// The server's end of a connection goes, as `cut` says.
    pub(super) fn cut(&mut self, number: usize) {
        let line = &mut self.lines[number];
        if std::mem::replace(&mut line.ended, true) {
            return;
        }
        let cut = line.cut;
        self.refusals = cut.refusals;
        if cut.restart {
            self.restart();
        }
    }
}

/// The channel of a `subscribe`, or the pattern.
fn asked_for(text: &[u8]) -> Option<String> {
    let request: serde_json::Value = serde_json::from_slice(text).ok()?;
    (request["type"] == "subscribe").then(|| world::asked_about(&request))?
}

impl Pipe {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.wire.world();
        self.wire.notify();
        let line = &mut world.lines[self.number];
        if line.aborted || (line.ended && !line.cut.writes_vanish) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        line.tap.extend_from_slice(bytes);
        for (_, text) in take_frames(&mut line.tap) {
            line.asked.extend(asked_for(&text));
        }
        if line.ended {
            return Ok(());
        }
        let left = line.cut.after_written.unwrap_or(usize::MAX);
        let arrives = bytes.len().min(left);
        line.input.extend_from_slice(&bytes[..arrives]);
        line.cut.after_written = line.cut.after_written.map(|left| left - arrives);
        for (opcode, payload) in take_frames(&mut line.input) {
            self.take(&mut world, opcode, &payload);
        }
        if arrives == bytes.len() {
            return Ok(());
        }
        self.end(&mut world)
    }

    fn end(&self, world: &mut World) -> io::Result<()> {
        world.cut(self.number);
        if world.lines[self.number].cut.writes_vanish {
            return Ok(());
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn take(&self, world: &mut World, opcode: Opcode, payload: &[u8]) {
        let line = &mut world.lines[self.number];
        match opcode {
            Opcode::Text => world.answer(payload),
            Opcode::Ping => write_frame(&mut line.output, true, false, Opcode::Pong, payload, None),
            Opcode::Close => {
                write_frame(&mut line.output, true, false, Opcode::Close, payload, None);
                line.ended = true;
            }
            _ => {}
        }
    }
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pipe")
    }
}

impl InMemory for Pipe {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut world = self.wire.world();
        loop {
            let chunk = world.chunk;
            let line = &mut world.lines[self.number];
            if line.aborted {
                return Ok(0);
            }
            let left = line.cut.after_read.unwrap_or(usize::MAX);
            let len = line.output.len().min(left).min(chunk).min(buffer.len());
            if len > 0 {
                buffer[..len].copy_from_slice(&line.output[..len]);
                line.output.drain(..len);
                line.cut.after_read = line.cut.after_read.map(|left| left - len);
                return Ok(len);
            }
            let over = line.ended || left == 0;
            match world.idle {
                Idle::Wait if !over => world = self.wire.wait(world),
                Idle::Hang if !over => {
                    world.note_idle_read();
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                _ => {
                    world.cut(self.number);
                    if world.lines[self.number].cut.reset {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                    return Ok(0);
                }
            }
        }
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes).map(|()| bytes.len())
    }

    fn abort(&self) {
        self.wire.world().lines[self.number].aborted = true;
        self.wire.notify();
    }
}
