//! What holds for any bytes.

use proptest::prelude::*;

use super::*;

/// A verifier with a key of each kind.
fn with_all_keys() -> Verifier {
    let public = [RSA_PUBLIC, P256_PUBLIC, ED25519_PUBLIC]
        .map(|file| pem::public_key(file).expect("a public key"));
    let secret = Key::secret(SECRET).expect("a secret");
    Verifier::new(
        KeySet::of(public.into_iter().chain([secret]).collect()),
        Terms::default(),
    )
}

#[test]
fn a_bit_that_flips_anywhere_never_verifies() {
    let claims = Claims {
        subject: "anna".into(),
        expires: Some(NOW + 60),
        issued: None,
        subscribe: None,
        publish: None,
        admin: None,
    };
    let verifier = with_all_keys();
    for private in [SECRET, RSA, P256, ED25519] {
        let signer = Signer::new(private, None).expect("a key");
        let token = signer
            .sign(&claims, Stamp::default())
            .expect("a token")
            .into_bytes();
        assert!(verifier.verify(&token, NOW).is_ok());
        for bit in 0..8 * token.len() {
            let mut token = token.clone();
            token[bit / 8] ^= 1 << (bit % 8);
            assert!(
                verifier.verify(&token, NOW).is_err(),
                "bit {bit} of {}",
                signer.algorithm()
            );
        }
    }
}

/// JSON that has members of tokens and keys, with values of any kind.
fn json_object() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "alg",
        "kid",
        "crit",
        "sub",
        "exp",
        "nbf",
        "iss",
        "aud",
        "subscribe",
        "publish",
        "admin",
        "keys",
        "kty",
        "k",
        "n",
        "e",
        "x",
        "y",
        "crv",
        "use",
        "d",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "1",
            "-1",
            "1e400",
            "null",
            "true",
            "\"\"",
            "\"HS256\"",
            "\"RS256\"",
            "\"a.b\"",
            "[]",
            "{}",
            "[\"a\"]",
            "\"RSA\"",
            "\"EC\"",
            "\"oct\"",
            "\"P-256\"",
            "\"AQAB\"",
            "1800000001",
            "18446744073709551615",
        ])
        .prop_map(str::to_owned),
        "[-0-9.eE\"\\[\\]{}:, a-z\\\\]{0,12}",
    ];
    prop::collection::vec((name, value), 0..8).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #[test]
    fn no_bytes_verify_or_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(with_all_keys().verify(&bytes, NOW).is_err());
    }

    #[test]
    fn no_three_parts_verify_or_panic(header in json_object(), claims in json_object(), signature in prop::collection::vec(any::<u8>(), 0..80)) {
        let token = format!("{}.{}", unsigned(&header, &claims), base64url(signature));
        prop_assert!(with_all_keys().verify(token.as_bytes(), NOW).is_err());
    }

    #[test]
    fn signed_claims_of_any_kind_are_taken_or_refused(claims in json_object(), now_s in any::<u64>()) {
        let token = with_secret(HS256, &claims);
        if let Ok(claims) = with_all_keys().verify(token.as_bytes(), now_s) {
            prop_assert!(!claims.subject.is_empty());
            prop_assert!(claims.expires.is_some());
        }
    }

    #[test]
    fn no_set_panics(set in json_object(), key in json_object()) {
        for text in [set, format!("{{\"keys\":[{key}]}}")] {
            if let Ok(set) = jwks::read(text.as_bytes(), jwks::From::File) {
                prop_assert!(!set.keys.is_empty());
            }
        }
    }
}
