//! The use cases of the step and the orders that products can be asked in, by the words that files use.

use model::{Period, Problem, doc::Node};

use crate::rank::{Metric, RankingKey};

/// Where the products of one half of the step come from (spec §2.6.2: 20 use cases, and the contact's own repeats).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Case {
    /// Products named one by one.
    Manual,
    /// All products of the origin that satisfy the conditions.
    Filtered,
    /// Most visited in a period.
    MostVisited,
    /// Best-selling in a period.
    BestSelling,
    /// Learned: related to what the contact bought, put into a cart and visited ("products by affinity").
    ContactAffinity,
    /// What the contact visited, the latest first.
    LastVisited,
    /// What the contact put into a cart and did not buy, the latest first.
    LastAddedNotBought,
    /// What the contact bought, the latest first.
    LastPurchased,
    /// Learned: related to a product.
    RelatedToProduct,
    /// Learned: related to a list of products.
    RelatedToList,
    /// Learned: related to the products of a cart.
    RelatedToCart,
    /// Learned: related to the products of a purchase.
    RelatedToPurchase,
    /// Bought in the same orders as a product.
    BoughtTogetherProduct,
    /// Bought in the same orders as the products of a list.
    BoughtTogetherList,
    /// Bought in the same orders as the products of a cart.
    BoughtTogetherCart,
    /// Bought in the same orders as the products of a purchase.
    BoughtTogetherPurchase,
    /// Linked by the shop to a product.
    LinkedToProduct,
    /// Linked by the shop to the products of a list.
    LinkedToList,
    /// Linked by the shop to the products of a cart.
    LinkedToCart,
    /// Linked by the shop to the products of a purchase.
    LinkedToPurchase,
    /// What the contact buys again and again: its own purchases weighted by how long ago they were.
    OwnRepeats,
}

impl Case {
    /// All of them, with the words that files use.
    pub const WORDS: [(Self, &'static str); 21] = [
        (Self::Manual, "manual"),
        (Self::Filtered, "filtered"),
        (Self::MostVisited, "most_visited"),
        (Self::BestSelling, "best_selling"),
        (Self::ContactAffinity, "contact_affinity"),
        (Self::LastVisited, "last_visited"),
        (Self::LastAddedNotBought, "last_added_not_bought"),
        (Self::LastPurchased, "last_purchased"),
        (Self::RelatedToProduct, "related_to_product"),
        (Self::RelatedToList, "related_to_list"),
        (Self::RelatedToCart, "related_to_cart"),
        (Self::RelatedToPurchase, "related_to_purchase"),
        (Self::BoughtTogetherProduct, "bought_together_product"),
        (Self::BoughtTogetherList, "bought_together_list"),
        (Self::BoughtTogetherCart, "bought_together_cart"),
        (Self::BoughtTogetherPurchase, "bought_together_purchase"),
        (Self::LinkedToProduct, "linked_to_product"),
        (Self::LinkedToList, "linked_to_list"),
        (Self::LinkedToCart, "linked_to_cart"),
        (Self::LinkedToPurchase, "linked_to_purchase"),
        (Self::OwnRepeats, "own_repeats"),
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(case, _)| *case == self).map_or("", |(_, word)| word)
    }

    /// Reads a word.
    ///
    /// # Errors
    /// `products.case` with the nearest word.
    pub fn parse(node: &Node, path: &str) -> Result<Self, Problem> {
        let word = node.text().unwrap_or_default();
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(case, _)| *case).ok_or_else(|| {
            node.problem("products.case", format!("`{}` is no use case", node.scalar().unwrap_or_default()))
                .field(path)
                .suggest(word, Self::WORDS.iter().map(|(_, known)| *known))
        })
    }

    /// Whether the relation is learned from what everybody bought. Such cases leave out what the contact bought in
    /// the last [`crate::step::EXCLUDE_BOUGHT_DAYS`] days unless unticked (design §8).
    #[must_use]
    pub const fn is_learned(self) -> bool {
        matches!(
            self,
            Self::ContactAffinity
                | Self::RelatedToProduct
                | Self::RelatedToList
                | Self::RelatedToCart
                | Self::RelatedToPurchase
                | Self::BoughtTogetherProduct
                | Self::BoughtTogetherList
                | Self::BoughtTogetherCart
                | Self::BoughtTogetherPurchase
        )
    }

    /// Whether it starts from products that `related_to` names.
    #[must_use]
    pub const fn takes_related(self) -> bool {
        matches!(
            self,
            Self::RelatedToProduct
                | Self::RelatedToList
                | Self::RelatedToCart
                | Self::RelatedToPurchase
                | Self::BoughtTogetherProduct
                | Self::BoughtTogetherList
                | Self::BoughtTogetherCart
                | Self::BoughtTogetherPurchase
                | Self::LinkedToProduct
                | Self::LinkedToList
                | Self::LinkedToCart
                | Self::LinkedToPurchase
        )
    }

    /// Whether it lists what the contact bought: leaving that out again makes no sense.
    #[must_use]
    pub const fn lists_bought(self) -> bool {
        matches!(self, Self::LastPurchased | Self::OwnRepeats)
    }

    /// Whether it ranks all products over a period.
    #[must_use]
    pub const fn takes_period(self) -> bool {
        matches!(self, Self::MostVisited | Self::BestSelling)
    }

    /// Whether it takes a date window (`within`) on what the contact did.
    #[must_use]
    pub const fn takes_within(self) -> bool {
        matches!(
            self,
            Self::LastVisited
                | Self::LastPurchased
                | Self::LastAddedNotBought
                | Self::OwnRepeats
                | Self::ContactAffinity
        )
    }

    /// Whether an order can be chosen (filtered, linked and learned cases; spec §2.6.3).
    #[must_use]
    pub const fn takes_order(self) -> bool {
        matches!(self, Self::Filtered) || self.takes_related() || matches!(self, Self::ContactAffinity)
    }
}

