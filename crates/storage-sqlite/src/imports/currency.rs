//! One currency per workspace: others are refused, or converted at a configured rate as they arrive.

use std::collections::BTreeMap;

use model::{Amount, Currency, Problem};
use rusqlite::Connection;
use storage::{Result, StoreError, settings::key};

use crate::settings::{load_setting, save_setting};

/// Decimals of a rate.
const RATE_SCALE: i128 = 1_000_000_000;

/// What the workspace takes.
pub(super) struct Currencies {
    home: Option<Currency>,
    rates: BTreeMap<String, i128>,
    /// Rate of the item at hand.
    rate: i128,
}

impl Currencies {
    pub(super) fn load(connection: &Connection) -> Result<Self> {
        let home = match load_setting(connection, key::CURRENCY)? {
            Some(code) => Some(
                Currency::parse(code.as_str().unwrap_or_default())
                    .map_err(|problem| StoreError::Refused(problem.field("setting currency")))?,
            ),
            None => None,
        };
        let mut rates = BTreeMap::new();
        if let Some(allowed) = load_setting(connection, key::CURRENCIES_ALLOWED)? {
            for (code, rate) in allowed.as_object().into_iter().flatten() {
                let text = rate.as_str().map_or_else(|| rate.to_string(), str::to_owned);
                let rate = parse_rate(&text).ok_or_else(|| {
                    Problem::new("currency.rate", format!("`{text}` is not a rate"))
                        .field("setting currencies_allowed")
                        .value(&text)
                        .cure("write what one unit is worth in the workspace's currency, as in {\"USD\": \"0.86\"}")
                })?;
                rates.insert(code.to_ascii_uppercase(), rate);
            }
        }
        Ok(Self { home, rates, rate: RATE_SCALE })
    }

    /// Gets ready for an item in this currency and answers with the one that it is stored in.
    pub(super) fn enter(
        &mut self,
        connection: &Connection,
        currency: Currency,
    ) -> Result<std::result::Result<Currency, Problem>> {
        let Some(home) = self.home else {
            save_setting(connection, key::CURRENCY, &currency.code().into())?;
            self.home = Some(currency);
            self.rate = RATE_SCALE;
            return Ok(Ok(currency));
        };
        if currency == home {
            self.rate = RATE_SCALE;
            return Ok(Ok(home));
        }
        let Some(rate) = self.rates.get(currency.code()) else {
            return Ok(Err(Problem::new(
                "order.currency",
                format!("the amount is in {currency}, the workspace's currency is {home}"),
            )
            .field("currency")
            .value(currency)
            .cure(format!(
                "import it into a workspace of its own, or allow {currency} with a rate in the setting \
                 `currencies_allowed`, as in {{\"{currency}\": \"0.86\"}}"
            ))));
        };
        self.rate = *rate;
        Ok(Ok(home))
    }

    /// An amount of the item at hand in the workspace's currency, rounded half away from zero.
    pub(super) fn convert(&self, amount: Amount) -> Amount {
        if self.rate == RATE_SCALE {
            return amount;
        }
        let product = i128::from(amount.0) * self.rate;
        let half = if product < 0 { -RATE_SCALE / 2 } else { RATE_SCALE / 2 };
        Amount(i64::try_from((product + half) / RATE_SCALE).unwrap_or(i64::MAX))
    }
}

/// A positive decimal number with at most nine decimals, below a million.
fn parse_rate(text: &str) -> Option<i128> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() > 6 || fraction.len() > 9 || !digits(whole) || !digits(fraction) || whole.is_empty() {
        return None;
    }
    let rate: i128 = format!("{whole}{fraction:0<9}").parse().ok()?;
    (rate > 0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, rate) in [
            ("0.86", Some(860_000_000)),
            ("1", Some(RATE_SCALE)),
            ("0.000000001", Some(1)),
            ("0.0000000001", None),
            ("0", None),
            ("-1", None),
            ("1,1", None),
            (".5", None),
            ("999999", Some(999_999 * RATE_SCALE)),
            ("1000000", None),
        ] {
            assert_eq!(parse_rate(text), rate, "{text}");
        }
        let at = |rate| Currencies { home: None, rates: BTreeMap::new(), rate };
        assert_eq!(at(500_000_000).convert(Amount(3)), Amount(2), "half away from zero");
        assert_eq!(at(500_000_000).convert(Amount(-3)), Amount(-2));
        assert_eq!(at(860_000_000).convert(Amount::units(100)), Amount::units(86));
    }
}
