//! The *Get products* step as a journey file defines it (spec §2.6).

use model::{
    Period, Place, Problem, Problems, Timestamp,
    doc::{Fields, Node},
};
use segment::{Kind, RefPath};

use crate::{
    case::{self, Case, Order},
    catalogue::{MIN_STOCK_DEFAULT, MIN_STOCK_MAX},
    conditions::Conditions,
};

/// Most products of a case and of the step.
pub const QUANTITY_MAX: usize = 100;
/// How many when the file says nothing.
pub const QUANTITY_DEFAULT: usize = 6;
/// How long learned cases leave out what the contact bought, in days (design §8).
pub const EXCLUDE_BOUGHT_DAYS: i64 = 365;
/// How far back *last visited* and *last added* look unless `within` says otherwise.
const RECENT_DAYS: i64 = 90;
/// How far back *own repeats* and the contact's affinity look unless `within` says otherwise.
const HABIT_DAYS: i64 = 730;

/// The step.
#[derive(Clone, Debug)]
pub struct GetProducts {
    /// The case that has priority.
    pub main: Pick,
    /// Completes it up to the total.
    pub additional: Option<Pick>,
    /// How many products at most, at least 1.
    pub total: usize,
    /// Whether other products, the best-selling ones first, complete the list. They satisfy every condition of both
    /// cases; a condition is never broken to reach the total. On unless unticked.
    pub fill_up: bool,
    /// Whether products that earlier nodes exported are left out.
    pub exclude_exported: bool,
    /// The least stock at which a product is chosen, in units; the workspace's minimum when the step sets none.
    pub min_stock: Option<i64>,
}

/// One case with its settings.
#[derive(Clone, Debug)]
pub struct Pick {
    /// Which.
    pub case: Case,
    /// How many to take from it at most.
    pub quantity: usize,
    /// Which products are looked at.
    pub origin: Origin,
    /// What the products must be related to; for cases that take it.
    pub related_to: Option<Related>,
    /// The products of *manual*, by the shop's own ids, in order.
    pub products: Vec<String>,
    /// The period of rankings.
    pub period: Period,
    /// How far back the contact's own doings are looked at.
    pub within: Period,
    /// In which order they are taken.
    pub order: Order,
    /// Whether what was taken is then put in a random order.
    pub shuffle: bool,
    /// Whether what the contact bought in the last [`EXCLUDE_BOUGHT_DAYS`] days is left out.
    pub exclude_bought: bool,
    /// What the products must be like.
    pub conditions: Conditions,
    /// Where the case stands, for messages.
    pub place: Place,
}

/// Which products a case looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The whole catalogue.
    All,
    /// A list of an earlier node.
    Ref(RefPath),
}

/// What products are related to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Related {
    /// A product, list, cart or purchase of an earlier node or of the trigger.
    Ref(RefPath),
    /// Products by the shop's own ids.
    Products(Vec<String>),
}

/// A reference that the step reads, for the checker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUse {
    /// The reference.
    pub path: RefPath,
    /// The setting that holds it, as in `main.related_to`.
    pub field: String,
    /// Whether products are expected behind it; otherwise a single value.
    pub products: bool,
    /// The kind of value that a product's field is compared with; none where products are expected.
    pub kind: Option<Kind>,
    /// Where the case stands.
    pub place: Place,
}

/// What must be known of a contact before products can be chosen for it: how far back, or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Purchases.
    pub bought: Option<Period>,
    /// Visits of product pages.
    pub visited: Option<Period>,
    /// Products of carts that were not bought.
    pub added_not_bought: Option<Period>,
}

/// The instant so long before `now`; the beginning of time for "all time".
#[must_use]
pub fn since(period: Period, now: Timestamp) -> Timestamp {
    if period.micros == i64::MAX { Timestamp::MIN } else { period.before(now) }
}

fn longer(a: Option<Period>, b: Period) -> Option<Period> {
    // Months are compared as 31 days: looking back a little too far does no harm, too short a look does.
    let length = |p: Period| p.micros.saturating_add(i64::from(p.months).saturating_mul(31 * Timestamp::DAY));
    Some(a.filter(|a| length(*a) >= length(b)).unwrap_or(b))
}

