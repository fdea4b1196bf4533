//! What the client says it is: users, tokens, what happens when they are refused or end. Against a server that says what a test wants it to.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use fanfare::client::{
    Cause, ClientError, ConnectError, Connector, CredentialsError, Event, Start, TokenReason,
};

use crate::common::fake::{Fake, impatient, key, listen, serve_all, serve_in_turn};
use crate::common::{PATIENCE, header};
use crate::next;

const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";

type Reasons = Arc<Mutex<Vec<TokenReason>>>;

/// A client that has these tokens to give, the last of them again and again; and why it was asked.
fn with_tokens(url: &str, tokens: &'static [&'static str]) -> (Connector, Reasons) {
    let reasons = Reasons::default();
    let noted = reasons.clone();
    let mut tokens = tokens.iter();
    let mut last = "";
    let connector = impatient(url).token(move |reason| {
        noted.lock().unwrap().push(reason);
        last = tokens.next().unwrap_or(&last);
        Ok::<_, String>(last)
    });
    (connector, reasons)
}

fn reasons(reasons: &Reasons) -> Vec<TokenReason> {
    reasons.lock().unwrap().clone()
}

/// In so many seconds, as the protocol says times.
fn in_seconds(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() + seconds
}

/// Does the handshake, whatever the client says who it is; what it says.
fn accept(fake: &mut Fake) -> Option<String> {
    let head = fake.request();
    switch(fake, &head);
    header(&head, "Authorization").map(str::to_owned)
}

fn switch(fake: &mut Fake, head: &str) {
    fake.answer(&format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: json.fanfare.v1\r\n\r\n",
        key(head)
    ));
}

fn welcome(fake: &mut Fake, more: &str) {
    fake.text(&format!(
        r#"{{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":65536,"features":["auth"]{more}}}"#
    ));
}

