//! How long a text message is: which alphabet it needs, and how many messages a phone company counts.
//!
//! Source: 3GPP TS 23.038 (the GSM 7 bit default alphabet and its extension table) and TS 23.040 (concatenation: 153
//! septets or 67 code units a part, since a header takes the rest).

/// The GSM 7 bit default alphabet, without its escape.
const GSM7: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                    abcdefghijklmnopqrstuvwxyzäöñüà";
/// Its extension: each takes two places.
const GSM7_EXTENDED: &str = "^{}\\[~]|€\u{c}";

/// Which alphabet a text needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// GSM 7 bit: 160 characters in a single message.
    Gsm7,
    /// UCS-2: 70 code units in a single message. One character beyond GSM 7 bit is enough.
    Ucs2,
}

impl Alphabet {
    /// As it is shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        }
    }
}

/// The length of a text message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Which alphabet it needs.
    pub alphabet: Alphabet,
    /// Places that it takes: septets, or UTF-16 code units.
    pub units: usize,
    /// Messages that are counted.
    pub segments: usize,
}

impl Length {
    /// Of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let septets: Option<Vec<usize>> = text
            .chars()
            .map(|c| match c {
                _ if GSM7.contains(c) => Some(1),
                _ if GSM7_EXTENDED.contains(c) => Some(2),
                _ => None,
            })
            .collect();
        match septets {
            Some(places) => Self::new(Alphabet::Gsm7, &places, 160, 153),
            None => {
                let places: Vec<usize> = text.chars().map(char::len_utf16).collect();
                Self::new(Alphabet::Ucs2, &places, 70, 67)
            }
        }
    }

    /// A character of two places is not cut in half between two parts.
    fn new(alphabet: Alphabet, places: &[usize], single: usize, part: usize) -> Self {
        let units = places.iter().sum();
        if units <= single {
            return Self { alphabet, units, segments: 1 };
        }
        let (mut segments, mut used) = (1, 0);
        for place in places {
            if used + place > part {
                segments += 1;
                used = 0;
            }
            used += place;
        }
        Self { alphabet, units, segments }
    }
}

/// `172 characters, 2 messages (GSM-7)`.
impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let messages = if self.segments == 1 { "message" } else { "messages" };
        write!(f, "{} characters, {} {messages} ({})", self.units, self.segments, self.alphabet.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_phone_companies_do() {
        let table: &[(String, Alphabet, usize, usize)] = &[
            (String::new(), Alphabet::Gsm7, 0, 1),
            ("a".repeat(160), Alphabet::Gsm7, 160, 1),
            ("a".repeat(161), Alphabet::Gsm7, 161, 2),
            ("a".repeat(306), Alphabet::Gsm7, 306, 2),
            ("a".repeat(307), Alphabet::Gsm7, 307, 3),
            ("é à €".into(), Alphabet::Gsm7, 6, 1),
            ("€".repeat(80), Alphabet::Gsm7, 160, 1),
            // 153 is odd: each part holds 76 of them.
            ("€".repeat(81), Alphabet::Gsm7, 162, 2),
            ("€".repeat(153), Alphabet::Gsm7, 306, 3),
            ("ê".into(), Alphabet::Ucs2, 1, 1),
            ("ê".repeat(70), Alphabet::Ucs2, 70, 1),
            ("ê".repeat(71), Alphabet::Ucs2, 71, 2),
            ("ê".repeat(134), Alphabet::Ucs2, 134, 2),
            ("🎁".repeat(35), Alphabet::Ucs2, 70, 1),
            ("🎁".repeat(67), Alphabet::Ucs2, 134, 3),
        ];
        for (text, alphabet, units, segments) in table {
            let expected = Length { alphabet: *alphabet, units: *units, segments: *segments };
            assert_eq!(Length::of(text), expected, "{text}");
        }
        assert_eq!(Length::of(&"a".repeat(161)).to_string(), "161 characters, 2 messages (GSM-7)");
        assert_eq!(GSM7.chars().count() + 1, 128, "with the escape it is the whole alphabet");
    }
}
