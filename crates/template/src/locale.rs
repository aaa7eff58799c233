//! How numbers, amounts and dates are written where a contact lives.
//!
//! The facts (separators, place of the currency, month names, date patterns) are those of Unicode CLDR 48, read off
//! ICU 78; they are compiled in as a table of the locales below instead of the `icu` crates, whose data would be
//! several times the size of the whole program for a few dozen patterns. Another region of a language takes the
//! language's main one, another language British English.

use model::Timestamp;

/// A locale's facts.
#[derive(Debug, PartialEq, Eq)]
pub struct Locale {
    /// BCP 47 tag, as in `fr-FR`.
    pub tag: &'static str,
    pub(crate) decimal: &'static str,
    pub(crate) group: &'static str,
    /// Digits that the whole part needs beyond three before it is grouped: Spanish writes 1234 but 12.345.
    pub(crate) grouped_from: usize,
    pub(crate) currency_first: bool,
    pub(crate) currency_gap: &'static str,
    pub(crate) percent_gap: &'static str,
    /// Whether a minus goes between currency and number (`€ -12,50`) instead of before all.
    pub(crate) minus_inside: bool,
    pub(crate) symbols: &'static [(&'static str, &'static str)],
    pub(crate) words: &'static Words,
    /// Patterns short, medium, long, full.
    pub(crate) dates: [&'static str; 4],
    /// The words for morning and afternoon where hours go to twelve.
    pub(crate) halves: Option<[&'static str; 2]>,
}

/// A language's month and day names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    months: [&'static str; 12],
    months_short: [&'static str; 12],
    weekdays: [&'static str; 7],
}

const NBSP: &str = "\u{a0}";
const NNBSP: &str = "\u{202f}";

macro_rules! words {
    ($($name:ident: $months:literal, $short:literal, $days:literal;)*) => {
        $(const $name: &Words = &Words {
            months: split($months), months_short: split($short), weekdays: split($days),
        };)*
    };
}

/// Splits at commas when compiled, so that the tables stay readable.
const fn split<const N: usize>(text: &'static str) -> [&'static str; N] {
    let mut parts = [""; N];
    let bytes = text.as_bytes();
    let (mut start, mut i, mut n) = (0, 0, 0);
    while i <= bytes.len() {
        if i == bytes.len() || bytes[i] == b',' {
            let (_, tail) = text.split_at(start);
            let (part, _) = tail.split_at(i - start);
            parts[n] = part;
            n += 1;
            start = i + 1;
        }
        i += 1;
    }
    parts
}

words! {
    EN: "January,February,March,April,May,June,July,August,September,October,November,December",
        "Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec",
        "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday";
    EN_GB: "January,February,March,April,May,June,July,August,September,October,November,December",
        "Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sept,Oct,Nov,Dec",
        "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday";
    FR: "janvier,février,mars,avril,mai,juin,juillet,août,septembre,octobre,novembre,décembre",
        "janv.,févr.,mars,avr.,mai,juin,juil.,août,sept.,oct.,nov.,déc.",
        "lundi,mardi,mercredi,jeudi,vendredi,samedi,dimanche";
    DE: "Januar,Februar,März,April,Mai,Juni,Juli,August,September,Oktober,November,Dezember",
        "Jan.,Feb.,März,Apr.,Mai,Juni,Juli,Aug.,Sept.,Okt.,Nov.,Dez.",
        "Montag,Dienstag,Mittwoch,Donnerstag,Freitag,Samstag,Sonntag";
    ES: "enero,febrero,marzo,abril,mayo,junio,julio,agosto,septiembre,octubre,noviembre,diciembre",
        "ene,feb,mar,abr,may,jun,jul,ago,sept,oct,nov,dic",
        "lunes,martes,miércoles,jueves,viernes,sábado,domingo";
    IT: "gennaio,febbraio,marzo,aprile,maggio,giugno,luglio,agosto,settembre,ottobre,novembre,dicembre",
        "gen,feb,mar,apr,mag,giu,lug,ago,set,ott,nov,dic",
        "lunedì,martedì,mercoledì,giovedì,venerdì,sabato,domenica";
    NL: "januari,februari,maart,april,mei,juni,juli,augustus,september,oktober,november,december",
        "jan,feb,mrt,apr,mei,jun,jul,aug,sep,okt,nov,dec",
        "maandag,dinsdag,woensdag,donderdag,vrijdag,zaterdag,zondag";
    PT: "janeiro,fevereiro,março,abril,maio,junho,julho,agosto,setembro,outubro,novembro,dezembro",
        "jan.,fev.,mar.,abr.,mai.,jun.,jul.,ago.,set.,out.,nov.,dez.",
        "segunda-feira,terça-feira,quarta-feira,quinta-feira,sexta-feira,sábado,domingo";
}

const EN_SYMBOLS: &[(&str, &str)] = &[
    ("EUR", "€"),
    ("GBP", "£"),
    ("USD", "US$"),
    ("CAD", "CA$"),
    ("AUD", "A$"),
    ("JPY", "JP¥"),
    ("BRL", "R$"),
    ("MXN", "MX$"),
];
const US_SYMBOLS: &[(&str, &str)] = &[
    ("EUR", "€"),
    ("GBP", "£"),
    ("USD", "$"),
    ("CAD", "CA$"),
    ("AUD", "A$"),
    ("JPY", "¥"),
    ("BRL", "R$"),
    ("MXN", "MX$"),
];
const CA_SYMBOLS: &[(&str, &str)] = &[
    ("EUR", "€"),
    ("GBP", "£"),
    ("USD", "US$"),
    ("CAD", "$"),
    ("AUD", "A$"),
    ("JPY", "JP¥"),
    ("BRL", "R$"),
    ("MXN", "MX$"),
];
const FR_SYMBOLS: &[(&str, &str)] = &[
    ("EUR", "€"),
    ("GBP", "£GB"),
    ("USD", "$US"),
    ("CAD", "$CA"),
    ("AUD", "$AU"),
    ("BRL", "R$"),
    ("MXN", "$MX"),
];
const FR_CA_SYMBOLS: &[(&str, &str)] = &[
    ("EUR", "€"),
    ("GBP", "£"),
    ("USD", "$\u{a0}US"),
    ("CAD", "$"),
    ("AUD", "$\u{a0}AU"),
    ("JPY", "¥"),
    ("BRL", "R$"),
];
const DE_SYMBOLS: &[(&str, &str)] = &[
    ("EUR", "€"),
    ("GBP", "£"),
    ("USD", "$"),
    ("CAD", "CA$"),
    ("AUD", "AU$"),
    ("JPY", "¥"),
    ("BRL", "R$"),
    ("MXN", "MX$"),
];
const ES_SYMBOLS: &[(&str, &str)] = &[("EUR", "€"), ("USD", "US$")];
const IT_SYMBOLS: &[(&str, &str)] = &[("EUR", "€"), ("GBP", "£"), ("CAD", "CA$"), ("AUD", "A$")];
const NL_SYMBOLS: &[(&str, &str)] = &[
    ("EUR", "€"),
    ("GBP", "£"),
    ("USD", "US$"),
    ("CAD", "C$"),
    ("AUD", "AU$"),
    ("JPY", "JP¥"),
    ("BRL", "R$"),
    ("MXN", "MX$"),
];
const PT_SYMBOLS: &[(&str, &str)] = &[
    ("EUR", "€"),
    ("GBP", "£"),
    ("USD", "US$"),
    ("CAD", "CA$"),
    ("AUD", "AU$"),
    ("JPY", "JP¥"),
    ("BRL", "R$"),
    ("MXN", "MX$"),
];

const BASE: Locale = Locale {
    tag: "en-GB",
    decimal: ".",
    group: ",",
    grouped_from: 4,
    currency_first: true,
    currency_gap: "",
    percent_gap: "",
    minus_inside: false,
    symbols: EN_SYMBOLS,
    words: EN_GB,
    dates: ["dd/MM/y", "d MMM y", "d MMMM y", "EEEE, d MMMM y"],
    halves: None,
};
const FRENCH: Locale = Locale {
    tag: "fr-FR",
    decimal: ",",
    group: NNBSP,
    currency_first: false,
    currency_gap: NBSP,
    percent_gap: NBSP,
    symbols: FR_SYMBOLS,
    words: FR,
    dates: ["dd/MM/y", "d MMM y", "d MMMM y", "EEEE d MMMM y"],
    ..BASE
};
const GERMAN: Locale = Locale {
    tag: "de-DE",
    decimal: ",",
    group: ".",
    currency_first: false,
    currency_gap: NBSP,
    percent_gap: NBSP,
    symbols: DE_SYMBOLS,
    words: DE,
    dates: ["dd.MM.yy", "dd.MM.y", "d. MMMM y", "EEEE, d. MMMM y"],
    ..BASE
};

/// All locales; the first of a language stands for its other regions, and the very first for all else.
pub const LOCALES: &[Locale] = &[
    BASE,
    Locale {
        tag: "en-US",
        symbols: US_SYMBOLS,
        words: EN,
        dates: ["M/d/yy", "MMM d, y", "MMMM d, y", "EEEE, MMMM d, y"],
        halves: Some(["AM", "PM"]),
        ..BASE
    },
    Locale { tag: "en-IE", dates: ["dd/MM/y", "d MMM y", "d MMMM y", "EEEE d MMMM y"], ..BASE },
    Locale {
        tag: "en-CA",
        symbols: CA_SYMBOLS,
        words: EN,
        dates: ["y-MM-dd", "MMM d, y", "MMMM d, y", "EEEE, MMMM d, y"],
        halves: Some(["a.m.", "p.m."]),
        ..BASE
    },
    FRENCH,
    Locale {
        tag: "fr-CA",
        group: NBSP,
        symbols: FR_CA_SYMBOLS,
        dates: ["y-MM-dd", "d MMM y", "d MMMM y", "EEEE d MMMM y"],
        ..FRENCH
    },
    GERMAN,
    Locale { tag: "de-CH", decimal: ".", group: "’", currency_first: true, percent_gap: "", ..GERMAN },
    Locale {
        tag: "es-ES",
        decimal: ",",
        group: ".",
        grouped_from: 5,
        currency_first: false,
        currency_gap: NBSP,
        percent_gap: NBSP,
        symbols: ES_SYMBOLS,
        words: ES,
        dates: ["d/M/yy", "d MMM y", "d 'de' MMMM 'de' y", "EEEE, d 'de' MMMM 'de' y"],
        ..BASE
    },
    Locale {
        tag: "it-IT",
        decimal: ",",
        group: ".",
        grouped_from: 5,
        currency_first: false,
        currency_gap: NBSP,
        symbols: IT_SYMBOLS,
        words: IT,
        dates: ["dd/MM/yy", "d MMM y", "d MMMM y", "EEEE d MMMM y"],
        ..BASE
    },
    Locale {
        tag: "nl-NL",
        decimal: ",",
        group: ".",
        currency_gap: NBSP,
        minus_inside: true,
        symbols: NL_SYMBOLS,
        words: NL,
        dates: ["dd-MM-y", "d MMM y", "d MMMM y", "EEEE d MMMM y"],
        ..BASE
    },
    Locale {
        tag: "pt-BR",
        decimal: ",",
        group: ".",
        currency_gap: NBSP,
        symbols: PT_SYMBOLS,
        words: PT,
        dates: ["dd/MM/y", "d 'de' MMM 'de' y", "d 'de' MMMM 'de' y", "EEEE, d 'de' MMMM 'de' y"],
        ..BASE
    },
    Locale {
        tag: "pt-PT",
        decimal: ",",
        group: NBSP,
        grouped_from: 5,
        currency_first: false,
        currency_gap: NBSP,
        symbols: PT_SYMBOLS,
        words: PT,
        dates: ["dd/MM/yy", "dd/MM/y", "d 'de' MMMM 'de' y", "EEEE, d 'de' MMMM 'de' y"],
        ..BASE
    },
];

impl Locale {
    /// The locale of a tag such as `fr-FR`, `fr_FR`, `FR`; see the module for what stands in for others.
    #[must_use]
    pub fn of(tag: &str) -> &'static Self {
        let same = |a: &str, b: &str| {
            a.len() == b.len()
                && a.bytes()
                    .zip(b.bytes())
                    .all(|(a, b)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-'))
        };
        if let Some(exact) = LOCALES.iter().find(|locale| same(tag, locale.tag)) {
            return exact;
        }
        let language = language(tag);
        LOCALES.iter().find(|locale| language.eq_ignore_ascii_case(locale.language())).unwrap_or(&LOCALES[0])
    }

    /// Its language, as in `fr`.
    #[must_use]
    pub fn language(&self) -> &'static str {
        language(self.tag)
    }

    /// A number in ten-thousandths with `least` to `most` decimals (at most four), rounded half away from zero.
    pub fn number(&self, out: &mut String, scaled: i64, least: usize, most: usize) {
        if scaled < 0 {
            out.push('-');
        }
        self.magnitude(out, scaled.unsigned_abs(), least, most);
    }

    fn magnitude(&self, out: &mut String, scaled: u64, least: usize, most: usize) {
        let unit = 10_u64.pow(4 - most.min(4) as u32);
        let rounded = (scaled + unit / 2) / unit * unit;
        let mut digits = [0_u8; 20];
        let (mut whole, mut at) = (rounded / 10_000, digits.len());
        while whole > 0 || at == digits.len() {
            at -= 1;
            digits[at] = b'0' + (whole % 10) as u8;
            whole /= 10;
        }
        let digits = &digits[at..];
        for (i, digit) in digits.iter().enumerate() {
            if i > 0 && (digits.len() - i) % 3 == 0 && digits.len() >= self.grouped_from {
                out.push_str(self.group);
            }
            out.push(char::from(*digit));
        }
        let (mut fraction, mut decimals) = (rounded % 10_000, 4_usize);
        while decimals > least && fraction % 10 == 0 {
            fraction /= 10;
            decimals -= 1;
        }
        if decimals == 0 {
            return;
        }
        out.push_str(self.decimal);
        for place in (0..decimals as u32).rev() {
            out.push(char::from(b'0' + (fraction / 10_u64.pow(place) % 10) as u8));
        }
    }

    /// An amount in ten-thousandths. An amount too small for the currency's decimals shows four: a price is never 0
    /// that is not.
    pub fn money(&self, out: &mut String, scaled: i64, currency: &str) {
        let decimals = decimals(currency);
        let vanishes = scaled != 0 && scaled.unsigned_abs() < 10_u64.pow(4 - decimals as u32) / 2;
        let most = if vanishes { 4 } else { decimals };
        let symbol =
            self.symbols.iter().find(|(code, _)| *code == currency).map_or(currency, |(_, symbol)| symbol);
        // A symbol that ends in a letter keeps its distance from the figures.
        let gap = if self.currency_gap.is_empty() && symbol.ends_with(|c: char| c.is_alphabetic()) {
            NBSP
        } else {
            self.currency_gap
        };
        if scaled < 0 && !self.minus_inside {
            out.push('-');
        }
        if self.currency_first {
            out.push_str(symbol);
            out.push_str(gap);
        }
        if scaled < 0 && self.minus_inside {
            out.push('-');
        }
        self.magnitude(out, scaled.unsigned_abs(), decimals, most);
        if !self.currency_first {
            out.push_str(gap);
            out.push_str(symbol);
        }
    }

    /// A share in ten-thousandths (`1_250` is 12.5 %) with at most so many decimals.
    pub fn percent(&self, out: &mut String, scaled: i64, most: usize) {
        self.number(out, scaled.saturating_mul(100), 0, most);
        out.push_str(self.percent_gap);
        out.push('%');
    }

    /// A day in a style: `short`, `medium`, `long`, `full`.
    pub fn date(&self, out: &mut String, date: jiff::civil::Date, style: DateStyle) {
        use std::fmt::Write as _;
        let pattern = self.dates[style as usize];
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                out.extend(chars.by_ref().take_while(|c| *c != '\''));
                continue;
            }
            let mut run = 1;
            while c.is_ascii_alphabetic() && chars.next_if_eq(&c).is_some() {
                run += 1;
            }
            let month = date.month() as usize - 1;
            // Writing to a string cannot fail.
            let _ = match (c, run) {
                ('d', 1) => write!(out, "{}", date.day()),
                ('d', _) => write!(out, "{:02}", date.day()),
                ('M', 1) => write!(out, "{}", date.month()),
                ('M', 2) => write!(out, "{:02}", date.month()),
                ('M', 3) => write!(out, "{}", self.words.months_short[month]),
                ('M', _) => write!(out, "{}", self.words.months[month]),
                ('y', 2) => write!(out, "{:02}", date.year() % 100),
                ('y', _) => write!(out, "{}", date.year()),
                ('E', _) => {
                    let day = date.weekday().to_monday_zero_offset() as usize;
                    write!(out, "{}", self.words.weekdays[day])
                }
                _ => write!(out, "{c}"),
            };
        }
    }

