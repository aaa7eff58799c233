//! Which column is which field: as the user says, else by the column's name.

use model::{Problem, Slug, text::nearest};

use crate::options::Options;

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// People.
    Contacts,
    /// The catalogue.
    Products,
    /// Orders, or lines of orders.
    Orders,
    /// What happened.
    Events,
    /// Open carts, or lines of carts.
    Carts,
    /// Browsers that take push messages.
    Push,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Contacts, Self::Products, Self::Orders, Self::Events, Self::Carts, Self::Push];
    /// Their words, in the same order.
    pub const WORDS: &'static [&'static str] = &["contacts", "products", "orders", "events", "carts", "push"];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// A field that a column can hold, with other names by which columns are recognised (compared without case, blanks and
/// punctuation).
pub struct FieldSpec {
    /// Its name.
    pub name: &'static str,
    /// Other names.
    pub also: &'static [&'static str],
}

const fn field(name: &'static str, also: &'static [&'static str]) -> FieldSpec {
    FieldSpec { name, also }
}

/// Fields of contacts.
pub const CONTACTS: &[FieldSpec] = &[
    field("external_id", &["id", "customerid", "contactid", "contact", "customer", "userid", "clientid"]),
    field("email", &["emailaddress", "mail", "customeremail"]),
    field("email_status", &[]),
    field("phone", &["phonenumber", "telephone", "mobile"]),
    field("first_name", &["firstname", "givenname", "prenom"]),
    field("last_name", &["lastname", "surname", "familyname", "nom"]),
    field("country", &["countrycode", "pays"]),
    field("locale", &["language", "lang"]),
    field("time_zone", &["timezone", "tz"]),
    field("birth_date", &["birthdate", "birthday", "dateofbirth", "dob"]),
    field("created_at", &["createdat", "created", "signupdate", "registeredat"]),
    field("lists", &["list"]),
];

/// Fields of products.
pub const PRODUCTS: &[FieldSpec] = &[
    field("external_id", &["id", "productid", "product", "sku", "stockcode", "code", "itemid"]),
    field("name", &["title", "productname"]),
    field("url", &["link", "producturl"]),
    field("image_url", &["image", "imagelink", "picture", "photo"]),
    field("description", &["desc"]),
    field("brand", &["vendor", "manufacturer"]),
    field("unit_price", &["price", "saleprice"]),
    field("original_price", &["listprice", "compareatprice", "regularprice"]),
    field("categories", &["category", "producttype", "collections"]),
    field("tags", &["tag", "labels"]),
    field("stock", &["inventory", "quantity", "stockquantity"]),
    field("out_of_stock", &["outofstock", "soldout"]),
    field("blacklisted", &["excluded", "hidden"]),
    field("service", &[]),
    field("rating", &["averagerating", "score"]),
    field("priority", &["weight"]),
    field("published_at", &["createdat", "publishedat", "publicationdate"]),
    field("related", &["relatedproducts", "relatedids"]),
];

/// Fields of orders and of their lines.
pub const ORDERS: &[FieldSpec] = &[
    field("order_id", &["orderid", "invoiceno", "invoice", "orderno", "ordernumber", "id", "externalid"]),
    field("contact", &["customerid", "contactid", "customer", "userid", "clientid", "buyerid"]),
    field(
        "ordered_at",
        &[
            "ts",
            "timestamp",
            "invoicedate",
            "orderdate",
            "createdat",
            "datetime",
            "date",
            "time",
            "at",
            "purchasedat",
            "completedat",
        ],
    ),
    field("total", &["amount", "ordertotal", "totalprice", "grandtotal", "revenue"]),
    field("refunded", &["refundedamount", "totalrefunded"]),
    field("status", &["orderstatus"]),
    field("currency", &["currencycode"]),
    field("cart_id", &["basketid", "quoteid"]),
    field(
        "coupon",
        &[
            "coupons",
            "couponcode",
            "couponcodes",
            "discountcode",
            "discountcodes",
            "promocode",
            "voucher",
            "vouchercode",
        ],
    ),
    field("refund_of", &["originalorder"]),
    field("items", &["lineitems", "lines", "products"]),
    field("product", &["productid", "stockcode", "sku", "itemid", "productcode", "item"]),
    field("name", &["productname", "description", "title", "itemname"]),
    field("quantity", &["qty", "units", "count"]),
    field("unit_price", &["price", "unitcost", "itemprice"]),
];

/// Fields of events.
pub const EVENTS: &[FieldSpec] = &[
    field("kind", &["event", "eventname", "eventtype", "type", "name", "action"]),
    field("at", &["ts", "timestamp", "time", "datetime", "date", "occurredat", "createdat", "eventtime"]),
    field("contact", &["contactid", "customerid", "userid", "visitorid", "externalid", "customer"]),
    field("message_id", &["messageid", "eventid", "id"]),
    field("properties", &["props", "data"]),
];

/// Fields of carts and of their lines.
pub const CARTS: &[FieldSpec] = &[
    field("cart_id", &["id", "basketid", "quoteid", "checkoutid", "externalid", "cart"]),
    field("contact", &["contactid", "customerid", "userid", "customer"]),
    field("updated_at", &["updated", "changedat", "ts", "timestamp", "date", "at", "createdat"]),
    field("currency", &["currencycode"]),
    field("recovery_url", &["url", "carturl", "checkouturl", "abandonedcheckouturl"]),
    field("items", &["lineitems", "lines", "products"]),
    field("product", &["productid", "stockcode", "sku", "itemid", "productcode", "item"]),
    field("quantity", &["qty", "units", "count"]),
    field("unit_price", &["price", "unitcost", "itemprice"]),
];

/// Fields of push subscriptions.
pub const PUSH: &[FieldSpec] = &[
    field("contact", &["contactid", "customerid", "userid", "externalid", "customer"]),
    field("endpoint", &["subscriptionendpoint", "pushendpoint"]),
    field("p256dh", &["keysp256dh", "subscriptionkeysp256dh", "publickey"]),
    field("auth", &["keysauth", "subscriptionkeysauth", "authsecret"]),
];

/// The fields of a kind.
#[must_use]
pub const fn fields(kind: Kind) -> &'static [FieldSpec] {
    match kind {
        Kind::Contacts => CONTACTS,
        Kind::Products => PRODUCTS,
        Kind::Orders => ORDERS,
        Kind::Events => EVENTS,
        Kind::Carts => CARTS,
        Kind::Push => PUSH,
    }
}

