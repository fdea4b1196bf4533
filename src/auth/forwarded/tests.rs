//! Tables of chains.

use proptest::prelude::*;

use super::*;

fn proxies(networks: &[&str], header: TrustedHeader) -> TrustedProxies {
    let networks = networks.iter().map(|text| Network::parse(text));
    TrustedProxies {
        networks: networks.collect::<Result<_, _>>().expect("networks"),
        header: Some(header),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address of this test")
}

fn fields<'a>(all: &[(&'a str, &'a str)]) -> Vec<Header<'a>> {
    let field = |&(name, value): &(&'a str, &'a str)| Header {
        name,
        value: value.as_bytes(),
    };
    all.iter().map(field).collect()
}

const NETWORKS: &[&str] = &["10.0.0.0/8", "2001:db8:1::/48", "unix"];
const PROXY: &str = "10.1.1.1";

#[test]
fn the_client_is_the_last_address_that_is_no_trusted_proxys() {
    let proxies = proxies(NETWORKS, TrustedHeader::XForwardedFor);
    let cases: &[(&[&str], &str)] = &[
        (&[], PROXY),
        (&[""], PROXY),
        (&[" , ,"], PROXY),
        (&["192.0.2.1"], "192.0.2.1"),
        (&["192.0.2.1, 198.51.100.7"], "198.51.100.7"),
        (&["192.0.2.1", "198.51.100.7"], "198.51.100.7"),
        (&["192.0.2.1,10.2.2.2 ,, 10.3.3.3"], "192.0.2.1"),
        (&["192.0.2.1, 198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        (&["10.9.9.9, 10.2.2.2"], "10.9.9.9"),
        (&["192.0.2.1:4711"], "192.0.2.1"),
        (&["2001:db8::1"], "2001:db8::1"),
        (&["[2001:db8::1]"], "2001:db8::1"),
        (&["[2001:db8::1]:4711, 2001:db8:1::9"], "2001:db8::1"),
        (&["::ffff:192.0.2.1"], "192.0.2.1"),
        (&["::ffff:10.2.2.2, 10.3.3.3"], "10.2.2.2"),
        // What is no address ends the search.
        (&["unknown"], PROXY),
        (&["192.0.2.1, unknown"], PROXY),
        (&["192.0.2.1, rubbish, 10.2.2.2"], "10.2.2.2"),
        (&["192.0.2.1, 300.0.0.1"], PROXY),
        (&["192.0.2.1, 1.2.3.4:x"], PROXY),
        (&["192.0.2.1, [::1"], PROXY),
        (&["192.0.2.1, [1.2.3.4]"], PROXY),
        (&["192.0.2.1, fe80::1%eth0"], PROXY),
        // A client's open quote is in its own part.
        (&["\", 192.0.2.1"], "192.0.2.1"),
    ];
    for (values, expected) in cases {
        let all: Vec<_> = values.iter().map(|v| ("x-forwarded-FOR", *v)).collect();
        let client = proxies.client(Some(ip(PROXY)), &fields(&all));
        assert_eq!(client.address, Some(ip(expected)), "{values:?}");
        let is_named = client.address != Some(ip(PROXY));
        assert_eq!(client.is_named_by_proxy, is_named, "{values:?}");
    }
}

#[test]
fn nobody_but_a_trusted_proxy_is_believed_and_only_in_its_own_way() {
    let all = fields(&[
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=192.0.2.2;proto=https"),
    ]);
    let itself = |address| Client {
        address,
        is_named_by_proxy: false,
        is_https: false,
    };
    let stranger = Some(ip("203.0.113.1"));
    let proxy = Some(ip(PROXY));
    let by = |header| proxies(NETWORKS, header);
    for header in [
        TrustedHeader::Forwarded,
        TrustedHeader::XForwardedFor,
        TrustedHeader::Proxy,
    ] {
        assert_eq!(by(header).client(stranger, &all), itself(stranger));
    }
    let nobody = TrustedProxies::default();
    assert_eq!(nobody.client(proxy, &all), itself(proxy));
    assert_eq!(nobody.client(None, &all), itself(None));
    let of = |header| by(header).client(proxy, &all).address;
    assert_eq!(of(TrustedHeader::Forwarded), Some(ip("192.0.2.2")));
    assert_eq!(of(TrustedHeader::XForwardedFor), Some(ip("192.0.2.1")));
    assert_eq!(by(TrustedHeader::Proxy).client(proxy, &all), itself(proxy));
    // An IPv4 address as a listener on [::] has it.
    let mapped = Some(ip("::ffff:10.1.1.1"));
    let client = by(TrustedHeader::XForwardedFor).client(mapped, &all);
    assert_eq!(client.address, Some(ip("192.0.2.1")));
    let client = by(TrustedHeader::XForwardedFor).client(None, &all);
    assert_eq!(client.address, Some(ip("192.0.2.1")));
}

#[test]
fn a_forwarded_field_is_read_as_rfc_7239_has_it() {
    let proxies = proxies(NETWORKS, TrustedHeader::Forwarded);
    let cases: &[(&[&str], &str, bool)] = &[
        (&["for=192.0.2.1"], "192.0.2.1", false),
        (&["For=\"192.0.2.1:4711\";Proto=HTTPS"], "192.0.2.1", true),
        (&["for=\"[2001:db8::1]:4711\""], "2001:db8::1", false),
        (&["for=\"[2001:db8::1]\";by=x"], "2001:db8::1", false),
        (&["for=\"[2001:db8::1]:_port\""], "2001:db8::1", false),
        (
            &["for=192.0.2.1 ; proto=https ;; by=10.1.1.1"],
            "192.0.2.1",
            true,
        ),
        // The scheme is that of the same hop.
        (
            &["for=192.0.2.1;proto=https, for=10.2.2.2;proto=http"],
            "192.0.2.1",
            true,
        ),
        (
            &["for=192.0.2.1;proto=https, for=192.0.2.2"],
            "192.0.2.2",
            false,
        ),
        (
            &["for=192.0.2.1", "for=192.0.2.2;proto=https"],
            "192.0.2.2",
            true,
        ),
        (
            &["for=192.0.2.1;ext=\"a,b;for=192.0.2.3\\\"\""],
            "192.0.2.1",
            false,
        ),
        (&["for=192.0.2.1, for=unknown"], PROXY, false),
        (
            &["for=192.0.2.1, for=_hidden, for=10.2.2.2"],
            "10.2.2.2",
            false,
        ),
        (&["for=192.0.2.1, proto=https"], PROXY, false),
        (&["for=192.0.2.1, for"], PROXY, false),
        (
            &["for=192.0.2.1, for=192.0.2.2;for=192.0.2.3"],
            PROXY,
            false,
        ),
        (&["for=192.0.2.1, for=\"192.0.2.2\\\"\""], PROXY, false),
        (&["for=192.0.2.1, for=\"192.0.2.2"], PROXY, false),
        (&["192.0.2.1"], PROXY, false),
        // What a client leaves open hides nothing of what the proxy adds.
        (
            &["for=192.0.2.1;by=\", for=192.0.2.2;proto=https"],
            "192.0.2.2",
            true,
        ),
        (
            &["for=192.0.2.1;by=\", for=\"[2001:db8::2]:1\""],
            "2001:db8::2",
            false,
        ),
        (&["by=\"\\, for=\"192.0.2.2\""], "192.0.2.2", false),
    ];
    for (values, expected, is_https) in cases {
        let all: Vec<_> = values.iter().map(|v| ("forwarded", *v)).collect();
        let client = proxies.client(Some(ip(PROXY)), &fields(&all));
        assert_eq!(client.address, Some(ip(expected)), "{values:?}");
        assert_eq!(client.is_https, *is_https, "{values:?}");
    }
}

#[test]
fn the_scheme_is_what_the_nearest_trusted_proxy_says() {
    let proxies = proxies(NETWORKS, TrustedHeader::XForwardedFor);
    let cases: &[(&[&str], bool)] = &[
        (&[], false),
        (&["https"], true),
        (&["WSS"], true),
        (&["http"], false),
        (&["http, https"], true),
        (&["https, http"], false),
        (&["https", "http"], false),
        (&["https;"], false),
    ];
    for (values, expected) in cases {
        let all: Vec<_> = values.iter().map(|v| ("X-Forwarded-Proto", *v)).collect();
        let client = proxies.client(None, &fields(&all));
        assert_eq!(client.is_https, *expected, "{values:?}");
    }
}

#[test]
fn only_connections_of_trusted_proxies_begin_with_a_proxy_header() {
    let wants = |header, peer| proxies(NETWORKS, header).want_header(peer);
    assert!(wants(TrustedHeader::Proxy, Some(ip(PROXY))));
    assert!(wants(TrustedHeader::Proxy, Some(ip("2001:db8:1:2::1"))));
    assert!(wants(TrustedHeader::Proxy, None));
    assert!(!wants(TrustedHeader::Proxy, Some(ip("192.0.2.1"))));
    assert!(!wants(TrustedHeader::XForwardedFor, Some(ip(PROXY))));
    assert!(!TrustedProxies::default().want_header(None));
}

#[test]
fn a_request_that_went_through_a_proxy_is_known_by_its_fields() {
    for (name, expected) in [
        ("Forwarded", true),
        ("x-forwarded-for", true),
        ("X-FORWARDED-PROTO", true),
        ("X-Forwarded-Whatever", true),
        ("X-Real-Ip", true),
        ("Via", true),
        ("X-Forwarded", false),
        ("Host", false),
        ("", false),
    ] {
        let all = fields(&[("Host", "localhost"), (name, "x")]);
        assert_eq!(has_forwarding_fields(&all), expected, "{name}");
    }
}

#[test]
fn a_network_is_an_address_or_a_prefix_or_unix() {
    for (text, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
        ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
        ("0.0.0.0/0", "192.0.2.1", "::1"),
        ("fd00::/8", "fd12::1", "fe80::1"),
        ("::1", "::1", "127.0.0.1"),
    ] {
        let proxies = proxies(&[text], TrustedHeader::Forwarded);
        assert!(proxies.trust(Some(ip(inside))), "{text}");
        assert!(!proxies.trust(Some(ip(outside))), "{text}");
        assert!(!proxies.trust(None), "{text}");
    }
    for text in [
        "",
        "10",
        "10.0.0.0/33",
        "fd00::/129",
        "example.com",
        "10.0.0.0/",
        "[::1]",
    ] {
        let refusal = Network::parse(text).expect_err(text);
        let beginning = format!("{text:?} is not a network");
        assert!(refusal.starts_with(&beginning), "{refusal}");
        assert!(refusal.contains("10.0.0.0/8"), "{refusal}");
    }
}

/// A list that the client began as it liked, with what the proxy added to it.
fn appended(client: &[u8], proxy: &str) -> Vec<u8> {
    [client, b", ", proxy.as_bytes()].concat()
}

proptest! {
    #[test]
    fn whatever_a_client_writes_what_the_proxy_adds_to_it_counts(
        client in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b"\",;=\\[]:for1.".to_vec())],
            0..40,
        ),
    ) {
        for (header, name, added, address) in [
            (TrustedHeader::Forwarded, "Forwarded", "for=192.0.2.9;proto=http", "192.0.2.9"),
            (TrustedHeader::Forwarded, "Forwarded", "for=\"[2001:db8::9]:1\"", "2001:db8::9"),
            (TrustedHeader::XForwardedFor, "X-Forwarded-For", "192.0.2.9", "192.0.2.9"),
        ] {
            let value = appended(&client, added);
            let proxies = proxies(NETWORKS, header);
            let found = proxies.client(None, &[Header { name, value: &value }]);
            prop_assert_eq!(found.address, Some(ip(address)), "{:?}", value);
            // Alone it says what it likes, but never makes the daemon panic.
            proxies.client(None, &[Header { name, value: &client }]);
        }
    }
}
