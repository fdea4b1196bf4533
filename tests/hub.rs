//! The hub against a naive model.

mod hub_model;

use hub_model::{Settings, run};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_stream_is_whole_frames_in_order_with_each_hole_announced(
        settings: [u8; 8],
        steps in proptest::collection::vec(any::<[u8; 4]>(), 0..400),
    ) {
        run(Settings(settings), steps);
    }
}
