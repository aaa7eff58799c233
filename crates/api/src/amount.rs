//! Amounts of money in answers and requests: decimal texts, as in `"19.90"`, because a JSON number may not hold them
//! exactly. Requests may also give a number.

use model::{Amount, Problem};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use utoipa::ToSchema;

/// An amount in the workspace's currency, or in the one that stands beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, examples("19.90"), pattern = r"^-?[0-9]+(\.[0-9]{1,4})?$")]
pub struct Money(pub Amount);

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read =
            |text: &str| Amount::parse(text).map_err(|problem: Problem| D::Error::custom(problem.message));
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => read(&text).map(Self),
            serde_json::Value::Number(number) => read(&number.to_string()).map(Self),
            _ => Err(D::Error::custom("an amount is a text as in \"19.90\"")),
        }
    }
}

impl From<Amount> for Money {
    fn from(amount: Amount) -> Self {
        Self(amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_texts() {
        let money = Money(Amount(199_000));
        let text = serde_json::to_string(&money).unwrap();
        assert!(text.starts_with("\"19.9"), "{text}");
        assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), money);
        assert_eq!(serde_json::from_str::<Money>("19.9").unwrap(), money);
        assert!(serde_json::from_str::<Money>("true").is_err());
        assert!(serde_json::from_str::<Money>("\"a\"").is_err());
    }
}
