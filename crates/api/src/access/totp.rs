//! One-time codes by time (RFC 6238): six digits, SHA-1, steps of 30 seconds, as all authenticator programs take them.

use hmac::{Hmac, KeyInit, Mac};
use model::Timestamp;
use sha1::Sha1;

use super::token;
use crate::Chance;

/// Seconds of a step.
pub const STEP: i64 = 30;
/// Steps before and after the present one whose codes are taken: clocks differ.
pub const WINDOW: i64 = 1;
/// Bytes of a secret: as long as the hash (RFC 4226, section 4).
pub const SECRET_LEN: usize = 20;
/// How many recovery codes there are.
pub const RECOVERY_CODES: usize = 10;

/// The step of an instant.
#[must_use]
pub const fn step(at: Timestamp) -> i64 {
    at.0.div_euclid(STEP * Timestamp::SECOND)
}

/// The code of a step.
#[must_use]
pub fn code(secret: &[u8], step: i64) -> String {
    // An HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else { return String::new() };
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash[19] & 15);
    let four = [hash[offset] & 0x7f, hash[offset + 1], hash[offset + 2], hash[offset + 3]];
    format!("{:06}", u32::from_be_bytes(four) % 1_000_000)
}

/// The step near this instant whose code this is.
#[must_use]
pub fn find(secret: &[u8], given: &str, now: Timestamp) -> Option<i64> {
    let given: String = given.chars().filter(|c| !c.is_whitespace()).collect();
    let steps = step(now) - WINDOW..=step(now) + WINDOW;
    // The latest one: with it the code of an earlier step is used up too.
    steps.rev().find(|step| token::same(&code(secret, *step), &given))
}

/// Base32 (RFC 4648) without padding.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for five in bytes.chunks(5) {
        let mut padded = [0; 8];
        padded[3..3 + five.len()].copy_from_slice(five);
        let number = u64::from_be_bytes(padded);
        for letter in 0..(five.len() * 8).div_ceil(5) {
            text.push(char::from(LETTERS[(number >> (35 - 5 * letter)) as usize & 31]));
        }
    }
    text
}

/// What authenticator programs read from a picture: `otpauth://totp/…`.
#[must_use]
pub fn uri(secret: &[u8], email: &str) -> String {
    let email: String = email
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("otpauth://totp/Relance:{email}?secret={}&issuer=Relance", base32(secret))
}

/// New recovery codes, as in `k7m2-9xqd-t4wz-p3hn`: 80 bits each, in letters and digits that are not mistaken.
#[must_use]
pub fn recovery_codes(chance: &dyn Chance) -> Vec<String> {
    let make = |_| {
        let mut bytes = [0; 10];
        chance.fill(&mut bytes);
        let text = base32(&bytes).to_lowercase();
        let groups: Vec<&str> = (0..4).map(|group| &text[4 * group..4 * group + 4]).collect();
        groups.join("-")
    };
    (0..RECOVERY_CODES).map(make).collect()
}

/// What is kept of a recovery code; blanks, hyphens and case do not matter.
#[must_use]
pub fn recovery_hash(code: &str) -> [u8; 32] {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    token::hash(&plain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, the last six of eight digits.
    #[test]
    fn the_codes_of_the_rfc() {
        let secret = b"12345678901234567890";
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(secret, step(Timestamp(seconds * Timestamp::SECOND))), expected);
        }
    }

    #[test]
    fn codes_are_found_one_step_around_and_no_farther() {
        let (secret, now) = (b"12345678901234567890", Timestamp(1_700_000_010 * Timestamp::SECOND));
        for distance in -2..=2 {
            let given = code(secret, step(now) + distance);
            let found = (distance.abs() <= WINDOW).then(|| step(now) + distance);
            assert_eq!(find(secret, &given, now), found, "{distance}");
        }
        let given = code(secret, step(now));
        assert_eq!(find(secret, &format!(" {} {} ", &given[..3], &given[3..]), now), Some(step(now)));
        for bad in ["", "12345", "1234567", "abcdef"] {
            assert_eq!(find(secret, bad, now), None, "{bad}");
        }
    }

    /// RFC 4648, section 10.
    #[test]
    fn base32_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn addresses_cannot_add_parameters() {
        assert_eq!(
            uri(b"foobar", "a&secret=x?@shop.example"),
            "otpauth://totp/Relance:a%26secret%3Dx%3F@shop.example?secret=MZXW6YTBOI&issuer=Relance"
        );
    }
}
