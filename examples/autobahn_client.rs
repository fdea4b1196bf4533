//! The client under test for the Autobahn suite: echoes whatever the fuzzing server at `WS_URL` sends, one connection a
//! case, and has it write its report about `WS_AGENT`. Over `wss://` it believes the certificates in the file `WS_CA`. `tests/conformance/run client` starts it.

use std::error::Error;
use std::io::{self, Write};

use fanfare::client::{Connector, Message, WebSocket};
use fanfare::ws::extension::Offer;

/// The suite sends messages of 16 MiB.
const MAX_MESSAGE: usize = 16 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("WS_URL")?;
    let agent = std::env::var("WS_AGENT").unwrap_or_else(|_| "fanfare".to_owned());
    let cases: u32 = match open(&format!("{url}/getCaseCount"))?.receive()? {
        Message::Text(count) => count.parse()?,
        other => return Err(format!("no number of cases, but {other:?}").into()),
    };
    for case in 1..=cases {
        // How a case ends is the server's to judge.
        if let Err(error) = echo(open(&format!("{url}/runCase?case={case}&agent={agent}"))?) {
            writeln!(io::stdout(), "{case}: {error}")?;
        }
    }
    open(&format!("{url}/updateReports?agent={agent}"))?.close()?;
    Ok(())
}

fn open(url: &str) -> Result<WebSocket, Box<dyn Error>> {
    // The server may keep its window and may limit the client's: so no case is left out for want of an offer.
    let offer = Offer {
        server_no_context_takeover: false,
        ..Offer::default()
    };
    let mut connector = Connector::new(url)?
        .deflate(Some(offer))
        .max_message(MAX_MESSAGE);
    if let Ok(authorities) = std::env::var("WS_CA") {
        connector = connector.ca_file(authorities);
    }
    Ok(connector.websocket()?)
}

fn echo(mut socket: WebSocket) -> Result<(), fanfare::client::Error> {
    loop {
        match socket.receive()? {
            Message::Text(text) => socket.send_text(&text)?,
            Message::Binary(bytes) => socket.send_binary(&bytes)?,
            Message::Pong(_) => {}
        }
    }
}
