//! The operators of comparisons, shared by conditions, product filters, branches and show/hide.

use model::{FieldType, Value};

/// How two things are compared. The word in files is the operator's name in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// Equal.
    Is,
    /// Not equal; true when the left side is empty.
    IsNot,
    /// Equal to one of a list.
    OneOf,
    /// Equal to none of a list; true when the left side is empty.
    NoneOf,
    /// A text holds the right side somewhere; of a list, some entry does.
    Contains,
    /// The contrary of `Contains`; true when the left side is empty.
    ContainsNot,
    /// A text begins with the right side; of a list, some entry does.
    StartsWith,
    /// The contrary of `StartsWith`; true when the left side is empty.
    StartsNotWith,
    /// A text ends with the right side; of a list, some entry does.
    EndsWith,
    /// The contrary of `EndsWith`; true when the left side is empty.
    EndsNotWith,
    /// A number is greater.
    GreaterThan,
    /// A number is greater or equal.
    AtLeast,
    /// A number is smaller.
    LessThan,
    /// A number is smaller or equal.
    AtMost,
    /// A number, day or instant lies between two, both included.
    Between,
    /// A day or instant is earlier.
    Before,
    /// A day or instant is later.
    After,
    /// A day or instant lies in the past, at most so long ago.
    WithinLast,
    /// A day or instant lies in the future, at most so far.
    WithinNext,
    /// A day or instant lies more than so long ago.
    MoreThanAgo,
    /// A day or instant lies between so long and so long ago.
    BetweenAgo,
    /// The anniversary of a day is the given day, `today` for one.
    Anniversary,
    /// The anniversary of a day is in exactly so many days from today.
    AnniversaryIn,
    /// The anniversary of a day is today or within the next so many days.
    AnniversaryWithin,
    /// A day is one of these days of the week.
    Weekday,
    /// A day is in one of these months, of any year.
    Month,
    /// A day is in a calendar period, as in `this_month`.
    Calendar,
    /// Some of the options are chosen.
    IncludesAny,
    /// All of the options are chosen.
    IncludesAll,
    /// None of the options is chosen; true when nothing is.
    IncludesNone,
    /// There is a value (`true`), or none (`false`).
    HasValue,
}

/// What is compared: the left side's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Characters.
    Text,
    /// A whole or decimal number.
    Number,
    /// A calendar day.
    Date,
    /// An instant.
    Instant,
    /// Several texts: chosen options, tags, categories.
    Options,
    /// True or false.
    Boolean,
    /// Products: only whether there are any.
    Products,
    /// Known only when it is there (a property of an event): the right side says how it is read.
    Any,
}

/// What stands on the right of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    One,
    /// A list of values.
    Many,
    /// Two values.
    Two,
    /// A duration.
    Period,
    /// Two durations.
    Periods,
    /// A number of days.
    Days,
    /// Names of days of the week.
    Weekdays,
    /// Names or numbers of months.
    Months,
    /// A calendar period's name.
    Calendar,
    /// True or false.
    Truth,
}

impl Operator {
    /// All, with their words in files.
    pub const ALL: [(&'static str, Self); 31] = [
        ("is", Self::Is),
        ("is_not", Self::IsNot),
        ("one_of", Self::OneOf),
        ("none_of", Self::NoneOf),
        ("contains", Self::Contains),
        ("contains_not", Self::ContainsNot),
        ("starts_with", Self::StartsWith),
        ("starts_not_with", Self::StartsNotWith),
        ("ends_with", Self::EndsWith),
        ("ends_not_with", Self::EndsNotWith),
        ("greater_than", Self::GreaterThan),
        ("at_least", Self::AtLeast),
        ("less_than", Self::LessThan),
        ("at_most", Self::AtMost),
        ("between", Self::Between),
        ("before", Self::Before),
        ("after", Self::After),
        ("within_last", Self::WithinLast),
        ("within_next", Self::WithinNext),
        ("more_than_ago", Self::MoreThanAgo),
        ("between_ago", Self::BetweenAgo),
        ("anniversary", Self::Anniversary),
        ("anniversary_in", Self::AnniversaryIn),
        ("anniversary_within", Self::AnniversaryWithin),
        ("weekday", Self::Weekday),
        ("month", Self::Month),
        ("calendar", Self::Calendar),
        ("includes_any", Self::IncludesAny),
        ("includes_all", Self::IncludesAll),
        ("includes_none", Self::IncludesNone),
        ("has_value", Self::HasValue),
    ];

    /// Its word in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, operator)| *operator == self).map_or("", |(word, _)| word)
    }

