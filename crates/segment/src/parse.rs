//! Reading conditions: what all leaves share. Every problem is collected, with its place, before anything is refused.

use model::{
    Amount, FieldType, Period, Problem, Problems, Timestamp, Value, Zone,
    doc::{Data, Entry, Fields, Node},
};

use crate::{
    Operand, Operator, Schema,
    dates::Calendar,
    operator::{Kind, Shape},
    test::{Right, Test, Tests},
};

/// Most leaves (comparisons, memberships, activities) in one condition.
pub const LEAVES_MAX: usize = 100;
/// Most values of one list on the right of an operator.
pub const VALUES_MAX: usize = 1_000;
/// Greatest number of days of `anniversary_in` and `anniversary_within`.
pub const ANNIVERSARY_DAYS_MAX: i64 = 366;

/// Days of the week, Monday first.
pub const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// Months, January first.
pub const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// What a left side is, as far as the right side must know.
#[derive(Clone, Debug)]
pub struct ValueType {
    /// Its kind.
    pub kind: Kind,
    /// The only texts that it can be, where there is such a list.
    pub options: Option<Vec<String>>,
}

impl ValueType {
    /// A kind without a list of options.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self { kind, options: None }
    }

    /// Of a contact's field.
    #[must_use]
    pub fn of_field(kind: &FieldType) -> Self {
        let options = match kind {
            FieldType::Checkbox { options } | FieldType::Radio { options } => {
                Some(options.iter().map(|option| option.id.clone()).collect())
            }
            _ => None,
        };
        Self { kind: Kind::of_field(kind), options }
    }
}

/// Reads, and collects what is wrong.
pub struct Parser<'s, 'r> {
    pub(crate) schema: &'s Schema<'r>,
    pub(crate) problems: Problems,
    pub(crate) check_refs: bool,
    pub(crate) no_refs: bool,
    leaves: usize,
}

type NodeReader<'s, 'r, T> = fn(&mut Parser<'s, 'r>, &Node, &str) -> Option<T>;

impl<'s, 'r> Parser<'s, 'r> {
    pub(crate) const fn new(schema: &'s Schema<'r>) -> Self {
        Self { schema, problems: Vec::new(), check_refs: true, no_refs: false, leaves: 0 }
    }

    pub(crate) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(crate) fn need<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// What was read, unless something is wrong with it.
    pub(crate) fn finish<T>(self, read: Option<T>) -> Result<T, Problems> {
        match read {
            Some(read) if !self.problems.iter().any(Problem::is_error) => Ok(read),
            _ => Err(self.problems),
        }
    }