impl Needs {
    /// What both need.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both = |a: Option<Period>, b: Option<Period>| b.map_or(a, |b| longer(a, b));
        Self {
            bought: both(self.bought, other.bought),
            visited: both(self.visited, other.visited),
            added_not_bought: both(self.added_not_bought, other.added_not_bought),
        }
    }

    /// Whether nothing is needed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl GetProducts {
    /// Reads the definition of a node: `main`, `additional`, `total`, `fill_up`, `exclude_exported`, `min_stock`; the node's own
    /// `kind` and `name` may stand beside them.
    ///
    /// # Errors
    /// All problems, each with its place and field.
    pub fn parse(node: &Node, path: &str) -> Result<Self, Problems> {
        let mut fields = node.fields(path).map_err(|problem| vec![problem])?;
        let _ = (fields.optional("kind"), fields.optional("name"));
        let step = Self::read(&mut fields);
        let unknown = fields.finish();
        match step {
            Ok(step) if unknown.is_empty() => Ok(step),
            Ok(_) => Err(unknown),
            Err(mut problems) => {
                problems.extend(unknown);
                Err(problems)
            }
        }
    }

    /// Reads the step's own keys of a mapping whose other keys somebody else reads.
    ///
    /// # Errors
    /// All problems, each with its place and field.
    pub fn read(fields: &mut Fields<'_>) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let total = quantity(fields, "total", &mut problems);
        let fill_up = boolean(fields, "fill_up", true, &mut problems);
        let exclude_exported = boolean(fields, "exclude_exported", false, &mut problems);
        let min_stock = read_min_stock(fields, &mut problems);
        let main_path = fields.path_of("main");
        let main = match fields.required("main") {
            Ok(node) => Pick::parse(node, &main_path, total, &mut problems),
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let additional_path = fields.path_of("additional");
        let additional = fields
            .optional("additional")
            .and_then(|node| Pick::parse(node, &additional_path, total, &mut problems));
        match main {
            Some(main) if problems.is_empty() => {
                let both = main.quantity + additional.as_ref().map_or(0, |pick| pick.quantity);
                let total = total.unwrap_or(both.min(QUANTITY_MAX));
                Ok(Self { main, additional, total, fill_up, exclude_exported, min_stock })
            }
            _ => Err(problems),
        }
    }

    /// Main, then additional.
    pub fn picks(&self) -> impl Iterator<Item = &Pick> {
        std::iter::once(&self.main).chain(&self.additional)
    }

    /// Every reference that it reads.
    #[must_use]
    pub fn refs(&self) -> Vec<RefUse> {
        let mut uses = Vec::new();
        for (pick, name) in self.picks().zip(["main", "additional"]) {
            let mut add = |path: &RefPath, field: &str, kind: Option<Kind>| {
                uses.push(RefUse {
                    path: path.clone(),
                    field: format!("{name}.{field}"),
                    products: kind.is_none(),
                    kind,
                    place: pick.place,
                });
            };
            if let Origin::Ref(path) = &pick.origin {
                add(path, "origin", None);
            }
            if let Some(Related::Ref(path)) = &pick.related_to {
                add(path, "related_to", None);
            }
            for (path, kind) in pick.conditions.refs() {
                add(path, "where", Some(*kind));
            }
        }
        uses
    }

    /// What must be known of a contact.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.picks().fold(Needs::default(), |needs, pick| needs.and(pick.needs()))
    }
}

