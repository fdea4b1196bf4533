//! Transports that another process goes on with: their sockets, and what is known of them beside.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use mio::Registry;
use mio::event::Source as _;
use mio::net::{TcpStream, UnixStream};

use super::Transport;
use super::proxied::{Header, Proxied};
use crate::auth::forwarded::proxy_header::{MAX_BYTES, Source};
use crate::snapshot::{Damaged, Reader, put, put_bool, put_bytes};

impl Transport {
    /// Appends what is known of it beside its socket. The socket; `None`: it cannot be handed over, and nothing was appended. What is encrypted cannot: the
    /// secrets stay where they are.
    pub(crate) fn save(&self, out: &mut Vec<u8>) -> Option<BorrowedFd<'_>> {
        match self {
            Transport::Tcp(socket) => {
                out.push(0);
                Some(socket.as_fd())
            }
            Transport::Unix(socket) => {
                out.push(1);
                Some(socket.as_fd())
            }
            Transport::Proxied(proxied) => proxied.save(out),
            #[cfg(feature = "tls")]
            Transport::Tls(_) => None,
            #[cfg(any(test, fuzzing))]
            Transport::Memory(_) => None,
            #[cfg(test)]
            Transport::Withholding(_) => None,
        }
    }

    /// A transport that was saved, over its socket.
    ///
    /// # Errors
    /// The bytes are not those of one.
    pub(crate) fn restore(reader: &mut Reader<'_>, socket: OwnedFd) -> Result<Self, Damaged> {
        Ok(match reader.byte()? {
            0 => Transport::Tcp(TcpStream::from_std(socket.into())),
            1 => Transport::Unix(UnixStream::from_std(socket.into())),
            2 => Transport::Proxied(Box::new(Proxied::restore(reader, socket)?)),
            _ => return Err(Damaged("a transport is of no kind that there is")),
        })
    }

    /// Takes it out of the poll: the kernel would tell of it for as long as anybody has its socket open.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Transport::Tcp(socket) => socket.deregister(registry),
            Transport::Unix(socket) => socket.deregister(registry),
            Transport::Proxied(proxied) => proxied.under_mut().deregister(registry),
            #[cfg(feature = "tls")]
            Transport::Tls(_) => Ok(()),
            #[cfg(any(test, fuzzing))]
            Transport::Memory(_) => Ok(()),
            #[cfg(test)]
            Transport::Withholding(_) => Ok(()),
        }
    }
}

impl Proxied {
    fn save(&self, out: &mut Vec<u8>) -> Option<BorrowedFd<'_>> {
        let begin = out.len();
        out.push(2);
        let socket = self.under.save(out);
        if socket.is_none() {
            out.truncate(begin);
            return None;
        }
        put_bytes(out, &self.kept);
        put_bool(out, self.header.is_some());
        if let Some(Header { source, is_https }) = self.header {
            put_bool(out, is_https);
            match source {
                Source::Proxy => out.push(0),
                Source::Unix => out.push(1),
                Source::Address(address) => {
                    out.push(2);
                    put_bytes(out, address.ip().to_string().as_bytes());
                    put(out, address.port().into());
                }
            }
        }
        socket
    }

    fn restore(reader: &mut Reader<'_>, socket: OwnedFd) -> Result<Self, Damaged> {
        let under = match reader.byte()? {
            0 => Transport::Tcp(TcpStream::from_std(socket.into())),
            1 => Transport::Unix(UnixStream::from_std(socket.into())),
            _ => return Err(Damaged("a proxy's connection is of no kind that there is")),
        };
        let kept = reader.bytes()?.to_vec();
        if kept.len() > MAX_BYTES {
            return Err(Damaged("a proxy's header is too long"));
        }
        let header = match reader.bool()? {
            false => None,
            true => Some(Header {
                is_https: reader.bool()?,
                source: source(reader)?,
            }),
        };
        Ok(Proxied {
            under,
            kept,
            header,
        })
    }
}

fn source(reader: &mut Reader<'_>) -> Result<Source, Damaged> {
    const NONE: Damaged = Damaged("a proxy names no address");
    Ok(match reader.byte()? {
        0 => Source::Proxy,
        1 => Source::Unix,
        2 => {
            let ip: IpAddr = reader.text()?.parse().map_err(|_| NONE)?;
            let port = u16::try_from(reader.number()?).map_err(|_| NONE)?;
            Source::Address(SocketAddr::new(ip, port))
        }
        _ => return Err(NONE),
    })
}
