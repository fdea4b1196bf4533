//! The PROXY header: no bytes make it panic, no header is longer than it may be, what was decided does not change with what comes
//! later, and only what is still incomplete waits. The rest of an input is a field of a request that came through the proxy.

#![no_main]

use fanfare::auth::forwarded::proxy_header::{self, Progress};
use fanfare::auth::forwarded::{Network, TrustedHeader, TrustedProxies};
use fanfare::http::Header;
use fanfare_fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

fn header(cuts: Cuts, bytes: &[u8]) -> usize {
    let whole = proxy_header::read(bytes);
    let mut len = 0;
    for piece in cuts.pieces(bytes) {
        len += piece.len();
        match proxy_header::read(&bytes[..len]) {
            Progress::Incomplete => assert!(len < proxy_header::MAX_BYTES),
            early => assert_eq!(early, whole),
        }
    }
    match whole {
        Progress::Header { consumed, .. } => {
            assert!(consumed <= bytes.len().min(proxy_header::MAX_BYTES));
            let cut = proxy_header::read(&bytes[..consumed - 1]);
            assert_eq!(cut, Progress::Incomplete);
            consumed
        }
        Progress::Incomplete | Progress::Refused(_) => 0,
    }
}

/// What a client writes does not hide what the proxy adds.
fn fields(bytes: &[u8]) {
    for (way, name, added) in [
        (
            TrustedHeader::Forwarded,
            "Forwarded",
            ", for=\"192.0.2.9:1\"",
        ),
        (
            TrustedHeader::XForwardedFor,
            "X-Forwarded-For",
            ", 192.0.2.9",
        ),
    ] {
        let proxies = TrustedProxies {
            networks: vec![Network::Unix],
            header: Some(way),
        };
        proxies.client(None, &[Header { name, value: bytes }]);
        let value = [bytes, added.as_bytes()].concat();
        let value = value.as_slice();
        let client = proxies.client(None, &[Header { name, value }]);
        assert_eq!(client.address, Some([192, 0, 2, 9].into()));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((cuts, bytes)) = data.split_first_chunk::<8>() else {
        return;
    };
    let consumed = header(Cuts(*cuts), bytes);
    fields(&bytes[consumed..]);
});