impl Pick {
    /// What must be known of a contact.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        match self.case {
            Case::LastPurchased | Case::OwnRepeats => needs.bought = Some(self.within),
            Case::LastVisited => needs.visited = Some(self.within),
            Case::LastAddedNotBought => needs.added_not_bought = Some(self.within),
            Case::ContactAffinity => {
                needs = Needs {
                    bought: Some(self.within),
                    visited: Some(self.within),
                    added_not_bought: Some(self.within),
                };
            }
            _ => {}
        }
        if self.exclude_bought {
            needs.bought = longer(needs.bought, Period::days(EXCLUDE_BOUGHT_DAYS));
        }
        needs
    }

    fn parse(node: &Node, path: &str, total: Option<usize>, problems: &mut Problems) -> Option<Self> {
        let mut fields = match node.fields(path) {
            Ok(fields) => fields,
            Err(problem) => {
                problems.push(problem);
                return None;
            }
        };
        let before = problems.len();
        let pick = Self::read(&mut fields, total, problems);
        // A key that the case does not take has been named already; the others are unknown altogether.
        problems.extend(fields.finish());
        pick.filter(|_| problems.len() == before)
    }

    fn read(fields: &mut Fields<'_>, total: Option<usize>, problems: &mut Problems) -> Option<Self> {
        let place = fields.place;
        let case = fields.required("case").and_then(|node| Case::parse(node, &fields.path_of("case")));
        let case = keep(case, problems);
        let asked = quantity(fields, "quantity", problems);
        let origin = keep(read_origin(fields), problems)?;
        let related_to = keep(read_related(fields), problems)?;
        let products = keep(read_products(fields), problems)?;
        let period = keep(read_period(fields, "period"), problems)?;
        let within = keep(read_period(fields, "within"), problems)?;
        let order_path = fields.path_of("order");
        let order =
            keep(fields.optional("order").map(|node| Order::parse(node, &order_path)).transpose(), problems)?;
        let shuffle = boolean(fields, "shuffle", false, problems);
        let exclude_bought = keep(fields.boolean("exclude_bought"), problems)?;
        let where_path = fields.path_of("where");
        let conditions = match fields.optional("where").map(|node| Conditions::parse(node, &where_path)) {
            None => Conditions::default(),
            Some(Ok(conditions)) => conditions,
            Some(Err(wrong)) => {
                problems.extend(wrong);
                return None;
            }
        };
        let case = case?;
        refuse(fields, case, problems);
        if case.takes_related() && related_to.is_none() {
            problems.push(missing(
                fields,
                case,
                "related_to",
                "as in related_to: {ref: nodes.last_cart.products}",
            ));
        }
        if case == Case::Manual && products.is_empty() {
            problems.push(missing(fields, case, "products", "as in products: [SKU-1, SKU-2]"));
        }
        if case.lists_bought() && exclude_bought == Some(true) {
            problems.push(
                Problem::new(
                    "products.contradiction",
                    format!("`{}` lists what the contact bought", case.word()),
                )
                .field(fields.path_of("exclude_bought"))
                .at(place)
                .cure("leave exclude_bought out"),
            );
        }
        let quantity = asked.unwrap_or_else(|| {
            if case == Case::Manual { products.len() } else { total.unwrap_or(QUANTITY_DEFAULT) }
        });
        Some(Self {
            case,
            quantity,
            origin: origin.unwrap_or(Origin::All),
            related_to,
            products,
            period: period.unwrap_or(Period { months: 1, micros: 0 }),
            within: within.unwrap_or(default_within(case)),
            order: order.unwrap_or(Order::Default),
            shuffle,
            exclude_bought: exclude_bought.unwrap_or(case.is_learned()),
            conditions,
            place,
        })
    }
}

const fn default_within(case: Case) -> Period {
    match case {
        Case::LastPurchased => Period { months: 0, micros: i64::MAX },
        Case::LastVisited | Case::LastAddedNotBought => Period::days(RECENT_DAYS),
        _ => Period::days(HABIT_DAYS),
    }
}

fn keep<T>(read: Result<T, Problem>, problems: &mut Problems) -> Option<T> {
    read.map_err(|problem| problems.push(problem)).ok()
}

fn boolean(fields: &mut Fields<'_>, key: &'static str, default: bool, problems: &mut Problems) -> bool {
    keep(fields.boolean(key), problems).flatten().unwrap_or(default)
}

fn quantity(fields: &mut Fields<'_>, key: &'static str, problems: &mut Problems) -> Option<usize> {
    let place = fields.place;
    let number = keep(fields.integer(key), problems)??;
    match usize::try_from(number) {
        Ok(n @ 1..=QUANTITY_MAX) => Some(n),
        _ => {
            problems.push(
                Problem::new("products.quantity", format!("{number} is outside 1 to {QUANTITY_MAX}"))
                    .field(fields.path_of(key))
                    .value(number)
                    .at(place)
                    .cure(format!("use 1 to {QUANTITY_MAX}")),
            );
            None
        }
    }
}