/// What an order's row may say about its contact, as `contact.country`.
pub const CONTACT_OF_ORDER: &[&str] =
    &["email", "phone", "first_name", "last_name", "country", "locale", "time_zone"];

/// A field whose name the user chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extra {
    /// `fields.<slug>`: a custom field of a contact.
    Custom(Slug),
    /// `consent.<purpose>`: the answer.
    Consent(Slug),
    /// `consent_at.<purpose>`: when it was given.
    ConsentAt(Slug),
    /// `contact.<field>` of an order's row: its place in [`CONTACT_OF_ORDER`].
    OfContact(usize),
    /// `properties.<name>` of an event.
    Property(String),
}

impl Extra {
    fn parse(kind: Kind, name: &str) -> Option<Self> {
        let (family, rest) = name.split_once('.')?;
        match (kind, family) {
            (Kind::Contacts, "fields") => Slug::parse(rest).ok().map(Self::Custom),
            (Kind::Contacts, "consent") => Slug::purpose(rest).ok().map(Self::Consent),
            (Kind::Contacts, "consent_at") => Slug::purpose(rest).ok().map(Self::ConsentAt),
            (Kind::Orders, "contact") => {
                CONTACT_OF_ORDER.iter().position(|known| *known == rest).map(Self::OfContact)
            }
            (Kind::Events, "properties") if !rest.is_empty() => Some(Self::Property(rest.to_owned())),
            _ => None,
        }
    }
}

