//! Amounts in ten-thousandths of a currency's major unit: unit prices of a tenth of a penny exist, floats do not.
//! Decimal fields use the same scale, so that a price can be kept in a field without a change of value.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Problem;

/// Sums of amounts, in ten-thousandths; wide enough for any number of orders.
pub type Sum = i128;

/// An exact decimal number with four places, as a count of ten-thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub i64);

impl Amount {
    /// Ten-thousandths in one unit.
    pub const SCALE: i64 = 10_000;
    /// The largest amount that is taken from outside, in whole units (a thousand milliards).
    pub const UNITS_MAX: i64 = 1_000_000_000_000;
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many whole units.
    #[must_use]
    pub const fn units(units: i64) -> Self {
        Self(units * Self::SCALE)
    }

    /// Reads `12`, `-3.5`, `0.001`, `1e3` is refused. A decimal point only: what a file writes with a comma is the
    /// reader's business.
    ///
    /// # Errors
    /// `amount.invalid` when it is no number, `amount.too_precise` beyond four decimals (trailing zeros are no
    /// precision), `amount.too_large` beyond [`Amount::UNITS_MAX`].
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let invalid = || {
            Problem::new("amount.invalid", format!("`{text}` is not a number"))
                .value(text)
                .cure("write digits with a decimal point, as in 12.50")
        };
        let text_trimmed = text.trim();
        let (negative, digits) = match text_trimmed.as_bytes().first() {
            Some(b'-') => (true, &text_trimmed[1..]),
            Some(b'+') => (false, &text_trimmed[1..]),
            _ => (false, text_trimmed),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty())
            || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        {
            return Err(invalid());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 4 {
            return Err(Problem::new("amount.too_precise", format!("`{text}` has more than four decimals"))
                .value(text)
                .cure("round it to four decimals"));
        }
        let mut value: i64 = 0;
        for b in whole.bytes() {
            value = value * 10 + i64::from(b - b'0');
            if value > Self::UNITS_MAX {
                return Err(Problem::new(
                    "amount.too_large",
                    format!("`{text}` is beyond ±{}", Self::UNITS_MAX),
                )
                .value(text)
                .cure("check the column: is this an amount?"));
            }
        }
        let mut scaled = value * Self::SCALE;
        let mut unit = Self::SCALE / 10;
        for b in fraction.bytes() {
            scaled += i64::from(b - b'0') * unit;
            unit /= 10;
        }
        Ok(Self(if negative { -scaled } else { scaled }))
    }

    /// From a float as JSON and Parquet have it: rounded to the nearest ten-thousandth.
    ///
    /// # Errors
    /// `amount.invalid` for NaN and infinities, `amount.too_large` beyond [`Amount::UNITS_MAX`].
    pub fn from_f64(number: f64) -> Result<Self, Problem> {
        if !number.is_finite() {
            return Err(Problem::new("amount.invalid", format!("{number} is not a number")).value(number));
        }
        if number.abs() > Self::UNITS_MAX as f64 {
            return Err(Problem::new("amount.too_large", format!("{number} is beyond ±{}", Self::UNITS_MAX))
                .value(number));
        }
        Ok(Self((number * Self::SCALE as f64).round() as i64))
    }

    /// As a float, for charts and weights; never for comparisons or sums.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / Self::SCALE as f64
    }

    /// Times a quantity.
    #[must_use]
    pub fn times(self, quantity: i64) -> Sum {
        Sum::from(self.0) * Sum::from(quantity)
    }
}

/// The shortest exact form: `12`, `12.5`, `0.001`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, i128::from(self.0))
    }
}

/// Writes a count of ten-thousandths as a decimal number without trailing zeros.
///
/// # Errors
/// What the writer says.
pub fn write_scaled(f: &mut impl fmt::Write, scaled: Sum) -> fmt::Result {
    let magnitude = scaled.unsigned_abs();
    let (whole, fraction) = (magnitude / 10_000, magnitude % 10_000);
    let sign = if scaled < 0 { "-" } else { "" };
    if fraction == 0 {
        return write!(f, "{sign}{whole}");
    }
    let digits = format!("{fraction:04}");
    write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
}

/// An ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro, which a workspace has until it says otherwise.
    pub const EUR: Self = Self(*b"EUR");
    /// The pound sterling.
    pub const GBP: Self = Self(*b"GBP");

    /// Reads a three-letter code, in either case.
    ///
    /// # Errors
    /// `currency.invalid` when it is not three letters.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        match text.trim().as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|b| b.is_ascii_alphabetic()) => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase(), c.to_ascii_uppercase()]))
            }
            _ => Err(Problem::new("currency.invalid", format!("`{text}` is not a currency code"))
                .value(text)
                .cure("use a three-letter ISO 4217 code, as in EUR or GBP")),
        }
    }

    /// The code, as in `EUR`.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(|problem| serde::de::Error::custom(problem.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_exactly() {
        for (text, scaled, out) in [
            ("12", 120_000, "12"),
            ("12.50", 125_000, "12.5"),
            ("-0.001", -10, "-0.001"),
            (".5", 5_000, "0.5"),
            ("77183.6000000000", 771_836_000, "77183.6"),
        ] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!((amount.0, amount.to_string().as_str()), (scaled, out), "{text}");
        }
        for (text, code) in [
            ("", "amount.invalid"),
            (".", "amount.invalid"),
            ("1,5", "amount.invalid"),
            ("1e3", "amount.invalid"),
            ("0.00001", "amount.too_precise"),
            ("1000000000000", "ok"),
            ("1000000000001", "amount.too_large"),
            ("99999999999999999999999", "amount.too_large"),
        ] {
            let got = Amount::parse(text).map_or_else(|problem| problem.code.to_string(), |_| "ok".into());
            assert_eq!(got, code, "{text}");
        }
    }
}
