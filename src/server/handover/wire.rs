//! The socket between two processes: messages with bytes and open files, each way.
//!
//! A message is its kind, the number of its files, the length of its body, and the body. Its files come with its first byte. There is nothing but this socket between the two, and
//! either of them may end at any moment, so everything has a time limit.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most files of one message: the kernel takes no more at once.
pub(super) const FILES_MAX: usize = 253;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// The longest body: a few of the longest messages of clients.
const BODY_MAX: usize = 1 << 30;

/// Bytes of a message before its body.
const HEAD: usize = 6;

/// After how long it is tried again to send files of which too many are on their way.
const RETRY: Duration = Duration::from_millis(1);

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// From the old process: which version it speaks, its time and its listeners, with their sockets.
    Hello = 1,
    /// From the new one: it has started, and waits for the rest.
    Ready = 2,
    /// From the old one: some of what channels hold.
    Channels = 3,
    /// From the old one: what all connections have in common. From here on it does nothing for them.
    Shared = 4,
    /// From the old one: connections, with their sockets.
    Connections = 5,
    /// From the old one: that was all.
    End = 6,
    /// From the new one: all has arrived, and makes sense.
    Arrived = 7,
    /// From the old one: go.
    Go = 8,
    /// From the new one: it goes.
    Taken = 9,
    /// From the new one: it will not, and why.
    Refused = 10,
}

impl Kind {
    fn of(number: u8) -> Option<Kind> {
        use Kind::*;
        let all = [
            Hello,
            Ready,
            Channels,
            Shared,
            Connections,
            End,
            Arrived,
            Go,
            Taken,
            Refused,
        ];
        all.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A message that has come.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) body: Vec<u8>,
    pub(super) files: Vec<OwnedFd>,
}

/// Why nothing more comes.
#[derive(Debug)]
pub(super) enum Lost {
    /// The other process has closed its end, or has ended.
    Ended,
    /// It did not answer in time.
    Late,
    /// What came makes no sense.
    Broken(&'static str),
    /// The system refuses.
    System(io::Error),
    /// The other process will not, for this reason.
    Refused(String),
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lost::Ended => f.write_str("the other process ended"),
            Lost::Late => f.write_str("the other process did not answer in time"),
            Lost::Broken(why) => f.write_str(why),
            Lost::Refused(why) => f.write_str(why),
            Lost::System(error) => write!(f, "the socket between the two processes: {error}"),
        }
    }
}

impl From<Errno> for Lost {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE | Errno::CONNRESET => Lost::Ended,
            errno => Lost::System(errno.into()),
        }
    }
}

/// One end of the socket.
pub(super) struct Wire {
    socket: OwnedFd,
    /// What is still to be sent, from `sent` on. No files belong to it.
    outgoing: Vec<u8>,
    sent: usize,
    /// What has come, from `read` on.
    incoming: Vec<u8>,
    read: usize,
    files: VecDeque<OwnedFd>,
    buffer: Box<[u8]>,
}

impl Wire {
    /// Over one end of a pair of stream sockets.
    pub(super) fn new(socket: OwnedFd) -> Wire {
        Wire {
            socket,
            outgoing: Vec::new(),
            sent: 0,
            incoming: Vec::new(),
            read: 0,
            files: VecDeque::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        }
    }

    /// Queues a message without files. [`Wire::flush`] sends it.
    pub(super) fn queue(&mut self, kind: Kind, body: &[u8]) {
        head(&mut self.outgoing, kind, body.len(), 0);
        self.outgoing.extend_from_slice(body);
    }

