//! Publishes a random walk of prices: `cargo run --example ticker`. Follow it with `cargo run --example watch`.

use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

use fanfare::client::{Client, ClientError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("FANFARE_URL").unwrap_or("ws://127.0.0.1:8040".into());
    let mut client = Client::connect(&url)?;
    let mut out = io::stdout();
    let mut prices = [("oak", 125.0), ("ash", 80.0), ("elm", 42.5)];
    loop {
        for (wood, price) in &mut prices {
            let mut random = [0];
            getrandom::fill(&mut random)?;
            *price *= 1.0 + (f64::from(random[0]) - 127.5) / 10_000.0;

            let data = format!(r#"{{"price":{price:.2}}}"#);
            match client.publish(&format!("prices.{wood}"), data) {
                Ok(published) => writeln!(out, "{wood} {price:.2} is number {}", published.seq)?,
                Err(ClientError::Unknown) => writeln!(out, "{wood} {price:.2}: lost, perhaps")?,
                Err(error) => return Err(error.into()),
            }
        }
        sleep(Duration::from_millis(500));
    }
}
