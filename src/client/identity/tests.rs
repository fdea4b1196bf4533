//! When a token is asked for and why, on a clock of the test's own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::*;
use crate::client::Cause;
use crate::client::error::Error;
use crate::ws::close::CloseCode;

const SECOND: Duration = Duration::from_secs(1);

type Asked = Arc<Mutex<Vec<TokenReason>>>;

/// A client with these tokens to give, and why it was asked for them.
fn identity(tokens: &[&'static str]) -> (Identity, Asked) {
    let asked = Asked::default();
    let noted = asked.clone();
    let mut tokens: VecDeque<_> = tokens.iter().copied().collect();
    let credentials = Credentials::token(move |reason| {
        noted.lock().unwrap().push(reason);
        match tokens.len() {
            1 => Ok(tokens[0]),
            _ => tokens.pop_front().ok_or("none is left"),
        }
    });
    (Identity::new(credentials), asked)
}

fn asked(asked: &Asked) -> Vec<TokenReason> {
    std::mem::take(&mut *asked.lock().unwrap())
}

fn closed(code: CloseCode) -> ConnectError {
    let reason = String::new();
    ConnectError::Welcome(Arc::new(Cause::Lost(Error::Closed { code, reason })))
}

/// Opens a connection to a server that refuses these tokens.
fn open(identity: &mut Identity, refused: &[&str]) -> Result<String, ConnectError> {
    identity.present(|value| match value {
        Some(value)
            if refused
                .iter()
                .any(|token| value == format!("Bearer {token}")) =>
        {
            Err(closed(CloseCode::UNAUTHENTICATED))
        }
        value => Ok(value.unwrap_or_default().to_owned()),
    })
}

#[test]
fn who_has_nothing_to_say_says_nothing_and_a_refusal_is_final() {
    let mut nobody = Identity::new(Credentials::None);
    assert_eq!(open(&mut nobody, &[]).unwrap(), "");
    assert!(!nobody.refused() && !nobody.has_tokens());
    let mut user = Identity::new(Credentials::basic("me", "pw"));
    assert_eq!(open(&mut user, &[]).unwrap(), "Basic bWU6cHc=");
    let refused = user.present(|_| Err::<(), _>(closed(CloseCode::UNAUTHENTICATED)));
    assert!(refused.is_err());
}

#[test]
fn a_refused_token_is_replaced_once_and_at_once() {
    use TokenReason::{Connect, Refused};
    let (mut identity, reasons) = identity(&["old", "new"]);
    assert_eq!(open(&mut identity, &["old"]).unwrap(), "Bearer new");
    assert_eq!(asked(&reasons), [Connect, Refused]);
    // The connection after that begins like any.
    assert_eq!(open(&mut identity, &[]).unwrap(), "Bearer new");
    assert_eq!(asked(&reasons), [Connect]);
}

#[test]
fn the_same_token_again_ends_with_what_the_server_said() {
    let (mut same, reasons) = identity(&["old"]);
    let error = open(&mut same, &["old"]).unwrap_err();
    assert!(matches!(error, ConnectError::Welcome(_)), "{error}");
    assert_eq!(asked(&reasons).len(), 2);
}

#[test]
fn a_second_token_that_is_refused_is_the_last() {
    let (mut many, reasons) = identity(&["a", "b", "c", "d"]);
    assert!(open(&mut many, &["a", "b", "c", "d"]).is_err());
    assert_eq!(asked(&reasons).len(), 2);
}

#[test]
fn after_a_close_the_same_token_is_an_error_and_another_is_not() {
    let (mut same, _) = identity(&["old"]);
    open(&mut same, &[]).unwrap();
    assert!(same.refused(), "another may help");
    let error = open(&mut same, &[]).unwrap_err();
    assert!(matches!(
        error,
        ConnectError::Credentials(CredentialsError::Same)
    ));
    assert!(!error.comes_back_once_open());

    let (mut other, reasons) = identity(&["old", "new"]);
    open(&mut other, &[]).unwrap();
    assert!(other.refused());
    assert_eq!(open(&mut other, &[]).unwrap(), "Bearer new");
    assert_eq!(asked(&reasons)[1], TokenReason::Refused);
    // Closed again at once: no third one helps, unless the connection lasted.
    assert!(!other.refused());
    other.settled();
    assert!(other.refused());
}

#[test]
fn a_callback_that_fails_is_tried_again_once_there_was_a_connection() {
    let (mut empty, _) = identity(&[]);
    let error = open(&mut empty, &[]).unwrap_err();
    assert!(error.to_string().contains("none is left"), "{error}");
    assert!(error.comes_back_once_open());
}

#[test]
fn a_token_is_renewed_at_nine_tenths_of_its_life_or_half_a_minute_before_its_end() {
    for (life, after) in [
        (36_000, 32_400),
        (3600, 3240),
        (300, 270),
        (100, 70),
        (60, 30),
        (40, 20),
        (10, 5),
        (1, 1),
        (0, 30),
    ] {
        assert_eq!(renewed_after(life * SECOND), after * SECOND, "{life}");
    }
    assert!(renewed_after(Duration::MAX) < Duration::MAX);
}

#[test]
fn a_token_that_is_not_replaced_is_asked_for_again_and_not_without_pause() {
    let (mut same, reasons) = identity(&["old"]);
    open(&mut same, &[]).unwrap();
    let (now, clock) = (Instant::now(), SystemTime::UNIX_EPOCH + 1000 * SECOND);
    let known = same.note(Verdict::Known(Some(1100)), now, clock);
    assert!(known.unwrap().is_none());
    assert!(same.renewal(now + 69 * SECOND).unwrap().is_none());
    assert_eq!(asked(&reasons), [TokenReason::Connect]);
    let mut times = Vec::new();
    while let Some(due) = same.due()
        && times.len() < 6
    {
        assert!(same.renewal(due).unwrap().is_none());
        times.push((due - now).as_secs());
    }
    assert_eq!(times, [70, 85, 92, 96, 98, 99]);
    assert!(
        asked(&reasons)
            .iter()
            .all(|reason| *reason == TokenReason::Renew)
    );
}

#[test]
fn a_renewal_that_is_refused_is_replaced_once_and_then_put_off() {
    use TokenReason::{Connect, Refused, Renew};
    let (mut many, reasons) = identity(&["a", "b", "c", "d", "e"]);
    open(&mut many, &[]).unwrap();
    let (now, clock) = (Instant::now(), SystemTime::UNIX_EPOCH + 1000 * SECOND);
    many.note(Verdict::Known(Some(1100)), now, clock).unwrap();
    let due = many.due().unwrap();
    assert_eq!(many.renewal(due).unwrap(), Some(Token::from("b")));
    assert_eq!(
        many.note(Verdict::Refused, due, clock).unwrap(),
        Some(Token::from("c"))
    );
    assert_eq!(many.note(Verdict::Refused, due, clock).unwrap(), None);
    assert_eq!(asked(&reasons), [Connect, Renew, Refused]);
    let later = many.due().unwrap();
    assert_eq!(later - due, 15 * SECOND);
    assert_eq!(many.renewal(later).unwrap(), Some(Token::from("d")));
    many.note(Verdict::Known(None), later, clock).unwrap();
    assert_eq!(many.due(), None, "it does not end");
}

#[test]
fn no_time_that_a_server_names_overflows_and_a_wrong_clock_does_not_loop() {
    let (mut identity, _) = identity(&["a"]);
    let (now, clock) = (Instant::now(), SystemTime::UNIX_EPOCH + 1000 * SECOND);
    for expires in [u64::MAX, 1 << 53, 999, 0] {
        identity
            .note(Verdict::Known(Some(expires)), now, clock)
            .unwrap();
        assert!(identity.due().is_none_or(|due| due >= now + 30 * SECOND));
    }
}