/// Whether a kind has a field.
///
/// # Errors
/// `mapping.unknown_field`.
pub fn check_field(kind: Kind, name: &str) -> Result<(), Problem> {
    if fields(kind).iter().any(|spec| spec.name == name) || Extra::parse(kind, name).is_some() {
        return Ok(());
    }
    let families: &[&str] = match kind {
        Kind::Contacts => &["fields.NAME", "consent.PURPOSE", "consent_at.PURPOSE"],
        Kind::Orders => &["contact.email", "contact.first_name", "contact.last_name", "contact.country"],
        Kind::Events => &["properties.NAME"],
        Kind::Products | Kind::Carts | Kind::Push => &[],
    };
    let known: Vec<&str> =
        fields(kind).iter().map(|spec| spec.name).chain(families.iter().copied()).collect();
    Err(Problem::new("mapping.unknown_field", format!("{} have no field `{name}`", kind.word()))
        .value(name)
        .suggest(name, known.iter().copied()))
}

/// The columns of one file with their fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// For each field of the kind, in the order of [`fields`], its column.
    pub slots: Vec<Option<usize>>,
    /// The fields with chosen names.
    pub extra: Vec<(Extra, usize)>,
    /// What was found, as (field, column), for telling the user.
    pub used: Vec<(String, String)>,
    /// Columns that hold nothing that is taken over.
    pub unused: Vec<String>,
}

/// Letters and digits only, in lower case: how names of columns are compared.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Mapping {
    /// Finds each field's column. `custom`: the workspace's custom fields, whose columns are found by name, too.
    ///
    /// # Errors
    /// `mapping.unknown_column`, `mapping.twice`, `mapping.missing` when a field without which nothing can be
    /// imported has no column.
    pub fn resolve(options: &Options, columns: &[String], custom: &[&str]) -> Result<Self, Vec<Problem>> {
        let kind = options.kind;
        let specs = fields(kind);
        let mut mapping = Self { slots: vec![None; specs.len()], ..Self::default() };
        let mut taken = vec![false; columns.len()];
        let mut problems = Vec::new();
        for (field, column) in &options.columns {
            match column_of(field, column, columns) {
                Ok(index) => mapping.take(kind, field, index, &mut taken),
                Err(problem) => problems.push(problem),
            }
        }
        let plain_columns: Vec<String> = columns.iter().map(|column| plain(column)).collect();
        for (slot, spec) in specs.iter().enumerate() {
            if mapping.slots[slot].is_some() {
                continue;
            }
            let own = plain(spec.name);
            let names = std::iter::once(own.as_str()).chain(spec.also.iter().copied());
            let by_email = spec.name == "contact" && options.contact_key == crate::options::KeyKind::Email;
            let names: Vec<&str> = if by_email {
                names.chain(["email", "customeremail", "contactemail"]).collect()
            } else {
                names.collect()
            };
            // A field's own name goes before any other; a column is taken once.
            let found = names.iter().find_map(|name| {
                plain_columns.iter().enumerate().position(|(i, column)| column == name && !taken[i])
            });
            if let Some(index) = found {
                mapping.take(kind, spec.name, index, &mut taken);
            }
        }
        mapping.find_extra(kind, columns, custom, &mut taken);
        mapping.unused =
            columns.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(name, _)| name.clone()).collect();
        mapping.used.iter_mut().for_each(|(_, column)| {
            if let Ok(index) = column.parse::<usize>() {
                column.clone_from(&columns[index]);
            }
        });
        problems.extend(mapping.missing(kind, columns));
        if problems.is_empty() { Ok(mapping) } else { Err(problems) }
    }

    fn find_extra(&mut self, kind: Kind, columns: &[String], custom: &[&str], taken: &mut [bool]) {
        let no_properties = kind == Kind::Events && self.slot(kind, "properties").is_none();
        for (index, column) in columns.iter().enumerate() {
            if taken[index] || column.is_empty() {
                continue;
            }
            let name = column.trim();
            if Extra::parse(kind, name).is_some() {
                // A nested object's keys stand beside the object itself: the named field wins.
                self.take(kind, name, index, taken);
            } else if kind == Kind::Contacts && custom.contains(&name) {
                self.take(kind, &format!("fields.{name}"), index, taken);
            } else if no_properties {
                self.take(kind, &format!("properties.{name}"), index, taken);
            }
        }
    }

    fn take(&mut self, kind: Kind, field: &str, index: usize, taken: &mut [bool]) {
        taken[index] = true;
        if let Some(slot) = fields(kind).iter().position(|spec| spec.name == field) {
            self.slots[slot] = Some(index);
        } else if let Some(extra) = Extra::parse(kind, field) {
            if self.extra.iter().any(|(known, _)| *known == extra) {
                return;
            }
            self.extra.push((extra, index));
        }
        self.used.push((field.to_owned(), index.to_string()));
    }

    /// The column of a field.
    #[must_use]
    pub fn slot(&self, kind: Kind, name: &str) -> Option<usize> {
        let slot = fields(kind).iter().position(|spec| spec.name == name)?;
        self.slots.get(slot).copied().flatten()
    }

    fn missing(&self, kind: Kind, columns: &[String]) -> Option<Problem> {
        let has = |name: &str| self.slot(kind, name).is_some();
        let missing: Vec<&str> = match kind {
            Kind::Contacts if has("external_id") || has("email") => vec![],
            Kind::Contacts => vec!["external_id or email"],
            Kind::Products => vec!["external_id"].into_iter().filter(|name| !has(name)).collect(),
            Kind::Events => vec!["kind", "at", "contact"].into_iter().filter(|name| !has(name)).collect(),
            Kind::Carts => {
                let lines = has("product");
                let always = ["cart_id", "contact", "updated_at"].into_iter().filter(|name| !has(name));
                let of_lines = ["quantity", "unit_price"].into_iter().filter(|name| lines && !has(name));
                let no_lines = (!lines && !has("items")).then_some("items (or product, one row per line)");
                always.chain(of_lines).chain(no_lines).collect()
            }
            Kind::Push => ["contact", "endpoint"].into_iter().filter(|name| !has(name)).collect(),
            Kind::Orders if has("product") => {
                ["ordered_at", "quantity", "unit_price"].into_iter().filter(|name| !has(name)).collect()
            }
            Kind::Orders if has("total") || has("items") => {
                ["ordered_at"].into_iter().filter(|name| !has(name)).collect()
            }
            Kind::Orders => {
                let time = if has("ordered_at") { "" } else { "ordered_at, and " };
                return Some(missing_fields(
                    kind,
                    &format!(
                        "{time}total (one row per order) or product, quantity and unit_price (one row per line)"
                    ),
                    columns,
                ));
            }
        };
        (!missing.is_empty()).then(|| missing_fields(kind, &missing.join(", "), columns))
    }
}

