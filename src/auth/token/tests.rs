//! Tokens that are good, and each way to be refused.

mod forged;
mod keys;
mod mint;
mod properties;
mod standards;

use jsonwebtoken::{EncodingKey, crypto};

use super::*;

const SECRET: &[u8] =
    b"a secret of more than sixty-four bytes, so that all of HMAC's sizes are allowed";
const NOW: u64 = 1_800_000_000;
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

// Keys of nobody, made for these tests.
const RSA: &[u8] = include_bytes!("tests/keys/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("tests/keys/rsa.pub.pem");
const RSA_PKCS1: &[u8] = include_bytes!("tests/keys/rsa.pkcs1.pem");
const RSA_PKCS1_PUBLIC: &[u8] = include_bytes!("tests/keys/rsa.pkcs1.pub.pem");
const RSA_1024: &[u8] = include_bytes!("tests/keys/rsa1024.pem");
const RSA_1024_PUBLIC: &[u8] = include_bytes!("tests/keys/rsa1024.pub.pem");
const P256: &[u8] = include_bytes!("tests/keys/p256.pem");
const P256_PUBLIC: &[u8] = include_bytes!("tests/keys/p256.pub.pem");
const P256_SEC1: &[u8] = include_bytes!("tests/keys/p256.sec1.pem");
const P256_CERTIFICATE: &[u8] = include_bytes!("tests/keys/p256.cert.pem");
const P384: &[u8] = include_bytes!("tests/keys/p384.pem");
const P384_PUBLIC: &[u8] = include_bytes!("tests/keys/p384.pub.pem");
const ED25519: &[u8] = include_bytes!("tests/keys/ed25519.pem");
const ED25519_PUBLIC: &[u8] = include_bytes!("tests/keys/ed25519.pub.pem");
const ENCRYPTED: &[u8] = include_bytes!("tests/keys/encrypted.pem");

/// What a token of this header and these claims is without its signature.
fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", base64url(header), base64url(claims))
}

fn signed(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = unsigned(header, claims);
    let signature = crypto::sign(message.as_bytes(), key, algorithm.of_library());
    format!("{message}.{}", signature.expect("a signature"))
}

/// A token that is signed with the secret, as HS256 whatever the header says.
fn with_secret(header: &str, claims: &str) -> String {
    signed(
        header,
        claims,
        &EncodingKey::from_secret(SECRET),
        Algorithm::Hs256,
    )
}

fn verifier_on(terms: Terms) -> Verifier {
    Verifier::new(KeySet::secret(SECRET).expect("a long secret"), terms)
}

fn verify_on(terms: Terms, claims: &str) -> Result<Claims, TokenError> {
    verifier_on(terms).verify(with_secret(HS256, claims).as_bytes(), NOW)
}

fn verify(claims: &str) -> Result<Claims, TokenError> {
    verify_on(Terms::default(), claims)
}

