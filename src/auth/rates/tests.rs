//! Buckets in time, and tables that are full.

use proptest::prelude::*;

use super::*;

fn rate(amount: u64, per_ms: u64) -> Rate {
    Rate::new(amount, per_ms).expect("a rate of this test")
}

fn key(text: &str) -> Key {
    let address: IpAddr = text.parse().expect("an address of this test");
    address.into()
}

#[test]
fn a_whole_amount_may_come_at_once_and_then_steadily() {
    let rate = rate(10, 60_000);
    let mut bucket = Bucket::default();
    let start = 1_000_000;
    for _ in 0..10 {
        assert_eq!(bucket.take(rate, 1, start), Ok(()));
    }
    assert_eq!(bucket.take(rate, 1, start), Err(RetryAfterMs(6_000)));
    assert_eq!(bucket.take(rate, 1, start + 5_999), Err(RetryAfterMs(1)));
    assert_eq!(bucket.take(rate, 1, start + 6_000), Ok(()));
    assert_eq!(
        bucket.look(rate, 1, start + 6_000),
        Err(RetryAfterMs(6_000))
    );
    assert_eq!(
        bucket.look(rate, 2, start + 6_000),
        Err(RetryAfterMs(12_000))
    );
    assert_eq!(bucket.look(rate, 10, start + 66_000), Ok(()));
}

#[test]
fn what_is_more_than_the_whole_amount_waits_for_a_full_bucket_and_is_paid_for() {
    let rate = rate(1 << 20, 1_000);
    let mut bucket = Bucket::default();
    assert_eq!(bucket.take(rate, 3 << 20, 0), Ok(()));
    assert_eq!(bucket.take(rate, 3 << 20, 1_000), Err(RetryAfterMs(2_000)));
    assert_eq!(bucket.take(rate, 1 << 20, 2_000), Err(RetryAfterMs(1_000)));
    assert_eq!(bucket.take(rate, 1 << 20, 3_000), Ok(()));
    assert_eq!(bucket.take(rate, u64::MAX, 4_000), Ok(()));
    assert!(bucket.take(rate, 1, 5_000).is_err());
}

#[test]
fn a_rate_is_of_something_in_some_time() {
    for (amount, per_ms) in [
        (0, 1_000),
        (1, 0),
        (Rate::AMOUNT_MAX + 1, 1_000),
        (1, 86_400_001),
    ] {
        assert_eq!(Rate::new(amount, per_ms), None);
    }
    let fastest = rate(Rate::AMOUNT_MAX, 1);
    assert_eq!(Bucket::default().take(fastest, Rate::AMOUNT_MAX, 0), Ok(()));
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_key_and_an_ipv4_address_one() {
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
    assert_ne!(key("2001:db8:0:1::"), key("2001:db8:0:2::"));
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

#[test]
fn this_machine_is_exempt_unless_a_trusted_proxy_names_it() {
    let client = |address: Option<&str>, is_named_by_proxy| Client {
        address: address.map(|text| text.parse().expect("an address")),
        is_named_by_proxy,
        is_https: false,
    };
    assert_eq!(Key::of(&client(None, false)), None);
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(Key::of(&client(Some(address), false)), None, "{address}");
        let named = client(Some(address), true);
        assert_eq!(Key::of(&named), Some(key(address)), "{address}");
    }
    let stranger = client(Some("192.0.2.1"), false);
    assert_eq!(Key::of(&stranger), Some(key("192.0.2.1")));
}

#[test]
fn each_address_and_each_name_has_its_own_bucket_while_there_is_room() {
    let mut table = Table::new(rate(1, 1_000), 8);
    let (ada, bob) = (table.name("ada"), table.name("bob"));
    for key in [
        key("192.0.2.1"),
        key("192.0.2.2"),
        key("2001:db8::"),
        ada,
        bob,
    ] {
        assert_eq!(table.look(key, 1, 0), Ok(()));
        assert_eq!(table.take(key, 1, 0), Ok(()));
        assert_eq!(table.take(key, 1, 0), Err(RetryAfterMs(1_000)));
        assert_eq!(table.look(key, 1, 0), Err(RetryAfterMs(1_000)));
        assert_eq!(table.look(key, 1, 1_000), Ok(()));
    }
}

#[test]
fn when_the_table_is_full_new_addresses_share_a_bucket_with_their_neighbours() {
    let mut table = Table::new(rate(1, 60_000), 8);
    for last in 0..8 {
        assert_eq!(table.take(Key::V4(last), 1, 0), Ok(()));
    }
    // An address that has one keeps it.
    assert_eq!(table.take(Key::V4(3), 1, 0), Err(RetryAfterMs(60_000)));
    assert_eq!(table.take(key("192.0.2.1"), 1, 0), Ok(()));
    assert!(table.take(key("192.0.99.9"), 1, 0).is_err());
    assert_eq!(table.take(key("2001:db8::"), 1, 0), Ok(()));
    assert!(table.take(key("2001:db8:0:77::"), 1, 0).is_err());
    // There is no room for more shared ones either.
    assert_eq!(table.take(key("198.51.100.1"), 1, 0), Ok(()));
    assert!(table.take(key("2001:db8:1::"), 1, 0).is_err());
    // Those whose buckets are full again make room.
    assert_eq!(table.take(key("192.0.99.9"), 1, 60_000), Ok(()));
    assert_eq!(table.take(key("192.0.2.1"), 1, 60_000), Ok(()));
    assert_eq!(table.buckets.len(), 2);
}

proptest! {
    #[test]
    fn a_table_never_grows_beyond_its_bounds_and_no_key_goes_beyond_its_rate(
        takes in proptest::collection::vec((any::<u32>(), 0_u64..5, any::<bool>(), 0_u64..400), 1..400),
    ) {
        let rate = rate(5, 1_000);
        let mut table = Table::new(rate, 16);
        let (mut now, mut total) = (0, 0);
        let watched = Key::V4(1);
        for (address, cost, is_watched, later) in takes {
            now += later;
            let key = if is_watched { watched } else { Key::V4(address) };
            let could = table.look(key, cost, now);
            let taken = table.take(key, cost, now);
            // Full buckets may make room in between.
            prop_assert!(taken.is_ok() || could.is_err());
            if is_watched && taken.is_ok() {
                total += cost;
            }
            prop_assert!(table.own <= 16 && table.buckets.len() <= 16 + 4 + 1);
            prop_assert!(total <= 2 * (5 + now / 200), "at most both of its buckets");
        }
    }
}

#[test]
fn ipv6_addresses_of_one_network_have_one_key_and_no_others_share_theirs() {
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    assert_ne!(key("::1"), key("127.0.0.1"));
}
