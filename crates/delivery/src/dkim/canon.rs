//! Relaxed canonical form of headers and bodies (RFC 6376 §3.4.2, §3.4.4).

/// Head and body of a mail; the empty line between them belongs to neither.
pub(super) fn split(mail: &[u8]) -> (&[u8], &[u8]) {
    match mail.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(place) => (&mail[..place + 2], &mail[place + 4..]),
        None => (mail, &[]),
    }
}

/// The headers of a head: the name in lower case, and the canonical line without its end.
pub(super) fn headers(head: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(head);
    let mut raw: Vec<String> = Vec::new();
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        match raw.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => raw.push(line.to_owned()),
        }
    }
    let canonical = raw.iter().filter_map(|line| {
        let (name, said) = line.split_once(':')?;
        let name = name.trim_end_matches([' ', '\t']).to_ascii_lowercase();
        Some((name.clone(), format!("{name}:{}", value(said))))
    });
    canonical.collect()
}

/// The value of a header: unfolded, runs of blanks as one, none at the ends.
pub(super) fn value(text: &str) -> String {
    let unfolded = text.replace("\r\n", "");
    let words: Vec<&str> = unfolded.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The body: runs of blanks as one, none before a line's end, no empty lines at the end.
pub(super) fn body(body: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(body.len() + 2);
    let mut empty = 0;
    let body = body.strip_suffix(b"\r\n").unwrap_or(body);
    for line in lines(body) {
        let start = canonical.len();
        let mut blank = false;
        for byte in line {
            if matches!(byte, b' ' | b'\t') {
                blank = true;
                continue;
            }
            if canonical.len() == start {
                // Empty lines count only when something follows.
                for _ in 0..std::mem::take(&mut empty) {
                    canonical.extend_from_slice(b"\r\n");
                }
            }
            if blank {
                canonical.push(b' ');
                blank = false;
            }
            canonical.push(*byte);
        }
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            empty += 1;
        } else {
            canonical.extend_from_slice(b"\r\n");
        }
    }
    canonical
}

fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let text = rest?;
        match text.windows(2).position(|window| window == b"\r\n") {
            Some(place) => {
                rest = Some(&text[place + 2..]);
                Some(&text[..place])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard() {
        // RFC 6376 §3.4.5.
        let (head, text) = split(b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n");
        let lines: Vec<String> = headers(head).into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["a:X", "b:Y Z"]);
        assert_eq!(body(text), b" C\r\nD E\r\n");
    }

    #[test]
    fn bodies_at_their_edges() {
        for (text, canonical) in [
            ("", ""),
            ("\r\n", ""),
            ("\r\n\r\n \r\n", ""),
            ("a", "a\r\n"),
            ("a\r\n", "a\r\n"),
            ("\r\na\r\n\r\n\r\nb  c \r\n\t\r\n", "\r\na\r\n\r\n\r\nb c\r\n"),
        ] {
            assert_eq!(String::from_utf8(body(text.as_bytes())).unwrap(), canonical, "{text:?}");
        }
    }
}