    pub(crate) fn mapping<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Entry]> {
        let entries = node.entries();
        if entries.is_none_or(<[Entry]>::is_empty) {
            let message = format!("expected a condition, found {}", node.kind());
            self.report(
                node.problem("condition.expected", message).field(path).cure(
                    "write it as in {field: country, is: France}, or all: [ … ], any: [ … ], not: { … }",
                ),
            );
            return None;
        }
        entries
    }

    pub(crate) fn fields<'n>(&mut self, node: &'n Node, path: &str) -> Option<Fields<'n>> {
        let fields = node.fields(path);
        self.need(fields)
    }

    pub(crate) fn finish_fields(&mut self, fields: Fields<'_>) {
        self.problems.extend(fields.finish());
    }

    /// `all`, `any` and `not` stand alone in their mapping.
    pub(crate) fn alone(&mut self, entries: &[Entry], key: &str, path: &str) -> bool {
        let Some(other) = entries.iter().find(|entry| entry.key != key) else { return true };
        let message = format!("`{key}` and `{}` stand in one mapping", other.key);
        self.report(
            Problem::new("condition.mixed", message)
                .field(path)
                .at(other.place)
                .cure(format!("put `{key}` into a list item of its own")),
        );
        false
    }

    pub(crate) fn branches<T>(
        &mut self,
        node: &Node,
        path: &str,
        read: NodeReader<'s, 'r, T>,
    ) -> Option<Vec<T>> {
        let Some(items) = node.items() else {
            let message = format!("expected a list of conditions, found {}", node.kind());
            self.report(node.problem("condition.expected_list", message).field(path));
            return None;
        };
        if items.is_empty() {
            self.report(node.problem("condition.empty", "the list of conditions is empty").field(path));
            return None;
        }
        // All are read before one that is wrong makes the whole wrong: one run names all problems.
        let read: Vec<Option<T>> =
            items.iter().enumerate().map(|(i, item)| read(self, item, &format!("{path}.{i}"))).collect();
        read.into_iter().collect()
    }

    pub(crate) fn count_leaf(&mut self, node: &Node, path: &str) -> Option<()> {
        self.leaves += 1;
        if self.leaves == LEAVES_MAX + 1 {
            let message = format!("more than {LEAVES_MAX} conditions in one tree");
            self.report(
                node.problem("condition.too_many", message).field(path).cure("split it into segments"),
            );
        }
        (self.leaves <= LEAVES_MAX).then_some(())
    }

    /// Reads every operator of a mapping that compares something of this type.
    pub(crate) fn tests(&mut self, fields: &mut Fields<'_>, left: &ValueType) -> Option<Tests> {
        self.tests_but(fields, left, &[])
    }

    /// As [`Parser::tests`], where these words mean something else.
    pub(crate) fn tests_but(
        &mut self,
        fields: &mut Fields<'_>,
        left: &ValueType,
        but: &[&str],
    ) -> Option<Tests> {
        let tests = self.some_tests(fields, left, but)?;
        if tests.0.is_empty() {
            let words: Vec<&str> = left.kind.operators().collect();
            self.report(
                Problem::new("condition.no_operator", "no operator says what must hold")
                    .field(fields.path.clone())
                    .at(fields.place)
                    .cure(format!("add one of: {}", words.join(", "))),
            );
            return None;
        }
        Some(tests)
    }

    /// As [`Parser::tests`], where no operator is fine too. None when something is wrong.
    pub(crate) fn tests_or_none(&mut self, fields: &mut Fields<'_>, left: &ValueType) -> Option<Tests> {
        self.some_tests(fields, left, &[])
    }

    fn some_tests(&mut self, fields: &mut Fields<'_>, left: &ValueType, but: &[&str]) -> Option<Tests> {
        let exactly = fields.boolean("exactly");
        let exactly = self.need(exactly)?.unwrap_or(false);
        let mut tests = Vec::new();
        let mut sound = true;
        for (word, operator) in Operator::ALL {
            if but.contains(&word) {
                continue;
            }
            let Some(node) = fields.optional(word) else { continue };
            let path = fields.path_of(word);
            if !operator.fits(left.kind) {
                let words: Vec<&str> = left.kind.operators().collect();
                let message = format!("`{word}` cannot be asked of {}", left.kind.word());
                self.report(
                    Problem::new("condition.operator", message)
                        .field(path)
                        .at(node.place)
                        .cure(format!("use one of: {}", words.join(", "))),
                );
                sound = false;
                continue;
            }
            match self.right(node, operator, left, &path) {
                Some(right) => tests.push(Test { operator, right, exactly }),
                None => sound = false,
            }
        }
        sound.then_some(Tests(tests))
    }

    fn right(&mut self, node: &Node, operator: Operator, left: &ValueType, path: &str) -> Option<Right> {
        match operator.shape() {
            Shape::One => self.operand(node, operator, left, path).map(|one| Right::Values(vec![one])),
            Shape::Many => self.many(node, operator, left, path).map(Right::Values),
            Shape::Two => self.two(node, operator, left, path),
            Shape::Period => self.period(node, path).map(Right::Period),
            Shape::Periods => self.periods(node, path).map(|(near, far)| Right::Periods(near, far)),
            Shape::Days => self.days(node, path).map(Right::Days),
            Shape::Weekdays => self.names(node, &WEEKDAYS, path).map(|bits| Right::Weekdays(bits as u8)),
            Shape::Months => self.names(node, &MONTHS, path).map(Right::Months),
            Shape::Calendar => self.calendar(node, path).map(Right::Calendar),
            Shape::Truth => self.truth(node, path).map(Right::Truth),
        }
    }

    fn many(
        &mut self,
        node: &Node,
        operator: Operator,
        left: &ValueType,
        path: &str,
    ) -> Option<Vec<Operand>> {
        let items = node.items().unwrap_or(std::slice::from_ref(node));
        if items.is_empty() || items.len() > VALUES_MAX {
            let message = format!("the list has {} values", items.len());
            let problem = node.problem("condition.values", message).field(path);
            self.report(problem.cure(format!("give 1 to {VALUES_MAX}")));
            return None;
        }
        let read: Vec<Option<Operand>> =
            items.iter().map(|item| self.operand(item, operator, left, path)).collect();
        read.into_iter().collect()
    }

    fn two(&mut self, node: &Node, operator: Operator, left: &ValueType, path: &str) -> Option<Right> {
        let Some([low, high]) = node.items() else {
            self.report(
                node.problem("condition.two_values", format!("`{}` needs two values", operator.word()))
                    .field(path)
                    .cure("write it as in between: [10, 20]"),
            );
            return None;
        };
        let (low, high) = (self.operand(low, operator, left, path), self.operand(high, operator, left, path));
        Some(Right::Values(vec![low?, high?]))
    }

    /// One value on the right: a literal of the left side's type, a reference, `now`, `today`.
    fn operand(&mut self, node: &Node, operator: Operator, left: &ValueType, path: &str) -> Option<Operand> {
        if node.entries().is_some() {
            let reference = Operand::reference(node);
            let Some(operand) = self.need(reference)? else {
                let message = format!("expected a value or {{ref: …}}, found {}", node.kind());
                self.report(node.problem("condition.value", message).field(path));
                return None;
            };
            self.check_ref(node, &operand, left.kind, path)?;
            return Some(operand);
        }
        let temporal = matches!(left.kind, Kind::Date | Kind::Instant)
            || (left.kind == Kind::Any
                && matches!(
                    operator,
                    Operator::Before | Operator::After | Operator::Anniversary | Operator::Between
                ));
        match node.text() {
            Some("now") if temporal => return Some(Operand::Now),
            Some("today") if temporal => return Some(Operand::Today),
            _ => {}
        }
        let literal =
            literal(node, operator, left.kind).map_err(|problem| problem.at(node.place).field(path));
        let value = self.need(literal)?;
        self.check_option(node, operator, &value, left, path)?;
        Some(Operand::Literal(value))
    }

    pub(crate) fn check_ref(&mut self, node: &Node, operand: &Operand, left: Kind, path: &str) -> Option<()> {
        if self.no_refs {
            let problem =
                node.problem("ref.not_here", "a segment cannot refer to data inside activities and carts");
            self.report(problem.field(path).cure("write the value out, or ask it in a node of a journey"));
            return None;
        }
        let (true, Some(reference)) = (self.check_refs, operand.path()) else { return Some(()) };
        let kind = self.schema.ref_kind(reference).map_err(|problem| problem.at(node.place).field(path));
        let kind = self.need(kind)?;
        if !left.takes(kind) {
            let message =
                format!("`{reference}` is {}, which cannot be compared with {}", kind.word(), left.word());
            self.report(node.problem("condition.type", message).field(path));
            return None;
        }
        Some(())
    }

    fn check_option(
        &mut self,
        node: &Node,
        operator: Operator,
        value: &Value,
        left: &ValueType,
        path: &str,
    ) -> Option<()> {
        let partial = matches!(
            operator,
            Operator::Contains | Operator::StartsWith | Operator::EndsWith | Operator::ContainsNot
        ) || matches!(operator, Operator::StartsNotWith | Operator::EndsNotWith);
        let (Some(options), false, Value::Text(text)) = (&left.options, partial, value) else {
            return Some(());
        };
        if options.contains(text) {
            return Some(());
        }
        let problem = node.problem("field.unknown_option", format!("`{text}` is not an option")).field(path);
        self.report(problem.suggest(text, options.iter().map(String::as_str)));
        None
    }

    /// An ISO 8601 duration.
    pub(crate) fn period(&mut self, node: &Node, path: &str) -> Option<Period> {
        let text = node.scalar().unwrap_or_default();
        let period = Period::parse(&text).map_err(|problem| problem.at(node.place).field(path));
        let period = self.need(period)?;
        if period.is_zero() {
            self.report(node.problem("period.zero", "the duration is zero").field(path));
            return None;
        }
        Some(period)
    }

    /// Two durations, the shorter first.
    pub(crate) fn periods(&mut self, node: &Node, path: &str) -> Option<(Period, Period)> {
        let Some([near, far]) = node.items() else {
            let problem = node.problem("condition.two_values", "two durations are needed").field(path);
            self.report(problem.cure("write it as in between_ago: [P7D, P30D]"));
            return None;
        };
        let (near, far) = (self.period(near, path), self.period(far, path));
        let (near, far) = (near?, far?);
        // Compared from a fixed day, so that months and days can be.
        let day = Timestamp(0);
        if near.after(day) >= far.after(day) {
            let problem =
                node.problem("condition.order", "the first duration must be the shorter one").field(path);
            self.report(problem.cure(format!("write it as [{far}, {near}]")));
            return None;
        }
        Some((near, far))
    }

    fn days(&mut self, node: &Node, path: &str) -> Option<i32> {
        let days = node.integer().or_else(|| {
            let period = Period::parse(node.text()?).ok()?;
            (period.months == 0 && period.micros % Timestamp::DAY == 0)
                .then_some(period.micros / Timestamp::DAY)
        });
        match days {
            Some(days) if (0..=ANNIVERSARY_DAYS_MAX).contains(&days) => i32::try_from(days).ok(),
            _ => {
                let message = format!("expected 0 to {ANNIVERSARY_DAYS_MAX} days, as in 7 or P7D");
                self.report(node.problem("condition.days", message).field(path));
                None
            }
        }
    }

    /// Names of a fixed list (or their numbers from 1) as bits.
    fn names(&mut self, node: &Node, known: &[&str], path: &str) -> Option<u16> {
        let items = node.items().unwrap_or(std::slice::from_ref(node));
        let mut bits = 0;
        for item in items {
            let text = item.scalar().unwrap_or_default().to_lowercase();
            let number = text.parse::<usize>().ok().filter(|n| (1..=known.len()).contains(n)).map(|n| n - 1);
            let Some(at) = number.or_else(|| known.iter().position(|name| *name == text)) else {
                let problem =
                    item.problem("condition.name", format!("`{text}` is not known here")).field(path);
                self.report(problem.suggest(&text, known.iter().copied()));
                return None;
            };
            bits |= 1_u16 << at;
        }
        if bits == 0 {
            self.report(node.problem("condition.values", "the list is empty").field(path));
            return None;
        }
        Some(bits)
    }

    /// A calendar period's name.
    pub(crate) fn calendar(&mut self, node: &Node, path: &str) -> Option<Calendar> {
        let word = node.text().unwrap_or_default();
        let found = Calendar::ALL.iter().find(|(own, _)| *own == word).map(|(_, calendar)| *calendar);
        if found.is_none() {
            let problem =
                node.problem("condition.calendar", format!("`{word}` is no calendar period")).field(path);
            self.report(problem.suggest(word, Calendar::ALL.iter().map(|(own, _)| *own)));
        }
        found
    }

    fn truth(&mut self, node: &Node, path: &str) -> Option<bool> {
        if let Data::Bool(truth) = node.data {
            return Some(truth);
        }
        let message = format!("expected true or false, found {}", node.kind());
        self.report(node.problem("doc.type", message).field(path));
        None
    }

    /// An instant, or the first instant of a day, in UTC unless it says otherwise.
    pub(crate) fn instant(&mut self, node: &Node, path: &str) -> Option<Timestamp> {
        let text = node.scalar().unwrap_or_default();
        let at = Timestamp::parse(&text, &Zone::UTC).map_err(|problem| problem.at(node.place).field(path));
        self.need(at)
    }
}