    /// Sends what is queued, as far as the socket takes it. Says whether that was all.
    ///
    /// # Errors
    /// The other end is gone.
    pub(super) fn flush(&mut self) -> Result<bool, Lost> {
        while self.sent < self.outgoing.len() {
            match send_some(self.socket.as_fd(), &self.outgoing[self.sent..], &[]) {
                Ok(sent) => self.sent += sent,
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Sends what is queued and then a message, and waits for as long as that takes, but not beyond `until`.
    ///
    /// # Errors
    /// The other end is gone, or takes too little.
    pub(super) fn send(
        &mut self,
        kind: Kind,
        body: &[u8],
        files: &[BorrowedFd<'_>],
        until: Instant,
    ) -> Result<(), Lost> {
        while !self.flush()? {
            self.wait(PollFlags::OUT, until)?;
        }
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        head(&mut bytes, kind, body.len(), files.len());
        bytes.extend_from_slice(body);
        let (mut files, mut sent) = (files, 0);
        while sent < bytes.len() {
            match send_some(self.socket.as_fd(), &bytes[sent..], files) {
                Ok(count) => {
                    sent += count;
                    files = &[];
                }
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, until)?,
                // Until the other process has taken some of those that are on their way.
                Err(Errno::TOOMANYREFS) if Instant::now() < until => std::thread::sleep(RETRY),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// The next message, if it is here.
    ///
    /// # Errors
    /// The other end is gone, or what it says makes no sense.
    pub(super) fn try_receive(&mut self) -> Result<Option<Message>, Lost> {
        loop {
            if let Some(message) = self.next_message()? {
                return Ok(Some(message));
            }
            match self.receive_some() {
                Ok(0) => return Err(Lost::Ended),
                Ok(_) => {}
                Err(Lost::System(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(None);
                }
                Err(lost) => return Err(lost),
            }
        }
    }

    /// The next message, for which it waits, but not beyond `until`.
    ///
    /// # Errors
    /// It does not come, or makes no sense.
    pub(super) fn receive(&mut self, until: Instant) -> Result<Message, Lost> {
        loop {
            if let Some(message) = self.try_receive()? {
                return Ok(message);
            }
            self.wait(PollFlags::IN, until)?;
        }
    }

    /// The next message, which is of this kind.
    ///
    /// # Errors
    /// It does not come, or is another one.
    pub(super) fn expect(&mut self, kind: Kind, until: Instant) -> Result<Message, Lost> {
        let message = self.receive(until)?;
        match message.kind == kind {
            true => Ok(message),
            false => Err(Lost::Broken(
                "the other process said something else than it should have",
            )),
        }
    }

    /// Takes the first message off what has come.
    fn next_message(&mut self) -> Result<Option<Message>, Lost> {
        let bytes = &self.incoming[self.read..];
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [kind, files, a, b, c, d] = *head;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        let (Some(kind), true) = (Kind::of(kind), len <= BODY_MAX) else {
            return Err(Lost::Broken("what the other process said is no message"));
        };
        let Some(body) = rest.get(..len) else {
            return Ok(None);
        };
        let body = body.to_vec();
        let files = usize::from(files);
        if self.files.len() < files {
            return Err(Lost::Broken("open files of a message did not arrive"));
        }
        self.read += HEAD + len;
        if self.read == self.incoming.len() {
            self.incoming.clear();
            self.read = 0;
        }
        let files = self.files.drain(..files).collect();
        Ok(Some(Message { kind, body, files }))
    }

    /// Reads what is there. How much that is: nothing at the end.
    fn receive_some(&mut self) -> Result<usize, Lost> {
        if self.read > READ_BYTES {
            self.incoming.drain(..self.read);
            self.read = 0;
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            match recvmsg(&self.socket, &mut slices, &mut control, flags) {
                Err(Errno::INTR) => {}
                received => break received?,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(Lost::Broken(
                "the limit on open files is too low for those of the other process",
            ));
        }
        self.incoming
            .extend_from_slice(&self.buffer[..received.bytes]);
        Ok(received.bytes)
    }

    /// Waits until the socket is ready.
    fn wait(&self, wanted: PollFlags, until: Instant) -> Result<(), Lost> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Lost::Late);
        }
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(&self.socket, wanted)], timeout.as_ref()) {
            Ok(0) => Err(Lost::Late),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn head(out: &mut Vec<u8>, kind: Kind, len: usize, files: usize) {
    debug_assert!(files <= FILES_MAX && len <= BODY_MAX);
    out.extend_from_slice(&[kind as u8, files as u8]);
    out.extend_from_slice(&(len as u32).to_le_bytes());
}

/// Sends some bytes, and all of the files with the first of them.
fn send_some(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    files: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(Errno::MSGSIZE);
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags) {
            Err(Errno::INTR) => {}
            sent => return sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().expect("a pair");
        (Wire::new(one.into()), Wire::new(other.into()))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn messages_arrive_in_order_with_their_files() {
        let (mut one, mut other) = pair();
        let file = File::open("/dev/null").expect("it is there");
        let sender = std::thread::spawn(move || {
            for round in 0..20 {
                one.queue(Kind::Channels, &vec![round; 300_000]);
                let files = vec![file.as_fd(); usize::from(round) * 13];
                one.send(Kind::Connections, &[round], &files, soon())
                    .expect("it is sent");
            }
        });
        for round in 0..20 {
            let message = other.expect(Kind::Channels, soon()).expect("it comes");
            assert_eq!(message.body, vec![round; 300_000]);
            let message = other.expect(Kind::Connections, soon()).expect("it comes");
            assert_eq!(
                (message.body, message.files.len()),
                (vec![round], usize::from(round) * 13)
            );
        }
        sender.join().expect("all was sent");
        assert!(matches!(other.receive(soon()), Err(Lost::Ended)));
    }

    #[test]
    fn nothing_is_waited_for_without_an_end() {
        let (mut one, mut other) = pair();
        let now = Instant::now();
        assert!(matches!(one.receive(now), Err(Lost::Late)));
        let much = vec![0; 10 << 20];
        assert!(matches!(
            one.send(Kind::Channels, &much, &[], now),
            Err(Lost::Late)
        ));
        drop(one);
        while let Ok(message) = other.try_receive() {
            assert!(message.is_none());
        }
        assert!(matches!(
            other.send(Kind::Go, &[], &[], soon()),
            Err(Lost::Ended)
        ));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [
            [99, 0, 0, 0, 0, 0],
            [1, 5, 0, 0, 0, 0],
            [1, 0, 255, 255, 255, 255],
        ] {
            let (one, mut other) = pair();
            send_some(one.as_fd(), &bytes, &[]).expect("it is sent");
            assert!(matches!(other.receive(soon()), Err(Lost::Broken(_))));
        }
    }
}
