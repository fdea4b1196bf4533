//! Which address is tried when, on a clock of the test's own; and that real sockets follow.

use std::net::{Ipv4Addr, TcpListener};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// An address that says what becomes of it, and after how many milliseconds.
#[derive(Clone, Copy)]
enum Host {
    Opens(u64),
    Refuses(u64),
    IsSilent,
}
use Host::{IsSilent, Opens, Refuses};

fn v4(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn v6(last: u16) -> SocketAddr {
    SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, last], 80))
}

/// Plays a race: when each address was tried, in milliseconds, and how it ended and when.
fn play(hosts: &[(SocketAddr, Host)], timeout: Duration) -> (Vec<(SocketAddr, u64)>, String, u64) {
    let start = Instant::now();
    let addresses = hosts.iter().map(|(address, _)| *address).collect();
    let mut race = Race::new(addresses, start, timeout);
    let (mut now, mut tried, mut under_way) = (start, Vec::new(), Vec::new());
    let millis = |now: Instant| (now - start).as_millis() as u64;
    for _ in 0..1000 {
        match race.next_move(now) {
            Move::Begin(address) => {
                tried.push((address, millis(now)));
                let host = hosts.iter().find(|host| host.0 == address).unwrap().1;
                if let Opens(after) | Refuses(after) = host {
                    under_way.push((now + Duration::from_millis(after), address, host));
                }
            }
            Move::Wait(until) => {
                assert!(until > now, "it would spin");
                under_way.sort_by_key(|decided| decided.0);
                match under_way.first().copied() {
                    Some((at, address, Opens(_))) if at <= until => {
                        return (tried, format!("{address} opens"), millis(at));
                    }
                    Some((at, address, _)) if at <= until => {
                        under_way.remove(0);
                        now = at;
                        let refused =
                            io::Error::from_raw_os_error(Errno::CONNREFUSED.raw_os_error());
                        race.failed(address, refused, now);
                    }
                    _ => now = until,
                }
            }
            Move::Over(error) => return (tried, error.to_string(), millis(now)),
        }
    }
    panic!("no end");
}

#[test]
fn families_take_turns_and_the_first_ones_family_begins() {
    let six_first = interleaved(vec![v6(1), v6(2), v6(3), v4(1)]);
    assert_eq!(six_first, [v6(1), v4(1), v6(2), v6(3)]);
    let four_first = interleaved(vec![v4(1), v6(1), v6(2), v4(2), v4(3)]);
    assert_eq!(four_first, [v4(1), v6(1), v4(2), v6(2), v4(3)]);
    assert!(interleaved(Vec::new()).is_empty());
}

#[test]
fn more_addresses_than_sockets_are_worth_are_left_out() {
    let many = (0..1000).map(v6).collect();
    assert_eq!(interleaved(many).len(), MAX_ADDRESSES);
}

#[test]
fn an_address_that_is_silent_costs_a_quarter_of_a_second_and_not_the_whole_timeout() {
    let hosts = [(v6(1), IsSilent), (v6(2), IsSilent), (v4(1), Opens(20))];
    let (tried, end, at) = play(&hosts, 10 * SECOND);
    assert_eq!(tried, [(v6(1), 0), (v4(1), 250)]);
    assert_eq!((end.as_str(), at), ("10.0.0.1:80 opens", 270));
}

#[test]
fn an_address_that_opens_in_time_is_the_only_one_tried() {
    let hosts = [(v6(1), Opens(249)), (v4(1), Opens(0))];
    let (tried, end, _) = play(&hosts, 10 * SECOND);
    assert_eq!(tried, [(v6(1), 0)]);
    assert_eq!(end, "[fd00::1]:80 opens");
}

#[test]
fn an_address_that_is_slow_is_still_taken_if_it_opens_first() {
    let hosts = [(v6(1), Opens(400)), (v4(1), Opens(300))];
    let (tried, end, at) = play(&hosts, 10 * SECOND);
    assert_eq!(tried, [(v6(1), 0), (v4(1), 250)]);
    assert_eq!((end.as_str(), at), ("[fd00::1]:80 opens", 400));
}