fn missing_fields(kind: Kind, what: &str, columns: &[String]) -> Problem {
    let shown: Vec<&str> = columns.iter().map(String::as_str).take(30).collect();
    let looks_like_data = columns.iter().any(|name| name.parse::<f64>().is_ok() || name.contains('@'));
    let problem =
        Problem::new("mapping.missing", format!("no column for {what} (the file has: {})", shown.join(", ")));
    if looks_like_data {
        return problem.cure("the first line looks like data: put a line with the columns' names before it");
    }
    let example = fields(kind).first().map_or("", |spec| spec.name);
    problem.cure(format!("say which column it is: --map {example}=COLUMN,…, or give a mapping file"))
}

fn column_of(field: &str, column: &str, columns: &[String]) -> Result<usize, Problem> {
    let mut same = columns.iter().enumerate().filter(|(_, name)| *name == column);
    if let Some((index, _)) = same.next() {
        if same.next().is_some() {
            return Err(Problem::new("mapping.twice", format!("two columns are called `{column}`"))
                .field(field)
                .value(column)
                .cure("rename one of them in the header"));
        }
        return Ok(index);
    }
    let folded: Vec<usize> =
        columns.iter().enumerate().filter(|(_, name)| plain(name) == plain(column)).map(|(i, _)| i).collect();
    if let [index] = folded[..] {
        return Ok(index);
    }
    let names = columns.iter().map(String::as_str);
    let problem = Problem::new("mapping.unknown_column", format!("the file has no column `{column}`"))
        .field(field)
        .value(column);
    Err(match nearest(column, names.clone()) {
        Some(near) => problem.cure(format!("did you mean `{near}`?")),
        None => problem.suggest(column, names),
    })
}
