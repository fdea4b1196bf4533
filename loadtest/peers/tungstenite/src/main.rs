//! tokio-tungstenite as a broadcast server: a `broadcast` channel for each channel, a task for each connection that
//! sends whatever is there and flushes once. One core is what it gets, so the runtime has one thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::task::LocalSet;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Messages that a slow subscriber may be behind.
const CAPACITY: usize = 8_192;

struct Channel {
    seq: u64,
    sender: Sender<Utf8Bytes>,
}

type Channels = Rc<RefCell<HashMap<String, Channel>>>;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    channel: &'a str,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("SO_REUSEADDR");
    socket.bind(([127, 0, 0, 1], port).into()).expect("a free port");
    let listener = socket.listen(4_096).expect("to listen");
    let channels = Channels::default();
    LocalSet::new()
        .run_until(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    let channels = channels.clone();
                    tokio::task::spawn_local(async move {
                        // An error is the end of that connection and of nothing else.
                        let _ = serve(stream, channels).await;
                    });
                }
            }
        })
        .await;
}

async fn serve(stream: TcpStream, channels: Channels) -> Result<(), Box<dyn std::error::Error>> {
    stream.set_nodelay(true)?;
    // Room for a batch of messages before it is written.
    let config = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(64 << 10);
    let mut socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await?;
    let mut subscription: Option<Receiver<Utf8Bytes>> = None;
    loop {
        tokio::select! {
            message = receive(&mut subscription) => {
                socket.feed(Message::Text(message)).await?;
                // Whatever else is there goes into the same write.
                while let Some(Ok(message)) = subscription.as_mut().map(Receiver::try_recv) {
                    socket.feed(Message::Text(message)).await?;
                }
                socket.flush().await?;
            }
            request = socket.next() => {
                let Some(request) = request else { return Ok(()) };
                if let Message::Text(text) = request? {
                    if let Some(reply) = act(&text, &channels, &mut subscription) {
                        socket.send(Message::text(reply)).await?;
                    }
                }
            }
        }
    }
}

/// The next message of the subscription; never, if there is none.
async fn receive(subscription: &mut Option<Receiver<Utf8Bytes>>) -> Utf8Bytes {
    loop {
        match subscription {
            Some(receiver) => {
                if let Ok(message) = receiver.recv().await {
                    return message;
                }
            }
            None => std::future::pending().await,
        }
    }
}

fn act(text: &str, channels: &Channels, subscription: &mut Option<Receiver<Utf8Bytes>>) -> Option<String> {
    let request: Request = serde_json::from_str(text).ok()?;
    let name = request.channel;
    let mut channels = channels.borrow_mut();
    if !channels.contains_key(name) {
        let sender = broadcast::channel(CAPACITY).0;
        channels.insert(name.to_owned(), Channel { seq: 0, sender });
    }
    let channel = channels.get_mut(name)?;
    let id = request.id.map_or("null", RawValue::get);
    match request.kind {
        "publish" => {
            let data = request.data?;
            channel.seq += 1;
            let seq = channel.seq;
            let message = format!(r#"{{"type":"message","channel":"{name}","seq":{seq},"data":{data}}}"#);
            // An error says that nobody has subscribed.
            let _ = channel.sender.send(message.into());
            None
        }
        "subscribe" => {
            *subscription = Some(channel.sender.subscribe());
            let seq = channel.seq;
            Some(format!(r#"{{"type":"subscribed","id":{id},"channel":"{name}","seq":{seq}}}"#))
        }
        "unsubscribe" => {
            *subscription = None;
            Some(format!(r#"{{"type":"unsubscribed","id":{id},"channel":"{name}"}}"#))
        }
        _ => None,
    }
}

