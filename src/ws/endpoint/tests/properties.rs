//! What holds for any input, cut anywhere.

use proptest::prelude::*;

use super::*;

/// Wire bytes that are mostly legal, so that the state machine gets deep, and now and then are not.
fn wires() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        "[ -~äλ🎺]{0,40}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    let first_byte = prop_oneof![
        8 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0xC1, 0x41]),
        1 => prop::sample::select(vec![0x88, 0x83, 0xA1, 0xC0, 0x09]),
    ];
    let one = (first_byte, payload, any::<[u8; 4]>(), 0..40u8).prop_map(
        |(first, payload, key, oddity)| {
            let mut out = Vec::new();
            let key = (oddity != 0).then_some(key);
            write_frame(&mut out, true, false, Opcode::Text, &payload, key);
            out[0] = first;
            if oddity == 1 {
                out.truncate(out.len() / 2);
            }
            out
        },
    );
    prop::collection::vec(one, 1..12).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn any_split_of_the_input_gives_the_same_events_as_the_whole(
        wire in wires(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        deflate: bool,
        check_utf8: bool,
        limit in prop::sample::select(vec![200, 600, LIMIT]),
    ) {
        let endpoint = || Endpoint::new(Role::Server, deflate, check_utf8);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]);

        let (mut whole, mut split, mut bytewise) = (endpoint(), endpoint(), endpoint());
        let expected = feed(&mut whole, [&wire[..]], limit);
        prop_assert_eq!(&feed(&mut split, pieces, limit), &expected);
        prop_assert_eq!(&feed(&mut bytewise, wire.chunks(1), limit), &expected);
        prop_assert_eq!(whole.state(), split.state());
        prop_assert_eq!(whole.mid_message(), bytewise.mid_message());
    }

    #[test]
    fn rubbish_never_panics_and_never_holds_more_than_twice_what_came(
        rubbish in prop::collection::vec(any::<u8>(), 0..600),
        piece in 1usize..50,
        client: bool,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let mut endpoint = Endpoint::new(role, true, true);
        feed(&mut endpoint, rubbish.chunks(piece), usize::MAX);
        prop_assert!(endpoint.held_bytes() <= 2 * rubbish.len() + 512);
    }
}