/// A server that accepts `good` and refuses all else; what was presented to it.
fn strict(good: &'static str) -> (String, Receiver<String>) {
    let (presented, presentations) = channel();
    let url = serve_all(move |fake| {
        let head = fake.request();
        let said = header(&head, "Authorization")
            .unwrap_or_default()
            .to_owned();
        let _ = presented.send(said.clone());
        if said != good {
            return fake.answer(REFUSED);
        }
        switch(fake, &head);
        welcome(fake, r#","subject":"jan""#);
        fake.outlast();
    });
    (url, presentations)
}

fn is_refused(error: Option<ConnectError>) -> bool {
    let error = error.expect("it is refused");
    !error.comes_back() && error.to_string().contains("401")
}

#[test]
fn a_user_with_a_password_is_known_to_the_server_and_the_server_says_who_that_is() {
    let (url, presented) = strict("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let connector = Connector::new(&url).unwrap();
    let client = connector.clone().basic("Aladdin", "open sesame").client();
    assert_eq!(client.unwrap().subject().as_deref(), Some("jan"));
    assert!(is_refused(
        connector.clone().basic("Aladdin", "x").client().err()
    ));
    assert_eq!(presented.iter().take(2).count(), 2);
    let nobody = connector.clone().basic("a:b", "").client().err();
    assert!(matches!(
        nobody,
        Some(ConnectError::Credentials(CredentialsError::User))
    ));
    // It stands in place of a header line.
    let both = connector.header("authorization", "Bearer x");
    assert!(both.basic("Aladdin", "open sesame").client().is_ok());
}

#[test]
fn a_token_goes_with_the_handshake_of_a_client_and_of_a_plain_websocket() {
    let (url, _presented) = strict("Bearer good");
    let (connector, asked) = with_tokens(&url, &["good"]);
    assert!(connector.client().is_ok());
    let plain = connector.protocol("json.fanfare.v1").websocket();
    assert!(plain.is_ok());
    assert_eq!(reasons(&asked), [TokenReason::Connect; 2]);
}

#[test]
fn a_refused_token_is_asked_for_once_more_and_the_same_again_is_final() {
    use TokenReason::{Connect, Refused};
    let (url, presented) = strict("Bearer good");
    let (connector, asked) = with_tokens(&url, &["old", "good"]);
    assert!(connector.client().is_ok());
    assert_eq!(reasons(&asked), [Connect, Refused]);
    let (connector, asked) = with_tokens(&url, &["old"]);
    assert!(is_refused(connector.client().err()));
    assert_eq!(reasons(&asked), [Connect, Refused]);
    let (connector, asked) = with_tokens(&url, &["a", "b", "c"]);
    assert!(is_refused(connector.websocket().err()));
    assert_eq!(reasons(&asked).len(), 2);
    drop(connector);
    let presented: Vec<_> = presented.try_iter().collect();
    let expected = ["old", "good", "old", "a", "b"].map(|token| format!("Bearer {token}"));
    assert_eq!(presented, expected);
}

#[test]
fn without_tokens_a_refusal_is_final() {
    let (url, presented) = strict("Bearer good");
    let connector = impatient(&url).header("Authorization", "Bearer old");
    assert!(is_refused(connector.client().err()));
    assert_eq!(presented.try_iter().count(), 1);
    let forbidden = serve_in_turn(vec![|fake| {
        fake.request();
        fake.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    }]);
    let (connector, asked) = with_tokens(&forbidden, &["good", "better"]);
    assert!(!connector.client().err().unwrap().comes_back());
    assert_eq!(reasons(&asked).len(), 1, "another token does not help");
}

#[test]
fn a_close_because_of_the_token_brings_the_client_back_with_another_one() {
    for code in [4401, 4510] {
        let (listener, url) = listen();
        let server = std::thread::spawn(move || {
            let mut fake = Fake::next(&listener);
            let first = accept(&mut fake);
            welcome(&mut fake, "");
            fake.hear();
            fake.text(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
            fake.close(code, "the token");
            let mut fake = Fake::next(&listener);
            let second = accept(&mut fake);
            welcome(&mut fake, "");
            let resumed = fake.hear();
            fake.text(r#"{"type":"subscribed","id":1,"channel":"c","epoch":"e","seq":4,"recovered":true}"#);
            fake.text(r#"{"type":"message","channel":"c","seq":5,"data":1}"#);
            fake.outlast();
            (first, second, resumed)
        });
        let (connector, asked) = with_tokens(&url, &["old", "new"]);
        let mut client = connector.client().unwrap();
        client.subscribe("c", Start::Live).unwrap();
        assert!(matches!(next(&mut client), Event::Reconnecting { .. }));
        assert!(matches!(next(&mut client), Event::Reconnected));
        assert!(matches!(next(&mut client), Event::Message { seq: 5, .. }));
        drop(client);
        let (first, second, resumed) = server.join().unwrap();
        assert_eq!(first.as_deref(), Some("Bearer old"));
        assert_eq!(second.as_deref(), Some("Bearer new"));
        assert!(resumed.contains(r#""seq":4"#), "{resumed}");
        let expected = [TokenReason::Connect, TokenReason::Refused];
        assert_eq!(reasons(&asked), expected);
    }
}

/// What a client comes to that is closed with this code again and again.
fn closed_with(code: u16, connector: impl FnOnce(&str) -> Connector) -> (Arc<Cause>, usize) {
    let (count, counted) = channel();
    let url = serve_all(move |fake| {
        accept(fake);
        welcome(fake, "");
        let _ = count.send(());
        fake.close(code, "no");
    });
    let client = connector(&url).client().unwrap();
    let last = client.last().expect("an end");
    match last {
        Err(ClientError::Over(cause)) => (cause, counted.try_iter().count()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn closes_because_of_the_token_end_the_client_where_no_other_one_helps() {
    for code in [4401, 4510] {
        let (cause, tries) = closed_with(code, |url| with_tokens(url, &["old"]).0);
        let same = matches!(
            &*cause,
            Cause::Connect(ConnectError::Credentials(CredentialsError::Same))
        );
        assert!(same && tries == 1, "{cause} after {tries}");
        let (cause, tries) = closed_with(code, |url| with_tokens(url, &["a", "b", "c", "d"]).0);
        assert!(cause.to_string().contains(&code.to_string()), "{cause}");
        assert_eq!(tries, 2);
    }
    let (cause, tries) = closed_with(4401, impatient);
    assert!(cause.to_string().contains("4401") && tries == 1, "{cause}");
    for code in [4403, 4429] {
        let (cause, tries) = closed_with(code, |url| with_tokens(url, &["a", "b"]).0);
        assert!(cause.to_string().contains(&code.to_string()), "{cause}");
        assert_eq!(tries, 1);
    }
}

#[test]
fn a_token_is_renewed_on_the_open_connection_before_it_ends() {
    let (listener, url) = listen();
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        let mut fake = Fake::next(&listener);
        let _ = heard.send(accept(&mut fake).unwrap_or_default());
        welcome(
            &mut fake,
            &format!(r#","subject":"jan","expires":{}"#, in_seconds(3)),
        );
        let auth = fake.hear();
        let _ = heard.send(auth);
        let expires = in_seconds(2);
        fake.text(&format!(
            r#"{{"type":"authenticated","id":0,"subject":"jan","expires":{expires}}}"#
        ));
        let _ = heard.send(fake.hear());
        fake.text(r#"{"type":"authenticated","id":1,"subject":"jan"}"#);
        let _ = heard.send(fake.hear());
        fake.text(r#"{"type":"published","id":2,"channel":"c","epoch":"e","seq":1}"#);
        fake.outlast();
    });
    let (connector, asked) = with_tokens(&url, &["one", "two", "three"]);
    let (mut requests, mut events) = connector.client().unwrap().split();
    let events = std::thread::spawn(move || next(&mut events));
    let hear = || hears.recv_timeout(PATIENCE).expect("the client speaks");
    assert_eq!(hear(), "Bearer one");
    assert_eq!(hear(), r#"{"type":"auth","id":0,"token":"two"}"#);
    assert_eq!(hear(), r#"{"type":"auth","id":1,"token":"three"}"#);
    requests.publish("c", "1", 7).unwrap();
    requests.flush().unwrap();
    assert!(hear().contains("publish"));
    // Nothing of all that is an event.
    let event = events.join().unwrap();
    assert!(
        matches!(event, Event::Published { tag: 7, .. }),
        "{event:?}"
    );
    use TokenReason::{Connect, Renew};
    assert_eq!(reasons(&asked), [Connect, Renew, Renew]);
}

#[test]
fn a_renewal_that_is_refused_is_asked_for_once_more_and_ends_nothing() {
    let (listener, url) = listen();
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        let mut fake = Fake::next(&listener);
        accept(&mut fake);
        welcome(&mut fake, &format!(r#","expires":{}"#, in_seconds(2)));
        for id in 0..2 {
            let _ = heard.send(fake.hear());
            fake.text(&format!(
                r#"{{"type":"error","id":{id},"code":"token_invalid","message":"no"}}"#
            ));
        }
        fake.close(4510, "it has ended");
        let mut fake = Fake::next(&listener);
        let _ = heard.send(accept(&mut fake).unwrap_or_default());
        welcome(&mut fake, "");
        fake.outlast();
    });
    let (connector, asked) = with_tokens(&url, &["one", "two", "three", "four"]);
    let mut client = connector.client().unwrap();
    for _ in 0..2 {
        let event = next(&mut client);
        assert!(
            matches!(&event, Event::NotRenewed { why } if why == "token_invalid: no"),
            "{event:?}"
        );
    }
    assert!(matches!(next(&mut client), Event::Reconnecting { .. }));
    assert!(matches!(next(&mut client), Event::Reconnected));
    let heard: Vec<_> = (0..3)
        .map(|_| hears.recv_timeout(PATIENCE).expect("the client speaks"))
        .collect();
    assert_eq!(heard[0], r#"{"type":"auth","id":0,"token":"two"}"#);
    assert_eq!(heard[1], r#"{"type":"auth","id":1,"token":"three"}"#);
    assert_eq!(heard[2], "Bearer four");
    use TokenReason::{Connect, Refused, Renew};
    assert_eq!(reasons(&asked), [Connect, Renew, Refused, Refused]);
}

#[test]
fn a_server_that_takes_no_tokens_on_an_open_connection_is_sent_none() {
    let url = serve_in_turn(vec![|fake| {
        accept(fake);
        let expires = in_seconds(0);
        fake.text(&format!(
            r#"{{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":65536,"features":[],"expires":{expires}}}"#
        ));
        let asked = fake.hear();
        assert!(asked.contains("subscribe"), "{asked}");
        fake.text(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
        fake.outlast();
    }]);
    let (connector, asked) = with_tokens(&url, &["one", "two"]);
    let mut client = connector.client().unwrap();
    client.subscribe("c", Start::Live).unwrap();
    assert_eq!(reasons(&asked).len(), 1);
}

#[test]
fn a_callback_that_fails_is_told_and_after_a_loss_it_is_asked_again() {
    let url = serve_all(|fake| {
        accept(fake);
        welcome(fake, "");
        fake.close(1012, "restart");
    });
    let mut asked = 0;
    let connector = impatient(&url).token(move |_| {
        asked += 1;
        if asked == 2 {
            Err("the issuer is away")
        } else {
            Ok("t")
        }
    });
    let mut client = connector.client().unwrap();
    let mut causes = Vec::new();
    while causes.len() < 3 {
        match next(&mut client) {
            Event::Reconnecting { cause, .. } => causes.push(cause.to_string()),
            Event::Reconnected => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(causes[0].contains("1012") && causes[2].contains("1012"));
    assert!(causes[1].contains("the issuer is away"), "{causes:?}");
    let first = impatient(&url).token(|_| Err::<String, _>("never"));
    let error = first.client().err().unwrap();
    assert!(error.to_string().contains("never") && error.comes_back());
}

#[test]
fn a_subscription_that_the_rules_end_is_told_and_does_not_come_back() {
    let url = serve_in_turn(vec![|fake| {
        accept(fake);
        welcome(fake, "");
        fake.hear();
        fake.text(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
        fake.text(r#"{"type":"unsubscribed","channel":"c","reason":"forbidden"}"#);
        fake.outlast();
    }]);
    let mut client = impatient(&url).client().unwrap();
    client.subscribe("c", Start::Live).unwrap();
    match next(&mut client) {
        Event::SubscriptionEnded { topic, reason } => {
            assert_eq!(topic.to_string(), "c");
            assert_eq!(reason.as_deref(), Some("forbidden"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_secret_is_in_no_debug_output() {
    let connector = Connector::new("ws://h/?token=hush1")
        .unwrap()
        .header("Cookie", "hush2")
        .basic("me", "hush3");
    let shown = format!("{connector:?}");
    assert!(!shown.contains("hush"), "{shown}");
    let token = fanfare::client::Token::from("hush4");
    assert!(!format!("{token:?}").contains("hush"));
}
