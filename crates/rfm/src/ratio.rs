//! Exact fractions: averages and cut points are compared without floats.

use std::{cmp::Ordering, fmt};

/// A fraction with a positive denominator, not necessarily in lowest terms; equality is of value.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    numerator: i128,
    denominator: i128,
}

impl Ratio {
    /// `numerator / denominator`; none when the denominator is not positive.
    #[must_use]
    pub const fn new(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator > 0 { Some(Self { numerator, denominator }) } else { None }
    }

    /// A whole number.
    #[must_use]
    pub const fn whole(number: i64) -> Self {
        Self { numerator: number as i128, denominator: 1 }
    }

    /// The sum of a contact's orders divided by their number: the average order. `count` of 0 counts as 1.
    #[must_use]
    pub const fn average(sum: i64, count: u32) -> Self {
        Self { numerator: sum as i128, denominator: if count == 0 { 1 } else { count as i128 } }
    }

    /// What stands above the line.
    #[must_use]
    pub const fn numerator(self) -> i128 {
        self.numerator
    }

    /// What stands below the line, positive.
    #[must_use]
    pub const fn denominator(self) -> i128 {
        self.denominator
    }

    /// The greatest whole number that is not above it.
    #[must_use]
    pub const fn floor(self) -> i128 {
        self.numerator.div_euclid(self.denominator)
    }

    /// The nearest float, for looking at and for a first rough comparison.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// In lowest terms.
    #[must_use]
    pub fn reduced(self) -> Self {
        let divisor = gcd(self.numerator.unsigned_abs(), self.denominator.unsigned_abs()).max(1) as i128;
        Self { numerator: self.numerator / divisor, denominator: self.denominator / divisor }
    }

    /// The point between `low` and `high` at `part / whole` of the way, in lowest terms. Exact for all fractions whose
    /// terms come from sums of amounts and numbers of orders (63 and 32 bits) and for `whole` below 2²⁴.
    #[must_use]
    pub fn between(low: Self, high: Self, part: i128, whole: i128) -> Self {
        let (low, high) = (low.reduced(), high.reduced());
        if part == 0 || low == high {
            return low;
        }
        let numerator =
            low.numerator * high.denominator * (whole - part) + high.numerator * low.denominator * part;
        Self { numerator, denominator: low.denominator * high.denominator * whole }.reduced()
    }

    /// Reads `1/3`, `0.25`, `12`, `-3.5`: digits with at most [`Ratio::DECIMALS_MAX`] decimals, or a fraction of
    /// whole numbers below [`Ratio::TERM_MAX`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some((above, below)) = text.split_once('/') {
            let (above, below) = (term(above.trim())?, term(below.trim())?);
            return Self::new(above, below);
        }
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        if whole.is_empty() && fraction.is_empty() || fraction.len() > Self::DECIMALS_MAX {
            return None;
        }
        let whole = if whole.is_empty() { 0 } else { term(whole)? };
        let scale = 10_i128.pow(fraction.len() as u32);
        let numerator = whole * scale + if fraction.is_empty() { 0 } else { term(fraction)? };
        Some(Self { numerator: if negative { -numerator } else { numerator }, denominator: scale })
    }

    /// Most decimals that [`Ratio::parse`] takes.
    pub const DECIMALS_MAX: usize = 9;
    /// Whole numbers that [`Ratio::parse`] takes lie below this.
    pub const TERM_MAX: i128 = 1_000_000_000_000_000;

    /// Rounded to so many decimals, halves away from zero, always with all of them: `615.7142857143`. The value is
    /// divided by `scale` first (10,000 for what is counted in ten-thousandths).
    #[must_use]
    pub fn to_decimal(self, scale: i128, decimals: u32) -> String {
        let denominator = self.denominator * scale;
        let mut whole = self.numerator.abs() / denominator;
        let mut rest = self.numerator.abs() % denominator;
        // Digit by digit, so that a large denominator is never multiplied by more than ten.
        let mut digits = Vec::with_capacity(decimals as usize);
        for _ in 0..decimals {
            rest *= 10;
            digits.push((rest / denominator) as u8);
            rest %= denominator;
        }
        let mut carry = rest * 2 >= denominator;
        for digit in digits.iter_mut().rev() {
            if !carry {
                break;
            }
            carry = *digit == 9;
            *digit = if carry { 0 } else { *digit + 1 };
        }
        whole += i128::from(carry);
        let sign =
            if self.numerator < 0 && (whole != 0 || digits.iter().any(|d| *d != 0)) { "-" } else { "" };
        let dot = if decimals == 0 { "" } else { "." };
        let digits: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        format!("{sign}{whole}{dot}{digits}")
    }
}

fn term(digits: &str) -> Option<i128> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: i128 = if plain { digits.parse().ok()? } else { return None };
    (number < Ratio::TERM_MAX).then_some(number)
}

const fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.denominator == other.denominator {
            return self.numerator.cmp(&other.numerator);
        }
        let left = self.numerator.checked_mul(other.denominator);
        let right = other.numerator.checked_mul(self.denominator);
        match (left, right) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => by_whole_parts(*self, *other),
        }
    }
}

/// Compares without products: whole parts, then the rests upside down (the continued fractions of both).
fn by_whole_parts(mut a: Ratio, mut b: Ratio) -> Ordering {
    loop {
        let (whole_a, whole_b) = (a.floor(), b.floor());
        if whole_a != whole_b {
            return whole_a.cmp(&whole_b);
        }
        let rest_a = a.numerator.rem_euclid(a.denominator);
        let rest_b = b.numerator.rem_euclid(b.denominator);
        match (rest_a, rest_b) {
            (0, 0) => return Ordering::Equal,
            (0, _) => return Ordering::Less,
            (_, 0) => return Ordering::Greater,
            _ => {
                // a < b exactly when 1/rest(b) < 1/rest(a).
                (a, b) = (
                    Ratio { numerator: b.denominator, denominator: rest_b },
                    Ratio { numerator: a.denominator, denominator: rest_a },
                );
            }
        }
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ratio {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ratio {}

/// `7`, or `1/3` in lowest terms.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lowest = self.reduced();
        if lowest.denominator == 1 {
            return write!(f, "{}", lowest.numerator);
        }
        write!(f, "{}/{}", lowest.numerator, lowest.denominator)
    }
}

/// Reads what [`Ratio`]'s `Display` writes, of any size.
impl std::str::FromStr for Ratio {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (above, below) = text.split_once('/').unwrap_or((text, "1"));
        let (above, below) = (above.parse().map_err(drop)?, below.parse().map_err(drop)?);
        Self::new(above, below).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(above: i128, below: i128) -> Ratio {
        Ratio::new(above, below).unwrap()
    }

    #[test]
    fn compares_beyond_128_bits() {
        let big = 1_i128 << 100;
        for (a, b, order) in [
            (ratio(1, 3), ratio(2, 6), Ordering::Equal),
            (ratio(-1, 3), ratio(-1, 2), Ordering::Greater),
            (ratio(big, big + 1), ratio(big + 1, big + 2), Ordering::Less),
            (ratio(-big, big + 1), ratio(-big - 1, big + 2), Ordering::Greater),
            (ratio(big * 3, big * 5), ratio(3, 5), Ordering::Equal),
            (ratio(big, 1), ratio(big * 7 + 1, 7), Ordering::Less),
        ] {
            assert_eq!(a.cmp(&b), order, "{a} {b}");
            assert_eq!(by_whole_parts(a, b), order, "{a} {b}");
            assert_eq!(b.cmp(&a), order.reverse());
        }
    }

    #[test]
    fn reads_and_writes() {
        for (text, out) in
            [("1/3", "1/3"), ("0.20", "1/5"), ("12", "12"), ("-3.5", "-7/2"), (".5", "1/2"), ("2/6", "1/3")]
        {
            assert_eq!(Ratio::parse(text).unwrap().to_string(), out);
            assert_eq!(out.parse::<Ratio>().unwrap(), Ratio::parse(text).unwrap());
        }
        for bad in ["", ".", "1/0", "a", "1e3", "1/-3", "0.1234567891", "1000000000000000"] {
            assert!(Ratio::parse(bad).is_none(), "{bad}");
        }
        assert!(Ratio::parse("999999999999999").is_some());
        assert!(Ratio::parse("0.123456789").is_some());
    }

    #[test]
    fn rounds_to_decimals() {
        for (value, decimals, out) in [
            (ratio(43_100_000, 7), 10, "615.7142857143"),
            (ratio(771_836_000, 1), 10, "77183.6000000000"),
            (ratio(-1, 3), 4, "0.0000"),
            (ratio(99_999, 10), 0, "1"),
            (ratio(5_000, 1), 0, "1"),
            (ratio(-25_000, 1), 1, "-2.5"),
        ] {
            assert_eq!(value.to_decimal(10_000, decimals), out);
        }
    }

    #[test]
    fn lies_between() {
        assert_eq!(Ratio::between(ratio(1, 3), ratio(1, 2), 1, 5), ratio(11, 30));
        assert_eq!(Ratio::between(ratio(2, 6), ratio(1, 3), 4, 5), ratio(1, 3));
        let (low, high) =
            (Ratio::average(i64::MAX - 1, u32::MAX - 1), Ratio::average(i64::MAX, u32::MAX - 2));
        let point = Ratio::between(low, high, 1, (1 << 24) - 1);
        assert!(low < point && point < high);
    }
}
