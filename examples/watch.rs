//! Follows the prices of `cargo run --example ticker`, across restarts of the daemon: `cargo run --example watch`.

use std::io::{self, Write};

use fanfare::client::{Client, Event, Start};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("FANFARE_URL").unwrap_or("ws://127.0.0.1:8040".into());
    let mut client = Client::connect(&url)?;
    for wood in ["oak", "ash", "elm"] {
        client.subscribe(&format!("prices.{wood}"), Start::Last(1))?;
    }
    let mut out = io::stdout();
    for event in client {
        match event? {
            Event::Message {
                channel, seq, data, ..
            } => writeln!(out, "{channel} #{seq} {data}")?,
            Event::Gap {
                topic, from, to, ..
            } => writeln!(out, "{topic}: {from} to {to} missed")?,
            Event::Reconnecting { cause, wait, .. } => {
                writeln!(out, "{cause}; again in {wait:.1?}")?;
            }
            Event::Reconnected => writeln!(out, "connected again")?,
            _ => {}
        }
    }
    Ok(())
}