/// A literal of a kind. Numbers may not be given as texts, nor texts as numbers, but for `Any`.
fn literal(node: &Node, operator: Operator, kind: Kind) -> Result<Value, Problem> {
    let wrong = |what: &str, example: &str| {
        node.problem("condition.value", format!("expected {what}, found {}", node.kind()))
            .cure(format!("write it as in {example}"))
    };
    let number = |text: &str| match text.parse::<i64>() {
        Ok(n) => Ok(Value::Integer(n)),
        Err(_) => Amount::parse(text).map(Value::Decimal),
    };
    let date = |text: &str| model::field::parse_date(text).map(Value::Date);
    match kind {
        Kind::Number => match &node.data {
            Data::Number(text) => number(text),
            _ => Err(wrong("a number", "12.50")),
        },
        Kind::Boolean => match node.data {
            Data::Bool(truth) => Ok(Value::Boolean(truth)),
            _ => Err(wrong("true or false", "true")),
        },
        Kind::Date => node.text().and_then(date).ok_or_else(|| wrong("a day", "2026-11-22 or today")),
        Kind::Instant => {
            let text = node
                .text()
                .ok_or_else(|| wrong("a day or an instant", "2026-11-22T08:00:00Z, today or now"))?;
            date(text).map_or_else(|| Timestamp::parse(text, &Zone::UTC).map(Value::Instant), Ok)
        }
        Kind::Text | Kind::Options => match &node.data {
            // Postal codes, sizes and the like look like numbers.
            Data::Text(text) | Data::Number(text) if !text.is_empty() => Ok(Value::Text(text.clone())),
            Data::Text(_) => Err(node
                .problem("condition.value", "the text is empty")
                .cure("to ask whether there is a value write has_value: false")),
            _ => Err(wrong("a text", "France")),
        },
        Kind::Products => Err(wrong("has_value", "has_value: true")),
        Kind::Any => match (&node.data, operator) {
            (
                Data::Text(text),
                Operator::Before | Operator::After | Operator::Anniversary | Operator::Between,
            ) => date(text).map_or_else(|| Timestamp::parse(text, &Zone::UTC).map(Value::Instant), Ok),
            (Data::Number(text), _) => number(text),
            (Data::Bool(truth), _) => Ok(Value::Boolean(*truth)),
            (Data::Text(text), _) if !text.is_empty() => Ok(Value::Text(text.clone())),
            _ => Err(wrong("a value", "12.50 or France")),
        },
    }
}