    /// The operator of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == word).map(|(_, operator)| *operator)
    }

    /// What it wants on its right.
    #[must_use]
    pub const fn shape(self) -> Shape {
        match self {
            Self::OneOf | Self::NoneOf | Self::IncludesAny | Self::IncludesAll | Self::IncludesNone => {
                Shape::Many
            }
            Self::Between => Shape::Two,
            Self::WithinLast | Self::WithinNext | Self::MoreThanAgo => Shape::Period,
            Self::BetweenAgo => Shape::Periods,
            Self::AnniversaryIn | Self::AnniversaryWithin => Shape::Days,
            Self::Weekday => Shape::Weekdays,
            Self::Month => Shape::Months,
            Self::Calendar => Shape::Calendar,
            Self::HasValue => Shape::Truth,
            _ => Shape::One,
        }
    }

    /// Whether it can be asked of such a left side.
    #[must_use]
    pub const fn fits(self, kind: Kind) -> bool {
        match self {
            Self::HasValue => true,
            Self::Is | Self::IsNot => !matches!(kind, Kind::Products),
            Self::OneOf | Self::NoneOf => {
                matches!(kind, Kind::Text | Kind::Number | Kind::Date | Kind::Instant | Kind::Any)
            }
            Self::Contains
            | Self::ContainsNot
            | Self::StartsWith
            | Self::StartsNotWith
            | Self::EndsWith
            | Self::EndsNotWith => matches!(kind, Kind::Text | Kind::Options | Kind::Any),
            Self::GreaterThan | Self::AtLeast | Self::LessThan | Self::AtMost => {
                matches!(kind, Kind::Number | Kind::Any)
            }
            Self::Between => matches!(kind, Kind::Number | Kind::Date | Kind::Instant | Kind::Any),
            Self::IncludesAny | Self::IncludesAll | Self::IncludesNone => {
                matches!(kind, Kind::Options | Kind::Any)
            }
            _ => matches!(kind, Kind::Date | Kind::Instant | Kind::Any),
        }
    }

    /// The operator that is true exactly when this one is false, where it is asked as a negative: the positive one.
    #[must_use]
    pub const fn positive_of_negative(self) -> Option<Self> {
        match self {
            Self::IsNot => Some(Self::Is),
            Self::NoneOf => Some(Self::OneOf),
            Self::ContainsNot => Some(Self::Contains),
            Self::StartsNotWith => Some(Self::StartsWith),
            Self::EndsNotWith => Some(Self::EndsWith),
            Self::IncludesNone => Some(Self::IncludesAny),
            _ => None,
        }
    }
}

impl Kind {
    /// Its word in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
            Self::Instant => "instant",
            Self::Options => "list",
            Self::Boolean => "true or false",
            Self::Products => "products",
            Self::Any => "anything",
        }
    }

    /// The kind of a field's values.
    #[must_use]
    pub const fn of_field(kind: &FieldType) -> Self {
        match kind {
            FieldType::Text | FieldType::Email | FieldType::Phone | FieldType::Radio { .. } => Self::Text,
            FieldType::Integer { .. } | FieldType::Decimal { .. } => Self::Number,
            FieldType::Date => Self::Date,
            FieldType::Instant => Self::Instant,
            FieldType::Checkbox { .. } => Self::Options,
            FieldType::Boolean => Self::Boolean,
        }
    }

    /// The kind of a value.
    #[must_use]
    pub const fn of_value(value: &Value) -> Self {
        match value {
            Value::Text(_) => Self::Text,
            Value::Integer(_) | Value::Decimal(_) => Self::Number,
            Value::Date(_) => Self::Date,
            Value::Instant(_) => Self::Instant,
            Value::Options(_) => Self::Options,
            Value::Boolean(_) => Self::Boolean,
        }
    }

    /// Whether data of another kind may stand on the right of it.
    #[must_use]
    pub fn takes(self, right: Self) -> bool {
        self == right
            || self == Self::Any
            || right == Self::Any
            || matches!((self, right), (Self::Date | Self::Instant, Self::Date | Self::Instant))
            || matches!((self, right), (Self::Options, Self::Text) | (Self::Text, Self::Options))
    }

    /// The operators that can be asked of it, by word.
    pub fn operators(self) -> impl Iterator<Item = &'static str> + Clone {
        Operator::ALL.iter().filter(move |(_, operator)| operator.fits(self)).map(|(word, _)| *word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_has_one_word_and_some_kind() {
        for (word, operator) in Operator::ALL {
            assert_eq!(Operator::of_word(word), Some(operator));
            assert_eq!(operator.word(), word);
            assert!(operator.fits(Kind::Any), "{word}");
        }
    }
}
