//! Formats against what ICU prints.

use super::*;

fn money(tag: &str, scaled: i64, currency: &str) -> String {
    let mut out = String::new();
    Locale::of(tag).money(&mut out, scaled, currency);
    out
}

/// Every expected text is what ICU 78 (CLDR 48) prints.
#[test]
fn writes_money_as_icu_does() {
    for (tag, eur, gbp, usd, jpy, negative, large) in [
        ("en-GB", "€1,234.50", "£1,234.50", "US$1,234.50", "JP¥1,235", "-€12.50", "€12,345,678.90"),
        ("en-US", "€1,234.50", "£1,234.50", "$1,234.50", "¥1,235", "-€12.50", "€12,345,678.90"),
        ("fr-FR", "1 234,50 €", "1 234,50 £GB", "1 234,50 $US", "1 235 JPY", "-12,50 €", "12 345 678,90 €"),
        ("fr-CA", "1_234,50 €", "1_234,50 £", "1_234,50 $ US", "1_235 ¥", "-12,50 €", "12_345_678,90 €"),
        ("de-DE", "1.234,50 €", "1.234,50 £", "1.234,50 $", "1.235 ¥", "-12,50 €", "12.345.678,90 €"),
        ("es-ES", "1234,50 €", "1234,50 GBP", "1234,50 US$", "1235 JPY", "-12,50 €", "12.345.678,90 €"),
        ("it-IT", "1234,50 €", "1234,50 £", "1234,50 USD", "1235 JPY", "-12,50 €", "12.345.678,90 €"),
        ("nl-NL", "€ 1.234,50", "£ 1.234,50", "US$ 1.234,50", "JP¥ 1.235", "€ -12,50", "€ 12.345.678,90"),
        ("pt-BR", "€ 1.234,50", "£ 1.234,50", "US$ 1.234,50", "JP¥ 1.235", "-€ 12,50", "€ 12.345.678,90"),
        ("pt-PT", "1234,50 €", "1234,50 £", "1234,50 US$", "1235 JP¥", "-12,50 €", "12_345_678,90 €"),
    ] {
        // In this table a blank before a figure's group is the narrow one, `_` a grouping no-break space.
        let blanks = |text: &str| {
            let chars: Vec<char> = text.chars().collect();
            (0..chars.len())
                .map(|i| match chars[i] {
                    ' ' if chars.get(i + 1).is_some_and(char::is_ascii_digit)
                        && i > 0
                        && chars[i - 1].is_ascii_digit() =>
                    {
                        '\u{202f}'
                    }
                    ' ' | '_' => '\u{a0}',
                    c => c,
                })
                .collect::<String>()
        };
        for (scaled, currency, expected) in [
            (12_345_000, "EUR", eur),
            (12_345_000, "GBP", gbp),
            (12_345_000, "USD", usd),
            (12_345_000, "JPY", jpy),
            (-125_000, "EUR", negative),
            (123_456_789_000, "EUR", large),
        ] {
            assert_eq!(money(tag, scaled, currency), blanks(expected), "{tag} {currency}");
        }
    }
    assert_eq!(money("en-GB", 12_345_000, "CHF"), "CHF\u{a0}1,234.50");
    assert_eq!(money("en-GB", 10, "GBP"), "£0.001");
    assert_eq!(money("en-GB", 0, "GBP"), "£0.00");
    assert_eq!(money("en-GB", 129_950, "GBP"), "£13.00");
    assert_eq!(money("en-GB", i64::MIN, "GBP"), "-£922,337,203,685,477.58");
}

#[test]
fn writes_numbers_percents_and_dates() {
    let date = jiff::civil::date(2026, 3, 5);
    for (tag, number, percent, short, medium, long, full) in [
        (
            "en-GB",
            "12,345.678",
            "12.5%",
            "05/03/2026",
            "5 Mar 2026",
            "5 March 2026",
            "Thursday, 5 March 2026",
        ),
        ("en-US", "12,345.678", "12.5%", "3/5/26", "Mar 5, 2026", "March 5, 2026", "Thursday, March 5, 2026"),
        (
            "fr",
            "12\u{202f}345,678",
            "12,5\u{a0}%",
            "05/03/2026",
            "5 mars 2026",
            "5 mars 2026",
            "jeudi 5 mars 2026",
        ),
        (
            "de",
            "12.345,678",
            "12,5\u{a0}%",
            "05.03.26",
            "05.03.2026",
            "5. März 2026",
            "Donnerstag, 5. März 2026",
        ),
        (
            "es",
            "12.345,678",
            "12,5\u{a0}%",
            "5/3/26",
            "5 mar 2026",
            "5 de marzo de 2026",
            "jueves, 5 de marzo de 2026",
        ),
        ("it", "12.345,678", "12,5%", "05/03/26", "5 mar 2026", "5 marzo 2026", "giovedì 5 marzo 2026"),
        ("nl", "12.345,678", "12,5%", "05-03-2026", "5 mrt 2026", "5 maart 2026", "donderdag 5 maart 2026"),
        (
            "pt",
            "12.345,678",
            "12,5%",
            "05/03/2026",
            "5 de mar. de 2026",
            "5 de março de 2026",
            "quinta-feira, 5 de março de 2026",
        ),
    ] {
        let locale = Locale::of(tag);
        let mut out = String::new();
        locale.number(&mut out, 123_456_780, 0, 3);
        assert_eq!(out, number, "{tag}");
        out.clear();
        locale.percent(&mut out, 1_250, 1);
        assert_eq!(out, percent, "{tag}");
        for (style, expected) in DateStyle::WORDS.into_iter().zip([short, medium, long, full]) {
            out.clear();
            locale.date(&mut out, date, DateStyle::parse(style).unwrap());
            assert_eq!(out, expected, "{tag} {style}");
        }
    }
}

#[test]
fn finds_the_nearest_locale() {
    for (tag, found) in [
        ("fr_CA", "fr-CA"),
        ("FR", "fr-FR"),
        ("fr-BE", "fr-FR"),
        ("ja-JP", "en-GB"),
        ("", "en-GB"),
        ("pt-PT", "pt-PT"),
    ] {
        assert_eq!(Locale::of(tag).tag, found, "{tag}");
    }
    let time = jiff::civil::time(18, 7, 0, 0);
    let mut out = String::new();
    Locale::of("en-US").time(&mut out, time);
    assert_eq!(out, "6:07\u{202f}PM");
    assert_eq!(
        parse_when("2026-11-22T23:30:00Z", &model::Zone::parse("Europe/Paris").unwrap()).unwrap().day(),
        23
    );
}
