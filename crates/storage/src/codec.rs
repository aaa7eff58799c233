//! Packed bytes for what SQL need not look inside: whole numbers of variable length (LEB128, signed ones in zigzag
//! form) behind a version byte. Shared by the backends, so that a row means the same in each of them.

use model::{Amount, Line, ProductId};

use crate::catalogue::ProductDay;

/// Why bytes could not be read back: they are cut off, or of a version that this program does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// Appends a number.
pub fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends a number that may be negative.
pub fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Reads what was put, from the front.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// From the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    ///
    /// # Errors
    /// When there is none.
    pub fn byte(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.0.split_first().ok_or(Unreadable("the bytes end too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next number.
    ///
    /// # Errors
    /// When the bytes end too early or hold no number of 64 bits.
    pub fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Unreadable("a number is wider than 64 bits"))
    }

    /// The next number that may be negative.
    ///
    /// # Errors
    /// As [`Reader::number`].
    pub fn signed(&mut self) -> Result<i64, Unreadable> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn product(&mut self) -> Result<ProductId, Unreadable> {
        u32::try_from(self.number()?)
            .map(ProductId)
            .map_err(|_| Unreadable("a product's number is too great"))
    }
}

/// Version of [`put_lines`].
const LINES_VERSION: u8 = 1;

/// Appends lines; lines may be appended behind lines already there. No lines are no bytes.
pub fn put_lines(bytes: &mut Vec<u8>, lines: &[Line]) {
    if lines.is_empty() {
        return;
    }
    if bytes.is_empty() {
        bytes.push(LINES_VERSION);
    }
    for line in lines {
        put(bytes, u64::from(line.product.0));
        put_signed(bytes, line.quantity);
        put_signed(bytes, line.unit_price.0);
    }
}

/// The lines.
///
/// # Errors
/// When they cannot be read back.
pub fn lines(bytes: &[u8]) -> Result<Vec<Line>, Unreadable> {
    let mut reader = Reader::new(bytes);
    if reader.is_empty() {
        return Ok(Vec::new());
    }
    if reader.byte()? != LINES_VERSION {
        return Err(Unreadable("the lines are of an unknown version"));
    }
    let mut lines = Vec::with_capacity(bytes.len() / 6 + 1);
    while !reader.is_empty() {
        lines.push(Line {
            product: reader.product()?,
            quantity: reader.signed()?,
            unit_price: Amount(reader.signed()?),
        });
    }
    Ok(lines)
}

/// What is left of an order's lines after refunds: the negative lines are taken off the positive ones of their product,
/// first those of the same price, then the last ones. What nothing is left of is left out.
#[must_use]
pub fn net_lines(mut lines: Vec<Line>) -> Vec<Line> {
    if lines.iter().all(|line| line.quantity > 0) {
        return lines;
    }
    let refunded: Vec<Line> = lines.iter().filter(|line| line.quantity < 0).copied().collect();
    lines.retain(|line| line.quantity > 0);
    for refund in refunded {
        let mut rest = -refund.quantity;
        for same_price in [true, false] {
            for line in lines.iter_mut().rev() {
                if line.product == refund.product && (!same_price || line.unit_price == refund.unit_price) {
                    let taken = rest.min(line.quantity);
                    line.quantity -= taken;
                    rest -= taken;
                }
            }
        }
    }
    lines.retain(|line| line.quantity > 0);
    lines
}

/// Version of [`put_product_days`].
const DAYS_VERSION: u8 = 1;

/// Packs the figures of one day, which are sorted by product.
#[must_use]
pub fn put_product_days(figures: &[ProductDay]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(figures.len() * 8 + 1);
    bytes.push(DAYS_VERSION);
    let mut last = 0;
    for figure in figures {
        put(&mut bytes, u64::from(figure.product.0.wrapping_sub(last)));
        last = figure.product.0;
        for number in [figure.units, figure.orders, figure.revenue, figure.visits] {
            put_signed(&mut bytes, number);
        }
    }
    bytes
}

/// Calls `each` with the figures packed for a day.
///
/// # Errors
/// When they cannot be read back.
pub fn product_days(day: i32, bytes: &[u8], mut each: impl FnMut(ProductDay)) -> Result<(), Unreadable> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != DAYS_VERSION {
        return Err(Unreadable("the figures are of an unknown version"));
    }
    let mut last = 0_u32;
    while !reader.is_empty() {
        last = last.wrapping_add(reader.product()?.0);
        each(ProductDay {
            product: ProductId(last),
            day,
            units: reader.signed()?,
            orders: reader.signed()?,
            revenue: reader.signed()?,
            visits: reader.signed()?,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(product: u32, quantity: i64, unit_price: i64) -> Line {
        Line { product: ProductId(product), quantity, unit_price: Amount(unit_price) }
    }

    proptest! {
        #[test]
        fn numbers_go_round(number: u64, signed: i64) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            put_signed(&mut bytes, signed);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!((reader.number(), reader.signed(), reader.is_empty()), (Ok(number), Ok(signed), true));
        }

        #[test]
        fn lines_go_round_and_can_be_appended(
            parts in proptest::collection::vec(proptest::collection::vec((any::<u32>(), any::<i64>(), any::<i64>()), 0..5), 0..3)
        ) {
            let (mut bytes, mut all) = (Vec::new(), Vec::new());
            for part in parts {
                let part: Vec<Line> = part.into_iter().map(|(p, q, u)| line(p, q, u)).collect();
                put_lines(&mut bytes, &part);
                all.extend(part);
            }
            prop_assert_eq!(lines(&bytes), Ok(all));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = lines(&bytes);
            let _ = product_days(0, &bytes, |_| {});
        }
    }

    #[test]
    fn limits_of_numbers() {
        for number in [i64::MIN, -1, 0, 1, i64::MAX] {
            let mut bytes = Vec::new();
            put_signed(&mut bytes, number);
            assert_eq!(Reader::new(&bytes).signed(), Ok(number));
        }
        assert!(Reader::new(&[0xff; 9]).number().is_err(), "cut off");
        assert!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number().is_err(),
            "too wide"
        );
        assert!(lines(&[9, 1, 2, 3]).is_err(), "unknown version");
    }

    #[test]
    fn refunds_are_taken_off_their_own_price_first() {
        let bought = vec![line(1, 5, 100), line(2, 1, 50), line(1, 2, 90), line(1, -6, 100), line(2, -1, 50)];
        assert_eq!(net_lines(bought), [line(1, 1, 90)]);
        assert_eq!(net_lines(vec![line(1, -6, 100)]), []);
    }

    #[test]
    fn product_days_go_round() {
        let figure = |product, units| ProductDay {
            product: ProductId(product),
            day: 15_000,
            units,
            orders: 1,
            revenue: -3,
            visits: 0,
        };
        let figures = [figure(1, 2), figure(70_000, -2), figure(u32::MAX, 1)];
        let mut back = Vec::new();
        product_days(15_000, &put_product_days(&figures), |day| back.push(day)).unwrap();
        assert_eq!(back, figures);
    }
}
