//! Links of text messages: each address in the text is replaced by a short one that counts the click.

use model::MessageId;
use storage::consents::ShortLink;

use crate::links::Links;

/// Characters that end a sentence rather than an address.
const ENDS: &[char] = &['.', ',', ';', ':', '!', '?', ')', ']', '»', '”', '"', '\''];

/// The text with short links, which are added to `made`. The same message gives the same text at every try.
pub(crate) fn shorten(text: &str, links: &Links, message: MessageId, made: &mut Vec<ShortLink>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut number = 0;
    while let Some(at) = ["https://", "http://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
        let (before, from) = rest.split_at(at);
        let end = from.find(char::is_whitespace).unwrap_or(from.len());
        let url = from[..end].trim_end_matches(ENDS);
        out.push_str(before);
        rest = &from[url.len()..];
        // Our own links are short already, or lead to pages that are not counted.
        if !template::link::is_web_link(url) || links.is_own(url) {
            out.push_str(url);
            if url.is_empty() {
                break;
            }
            continue;
        }
        let code = links.short_code(message, number);
        out.push_str(&links.short_url(&code));
        made.push(ShortLink { code, message, link: number, url: url.to_owned() });
        number += 1;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::Keys;

    #[test]
    fn addresses_become_short_and_the_rest_stays() {
        let links = Links::new("https://s.example", Keys::new([1; 32])).unwrap();
        let id = MessageId([3; 16]);
        let code = |n| links.short_code(id, n);
        let text =
            "Été (https://shop.example/a?b=c#d). Or http://x.example/é, https://s.example/p/abc STOP 36111";
        let mut made = Vec::new();
        let out = shorten(text, &links, id, &mut made);
        let expected = format!(
            "Été (https://s.example/s/{}). Or https://s.example/s/{}, https://s.example/p/abc STOP 36111",
            code(0),
            code(1)
        );
        assert_eq!(out, expected);
        let urls: Vec<&str> = made.iter().map(|link| link.url.as_str()).collect();
        assert_eq!(urls, ["https://shop.example/a?b=c#d", "http://x.example/é"]);
        for plain in ["", "no link", "http://", "https:// x", "see https://", "https://."] {
            let mut made = Vec::new();
            assert_eq!(shorten(plain, &links, id, &mut made), plain);
            assert!(made.is_empty(), "{plain}");
        }
    }
}
