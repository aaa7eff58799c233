//! Data that nodes hand to later nodes: its types, and how a path such as `products.0.unit_price` walks through it.
//! Checking a path and following it are two sides of one table, [`PRODUCT_FIELDS`] and [`CART_FIELDS`], so that what
//! the checker lets through is what a run finds.

use std::{fmt, sync::Arc};

use model::{Cart, FieldType, Product, ProductId, Value};

/// The type of a datum that a node exports or a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// Any characters (also email, phone, and the option of a radio field).
    Text,
    /// A whole number.
    Integer,
    /// A number with four decimals.
    Decimal,
    /// A calendar day.
    Date,
    /// An instant.
    Instant,
    /// True or false.
    Boolean,
    /// Several words, as of a checkbox field or a product's tags.
    Options,
    /// One product.
    Product,
    /// Products in order.
    ProductList,
    /// A cart, bought or not.
    Cart,
    /// A single value of which nothing more is known: a property of an event that nobody declared.
    Any,
}

impl DataType {
    /// Its words in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::Instant => "instant",
            Self::Boolean => "boolean",
            Self::Options => "options",
            Self::Product => "product",
            Self::ProductList => "product list",
            Self::Cart => "cart",
            Self::Any => "unknown",
        }
    }

    /// The type of a contact field's data.
    #[must_use]
    pub const fn of_field(kind: &FieldType) -> Self {
        match kind {
            FieldType::Text | FieldType::Email | FieldType::Phone | FieldType::Radio { .. } => Self::Text,
            FieldType::Integer { .. } => Self::Integer,
            FieldType::Decimal { .. } => Self::Decimal,
            FieldType::Date => Self::Date,
            FieldType::Instant => Self::Instant,
            FieldType::Checkbox { .. } => Self::Options,
            FieldType::Boolean => Self::Boolean,
        }
    }

    /// What it is to a comparison; none for products and carts.
    #[must_use]
    pub const fn kind(self) -> Option<segment::Kind> {
        Some(match self {
            Self::Text => segment::Kind::Text,
            Self::Integer | Self::Decimal => segment::Kind::Number,
            Self::Date => segment::Kind::Date,
            Self::Instant => segment::Kind::Instant,
            Self::Boolean => segment::Kind::Boolean,
            Self::Options => segment::Kind::Options,
            Self::Any => segment::Kind::Any,
            Self::Product | Self::ProductList | Self::Cart => return None,
        })
    }

    /// Whether it is a single value that a field could hold.
    #[must_use]
    pub const fn is_value(self) -> bool {
        !matches!(self, Self::Product | Self::ProductList | Self::Cart)
    }

    /// Whether it can stand where products are asked for.
    #[must_use]
    pub const fn gives_products(self) -> bool {
        matches!(self, Self::Product | Self::ProductList | Self::Cart)
    }

    /// Whether a datum of this type can be put where `wanted` is: the same type, a whole number where a decimal is
    /// wanted, any single value as text, and products, carts and lists where a list is wanted.
    #[must_use]
    pub fn fits(self, wanted: Self) -> bool {
        self == wanted
            || (wanted == Self::Decimal && self == Self::Integer)
            || (wanted == Self::Text && self.is_value())
            || (wanted == Self::ProductList && self.gives_products())
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A named datum that a node exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    /// The first word after the node in a reference, as in `nodes.<id>.products`.
    pub name: &'static str,
    /// Its type.
    pub kind: DataType,
}

/// What a product shows to references.
pub const PRODUCT_FIELDS: &[(&str, DataType)] = &[
    ("external_id", DataType::Text),
    ("name", DataType::Text),
    ("url", DataType::Text),
    ("image_url", DataType::Text),
    ("description", DataType::Text),
    ("brand", DataType::Text),
    ("unit_price", DataType::Decimal),
    ("original_price", DataType::Decimal),
    ("rating", DataType::Decimal),
    ("stock", DataType::Integer),
    ("priority", DataType::Integer),
    ("published_at", DataType::Instant),
    ("categories", DataType::Options),
    ("tags", DataType::Options),
];

/// What a cart shows to references.
pub const CART_FIELDS: &[(&str, DataType)] = &[
    ("id", DataType::Text),
    ("total", DataType::Decimal),
    ("currency", DataType::Text),
    ("updated_at", DataType::Instant),
    ("recovery_url", DataType::Text),
    ("products", DataType::ProductList),
    ("size", DataType::Integer),
];

