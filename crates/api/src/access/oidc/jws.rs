//! Signatures of tokens (RFC 7515, 7517, 7518, 8037), by `ring`. Only algorithms with a public key: a token that is not
//! signed, or signed with a shared secret, is none.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

/// The longest token, in characters.
pub(super) const TOKEN_LEN_MAX: usize = 32 * 1024;

/// A public key of the provider.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no token, or of a kind that is not taken.
    Malformed,
    /// None of the keys is its key: there may be new ones.
    UnknownKey,
    /// The signature is wrong.
    Forged,
}

/// The payload of a token, when one of these keys has signed it.
pub(super) fn verify(token: &str, keys: &[Jwk]) -> Result<Vec<u8>, Refusal> {
    if token.len() > TOKEN_LEN_MAX {
        return Err(Refusal::Malformed);
    }
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed);
    let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Refusal::Malformed)?;
    // What `crit` names has to be understood (RFC 7515, section 4.1.11), and we understand nothing more.
    if header.crit.is_some() || kind_of(&header.alg).is_none() {
        return Err(Refusal::Malformed);
    }
    let fitting: Vec<&Jwk> = keys.iter().filter(|key| key.fits(&header)).collect();
    // Without a name there must be no choice.
    let [key] = fitting[..] else { return Err(Refusal::UnknownKey) };
    let signature = decode(signature)?;
    if key.has_signed(&header.alg, signed.as_bytes(), &signature) == Some(true) {
        decode(payload)
    } else {
        Err(Refusal::Forged)
    }
}

/// Type and curve of the keys of an algorithm.
fn kind_of(alg: &str) -> Option<(&'static str, Option<&'static str>)> {
    Some(match alg {
        "RS256" | "RS384" | "RS512" | "PS256" => ("RSA", None),
        "ES256" => ("EC", Some("P-256")),
        "ES384" => ("EC", Some("P-384")),
        "EdDSA" => ("OKP", Some("Ed25519")),
        _ => return None,
    })
}

impl Jwk {
    fn fits(&self, header: &Header) -> bool {
        kind_of(&header.alg).is_some_and(|(kind, curve)| {
            self.kty == kind
                && curve.is_none_or(|curve| self.crv.as_deref() == Some(curve))
                && self.alg.as_ref().is_none_or(|alg| *alg == header.alg)
                && self.purpose.as_ref().is_none_or(|purpose| purpose == "sig")
                && header.kid.as_ref().is_none_or(|kid| self.kid.as_ref() == Some(kid))
        })
    }

    /// None when the key itself is no good.
    fn has_signed(&self, alg: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let rsa = |parameters: &RsaParameters| {
            let (n, e) = (part(&self.n)?, part(&self.e)?);
            let key = RsaPublicKeyComponents { n: trim(&n), e: trim(&e) };
            Some(key.verify(parameters, message, signature).is_ok())
        };
        let curve = |algorithm: &'static dyn VerificationAlgorithm, size: usize| {
            let (x, y) = (part(&self.x)?, part(&self.y)?);
            if x.len() != size || y.len() != size {
                return None;
            }
            // An uncompressed point (SEC 1, section 2.3.3).
            let point = [&[4][..], &x, &y].concat();
            Some(UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok())
        };
        match alg {
            "RS256" => rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => rsa(&RSA_PSS_2048_8192_SHA256),
            "ES256" => curve(&ECDSA_P256_SHA256_FIXED, 32),
            "ES384" => curve(&ECDSA_P384_SHA384_FIXED, 48),
            "EdDSA" => {
                Some(UnparsedPublicKey::new(&ED25519, part(&self.x)?).verify(message, signature).is_ok())
            }
            _ => None,
        }
    }
}

