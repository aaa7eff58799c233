//! Tokens that name a message of ours to those who send something back: 32 hexadecimal digits of the message's id, and 16
//! of an HMAC-SHA256 over it. Digits, because servers change the case of addresses.
//!
//! It stands in the header [`HEADER`] of every mail, and with `--return-path-tokens` in the address that bounces go to:
//! `bounces+TOKEN@shop.example` (variable envelope return path).

use model::MessageId;

use crate::links::Links;

/// The header of our mails that holds the token.
pub const HEADER: &str = "X-Relance-Message";
/// Digits of a token.
pub const LEN: usize = ID_LEN + 2 * TAG_LEN;
/// Digits of the id.
const ID_LEN: usize = 32;
/// Bytes of the signature: 2⁶⁴ letters to guess one.
const TAG_LEN: usize = 8;
/// The longest local part of an address (RFC 5321 §4.5.3.1.1).
const LOCAL_MAX: usize = 64;
/// The longest name before the token in an address.
pub const NAME_MAX: usize = LOCAL_MAX - 1 - LEN;

/// The token of a message.
#[must_use]
pub fn of(links: &Links, message: MessageId) -> String {
    let tag = links.sign(&signed(message));
    let mut token = message.to_string();
    token.extend(tag.iter().take(TAG_LEN).map(|byte| format!("{byte:02x}")));
    token
}

/// What is signed: no link begins like this.
fn signed(message: MessageId) -> Vec<u8> {
    let mut bytes = b"report:".to_vec();
    bytes.extend_from_slice(&message.0);
    bytes
}

/// The message of a token; none when we did not sign it.
#[must_use]
pub fn verify(links: &Links, token: &str) -> Option<MessageId> {
    let token = token.as_bytes();
    if token.len() != LEN || !token.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let text = std::str::from_utf8(token).ok()?;
    let message = MessageId::parse(&text[..ID_LEN])?;
    let tag: Option<Vec<u8>> =
        (ID_LEN..LEN).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).ok()).collect();
    links.verifies(&signed(message), &tag?).then_some(message)
}

/// The address that bounces of a message go to: the return path, with the token behind its name. The return path itself
/// where its name is too long for that.
#[must_use]
pub fn return_path(links: &Links, message: MessageId, base: &str) -> String {
    match base.rsplit_once('@') {
        Some((name, domain)) if name.len() <= NAME_MAX => {
            format!("{name}+{}@{domain}", of(links, message))
        }
        _ => base.to_owned(),
    }
}

/// The message of an address that we made.
#[must_use]
pub fn of_address(links: &Links, address: &str) -> Option<MessageId> {
    let local = address.trim_matches(['<', '>', ' ']).rsplit_once('@')?.0;
    let token = local.get(local.len().checked_sub(LEN)?..)?;
    verify(links, token)
}

/// The message of the first token that we signed in the header [`HEADER`], wherever in a text that stands.
#[must_use]
pub fn find(links: &Links, text: &[u8]) -> Option<MessageId> {
    let name = HEADER.as_bytes();
    let mut rest = text;
    let mut tries = 0;
    while let Some(place) = rest.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name)) {
        rest = &rest[place + name.len()..];
        let behind = rest.iter().take_while(|byte| b": \t\r\n>".contains(byte)).count();
        let token = rest.get(behind..behind + LEN).and_then(|token| std::str::from_utf8(token).ok());
        if let Some(message) = token.and_then(|token| verify(links, token)) {
            return Some(message);
        }
        tries += 1;
        if tries >= TRIES_MAX {
            return None;
        }
    }
    None
}

/// The message of the first address in a text that we made.
#[must_use]
pub fn in_addresses(links: &Links, text: &[u8]) -> Option<MessageId> {
    let places = text.iter().enumerate().filter(|(_, byte)| **byte == b'@').map(|(place, _)| place);
    let tokens =
        places.filter_map(|place| std::str::from_utf8(text.get(place.checked_sub(LEN)?..place)?).ok());
    tokens
        .filter(|token| token.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .take(TRIES_MAX)
        .find_map(|token| verify(links, token))
}

/// So many tokens of one mail are tried.
const TRIES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::Keys;

    fn links(key: u8) -> Links {
        Links::new("https://mail.shop.example", Keys::new([key; 32])).unwrap()
    }

    #[test]
    fn only_what_we_signed_names_a_message() {
        let id = MessageId::derive(1, 2, 1, "mail", 1);
        let token = of(&links(1), id);
        assert_eq!(token.len(), LEN);
        assert_eq!(verify(&links(1), &token), Some(id));
        assert_eq!(verify(&links(1), &token.to_uppercase()), Some(id), "servers change the case");
        assert_eq!(verify(&links(2), &token), None, "another key");
        for place in 0..LEN {
            let mut other = token.clone().into_bytes();
            other[place] = if other[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(verify(&links(1), std::str::from_utf8(&other).unwrap()), None, "digit {place}");
        }
        for bad in ["", &token[1..], &format!("{token}0"), &"é".repeat(LEN / 2)] {
            assert_eq!(verify(&links(1), bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_carry_it_at_the_edge_of_their_length_and_not_past_it() {
        let id = MessageId::derive(1, 2, 1, "mail", 1);
        let path = return_path(&links(1), id, &format!("{}@shop.example", "b".repeat(NAME_MAX)));
        assert_eq!(path.split('@').next().unwrap().len(), LOCAL_MAX);
        assert_eq!(of_address(&links(1), &format!("<{}>", path.to_uppercase())), Some(id));
        let long = format!("{}@shop.example", "b".repeat(NAME_MAX + 1));
        assert_eq!(return_path(&links(1), id, &long), long);
        for bad in ["", "@", "bounces@shop.example", "a@b@c", "é@shop.example"] {
            assert_eq!(of_address(&links(1), bad), None, "{bad}");
        }
    }

    #[test]
    fn it_is_found_wherever_the_header_is_repeated() {
        let id = MessageId::derive(1, 2, 1, "mail", 1);
        let token = of(&links(1), id);
        for text in [
            format!("Subject: x\r\nX-Relance-Message: {token}\r\n"),
            format!("> x-relance-message:\r\n {token}"),
            format!("X-Relance-Message: {}\nX-Relance-Message: {token}", "0".repeat(LEN)),
        ] {
            assert_eq!(find(&links(1), text.as_bytes()), Some(id), "{text}");
        }
        let to = format!(
            "Delivered-To: <other@shop.example>\r\nTo: <{}>\r\n",
            return_path(&links(1), id, "b@shop.example")
        );
        assert_eq!(in_addresses(&links(1), to.as_bytes()), Some(id));
        assert_eq!(in_addresses(&links(2), to.as_bytes()), None);
        assert_eq!(in_addresses(&links(1), b"@@a@\xff@"), None);
        assert_eq!(find(&links(1), format!("token {token}").as_bytes()), None);
        assert_eq!(find(&links(1), b"X-Relance-Message"), None);
    }
}