/// The most items of a list that a reference may name by number.
pub const INDEX_MAX: usize = 999;

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Astray<'a> {
    /// The part that is not known.
    pub part: &'a str,
    /// What it was looked for in.
    pub within: DataType,
    /// What would be known there.
    pub known: Vec<&'static str>,
}

/// The type at the end of a path that begins at a datum of type `from`.
///
/// # Errors
/// The first part that leads nowhere.
pub fn type_at<'a>(from: DataType, path: &'a [String]) -> Result<DataType, Astray<'a>> {
    path.iter().try_fold(from, |at, part| step_type(at, part))
}

fn step_type(at: DataType, part: &str) -> Result<DataType, Astray<'_>> {
    let among = |fields: &'static [(&'static str, DataType)]| {
        fields.iter().find(|(name, _)| *name == part).map(|(_, kind)| *kind).ok_or_else(|| Astray {
            part,
            within: at,
            known: fields.iter().map(|(name, _)| *name).collect(),
        })
    };
    match at {
        DataType::Product => among(PRODUCT_FIELDS),
        DataType::Cart => among(CART_FIELDS),
        DataType::ProductList => match index(part) {
            Some(_) => Ok(DataType::Product),
            None if part == "size" => Ok(DataType::Integer),
            None => Err(Astray { part, within: at, known: vec!["0", "size"] }),
        },
        _ => Err(Astray { part, within: at, known: Vec::new() }),
    }
}

fn index(part: &str) -> Option<usize> {
    part.parse().ok().filter(|n| *n <= INDEX_MAX)
}

/// A datum at run time.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// A single value.
    Value(Value),
    /// One product.
    Product(ProductId),
    /// Products in order.
    Products(Arc<[ProductId]>),
    /// A cart.
    Cart(Arc<Cart>),
}

/// Where a run finds products by number.
pub trait Products {
    /// The product, if the catalogue has it.
    fn product(&self, id: ProductId) -> Option<&Product>;
}

impl Datum {
    /// Follows a path; none where there is nothing (a list that is too short, an empty field).
    #[must_use]
    pub fn at(&self, path: &[String], products: &dyn Products) -> Option<Self> {
        let Some((part, rest)) = path.split_first() else { return Some(self.clone()) };
        let next = match self {
            Self::Value(_) => None,
            Self::Product(id) => product_field(products.product(*id)?, part).map(Self::Value),
            Self::Products(ids) => match index(part) {
                Some(n) => ids.get(n).map(|id| Self::Product(*id)),
                None => (part == "size").then(|| Self::Value(Value::Integer(ids.len() as i64))),
            },
            Self::Cart(cart) => cart_field(cart, part),
        }?;
        next.at(rest, products)
    }

    /// Its products, in order and each once; empty for a value.
    #[must_use]
    pub fn products(&self) -> Vec<ProductId> {
        match self {
            Self::Value(_) => Vec::new(),
            Self::Product(id) => vec![*id],
            Self::Products(ids) => ids.to_vec(),
            Self::Cart(cart) => cart_products(cart),
        }
    }
}

fn cart_products(cart: &Cart) -> Vec<ProductId> {
    let mut ids: Vec<ProductId> = Vec::with_capacity(cart.lines.len());
    for line in cart.lines.iter().filter(|line| line.quantity > 0) {
        if !ids.contains(&line.product) {
            ids.push(line.product);
        }
    }
    ids
}

fn cart_field(cart: &Cart, name: &str) -> Option<Datum> {
    Some(match name {
        "id" => Datum::Value(Value::Text(cart.external_id.clone())),
        "total" => Datum::Value(Value::Decimal(cart.total)),
        "currency" => Datum::Value(Value::Text(cart.currency.code().to_owned())),
        "updated_at" => Datum::Value(Value::Instant(cart.updated_at)),
        "recovery_url" => Datum::Value(Value::Text(cart.recovery_url.clone()?)),
        "products" => Datum::Products(cart_products(cart).into()),
        "size" => Datum::Value(Value::Integer(cart_products(cart).len() as i64)),
        _ => return None,
    })
}