/// Numbers without zeros in front, as `ring` wants them.
fn trim(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.4.
    const ED25519_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                                 hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    /// RFC 8037, appendix A.2.
    const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    /// Made for this test by `openssl genrsa` and `openssl dgst -sha256 -sign`; the private half is gone.
    const RSA_N: &str = "w4UtCMenwlVqQmob0Hs6pHWfxJZxZhjaAt8huWcJwKxsURN0b6Xdc_8ktA-E9ujgYjtjsju9X4ZmZS-f6mtkTRQpJ4FHD4JoQC6I\
                         EkfkAb4q5AHilZbkdThDL0oWYokOjc-Bg9VXfJgXNQ72WuBxWHvEBOuTntXlk3NhqOvXMlF6iejNE6E3hgjYXUbj3tZVj8fBoZDv\
                         MfSjOQh1ny3TEEmgoI85AgpPg2gbBuyaKmR0ooOVnCniP-1NEXAtuj8tKKSM1kAmOWyjJUnWEgAoB7uwonlOY4_nYBFIth9gB6Fx\
                         vQl89hSMTYdrZPLFunGWq2m6drSgfDR6HmfM-wsqdw";
    const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJyc2EifQ.liy2RYfgEVX1EqeBrAPiWQdCIMGQKG9Dwlhm2abYDfalDs\
                             1sI6BbVs_0PY68Z8UuHNAZgO7SWq5phUNAMTFXaOW5-qlCT6N-7UIJhk5LLeSaT6IaPl8GuJRaR54eDbpvfIpNYw0Scfyaa7_DYF\
                             MTSleUplidONcaehhktm537qW2NW_xGYxHaTYQF6Y_Kfvl4OU6oxsywwoF3InEOclot9ZAwA3h_sSN94F_xxTBi7vrxtVuMtlWzm\
                             1cVI2a8S3lP0ip7FSQrSpWsmpHeeels8YhK1DyzTDPY1hWDDQk6HJQU1eXibC4Mbg10YV9NniEyeff-QxtwsbmzXhQu92zCg";

    #[test]
    fn rsa_as_most_providers_sign() {
        let rsa = Jwk {
            kty: "RSA".into(),
            kid: Some("a".into()),
            n: Some(RSA_N.into()),
            e: Some("AQAB".into()),
            ..Jwk::default()
        };
        assert_eq!(verify(RSA_TOKEN, &[key(), rsa.clone()]).unwrap(), br#"{"sub":"rsa"}"#);
        let renamed = Jwk { kid: Some("b".into()), ..rsa.clone() };
        assert_eq!(verify(RSA_TOKEN, &[renamed]), Err(Refusal::UnknownKey));
        // The same signature under another algorithm of the same key.
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"PS256","kid":"a"}"#);
        let other = format!("{header}.{}", RSA_TOKEN.split_once('.').unwrap().1);
        assert_eq!(verify(&other, &[rsa]), Err(Refusal::Forged));
    }

    fn key() -> Jwk {
        Jwk { kty: "OKP".into(), crv: Some("Ed25519".into()), x: Some(ED25519_X.into()), ..Jwk::default() }
    }

    #[test]
    fn the_token_of_the_rfc_is_taken_and_nothing_near_it() {
        assert_eq!(verify(ED25519_TOKEN, &[key()]).unwrap(), b"Example of Ed25519 signing");
        let forged = ED25519_TOKEN.replace("RXhh", "RXhi");
        assert_eq!(verify(&forged, &[key()]), Err(Refusal::Forged));
        assert_eq!(verify(ED25519_TOKEN, &[]), Err(Refusal::UnknownKey));
        assert_eq!(
            verify(ED25519_TOKEN, &[key(), key()]),
            Err(Refusal::UnknownKey),
            "no choice without a name"
        );
        for other in [
            Jwk { purpose: Some("enc".into()), ..key() },
            Jwk { alg: Some("ES256".into()), ..key() },
            Jwk { kty: "EC".into(), ..key() },
        ] {
            assert_eq!(verify(ED25519_TOKEN, &[other]), Err(Refusal::UnknownKey));
        }
        let broken = Jwk { x: Some("AAAA".into()), ..key() };
        assert_eq!(verify(ED25519_TOKEN, &[broken]), Err(Refusal::Forged));
    }

    #[test]
    fn tokens_without_a_signature_or_with_a_shared_secret_are_none() {
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"eddsa"}"#,
            r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
            "{}",
        ] {
            let token = format!("{}.e30.", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(verify(&token, &[key()]), Err(Refusal::Malformed), "{header}");
        }
        for text in ["", ".", "..", "a.b", "a.b.c.d", &"x".repeat(TOKEN_LEN_MAX + 1)] {
            assert_eq!(verify(text, &[key()]), Err(Refusal::Malformed), "{text}");
        }
    }
}