#[test]
fn an_address_that_refuses_makes_way_at_once() {
    let hosts = [(v6(1), Refuses(5)), (v4(1), Refuses(0)), (v4(2), Opens(1))];
    let (tried, end, _) = play(&hosts, 10 * SECOND);
    assert_eq!(tried, [(v6(1), 0), (v4(1), 5), (v4(2), 5)]);
    assert_eq!(end, "10.0.0.2:80 opens");
}

#[test]
fn where_all_refuse_the_last_one_is_named() {
    let hosts = [(v6(1), Refuses(5)), (v4(1), Refuses(5))];
    let (_, end, at) = play(&hosts, 10 * SECOND);
    assert!(end.starts_with("10.0.0.1:80: "), "{end}");
    assert_eq!(at, 10);
}

#[test]
fn the_timeout_is_for_all_addresses_together() {
    let hosts = [(v6(1), IsSilent), (v4(1), Refuses(1)), (v4(2), IsSilent)];
    let (tried, end, at) = play(&hosts, SECOND);
    assert_eq!(tried, [(v6(1), 0), (v4(1), 250), (v4(2), 251)]);
    assert_eq!(
        (end.as_str(), at),
        ("the host does not answer in time", 1000)
    );
    let (tried, _, _) = play(&hosts, Duration::ZERO);
    assert_eq!(tried, []);
}

#[test]
fn a_host_without_an_address_cannot_be_looked_up() {
    let (_, end, at) = play(&[], SECOND);
    assert_eq!(at, 0);
    assert!(end.contains("the host has no address"), "{end}");
}

/// A listener that takes no connection any more, since as many wait for it as may; and those.
fn full() -> (SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut kept = vec![listener];
    for _ in 0..100 {
        let socket = begin(address).unwrap();
        let mut watched = [PollFd::new(&socket, PollFlags::OUT)];
        let moment = Timespec {
            tv_sec: 0,
            tv_nsec: 500_000_000,
        };
        let opened = poll(&mut watched, Some(&moment)).unwrap() == 1;
        kept.push(socket);
        if !opened {
            return (address, kept);
        }
    }
    panic!("it takes any number");
}

#[test]
fn a_socket_of_another_address_is_taken_where_one_is_silent_or_refuses() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let open_at = open.local_addr().unwrap();
    let closed_at = {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        closed.local_addr().unwrap()
    };
    let (full_at, _kept) = full();
    // The silent one alone would be waited for much longer than any test may take.
    let socket = tcp(vec![full_at, closed_at, open_at], Duration::MAX).unwrap();
    let peer = socket.peer_addr().unwrap().as_socket();
    assert_eq!(peer, Some(open_at));
    assert!(!socket.nonblocking().unwrap() && socket.tcp_nodelay().unwrap());
    let error = tcp(vec![closed_at], 20 * SECOND).unwrap_err();
    let refused = matches!(&error, ConnectError::Tcp { address, source }
        if *address == closed_at && source.kind() == ErrorKind::ConnectionRefused);
    assert!(refused, "{error}");
    let error = tcp(vec![full_at], Duration::from_millis(10)).unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut(Step::Connect)));
}

#[test]
fn a_unix_socket_opens_is_missing_or_is_busy() {
    let path = std::env::temp_dir().join(format!("fanfare-socket-{}.sock", std::process::id()));
    let missing = unix(&path, 20 * SECOND).unwrap_err();
    let named = matches!(&missing, ConnectError::Unix { path: named, source }
        if *named == path && source.kind() == ErrorKind::NotFound);
    assert!(named, "{missing}");
    assert!(missing.comes_back(), "it may be there in a moment");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let mut kept = Vec::new();
    let busy = (0..100).find_map(|_| match unix(&path, Duration::from_millis(10)) {
        Ok(socket) => {
            kept.push(socket);
            None
        }
        Err(error) => Some(error),
    });
    drop(listener);
    let gone = unix(&path, 20 * SECOND);
    std::fs::remove_file(&path).unwrap();
    assert!(gone.is_err(), "nobody listens");
    assert!(!kept.is_empty());
    assert!(
        matches!(busy, Some(ConnectError::TimedOut(Step::Connect))),
        "{busy:?}"
    );
}