fn product_field(product: &Product, name: &str) -> Option<Value> {
    let text = |value: &Option<String>| value.clone().map(Value::Text);
    let words = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        Some(Value::Options(list))
    };
    match name {
        "external_id" => Some(Value::Text(product.external_id.clone())),
        "name" => Some(Value::Text(product.name.clone())),
        "url" => text(&product.url),
        "image_url" => text(&product.image_url),
        "description" => text(&product.description),
        "brand" => text(&product.brand),
        "unit_price" => product.unit_price.map(Value::Decimal),
        "original_price" => product.original_price.map(Value::Decimal),
        "rating" => product.rating.map(Value::Decimal),
        "stock" => product.stock.map(Value::Integer),
        "priority" => Some(Value::Integer(product.priority)),
        "published_at" => product.published_at.map(Value::Instant),
        "categories" => words(&product.categories),
        "tags" => words(&product.tags),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use model::{Amount, CartNo, ContactId, Currency, Line, Timestamp};

    use super::*;

    struct Shelf(Vec<Product>);

    impl Products for Shelf {
        fn product(&self, id: ProductId) -> Option<&Product> {
            self.0.iter().find(|product| product.id == id)
        }
    }

    fn full_product() -> Product {
        Product {
            id: ProductId(1),
            external_id: "A".into(),
            name: "Mug".into(),
            url: Some("u".into()),
            image_url: Some("i".into()),
            description: Some("d".into()),
            brand: Some("b".into()),
            unit_price: Some(Amount::units(3)),
            original_price: Some(Amount::units(4)),
            stock: Some(2),
            rating: Some(Amount::units(5)),
            published_at: Some(Timestamp(1)),
            categories: vec!["/b".into(), "/a".into()],
            tags: vec!["x:1".into()],
            ..Product::default()
        }
    }

    fn full_cart() -> Cart {
        let line = |product: u32, quantity| Line {
            product: ProductId(product),
            quantity,
            unit_price: Amount::units(1),
        };
        Cart {
            no: CartNo(1),
            external_id: "c".into(),
            contact: ContactId(1),
            updated_at: Timestamp(5),
            total: Amount::units(9),
            currency: Currency::EUR,
            purchased: true,
            recovery_url: Some("r".into()),
            lines: vec![line(1, 2), line(2, 1), line(1, 1), line(3, -1)],
        }
    }

    fn kind_of(datum: &Datum) -> DataType {
        match datum {
            Datum::Value(Value::Text(_)) => DataType::Text,
            Datum::Value(Value::Integer(_)) => DataType::Integer,
            Datum::Value(Value::Decimal(_)) => DataType::Decimal,
            Datum::Value(Value::Date(_)) => DataType::Date,
            Datum::Value(Value::Instant(_)) => DataType::Instant,
            Datum::Value(Value::Boolean(_)) => DataType::Boolean,
            Datum::Value(Value::Options(_)) => DataType::Options,
            Datum::Product(_) => DataType::Product,
            Datum::Products(_) => DataType::ProductList,
            Datum::Cart(_) => DataType::Cart,
        }
    }

    #[test]
    fn what_the_checker_promises_a_run_finds() {
        let shelf = Shelf(vec![full_product()]);
        for (from, fields) in [
            (Datum::Product(ProductId(1)), PRODUCT_FIELDS),
            (Datum::Cart(Arc::new(full_cart())), CART_FIELDS),
        ] {
            for (name, kind) in fields {
                let path = [(*name).to_owned()];
                assert_eq!(type_at(kind_of(&from), &path), Ok(*kind), "{name}");
                let found = from.at(&path, &shelf).unwrap_or_else(|| panic!("{name} has nothing"));
                assert_eq!(kind_of(&found), *kind, "{name}");
            }
        }
    }

    #[test]
    fn paths() {
        let shelf = Shelf(vec![full_product()]);
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let cart = Datum::Cart(Arc::new(full_cart()));
        assert_eq!(cart.products(), [ProductId(1), ProductId(2)], "each once, without what was given back");
        let price = cart.at(&path("products.0.unit_price"), &shelf);
        assert_eq!(price, Some(Datum::Value(Value::Decimal(Amount::units(3)))));
        assert_eq!(cart.at(&path("products.7.unit_price"), &shelf), None, "past the end of the list");
        assert_eq!(cart.at(&path("products.1.unit_price"), &shelf), None, "gone from the catalogue");
        assert_eq!(type_at(DataType::ProductList, &path("0.unit_price")), Ok(DataType::Decimal));
        assert_eq!(type_at(DataType::ProductList, &path("size")), Ok(DataType::Integer));
        let wrong = path("0.unit_prize");
        let astray = type_at(DataType::ProductList, &wrong).unwrap_err();
        assert_eq!((astray.part, astray.within), ("unit_prize", DataType::Product));
        assert_eq!(index(&INDEX_MAX.to_string()), Some(INDEX_MAX));
        assert_eq!(index(&(INDEX_MAX + 1).to_string()), None);
    }
}
