//! The hub against the naive model of its tests: eight bytes of settings, then four bytes a step.

#![no_main]

#[path = "../../tests/hub_model/mod.rs"]
mod hub_model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((settings, steps)) = data.split_first_chunk::<8>() else {
        return;
    };
    let (steps, _) = steps.as_chunks::<4>();
    hub_model::run(hub_model::Settings(*settings), steps.iter().copied());
});
