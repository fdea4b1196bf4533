//! The plain layer against the daemon's echo.

use std::thread;

use fanfare::client::{Error, Message, WebSocket};
use fanfare::ws::close::CloseCode;

use crate::common::{Daemon, PATIENCE};
use crate::url;

#[test]
fn the_plain_layer_and_the_daemons_echo_understand_each_other() {
    let daemon = Daemon::start(&["--echo", "--max-message", "16MiB"]);
    let mut socket = WebSocket::connect(&format!("{}/echo", url(&daemon))).unwrap();
    socket.set_timeout(Some(PATIENCE)).unwrap();
    for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let text = "ä€𝄞x".chars().cycle().take(len).collect::<String>();
        socket.send_text(&text).unwrap();
        assert!(socket.receive().unwrap() == Message::Text(text));
        let bytes: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        socket.send_binary(&bytes).unwrap();
        assert!(socket.receive().unwrap() == Message::Binary(bytes));
    }
    socket.ping(b"p").unwrap();
    assert_eq!(socket.receive().unwrap(), Message::Pong(b"p".to_vec()));
    socket.close().unwrap();
}

#[test]
fn halves_on_two_threads_carry_more_than_the_system_buffers() {
    let daemon = Daemon::start(&["--echo", "--max-message", "16MiB"]);
    let socket = WebSocket::connect(&format!("{}/echo", url(&daemon))).unwrap();
    let (mut sender, mut receiver) = socket.split();
    let echoes = thread::spawn(move || {
        for n in 0..100_u8 {
            match receiver.receive() {
                Ok(Message::Binary(bytes)) => assert!(bytes == vec![n; 200_000]),
                other => panic!("{other:?}"),
            }
        }
        receiver.receive()
    });
    for n in 0..100_u8 {
        sender.send_binary(&vec![n; 200_000]).unwrap();
    }
    sender.close(CloseCode::NORMAL, "enough").unwrap();
    assert!(matches!(echoes.join().unwrap(), Err(Error::Closed { .. })));
}
