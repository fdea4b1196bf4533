//! The examples of the RFCs.

use super::*;

/// The claims of RFC 7515 §A: they have no `sub`, and end at second 1300819380.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const BEFORE: u64 = 1_300_819_379;

/// What becomes of a token with a key. `NoSubject` is the last that the examples can get to.
fn verify_with(jwk: &str, token: &str, now_s: u64) -> Result<Claims, TokenError> {
    let set = format!(r#"{{"keys":[{jwk}]}}"#);
    let keys = jwks::read(set.as_bytes(), jwks::From::File)
        .expect("a set")
        .keys;
    Verifier::new(KeySet::of(keys), Terms::default()).verify(token.as_bytes(), now_s)
}

#[track_caller]
fn assert_is_good(jwk: &str, header: &str, signature: &str) {
    let token = format!("{header}.{CLAIMS}.{signature}");
    match verify_with(jwk, &token, BEFORE) {
        Err(TokenError::Claims(why)) => assert!(why.contains("`sub`"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        verify_with(jwk, &token, BEFORE + 31),
        Err(TokenError::Expired)
    );
    let other = format!(
        "{header}.{}.{signature}",
        base64url(r#"{"sub":"joe","exp":1300819380}"#)
    );
    assert_eq!(verify_with(jwk, &other, BEFORE), Err(TokenError::Signature));
}

#[test]
fn rfc_7515_a_1_hmac() {
    assert_is_good(
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    );
}

#[test]
fn rfc_7515_a_2_rsa() {
    assert_is_good(
        r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
        "eyJhbGciOiJSUzI1NiJ9",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    );
}

#[test]
fn rfc_7515_a_3_p256() {
    assert_is_good(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
}

#[test]
fn rfc_8037_a_4_ed25519() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    // What is signed is a sentence and no claims, which is found once the signature is good.
    let refused = verify_with(jwk, token, BEFORE);
    assert_eq!(
        refused,
        Err(TokenError::Malformed("its claims are not a JSON object"))
    );
    let other = token.replace(".RXh", ".RXi");
    assert_eq!(verify_with(jwk, &other, BEFORE), Err(TokenError::Signature));
}

#[test]
fn rfc_7515_a_5_and_rfc_7519_6_1_unsecured() {
    let jwk = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let token = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    assert_eq!(verify_with(jwk, &token, BEFORE), Err(TokenError::Algorithm));
}