    /// The time of day, to the minute.
    pub fn time(&self, out: &mut String, time: jiff::civil::Time) {
        use std::fmt::Write as _;
        let (hour, minute) = (time.hour(), time.minute());
        let _ = if let Some([morning, afternoon]) = self.halves {
            let half = if hour < 12 { morning } else { afternoon };
            write!(out, "{}:{minute:02}\u{202f}{half}", (hour + 11) % 12 + 1)
        } else {
            write!(out, "{hour:02}:{minute:02}")
        };
    }
}

/// How much of a date is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateStyle {
    /// 22/11/2026
    Short,
    /// 22 Nov 2026
    Medium,
    /// 22 November 2026
    #[default]
    Long,
    /// Sunday, 22 November 2026
    Full,
}

impl DateStyle {
    /// The words of the `date` filter.
    pub const WORDS: [&'static str; 4] = ["short", "medium", "long", "full"];

    /// Reads a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "short" => Self::Short,
            "medium" => Self::Medium,
            "long" => Self::Long,
            "full" => Self::Full,
            _ => return None,
        })
    }
}

/// The language of a tag.
pub(crate) fn language(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or_default()
}

/// Decimals of a currency: ISO 4217's exponent.
const fn decimals(currency: &str) -> usize {
    match currency.as_bytes() {
        b"JPY" | b"KRW" | b"VND" | b"CLP" | b"ISK" | b"PYG" | b"UGX" | b"XAF" | b"XOF" | b"XPF" => 0,
        b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
        _ => 2,
    }
}

/// A day or an instant out of a text: `2026-11-22`, or RFC 3339 taken to the zone.
pub(crate) fn parse_when(text: &str, zone: &model::Zone) -> Option<jiff::civil::DateTime> {
    if text.len() == 10 {
        return text.parse::<jiff::civil::Date>().ok().map(|date| date.at(0, 0, 0, 0));
    }
    Timestamp::parse(text, zone).ok().map(|at| at.civil(zone))
}

#[cfg(test)]
#[path = "locale_tests.rs"]
mod tests;
