//! Tokens that are made here are good here.

use super::*;

fn all_claims() -> Claims {
    let pattern = |text| Pattern::parse(text).expect("a pattern");
    Claims {
        subject: "anna \"ä\"".into(),
        expires: Some(NOW + 60),
        issued: Some(NOW),
        subscribe: Some(vec![pattern("prices.>"), pattern("news")]),
        publish: Some(Vec::new()),
        admin: Some(true),
    }
}

const FILES: [(&[u8], Option<&[u8]>); 5] = [
    (SECRET, None),
    (RSA, Some(RSA_PUBLIC)),
    (RSA_PKCS1, Some(RSA_PUBLIC)),
    (P256, Some(P256_PUBLIC)),
    (ED25519, Some(ED25519_PUBLIC)),
];

#[test]
fn what_is_signed_with_each_kind_of_key_is_verified_with_its_other_half() {
    for (private, public) in FILES {
        let keys = match public {
            Some(file) => KeySet::of(vec![pem::public_key(file).expect("a public key")]),
            None => KeySet::secret(private).expect("a secret"),
        };
        let terms = Terms {
            issuer: Some("me".into()),
            audience: Some("you".into()),
            ..Terms::default()
        };
        let verifier = Verifier::new(keys, terms);
        let fitting = Algorithm::ALL
            .into_iter()
            .filter_map(|algorithm| Signer::new(private, Some(algorithm)).ok());
        let mut count = 0;
        for signer in fitting.chain(Signer::new(private, None)) {
            let stamp = Stamp {
                issued: NOW,
                issuer: Some("me"),
                audience: Some("you"),
            };
            let token = signer.sign(&all_claims(), stamp).expect("a token");
            assert_eq!(
                verifier.verify(token.as_bytes(), NOW),
                Ok(all_claims()),
                "{}",
                signer.algorithm()
            );
            count += 1;
        }
        assert!(count >= 2);
    }
}

#[test]
fn a_token_says_only_what_it_is_told_to() {
    let claims = Claims {
        expires: None,
        subscribe: None,
        publish: None,
        admin: None,
        ..all_claims()
    };
    let signer = Signer::new(SECRET, None).expect("a secret");
    let token = signer.sign(&claims, Stamp::default()).expect("a token");
    let body = token.split('.').nth(1).expect("claims");
    let body = String::from_utf8(decoded(body).expect("base64url")).expect("text");
    assert_eq!(body, r#"{"iat":0,"sub":"anna \"ä\""}"#);
}

#[test]
fn what_no_daemon_takes_is_not_signed() {
    let signer = Signer::new(SECRET, None).expect("a secret");
    let pattern = |text: &str| Pattern::parse(text).expect("a pattern");
    let bad = [
        Claims {
            subject: "".into(),
            ..all_claims()
        },
        Claims {
            subject: "a\n".into(),
            ..all_claims()
        },
        Claims {
            expires: Some(u64::MAX),
            ..all_claims()
        },
        Claims {
            publish: Some(vec![pattern("a"); MAX_PATTERNS + 1]),
            ..all_claims()
        },
        Claims {
            publish: Some(vec![pattern(&"a".repeat(200)); MAX_PATTERNS]),
            ..all_claims()
        },
    ];
    for bad in bad {
        assert!(signer.sign(&bad, Stamp::default()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_file_that_cannot_sign_is_refused_with_what_to_do() {
    let bad: [(&[u8], Option<Algorithm>, &str); 12] = [
        (b"short", None, "openssl rand"),
        (b"", None, "openssl rand"),
        (RSA_PUBLIC, None, "no private key"),
        (P256_CERTIFICATE, None, "no private key"),
        (ENCRYPTED, None, "encrypted"),
        (P256_SEC1, None, "PKCS #8"),
        (P384, None, "another curve"),
        (RSA_1024, None, "fewer than 2048 bits"),
        (RSA, Some(Algorithm::Hs256), "it is for RS256, PS256"),
        (ED25519, Some(Algorithm::Es256), "it is for EdDSA"),
        (&SECRET[..32], Some(Algorithm::Hs512), "it is for HS256"),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            None,
            "broken",
        ),
    ];
    for (file, wanted, word) in bad {
        let why = Signer::new(file, wanted).err().expect("no signer");
        assert!(why.contains(word), "{why}");
    }
}