fn read_min_stock(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<i64> {
    let path = fields.path_of("min_stock");
    let node = fields.optional("min_stock")?;
    let units = node.integer().filter(|units| (MIN_STOCK_DEFAULT..=MIN_STOCK_MAX).contains(units));
    if units.is_none() {
        problems.push(min_stock_wrong(node).field(path));
    }
    units
}

/// What is said of a minimum stock that is none.
#[must_use]
pub fn min_stock_wrong(node: &Node) -> Problem {
    let expected = format!("expected a number of units, {MIN_STOCK_DEFAULT} to {MIN_STOCK_MAX}");
    node.problem("products.min_stock", expected)
        .value(node.scalar().unwrap_or_default())
        .cure("1 leaves out what is sold out; 5 leaves out what has fewer than five units left")
}

fn read_period(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<Period>, Problem> {
    let path = fields.path_of(key);
    fields.optional(key).map(|node| case::parse_period(node, &path)).transpose()
}

fn read_origin(fields: &mut Fields<'_>) -> Result<Option<Origin>, Problem> {
    let path = fields.path_of("origin");
    let Some(node) = fields.optional("origin") else { return Ok(None) };
    if node.text() == Some("all") {
        return Ok(Some(Origin::All));
    }
    match RefPath::from_node(node).map_err(|problem| problem.field(&path))? {
        Some(path) => Ok(Some(Origin::Ref(path))),
        None => Err(node
            .problem("products.origin", format!("expected `all` or a reference, found {}", node.kind()))
            .field(path)
            .cure("write all, or {ref: nodes.last_cart.products}")),
    }
}

fn read_related(fields: &mut Fields<'_>) -> Result<Option<Related>, Problem> {
    let path = fields.path_of("related_to");
    let Some(node) = fields.optional("related_to") else { return Ok(None) };
    if let Some(list) = node.get("products") {
        return external_ids(list, &path).map(|ids| Some(Related::Products(ids)));
    }
    match RefPath::from_node(node).map_err(|problem| problem.field(&path))? {
        Some(path) => Ok(Some(Related::Ref(path))),
        None => Err(node
            .problem("products.related_to", format!("expected a reference, found {}", node.kind()))
            .field(path)
            .cure("write {ref: nodes.last_cart.products}, or {products: [SKU-1]}")),
    }
}

fn read_products(fields: &mut Fields<'_>) -> Result<Vec<String>, Problem> {
    let path = fields.path_of("products");
    fields.optional("products").map_or(Ok(Vec::new()), |node| external_ids(node, &path))
}

fn external_ids(node: &Node, path: &str) -> Result<Vec<String>, Problem> {
    let wrong = || {
        node.problem("products.list", format!("expected a list of product ids, found {}", node.kind()))
            .field(path)
            .cure("write the shop's own ids, as in [SKU-1, SKU-2]")
    };
    let ids: Option<Vec<String>> = node.items().ok_or_else(wrong)?.iter().map(Node::scalar).collect();
    let ids = ids.ok_or_else(wrong)?;
    if ids.len() > QUANTITY_MAX {
        return Err(wrong().value(ids.len()).cure(format!("name at most {QUANTITY_MAX} products")));
    }
    Ok(ids)
}

fn missing(fields: &Fields<'_>, case: Case, key: &str, example: &str) -> Problem {
    Problem::new("doc.missing", format!("`{}` needs `{key}`", case.word()))
        .field(fields.path_of(key))
        .at(fields.place)
        .cure(example)
}

/// Names settings that the case does not take: a setting without effect is a mistake.
fn refuse(fields: &mut Fields<'_>, case: Case, problems: &mut Problems) {
    let takes: [(&'static str, bool); 5] = [
        ("related_to", case.takes_related()),
        ("products", case == Case::Manual),
        ("period", case.takes_period()),
        ("within", case.takes_within()),
        ("order", case.takes_order()),
    ];
    for (key, taken) in takes {
        if !taken && let Some(node) = fields.optional(key) {
            problems.push(
                node.problem("products.setting", format!("`{}` takes no `{key}`", case.word()))
                    .field(fields.path_of(key))
                    .cure("leave it out"),
            );
        }
    }
}

impl GetProducts {
    /// How far back the figures of a catalogue must go for it: the longest period that it ranks by, at least the year
    /// of the fill-up.
    #[must_use]
    pub fn figures_period(&self) -> Period {
        let year = Period { months: 12, micros: 0 };
        let of_pick = |pick: &Pick| match pick.order {
            Order::Ranked(_, period) => longer(Some(period), pick.period),
            _ => Some(pick.period),
        };
        self.picks()
            .filter_map(of_pick)
            .fold(year, |longest, period| longer(Some(longest), period).unwrap_or(year))
    }
}
