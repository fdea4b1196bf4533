//! Keys and sets of them, as files have them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::TokenConfig;

use super::*;

const GOOD: &str = r#"{"sub":"anna","exp":1800000001}"#;

/// A file that is gone when it goes out of scope.
struct TempFile(PathBuf);

impl TempFile {
    fn new(bytes: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanfare-token-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn with_jwks(set: &str) -> Verifier {
    let set = jwks::read(set.as_bytes(), jwks::From::File).expect("a set");
    Verifier::new(KeySet::of(set.keys), Terms::default())
}

/// A secret as a key of a set.
fn oct(secret: &[u8], more: &str) -> String {
    format!(r#"{{"kty":"oct","k":"{}"{more}}}"#, base64url(secret))
}

fn token_by(secret: &[u8], header: &str) -> Vec<u8> {
    signed(
        header,
        GOOD,
        &EncodingKey::from_secret(secret),
        Algorithm::Hs256,
    )
    .into_bytes()
}

#[test]
fn each_form_of_a_public_key_is_read() {
    let forms = [
        (RSA, RSA_PUBLIC),
        (RSA, RSA_PKCS1_PUBLIC),
        (P256, P256_PUBLIC),
        // Of a chain whose first certificate an Ed25519 key signed.
        (P256, P256_CERTIFICATE),
        (ED25519, ED25519_PUBLIC),
    ];
    for (private, public) in forms {
        let key = pem::public_key(public).expect("a public key");
        let verifier = Verifier::new(KeySet::of(vec![key]), Terms::default());
        let signer = Signer::new(private, None).expect("a private key");
        let token = signer.sign(&verify(GOOD).expect("claims"), Stamp::default());
        assert!(
            verifier
                .verify(token.expect("a token").as_bytes(), NOW)
                .is_ok()
        );
    }
}

#[test]
fn a_file_that_is_no_public_key_is_refused_with_what_to_do() {
    let two = [P256_PUBLIC, RSA_PUBLIC].concat();
    let bad: [(&[u8], &str); 12] = [
        (b"", "no PEM"),
        (SECRET, "no PEM"),
        (RSA, "-pubout"),
        (RSA_PKCS1, "-pubout"),
        (P256_SEC1, "-pubout"),
        (ENCRYPTED, "-pubout"),
        (RSA_1024_PUBLIC, "fewer than 2048 bits"),
        (P384_PUBLIC, "not P-256"),
        (&two, "more than one key"),
        (
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "broken",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "broken",
        ),
        (
            b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
            "neither",
        ),
    ];
    for (file, word) in bad {
        let why = pem::public_key(file).err().expect("no key");
        assert!(why.contains(word), "{why}");
    }
}

#[test]
fn a_public_key_with_a_byte_changed_or_cut_off_never_panics() {
    for file in [RSA_PUBLIC, P256_PUBLIC, ED25519_PUBLIC, P256_CERTIFICATE] {
        let der = x509_parser::pem::parse_x509_pem(file).expect("PEM").1;
        let label = &der.label;
        let wrap = |der: &[u8]| {
            use base64::engine::general_purpose::STANDARD;
            let text = STANDARD.encode(der);
            format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
        };
        for at in 0..der.contents.len() {
            let _ = pem::public_key(wrap(&der.contents[..at]).as_bytes());
            for change in [1, 0x80, 0xff] {
                let mut bytes = der.contents.clone();
                bytes[at] ^= change;
                let _ = pem::public_key(wrap(&bytes).as_bytes());
            }
        }
    }
}

#[test]
fn a_kid_chooses_the_key() {
    let (one, two) = ([1; 32], [2; 32]);
    let verifier = with_jwks(&format!(
        r#"{{"keys":[{},{}]}}"#,
        oct(&one, r#","kid":"one""#),
        oct(&two, r#","kid":"two""#)
    ));
    let verify = |secret: &[u8], header: &str| verifier.verify(&token_by(secret, header), NOW);
    assert!(verify(&one, r#"{"alg":"HS256","kid":"one"}"#).is_ok());
    assert!(verify(&two, r#"{"alg":"HS256","kid":"two"}"#).is_ok());
    let named_wrong = verify(&one, r#"{"alg":"HS256","kid":"two"}"#);
    assert_eq!(named_wrong, Err(TokenError::Signature));
    for unknown in ["three", "ONE", ""] {
        let header = format!(r#"{{"alg":"HS256","kid":"{unknown}"}}"#);
        assert_eq!(verify(&one, &header), Err(TokenError::UnknownKey));
    }
    assert!(verify(&two, r#"{"alg":"HS256"}"#).is_ok());
    assert_eq!(
        verify(&[3; 32], r#"{"alg":"HS256"}"#),
        Err(TokenError::Signature)
    );
}

#[test]
fn a_key_without_a_name_is_tried_whatever_a_token_calls_it() {
    let header = r#"{"alg":"HS256","kid":"theirs"}"#;
    let mut verifier = Verifier::new(
        KeySet::secret(&[1; 32]).expect("a secret"),
        Terms::default(),
    );
    assert!(verifier.verify(&token_by(&[1; 32], header), NOW).is_ok());
    let other = token_by(&[2; 32], header);
    assert_eq!(verifier.verify(&other, NOW), Err(TokenError::Signature));
    // Where keys have names, the one that is named may come.
    let set = format!(r#"{{"keys":[{}]}}"#, oct(&[3; 32], r#","kid":"x""#));
    let set = jwks::read(set.as_bytes(), jwks::From::File).expect("a set");
    verifier.set_fetched(KeySet::of(set.keys));
    assert_eq!(verifier.verify(&other, NOW), Err(TokenError::UnknownKey));
    assert!(verifier.verify(&token_by(&[1; 32], header), NOW).is_ok());
}

#[test]
fn no_more_than_eight_keys_are_tried() {
    let secret = |i: u8| [i; 32];
    let keys: Vec<String> = (1..=9)
        .map(|i| oct(&secret(i), r#","kid":"same""#))
        .collect();
    let verifier = with_jwks(&format!(r#"{{"keys":[{}]}}"#, keys.join(",")));
    for header in [HS256, r#"{"alg":"HS256","kid":"same"}"#] {
        assert!(verifier.verify(&token_by(&secret(8), header), NOW).is_ok());
        let ninth = verifier.verify(&token_by(&secret(9), header), NOW);
        assert_eq!(ninth, Err(TokenError::Signature));
    }
}

#[test]
fn the_alg_of_a_key_narrows_what_it_is_for() {
    let secret = &SECRET[..64];
    let verifier = with_jwks(&format!(
        r#"{{"keys":[{}]}}"#,
        oct(secret, r#","kid":"a","alg":"HS512""#)
    ));
    let token = |algorithm: Algorithm| {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"a"}}"#);
        signed(&header, GOOD, &EncodingKey::from_secret(secret), algorithm)
    };
    assert!(
        verifier
            .verify(token(Algorithm::Hs512).as_bytes(), NOW)
            .is_ok()
    );
    let refused = verifier.verify(token(Algorithm::Hs256).as_bytes(), NOW);
    assert_eq!(refused, Err(TokenError::Algorithm));
}

#[test]
fn keys_that_are_for_something_else_are_passed_over_and_named() {
    let good = oct(&[1; 32], "");
    let bad = [
        oct(&[1; 31], ""),
        oct(&[1; 32], r#","use":"enc""#),
        oct(&[1; 32], r#","use":1"#),
        oct(&[1; 32], r#","key_ops":["sign"]"#),
        oct(&[1; 32], r#","alg":"RS256""#),
        oct(&[1; 32], r#","alg":"HS512""#),
        oct(&[1; 32], r#","alg":"none""#),
        oct(&[1; 32], r#","kid":1"#),
        r#"{"kty":"oct"}"#.to_owned(),
        r#"{"kty":"oct","k":"a a"}"#.to_owned(),
        r#"{"k":"AAAA"}"#.to_owned(),
        r#"{"kty":"AKP"}"#.to_owned(),
        r#"{"kty":"RSA"}"#.to_owned(),
        format!(
            r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#,
            base64url([0xff; 255])
        ),
        format!(
            r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#,
            base64url([0xff; 1025])
        ),
        format!(
            r#"{{"kty":"RSA","n":"{}","e":"AQ"}}"#,
            base64url([0xff; 256])
        ),
        format!(
            r#"{{"kty":"RSA","n":"{}","e":"Ag"}}"#,
            base64url([0xff; 256])
        ),
        format!(
            r#"{{"kty":"EC","crv":"P-256","x":"{0}","y":"{0}"}}"#,
            base64url([1; 31])
        ),
        format!(
            r#"{{"kty":"EC","crv":"P-384","x":"{0}","y":"{0}"}}"#,
            base64url([1; 48])
        ),
        format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
            base64url([1; 31])
        ),
        format!(
            r#"{{"kty":"OKP","crv":"Ed448","x":"{}"}}"#,
            base64url([1; 57])
        ),
        "1".to_owned(),
        "null".to_owned(),
    ];
    for bad in bad {
        let set = format!(r#"{{"keys":[{bad},{good}]}}"#);
        let set = jwks::read(set.as_bytes(), jwks::From::File).expect("a set");
        assert_eq!((set.keys.len(), set.notes.len()), (1, 1), "{bad}");
        let alone = jwks::read(
            format!(r#"{{"keys":[{bad}]}}"#).as_bytes(),
            jwks::From::File,
        );
        assert!(alone.is_err(), "{bad}");
    }
}

#[test]
fn a_set_from_a_url_has_no_secrets() {
    let set = format!(r#"{{"keys":[{}]}}"#, oct(&[1; 32], ""));
    assert!(jwks::read(set.as_bytes(), jwks::From::File).is_ok());
    let refused = jwks::read(set.as_bytes(), jwks::From::Url);
    assert!(refused.is_err_and(|why| why.contains("files only")));
}

#[test]
fn what_is_no_set_is_refused() {
    let many = format!(
        r#"{{"keys":[{}]}}"#,
        vec![oct(&[1; 32], ""); jwks::MAX_KEYS + 1].join(",")
    );
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[],"keys":[]}"#,
        "<html>",
        &many,
    ] {
        assert!(
            jwks::read(bad.as_bytes(), jwks::From::File).is_err(),
            "{bad:.40}"
        );
    }
}

#[test]
fn keys_are_loaded_from_the_files_that_are_configured() {
    let secret = TempFile::new(&[SECRET, b"\n"].concat());
    let (rsa, p256) = (TempFile::new(RSA_PUBLIC), TempFile::new(P256_PUBLIC));
    let set =
        TempFile::new(format!(r#"{{"keys":[{}]}}"#, oct(&[1; 32], r#","kid":"a""#)).as_bytes());
    let config = TokenConfig {
        secret_file: Some(secret.0.clone()),
        keys: vec![rsa.0.clone(), p256.0.clone()],
        jwks: Some(set.0.clone()),
        audience: Some("fanfare".into()),
        ..TokenConfig::default()
    };
    let verifier = Verifier::load(&config).expect("good files");
    let stamp = Stamp {
        audience: Some("fanfare"),
        ..Stamp::default()
    };
    let claims = Claims {
        issued: Some(stamp.issued),
        ..verify(GOOD).expect("claims")
    };
    for private in [SECRET, RSA, P256, &[1; 32]] {
        let token = Signer::new(private, None).and_then(|signer| signer.sign(&claims, stamp));
        let token = token.expect("a token");
        assert_eq!(verifier.verify(token.as_bytes(), NOW), Ok(claims.clone()));
    }
    let without = Verifier::load(&TokenConfig::default()).expect("nothing to load");
    assert!(without.is_empty() && !verifier.is_empty());
    let from_url = TokenConfig {
        jwks_url: Some("https://id.example.com/".into()),
        ..TokenConfig::default()
    };
    let mut waiting = Verifier::load(&from_url).expect("nothing to load");
    assert!(!waiting.is_empty());
    let token = token_by(SECRET, HS256);
    assert_eq!(waiting.verify(&token, NOW), Err(TokenError::UnknownKey));
    // Beside a key for another algorithm, too: it may be of the keys that are still to come.
    for early in [
        TokenError::UnknownKey,
        TokenError::Algorithm,
        TokenError::Signature,
    ] {
        assert!(waiting.may_hold_later(&early), "{early}");
    }
    waiting.set_fetched(KeySet::secret(SECRET).expect("a secret"));
    assert!(waiting.verify(&token, NOW).is_ok());
    assert!(!waiting.may_hold_later(&TokenError::Algorithm));
}

#[test]
fn all_files_that_cannot_be_used_are_named_at_once_and_no_secret_is_shown() {
    let (short, public, private) = (
        TempFile::new(b"hunter2\n"),
        TempFile::new(P256_PUBLIC),
        TempFile::new(RSA),
    );
    let long = TempFile::new(&vec![b'x'; (64 << 10) + 1]);
    let missing = Path::new("/nowhere/keys").to_path_buf();
    let config = TokenConfig {
        secret_file: Some(short.0.clone()),
        keys: vec![
            private.0.clone(),
            missing.clone(),
            long.0.clone(),
            std::env::temp_dir(),
        ],
        jwks: Some(public.0.clone()),
        ..TokenConfig::default()
    };
    let problems = Verifier::load(&config).expect_err("bad files");
    let expected = [
        (
            &short.0,
            "fewer than 32 bytes, so it could be guessed: make one with `openssl rand",
        ),
        (&private.0, "a private key"),
        (&missing, "No such file"),
        (&long.0, "more than 65536 bytes"),
        (&std::env::temp_dir(), "can't be read"),
        (&public.0, "no JSON Web Key Set"),
    ];
    assert_eq!(problems.len(), expected.len());
    for (problem, (path, word)) in problems.iter().zip(expected) {
        assert!(
            problem.starts_with(&path.display().to_string()) && problem.contains(word),
            "{problem}"
        );
        assert!(!problem.contains("hunter2"));
    }
    let as_secret = TokenConfig {
        secret_file: Some(public.0.clone()),
        ..TokenConfig::default()
    };
    let problems = Verifier::load(&as_secret).expect_err("a public key for a secret");
    assert!(problems[0].contains("--jwt-key"), "{problems:?}");
}

#[test]
fn a_line_break_at_the_end_is_no_part_of_a_secret() {
    let secret = [7; 32];
    for end in [&b""[..], b"\n", b"\r\n"] {
        let file = TempFile::new(&[&secret[..], end].concat());
        let config = TokenConfig {
            secret_file: Some(file.0.clone()),
            ..TokenConfig::default()
        };
        let verifier = Verifier::load(&config).expect("a secret");
        assert!(verifier.verify(&token_by(&secret, HS256), NOW).is_ok());
    }
}

#[test]
fn nothing_that_is_printed_for_debugging_shows_a_key() {
    let verifier = Verifier::new(KeySet::secret(SECRET).expect("a secret"), Terms::default());
    let text = format!("{verifier:?} {:?}", KeySet::secret(SECRET));
    assert!(
        !text.contains("secret of more") && !text.contains("97, 32"),
        "{text}"
    );
}