/// The order in which a case gives its products; what is not chosen breaks ties: priority, then the older product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// The case's own: strongest relation first, latest first, best-selling first.
    Default,
    /// Cheapest first.
    PriceAscending,
    /// Dearest first.
    PriceDescending,
    /// Best rated first; unrated last.
    RatingDescending,
    /// The shop's priority, highest first.
    PriorityDescending,
    /// Newest on sale first; undated last.
    Newest,
    /// Most sold or visited in a period first.
    Ranked(Metric, Period),
}

impl Order {
    /// The words that files use; rankings of other lengths are written with `order: {best_selling: P45D}`.
    pub const WORDS: [(&'static str, Self); 12] = [
        ("default", Self::Default),
        ("price_ascending", Self::PriceAscending),
        ("price_descending", Self::PriceDescending),
        ("rating_descending", Self::RatingDescending),
        ("priority_descending", Self::PriorityDescending),
        ("newest", Self::Newest),
        ("best_selling_last_week", Self::Ranked(Metric::Sales, Period::days(7))),
        ("best_selling_last_month", Self::Ranked(Metric::Sales, Period { months: 1, micros: 0 })),
        ("best_selling_last_3_months", Self::Ranked(Metric::Sales, Period { months: 3, micros: 0 })),
        ("most_visited_last_week", Self::Ranked(Metric::Visits, Period::days(7))),
        ("most_visited_last_month", Self::Ranked(Metric::Visits, Period { months: 1, micros: 0 })),
        ("most_visited_last_3_months", Self::Ranked(Metric::Visits, Period { months: 3, micros: 0 })),
    ];

    /// Reads a word, or `{best_selling: P45D}`, `{most_visited: P45D}`.
    ///
    /// # Errors
    /// `products.order` with the nearest word, `period.invalid`.
    pub fn parse(node: &Node, path: &str) -> Result<Self, Problem> {
        if let Some([entry]) = node.entries() {
            let metric = match entry.key.as_str() {
                "best_selling" => Some(Metric::Sales),
                "most_visited" => Some(Metric::Visits),
                _ => None,
            };
            if let Some(metric) = metric {
                return parse_period(&entry.value, &format!("{path}.{}", entry.key))
                    .map(|period| Self::Ranked(metric, period));
            }
        }
        let word = node.text().unwrap_or_default();
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, order)| *order).ok_or_else(|| {
            node.problem("products.order", format!("`{}` is no order", node.scalar().unwrap_or_default()))
                .field(path)
                .suggest(word, Self::WORDS.iter().map(|(known, _)| *known))
        })
    }

    /// The ranking of the catalogue that it follows; none for the case's own order.
    #[must_use]
    pub const fn ranking(self) -> Option<RankingKey> {
        Some(match self {
            Self::Default => return None,
            Self::PriceAscending => RankingKey::PriceAscending,
            Self::PriceDescending => RankingKey::PriceDescending,
            Self::RatingDescending => RankingKey::Rating,
            Self::PriorityDescending => RankingKey::Priority,
            Self::Newest => RankingKey::Newest,
            Self::Ranked(metric, period) => RankingKey::Figures(metric, period),
        })
    }
}

/// Words for the usual periods; any ISO 8601 duration can stand instead ("last time interval").
pub const PERIODS: [(&str, Period); 5] = [
    ("last_week", Period::days(7)),
    ("last_month", Period { months: 1, micros: 0 }),
    ("last_3_months", Period { months: 3, micros: 0 }),
    ("last_year", Period { months: 12, micros: 0 }),
    ("all_time", Period { months: 0, micros: i64::MAX }),
];

/// Reads `last_month` or `P45D`.
///
/// # Errors
/// `period.invalid` with what can be written.
pub fn parse_period(node: &Node, path: &str) -> Result<Period, Problem> {
    let text = node.text().unwrap_or_default();
    if let Some((_, period)) = PERIODS.iter().find(|(word, _)| *word == text) {
        return Ok(*period);
    }
    if text.starts_with('P') {
        return Period::parse(text)
            .and_then(|period| {
                if period.is_zero() {
                    Err(Problem::new("period.invalid", "a period of no length holds nothing").value(text))
                } else {
                    Ok(period)
                }
            })
            .map_err(|problem| problem.field(path).at(node.place));
    }
    Err(node
        .problem("period.invalid", format!("`{}` is no period", node.scalar().unwrap_or_default()))
        .field(path)
        .suggest(text, PERIODS.iter().map(|(word, _)| *word))
        .cure("write last_week, last_month, last_3_months, last_year, all_time, or a duration such as P45D"))
}
