//! Tokens that nobody signed who could, and forms that are none.

use super::*;

const GOOD: &str = r#"{"sub":"anna","exp":1800000001}"#;

fn with_header(header: &str) -> Result<Claims, TokenError> {
    verifier_on(Terms::default()).verify(with_secret(header, GOOD).as_bytes(), NOW)
}

/// A verifier with a public key.
fn with_public(file: &[u8]) -> Verifier {
    let key = pem::public_key(file).expect("a public key");
    Verifier::new(KeySet::of(vec![key]), Terms::default())
}

#[test]
fn a_token_that_is_signed_by_another_secret_is_refused() {
    let key = EncodingKey::from_secret(b"another secret of enough bytes, by somebody else");
    let token = signed(HS256, GOOD, &key, Algorithm::Hs256);
    let refused = verifier_on(Terms::default()).verify(token.as_bytes(), NOW);
    assert_eq!(refused, Err(TokenError::Signature));
}

#[test]
fn none_is_no_algorithm() {
    for none in [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS1", "RS1", "ES256K", "RS384",
    ] {
        assert_eq!(
            with_header(&format!(r#"{{"alg":"{none}"}}"#)),
            Err(TokenError::Algorithm),
            "{none}"
        );
        let empty = format!("{}.", unsigned(&format!(r#"{{"alg":"{none}"}}"#), GOOD));
        let refused = verifier_on(Terms::default()).verify(empty.as_bytes(), NOW);
        assert_eq!(refused, Err(TokenError::Algorithm), "{none}");
    }
    let empty = format!("{}.", unsigned(HS256, GOOD));
    let refused = verifier_on(Terms::default()).verify(empty.as_bytes(), NOW);
    assert_eq!(refused, Err(TokenError::Signature));
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    // RFC 8725 §2.1: all forms in which somebody may have the key.
    for (file, private) in [
        (RSA_PUBLIC, RSA),
        (P256_PUBLIC, P256),
        (ED25519_PUBLIC, ED25519),
    ] {
        let der = x509_parser::pem::parse_x509_pem(file)
            .expect("PEM")
            .1
            .contents;
        let text = str::from_utf8(file).expect("text");
        let inner = &der[der.len() - 65.min(der.len())..];
        for secret in [file, text.trim_end().as_bytes(), &der, inner, b""] {
            for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
                let header = format!(r#"{{"alg":"{algorithm}"}}"#);
                let token = signed(&header, GOOD, &EncodingKey::from_secret(secret), algorithm);
                let refused = with_public(file).verify(token.as_bytes(), NOW);
                assert_eq!(refused, Err(TokenError::Algorithm));
            }
        }
        let signer = Signer::new(private, None).expect("a private key");
        let good = signer
            .sign(&verify(GOOD).expect("claims"), Stamp::default())
            .expect("a token");
        assert!(with_public(file).verify(good.as_bytes(), NOW).is_ok());
    }
}

#[test]
fn a_key_verifies_only_what_it_is_for() {
    let keys = [
        (RSA, RSA_PUBLIC),
        (P256, P256_PUBLIC),
        (ED25519, ED25519_PUBLIC),
    ];
    let claims = verify(GOOD).expect("claims");
    for (i, (private, _)) in keys.into_iter().enumerate() {
        let signer = Signer::new(private, None).expect("a private key");
        let token = signer.sign(&claims, Stamp::default()).expect("a token");
        for (j, (_, public)) in keys.into_iter().enumerate() {
            let result = with_public(public).verify(token.as_bytes(), NOW);
            match i == j {
                true => assert!(result.is_ok()),
                false => assert_eq!(result, Err(TokenError::Algorithm)),
            }
        }
        assert!(
            verifier_on(Terms::default())
                .verify(token.as_bytes(), NOW)
                .is_err()
        );
    }
}

#[test]
fn a_signature_of_another_algorithm_of_the_same_key_is_refused() {
    let message = unsigned(r#"{"alg":"PS256"}"#, GOOD);
    let key = EncodingKey::from_rsa_pem(RSA).expect("a private key");
    let rs256 = crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::RS256);
    let token = format!("{message}.{}", rs256.expect("a signature"));
    let refused = with_public(RSA_PUBLIC).verify(token.as_bytes(), NOW);
    assert_eq!(refused, Err(TokenError::Signature));
}

#[test]
fn a_signature_of_zeros_is_refused() {
    // CVE-2022-21449: r and s of 0.
    for length in [0, 1, 32, 63, 64, 65, 96, 256] {
        for (alg, public) in [
            ("ES256", P256_PUBLIC),
            ("EdDSA", ED25519_PUBLIC),
            ("RS256", RSA_PUBLIC),
        ] {
            let message = unsigned(&format!(r#"{{"alg":"{alg}"}}"#), GOOD);
            let token = format!("{message}.{}", base64url(vec![0; length]));
            let refused = with_public(public).verify(token.as_bytes(), NOW);
            assert_eq!(refused, Err(TokenError::Signature));
        }
    }
}

#[test]
fn a_longer_hash_needs_a_longer_secret() {
    let secret = |bytes| KeySet::secret(&SECRET[..bytes]).expect("a long secret");
    let verifies = |bytes: usize, algorithm: Algorithm| {
        let key = EncodingKey::from_secret(&SECRET[..bytes]);
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let token = signed(&header, GOOD, &key, algorithm);
        let verifier = Verifier::new(secret(bytes), Terms::default());
        verifier.verify(token.as_bytes(), NOW).is_ok()
    };
    for (algorithm, least) in [
        (Algorithm::Hs256, 32),
        (Algorithm::Hs384, 48),
        (Algorithm::Hs512, 64),
    ] {
        assert!(verifies(least, algorithm), "{algorithm}");
        assert!(
            least == 32 || !verifies(least - 1, algorithm),
            "{algorithm}"
        );
    }
}

#[test]
fn a_header_with_what_is_critical_is_refused() {
    for more in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""crit":["b64"],"b64":false"#,
    ] {
        let refused = with_header(&format!(r#"{{"alg":"HS256",{more}}}"#));
        assert!(matches!(refused, Err(TokenError::Malformed(_))), "{more}");
    }
}

#[test]
fn a_key_that_a_header_brings_is_not_used() {
    let [x, y] = [
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    ];
    let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
    let header = format!(
        r#"{{"alg":"HS256","jwk":{jwk},"jku":"https://evil.example/","x5u":"https://evil.example/","x5c":["AAAA"]}}"#
    );
    assert!(with_header(&header).is_ok());
    let oct = format!(
        r#"{{"alg":"HS256","jwk":{{"kty":"oct","k":"{}"}}}}"#,
        base64url([7; 32])
    );
    let token = signed(
        &oct,
        GOOD,
        &EncodingKey::from_secret(&[7; 32]),
        Algorithm::Hs256,
    );
    let refused = verifier_on(Terms::default()).verify(token.as_bytes(), NOW);
    assert_eq!(refused, Err(TokenError::Signature));
}

#[test]
fn a_header_that_cannot_be_read_is_refused() {
    let bad = [
        "",
        "[]",
        "{}",
        "null",
        r#"{"alg":1}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","x":1,"x":1}"#,
        r#"{"alg":"HS256"} x"#,
        r#"{"Alg":"HS256"}"#,
    ];
    for bad in bad {
        assert!(
            matches!(with_header(bad), Err(TokenError::Malformed(_))),
            "{bad}"
        );
    }
}

#[test]
fn what_is_not_three_parts_of_base64url_is_refused() {
    let token = with_secret(HS256, GOOD);
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("{token}")
    };
    let bad = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        header.into(),
        format!("{header}.{claims}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{claims}.{signature}="),
        format!("{header}.{claims}==.{signature}"),
        format!("{header} .{claims}.{signature}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+")) + "+",
        format!("{header}.{claims}.ä{signature}"),
    ];
    for bad in bad {
        let refused = verifier_on(Terms::default()).verify(bad.as_bytes(), NOW);
        assert!(
            matches!(refused, Err(TokenError::Malformed(_))),
            "{bad:?}: {refused:?}"
        );
    }
    let refused = verifier_on(Terms::default()).verify(&[0xff, b'.', b'.'], NOW);
    assert!(matches!(refused, Err(TokenError::Malformed(_))));
}

#[test]
fn stray_bits_at_the_end_of_a_part_are_refused() {
    let token = with_secret(HS256, GOOD);
    // 32 bytes end in a character of which two bits count for nothing.
    let last = token.bytes().last().expect("a character");
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet
        .iter()
        .position(|byte| *byte == last)
        .expect("base64url");
    for stray in 1..4 {
        let mut token = token.clone().into_bytes();
        *token.last_mut().expect("a character") = alphabet[at ^ stray];
        let refused = verifier_on(Terms::default()).verify(&token, NOW);
        assert!(matches!(refused, Err(TokenError::Malformed(_))), "{stray}");
    }
}

#[test]
fn a_token_over_8_kib_is_refused_and_one_of_8_kib_is_not() {
    let token =
        |padding: usize| with_secret(HS256, &with(&format!(r#""x":"{}""#, "x".repeat(padding))));
    let verify = |token: &str| verifier_on(Terms::default()).verify(token.as_bytes(), NOW);
    let fits = (6000..6200)
        .rev()
        .find(|padding| token(*padding).len() <= MAX_TOKEN_BYTES);
    let fits = fits.expect("a token that fits");
    assert!(token(fits).len() > MAX_TOKEN_BYTES - 2);
    assert!(verify(&token(fits)).is_ok());
    assert!(matches!(
        verify(&token(fits + 2)),
        Err(TokenError::Malformed(_))
    ));
    let huge = "x".repeat(10 << 20);
    assert!(matches!(verify(&huge), Err(TokenError::Malformed(_))));
}

#[test]
fn deep_nesting_is_refused_or_passed_over_and_never_overflows() {
    let deep = "[".repeat(4000) + &"]".repeat(4000 - 2000);
    for name in ["x", "sub", "aud", "subscribe"] {
        assert!(verify(&with(&format!(r#""{name}":{deep}"#))).is_err());
    }
}
