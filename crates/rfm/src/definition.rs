//! What an RFM model is: its window, its cut points, its table from codes to groups.

use model::{Lang, Localized, Period, Slug, Timestamp};
use serde_json::{Value, json};

use crate::Ratio;

/// How the values of a dimension are cut into classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// At these shares of the contacts, each strictly between 0 and 1, ascending.
    Quantiles(Vec<Ratio>),
    /// At these values, ascending: days of recency, numbers of orders, amounts in ten-thousandths.
    Values(Vec<Ratio>),
}

impl Cuts {
    /// How many cut points.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Quantiles(list) | Self::Values(list) => list.len(),
        }
    }
}

/// What the monetary dimension measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The average order.
    Average,
    /// All orders together.
    Sum,
}

/// A named group of codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its slug, as in `cant_lose_them`.
    pub slug: Slug,
    /// What people call it.
    pub name: Localized,
}

/// An RFM model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RfmModel {
    /// Its slug, as in `classic-11`.
    pub slug: Slug,
    /// What people call it.
    pub name: Localized,
    /// Orders no older than this count; all when none.
    pub window: Option<Period>,
    /// Scores go from 1 to this.
    pub levels: u8,
    /// Cut points of recency, in whole days elapsed since the last order.
    pub recency: Cuts,
    /// Cut points of the number of orders.
    pub frequency: Cuts,
    /// Cut points of what `measure` says.
    pub monetary: Cuts,
    /// What the monetary dimension measures.
    pub measure: Measure,
    /// Leave out orders that come to nothing.
    pub positive_orders_only: bool,
    /// The groups, best first.
    pub groups: Vec<Group>,
    /// The place in `groups` of each code, by [`RfmModel::place_of`].
    pub(crate) table: Vec<u8>,
}

impl RfmModel {
    /// Fewest levels of a score.
    pub const LEVELS_MIN: u8 = 2;
    /// Most levels of a score: a score is one digit.
    pub const LEVELS_MAX: u8 = 9;
    /// Most groups of a model.
    pub const GROUPS_MAX: usize = 100;
    /// Largest denominator of a quantile.
    pub const QUANTILE_DENOMINATOR_MAX: i128 = 1_000_000;

    /// Slugs of the models that are built in.
    pub const BUILT_IN: [&'static str; 2] = ["classic-11", "groups-6"];

    /// The file of a built-in model, to read or to begin one's own from.
    #[must_use]
    pub fn built_in_file(slug: &str) -> Option<&'static str> {
        match slug {
            "classic-11" => Some(include_str!("../models/classic-11.yaml")),
            "groups-6" => Some(include_str!("../models/groups-6.yaml")),
            _ => None,
        }
    }

    /// A built-in model: `classic-11` (R, F and M from 1 to 5, M the average order, 125 codes, two years) or `groups-6`
    /// (from 1 to 3, fixed days of recency, M the total, orders above zero only, 27 codes).
    #[must_use]
    pub fn built_in(slug: &str) -> Option<Self> {
        Self::parse(Self::built_in_file(slug)?).ok()
    }

    /// First instant of the window that ends at `at`.
    #[must_use]
    pub fn window_start(&self, at: Timestamp) -> Timestamp {
        self.window.map_or(Timestamp::MIN, |window| window.before(at))
    }

    /// Where a code stands in the table.
    pub(crate) fn place_of(&self, recency: u8, frequency: u8, monetary: u8) -> usize {
        let levels = usize::from(self.levels);
        (usize::from(recency - 1) * levels + usize::from(frequency - 1)) * levels + usize::from(monetary - 1)
    }

    /// The place in [`RfmModel::groups`] of three scores, each from 1 to `levels`.
    #[must_use]
    pub fn group_of(&self, recency: u8, frequency: u8, monetary: u8) -> usize {
        usize::from(self.table[self.place_of(recency, frequency, monetary)])
    }

    /// The label of a group by its slug, [`NO_GROUP`]'s too; the slug itself when the model does not know it.
    #[must_use]
    pub fn label<'a>(&'a self, group: &'a str, lang: Lang) -> &'a str {
        if group == NO_GROUP {
            return match lang {
                Lang::En => "No order in the window",
                Lang::Fr => "Aucune commande sur la période",
            };
        }
        let known = self.groups.iter().find(|one| one.slug.as_str() == group);
        known.map(|one| one.name.get(lang)).filter(|name| !name.is_empty()).unwrap_or(group)
    }

    /// All codes as digits with the place of their group, from 111 up.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (u16, usize)> + '_ {
        let levels = u16::from(self.levels);
        self.table.iter().zip(0..).map(move |(group, place): (&u8, u16)| {
            let (r, f, m) = (place / levels / levels + 1, place / levels % levels + 1, place % levels + 1);
            (r * 100 + f * 10 + m, usize::from(*group))
        })
    }

    /// The definition as JSON, in the file's form: [`RfmModel::parse`] reads it back. Two models with the same JSON
    /// score alike and are labelled alike.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let cuts = |cuts: &Cuts, values: &str, scale: i128| match cuts {
            Cuts::Quantiles(list) => {
                json!({"quantiles": list.iter().map(ToString::to_string).collect::<Vec<_>>()})
            }
            Cuts::Values(list) => {
                let texts = list
                    .iter()
                    .filter_map(|value| Ratio::new(value.numerator(), value.denominator() * scale));
                json!({values: texts.map(|value| value.to_string()).collect::<Vec<_>>()})
            }
        };
        let mut monetary = cuts(&self.monetary, "values", 10_000);
        monetary["measure"] = json!(match self.measure {
            Measure::Average => "average",
            Measure::Sum => "sum",
        });
        let groups: Vec<Value> = self
            .groups
            .iter()
            .enumerate()
            .map(|(i, group)| {
                let codes: Vec<u16> =
                    self.codes().filter(|(_, place)| *place == i).map(|(code, _)| code).collect();
                json!({"slug": group.slug, "name": group.name, "codes": codes})
            })
            .collect();
        json!({
            "format": 1,
            "model": self.slug,
            "name": self.name,
            "window": self.window.map_or_else(|| "all".to_owned(), |window| window.to_string()),
            "levels": self.levels,
            "recency": cuts(&self.recency, "days", 1),
            "frequency": cuts(&self.frequency, "values", 1),
            "monetary": monetary,
            "positive_orders_only": self.positive_orders_only,
            "groups": groups,
        })
    }
}

/// Slug of the group of contacts of whom no order is inside the window any more; no model may use it for one of its own.
pub const NO_GROUP: &str = "none";
