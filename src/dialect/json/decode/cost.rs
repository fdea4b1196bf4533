//! What a message may cost, in steps. `benches/json-instructions` shows how steps and instructions compare.

use super::Decoder;
use crate::dialect::json::sample::{Kind, Samples};
use crate::dialect::json::{Data, hostile, request};

/// How many times as much as on the average of ordinary messages a byte may take at most: see `docs/performance.md`.
const MOST: f64 = 2.0;

fn steps_per_byte(message: &[u8]) -> f64 {
    let mut bytes = message.to_vec();
    Decoder::new().steps(&mut bytes) as f64 / message.len() as f64
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// The mean over the kinds of ordinary messages, of the mean over their sizes.
fn ordinary() -> f64 {
    mean(Kind::ALL.iter().map(|&kind| {
        mean(kind.sizes().iter().map(|&size| {
            let mut samples = Samples::new(1);
            mean((0..32u32).map(|id| {
                let mut message = Vec::new();
                let data = samples.next(kind, size);
                request::publish(
                    &mut message,
                    Some(id.into()),
                    "prices.EURUSD",
                    Data::json(data.as_bytes()),
                    None,
                );
                steps_per_byte(&message)
            }))
        }))
    }))
}

#[test]
fn no_byte_of_a_hostile_message_costs_much_more_than_one_of_an_ordinary_message() {
    let most = MOST * ordinary();
    let mut worst = (0.0, String::new());
    for shape in hostile::shapes() {
        let cost = steps_per_byte(&shape.message());
        if cost > worst.0 {
            worst = (cost, shape.name());
        }
    }
    assert!(worst.0 <= most, "{worst:?} is more than {most}");
}

#[test]
fn what_a_message_costs_grows_with_its_length_and_no_faster() {
    for shape in hostile::shapes() {
        let whole = shape.message_of(hostile::BYTES);
        let quarter = shape.message_of(hostile::BYTES / 4);
        let [whole, quarter] = [whole, quarter].map(|message| {
            let mut bytes = message.clone();
            Decoder::new().steps(&mut bytes)
        });
        // A unit more or less fits, and each message costs something of its own.
        assert!(
            whole <= 4 * quarter + 20_000,
            "{}: {quarter}, then {whole}",
            shape.name()
        );
    }
}