/// The claims of a token that is good, with more in them.
fn with(more: &str) -> String {
    format!(r#"{{"sub":"anna","exp":1800000001,{more}}}"#)
}

/// What is wrong with the claims of a token, in words.
fn fault(claims: &str) -> String {
    match verify(claims) {
        Err(TokenError::Claims(why)) => why.into_owned(),
        other => panic!("{claims}: {other:?}"),
    }
}

#[test]
fn a_good_token_gives_its_claims() {
    let claims = verify(
        r#"{"sub":"anna","exp":1800000001,"nbf":1799999999,"iat":1799999990.5,"subscribe":["prices.*","news"],"publish":[],"admin":true,"x":{"y":1}}"#,
    );
    let pattern = |text| Pattern::parse(text).expect("a pattern");
    let expected = Claims {
        subject: "anna".into(),
        expires: Some(1_800_000_001),
        issued: Some(1_799_999_990),
        subscribe: Some(vec![pattern("prices.*"), pattern("news")]),
        publish: Some(Vec::new()),
        admin: Some(true),
    };
    assert_eq!(claims, Ok(expected));
}

#[test]
fn what_a_token_does_not_say_is_told_from_what_it_denies() {
    let claims = verify(r#"{"sub":"anna","exp":1800000001}"#).expect("a good token");
    assert_eq!(
        (claims.subscribe, claims.publish, claims.admin),
        (None, None, None)
    );
    let claims =
        verify(&with(r#""subscribe":[],"publish":[],"admin":false"#)).expect("a good token");
    let nothing = (Some(Vec::new()), Some(Vec::new()), Some(false));
    assert_eq!((claims.subscribe, claims.publish, claims.admin), nothing);
}

#[test]
fn a_token_ends_at_its_exp_and_thirty_seconds_of_leeway() {
    let at = |exp: u64| verify(&format!(r#"{{"sub":"anna","exp":{exp}}}"#));
    assert!(at(NOW + 1).is_ok());
    assert!(at(NOW).is_ok());
    assert!(at(NOW - 29).is_ok());
    assert_eq!(at(NOW - 30), Err(TokenError::Expired));
    assert_eq!(at(0), Err(TokenError::Expired));
    assert!(TokenError::Expired.is_expired());
    assert!(at(MAX_TIME_S).is_ok());
}

#[test]
fn a_token_begins_at_its_nbf_less_thirty_seconds_of_leeway() {
    let at = |nbf: u64| verify(&with(&format!(r#""nbf":{nbf}"#)));
    assert!(at(0).is_ok());
    assert!(at(NOW + 30).is_ok());
    assert_eq!(at(NOW + 31), Err(TokenError::NotYet));
    assert!(!TokenError::NotYet.is_expired());
}

#[test]
fn a_token_without_an_end_is_refused_unless_it_may_have_none() {
    assert_eq!(
        fault(r#"{"sub":"anna"}"#),
        "it has no `exp`, which says when it ends"
    );
    let terms = Terms {
        needs_expiry: false,
        ..Terms::default()
    };
    let claims = verify_on(terms.clone(), r#"{"sub":"anna"}"#).expect("a good token");
    assert_eq!(claims.expires, None);
    let ended = verify_on(terms, r#"{"sub":"anna","exp":1}"#);
    assert_eq!(ended, Err(TokenError::Expired));
}

#[test]
fn a_time_that_is_no_whole_number_in_range_is_refused() {
    let bad = [
        "-1",
        "1.5",
        "1800000001.0",
        "1e10",
        "9007199254740992",
        "18446744073709551616",
        "\"1800000001\"",
        "null",
        "true",
        "[1]",
        "{}",
    ];
    for bad in bad {
        let exp = fault(&format!(r#"{{"sub":"anna","exp":{bad}}}"#));
        assert_eq!(
            exp, "`exp` is not a whole number of seconds since 1970",
            "{bad}"
        );
        let nbf = fault(&with(&format!(r#""nbf":{bad}"#)));
        assert_eq!(
            nbf, "`nbf` is not a whole number of seconds since 1970",
            "{bad}"
        );
    }
}

#[test]
fn a_number_beyond_all_bounds_is_refused() {
    for bad in ["1e999", &"9".repeat(400)] {
        assert!(verify(&format!(r#"{{"sub":"anna","exp":{bad}}}"#)).is_err());
    }
}

#[test]
fn the_clocks_end_is_no_trouble() {
    let token = with_secret(
        HS256,
        &format!(r#"{{"sub":"a","exp":{MAX_TIME_S},"nbf":{MAX_TIME_S}}}"#),
    );
    let verifier = verifier_on(Terms::default());
    assert_eq!(
        verifier.verify(token.as_bytes(), u64::MAX),
        Err(TokenError::Expired)
    );
    assert_eq!(
        verifier.verify(token.as_bytes(), 0),
        Err(TokenError::NotYet)
    );
}

#[test]
fn the_issuer_is_the_one_that_is_wanted() {
    let terms = Terms {
        issuer: Some("https://id.example.com".into()),
        ..Terms::default()
    };
    let of = |iss: &str| verify_on(terms.clone(), &with(iss));
    assert!(of(r#""iss":"https://id.example.com""#).is_ok());
    assert_eq!(
        of(r#""iss":"https://id.example.com/""#),
        Err(TokenError::Issuer)
    );
    assert_eq!(
        of(r#""iss":"HTTPS://id.example.com""#),
        Err(TokenError::Issuer)
    );
    assert_eq!(of(r#""iss":"""#), Err(TokenError::Issuer));
    assert_eq!(of(r#""x":1"#), Err(TokenError::Issuer));
    assert!(matches!(
        of(r#""iss":["https://id.example.com"]"#),
        Err(TokenError::Claims(_))
    ));
    assert!(verify(&with(r#""iss":"anybody""#)).is_ok());
    assert_eq!(fault(&with(r#""iss":null"#)), "`iss` is not a string");
}

#[test]
fn the_audience_names_this_server_among_others() {
    let terms = Terms {
        audience: Some("fanfare".into()),
        ..Terms::default()
    };
    let of = |aud: &str| verify_on(terms.clone(), &with(aud));
    assert!(of(r#""aud":"fanfare""#).is_ok());
    assert!(of(r#""aud":["other","fanfare"]"#).is_ok());
    assert_eq!(of(r#""aud":"Fanfare""#), Err(TokenError::Audience));
    assert_eq!(of(r#""aud":["other"]"#), Err(TokenError::Audience));
    assert_eq!(of(r#""aud":[]"#), Err(TokenError::Audience));
    assert_eq!(of(r#""x":1"#), Err(TokenError::Audience));
    for bad in ["1", "null", "{}", r#"["fanfare",1]"#] {
        let refused = of(&format!(r#""aud":{bad}"#));
        assert!(matches!(refused, Err(TokenError::Claims(_))), "{bad}");
    }
}

#[test]
fn a_token_for_somebody_else_is_refused_where_no_audience_is_set() {
    assert_eq!(verify(&with(r#""aud":"other""#)), Err(TokenError::Audience));
    assert_eq!(
        verify(&with(r#""aud":["other"]"#)),
        Err(TokenError::Audience)
    );
    assert_eq!(verify(&with(r#""aud":[]"#)), Err(TokenError::Audience));
}

#[test]
fn a_subject_has_one_to_255_bytes_without_control_characters() {
    let of = |sub: &str| verify(&format!(r#"{{"exp":1800000001,"sub":{sub}}}"#));
    let quoted = |bytes| format!("\"{}\"", "x".repeat(bytes));
    for good in [
        &quoted(1),
        &quoted(255),
        r#""*""#,
        r#""a.b""#,
        r#""ä b/c@d""#,
    ] {
        assert!(of(good).is_ok(), "{good}");
    }
    let bad = [
        r#""""#,
        &quoted(256),
        r#""a\nb""#,
        r#""\u0000""#,
        r#""a\u007f""#,
        r#""\u0085""#,
        "1",
        "null",
        "[\"a\"]",
    ];
    for bad in bad {
        assert!(matches!(of(bad), Err(TokenError::Claims(_))), "{bad}");
    }
    assert!(matches!(
        verify(r#"{"exp":1800000001}"#),
        Err(TokenError::Claims(_))
    ));
}

#[test]
fn channels_are_lists_of_patterns_of_which_a_bad_one_refuses_the_token() {
    for name in ["subscribe", "publish"] {
        let of = |list: &str| verify(&with(&format!(r#""{name}":{list}"#)));
        assert!(of(r#"["a.b",">","$sys.>"]"#).is_ok());
        for bad in [
            "null",
            "\"a\"",
            "1",
            "{}",
            "[1]",
            "[null]",
            r#"["a",["b"]]"#,
            r#"["a..b"]"#,
            r#"["a",""]"#,
            r#"["a b"]"#,
        ] {
            assert!(matches!(of(bad), Err(TokenError::Claims(_))), "{bad}");
        }
        let many = |count: usize| format!("[{}]", vec!["\"a\""; count].join(","));
        assert!(of(&many(MAX_PATTERNS)).is_ok());
        assert!(matches!(
            of(&many(MAX_PATTERNS + 1)),
            Err(TokenError::Claims(_))
        ));
    }
}

#[test]
fn admin_is_true_or_false() {
    for bad in ["1", "0", "null", "\"true\"", "[]"] {
        assert_eq!(
            fault(&with(&format!(r#""admin":{bad}"#))),
            "`admin` is neither true nor false"
        );
    }
}

#[test]
fn claims_that_are_no_object_or_have_a_member_twice_are_refused() {
    let refused = |claims: &str| match verify(claims) {
        Err(TokenError::Malformed(why)) => why,
        other => panic!("{claims}: {other:?}"),
    };
    for bad in [
        "",
        "[]",
        "1",
        "\"x\"",
        "null",
        "{",
        r#"{"sub":"anna","exp":1800000001}x"#,
        r#"{"sub":"anna",}"#,
        "\u{feff}{}",
    ] {
        assert_eq!(refused(bad), "its claims are not a JSON object", "{bad}");
    }
    let twice = [
        r#"{"sub":"anna","exp":1800000001,"sub":"root"}"#,
        r#"{"sub":"anna","exp":1800000001,"s\u0075b":"root"}"#,
        r#"{"sub":"anna","exp":1800000001,"x":1,"x":2}"#,
    ];
    for twice in twice {
        assert_eq!(
            refused(twice),
            "its claims have the same member twice",
            "{twice}"
        );
    }
    assert!(verify(&with(r#""x":{"y":1,"y":2}"#)).is_ok());
}

#[test]
fn names_are_told_apart_by_case() {
    assert!(verify(&with(r#""Admin":"yes","SUB":1"#)).is_ok_and(|claims| claims.admin.is_none()));
}

#[test]
fn an_error_shows_nothing_of_the_token() {
    let bad = [
        with(r#""subscribe":["tr0uble..x"]"#),
        with(r#""iss":{"tr0uble":1}"#),
        with(r#""tr0uble":1,"tr0uble":2"#),
        r#"{"sub":"tr0uble\n","exp":1800000001}"#.to_owned(),
        r#"{"sub":"tr0uble","exp":"tr0uble"}"#.to_owned(),
        "tr0uble".to_owned(),
    ];
    for bad in bad {
        let error = verify(&bad).expect_err("a bad token");
        assert!(!format!("{error} {error:?}").contains("tr0uble"), "{error}");
    }
}
