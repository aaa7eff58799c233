//! Imports: batches of rows, each committed in one transaction together with its checkpoint, so that a killed import is
//! resumed where it stood and a repeated one changes nothing.

use std::{collections::HashMap, future::Future};

use model::{
    AddressStatus, Amount, Consent, Currency, OrderStatus, Problem, PushSubscription, Slug, Timestamp, Value,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::Result;

/// How a file, or a message of tracking, names a contact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContactKey {
    /// The shop's own id.
    ExternalId(String),
    /// Email address, compared in folded form.
    Email(String),
    /// What a browser or an app calls itself before anybody signs in: makes an anonymous contact.
    Anonymous(String),
    /// Somebody known, in a browser: what that browser did while it was anonymous becomes theirs (docs/identity.md).
    SignedIn {
        /// Who: an external id or an email address.
        known: Box<ContactKey>,
        /// What the browser calls itself.
        anonymous_id: String,
    },
}

impl ContactKey {
    /// The identifier that tells most: the known one of somebody who is signed in.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::ExternalId(text) | Self::Email(text) | Self::Anonymous(text) => text,
            Self::SignedIn { known, .. } => known.text(),
        }
    }
}

/// What a file says about a contact. What is given overwrites, what is absent stays. A contact that is not known yet
/// is made. An email address that belongs to a contact with another external id is refused
/// (`contact.identifier_taken`); a known address without an external id takes the one given, and where both are known
/// they become one contact. A phone number may be shared by a family: it leads to the first who gave it.
///
/// Identifiers that are named together are joined in the transaction of the batch; docs/identity.md has the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactPatch {
    /// The shop's own id. This, the email or an anonymous id is needed; the external id is looked up first.
    pub external_id: Option<String>,
    /// What the browsers and apps call themselves in which it is, at most [`ContactPatch::ANONYMOUS_IDS_MAX`]: what they
    /// did while they were anonymous becomes this contact's.
    pub anonymous_ids: Vec<String>,
    /// External ids under which the shop knew it before, at most [`ContactPatch::FORMER_IDS_MAX`]: those contacts and
    /// this one become one.
    pub former_ids: Vec<String>,
    /// Email address.
    pub email: Option<String>,
    /// Whether mail reaches it.
    pub email_status: Option<AddressStatus>,
    /// Phone number, E.164.
    pub phone: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Country, as the shop writes it.
    pub country: Option<String>,
    /// BCP 47 locale.
    pub locale: Option<String>,
    /// IANA time zone.
    pub time_zone: Option<String>,
    /// Days since 1970-01-01.
    pub birth_date: Option<i32>,
    /// When it was first known; the batch's instant when a new contact has none.
    pub created_at: Option<Timestamp>,
    /// Answers; one that is older than the stored answer for its purpose is ignored.
    pub consents: Vec<Consent>,
    /// Lists to put it in.
    pub lists: Vec<Slug>,
    /// Browsers that take push messages from now on: one with a known endpoint is replaced. At most
    /// [`PushSubscription::MAX`] are kept, the latest.
    pub push: Vec<PushSubscription>,
    /// Custom fields; none removes the value.
    pub fields: BTreeMap<String, Option<Value>>,
}

impl ContactPatch {
    /// Most anonymous ids that one patch names.
    pub const ANONYMOUS_IDS_MAX: usize = 20;
    /// Most former ids that one patch names.
    pub const FORMER_IDS_MAX: usize = 20;
}

/// What a file says about a product. What is given overwrites, what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductPatch {
    /// The shop's own id.
    pub external_id: String,
    /// Its name; the external id for a new product without one.
    pub name: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// Its picture.
    pub image_url: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Who makes it.
    pub brand: Option<String>,
    /// Price of one.
    pub unit_price: Option<Amount>,
    /// When that was the price: one older than the stored price is ignored; one without a time always counts.
    pub price_at: Option<Timestamp>,
    /// Price before a discount.
    pub original_price: Option<Amount>,
    /// Category paths.
    pub categories: Option<Vec<String>>,
    /// Tags.
    pub tags: Option<Vec<String>>,
    /// Units left.
    pub stock: Option<i64>,
    /// Said to be out of stock.
    pub out_of_stock: Option<bool>,
    /// Never to be recommended.
    pub blacklisted: Option<bool>,
    /// No product but postage and the like.
    pub service: Option<bool>,
    /// Average rating.
    pub rating: Option<Amount>,
    /// The shop's own weight for it.
    pub priority: Option<i64>,
    /// When it was put on sale.
    pub published_at: Option<Timestamp>,
    /// Explicitly related products, by the shop's own ids.
    pub related: Option<Vec<String>>,
}

/// A product named in a batch: its place in [`ImportBatch::codes`]. Made by [`ImportBatch::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u32);

impl Code {
    /// Its place.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A line as a file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportLine {
    /// Which product; one that is not known yet is made, named by its code.
    pub product: Code,
    /// How many, always positive in an order and in a refund.
    pub quantity: i64,
    /// Price of one.
    pub unit_price: Amount,
}

/// An order as a file has it. A known one (by its id) is not changed, except that a status `Cancelled` cancels it and a
/// greater `refunded` raises what was paid back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOrder {
    /// The shop's own id.
    pub external_id: String,
    /// Whose; made when not known yet.
    pub contact: Option<ContactKey>,
    /// When.
    pub at: Timestamp,
    /// What was paid.
    pub total: Amount,
    /// What was paid back since.
    pub refunded: Amount,
    /// Currency: the workspace's, or one that the setting `currencies_allowed` holds. The first order of a workspace
    /// without the setting `currency` sets it.
    pub currency: Currency,
    /// Whether it counts.
    pub status: OrderStatus,
    /// The shop's id of the cart that it came from; the order's own id when none is given.
    pub cart_id: Option<String>,
    /// Codes of coupons that it used: they are marked as redeemed, and the contact has the event `Coupon Redeemed`.
    pub coupons: Vec<String>,
    /// What was bought.
    pub lines: Vec<ImportLine>,
}

/// What a refund or cancellation takes back from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RefundOf {
    /// The order with this id, wholly when the refund has neither lines nor an amount.
    Order(String),
    /// The file does not say (Online Retail's `C…` invoices): each line is taken off the latest orders of this
    /// contact, not later than the refund, that still hold the product.
    LatestOf(ContactKey),
}

/// A refund or cancellation as a file has it. A known one (by its id) is not applied again. It is written into its
/// order: `refunded` grows and the lines taken back are added to the order's with a negative quantity. An order that
/// is paid back in full no longer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRefund {
    /// The shop's own id of the refund.
    pub external_id: String,
    /// Of what.
    pub of: RefundOf,
    /// When.
    pub at: Timestamp,
    /// What is paid back; what the lines come to when none is given.
    pub amount: Option<Amount>,
    /// What comes back.
    pub lines: Vec<ImportLine>,
}

/// An open cart as a file has it: the whole cart as it stands now. One that is older than what is stored, or whose
/// cart was bought since, changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportCart {
    /// The shop's own id.
    pub external_id: String,
    /// Whose; made when not known yet.
    pub contact: ContactKey,
    /// Its last change.
    pub updated_at: Timestamp,
    /// Currency, as in [`ImportOrder::currency`].
    pub currency: Currency,
    /// Where to go on with it.
    pub recovery_url: Option<String>,
    /// What is in it; its total is their sum.
    pub lines: Vec<ImportLine>,
}

/// An event as a file has it. A known one (by its message id) is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportEvent {
    /// Whose; made when not known yet.
    pub contact: ContactKey,
    /// When it happened.
    pub at: Timestamp,
    /// What, as in `Product Viewed`, whose property `product_id` counts as a visit of that product (which is made when
    /// it is not known yet; without a price it is never recommended).
    pub kind: String,
    /// The sender's id of it.
    pub message_id: Option<String>,
    /// Its properties.
    pub properties: serde_json::Map<String, serde_json::Value>,
}

/// Where an import stands: written in the same transaction as the rows before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Which import: what, from which file content, with which mapping.
    pub key: String,
    /// Rows of the file that are done.
    pub rows_done: u64,
    /// Whether the end of the file was reached.
    pub finished: bool,
    /// What else the importer wants back.
    #[serde(default)]
    pub state: serde_json::Value,
}

/// What is committed at once: contacts, then products, orders, refunds, carts, events, each in their order.
#[derive(Clone, Debug, Default)]
pub struct ImportBatch {
    /// Arrival time of everything in it.
    pub now: Timestamp,
    /// Contacts.
    pub contacts: Vec<ContactPatch>,
    /// Products.
    pub products: Vec<ProductPatch>,
    /// Orders.
    pub orders: Vec<ImportOrder>,
    /// Refunds and cancellations.
    pub refunds: Vec<ImportRefund>,
    /// Open carts.
    pub carts: Vec<ImportCart>,
    /// Events.
    pub events: Vec<ImportEvent>,
    /// Whether it happens now: then everything new in it also becomes an input of the living engine
    /// ([`crate::live::Input`]) in the same transaction, in the order in which the batch is taken. A file of the past only
    /// fills the base. Events are inputs as they are; the rest is input under these kinds of [`model::event::kind`]
    /// (amounts in the workspace's currency, products by the shop's ids):
    ///
    /// * contacts, made or changed: `Contact Created`, `Contact Updated` with `fields`, the names of what differs
    ///   (attributes and custom fields, `consent.<purpose>`, `list.<name>`); `Unsubscribed` with `purpose`;
    /// * products: `Price Dropped`, `Back In Stock`, `Low Stock` (whenever the stock fell) for contact 0, with
    ///   `product_id`, `price`, `price_before`, `stock`, `stock_before`;
    /// * orders: `Order Completed` with `order_id`, `cart_id`, `total`, `currency`, `products` (`product_id`, `quantity`,
    ///   `price`), `coupons`, `refunded`; one that arrives cancelled or paid back: `Order Cancelled`, `Order Refunded`.
    ///   When its cart was another contact's, that contact hears of it too, with `paid_by_other: true`. A code of ours
    ///   that it used for the first time: `Coupon Redeemed` with `set`, `code`, `order_id`;
    /// * refunds and cancellations: `Order Refunded`, `Order Cancelled` with `order_id`, `cart_id`, `total`, `currency`,
    ///   `amount` (now), `refunded` (in all), `products` (what came back), `refund_id`;
    /// * carts: `Cart Updated` with `cart_id`, `total`, `currency`, `recovery_url`, `item_count`, `products`; a cart that
    ///   was another contact's before is empty for that contact.
    pub live: bool,
    /// Where the import stands after it.
    pub checkpoint: Option<Checkpoint>,
    codes: Vec<String>,
    code_places: HashMap<String, Code>,
}

impl ImportBatch {
    /// Orders (some 20 lines each) that fit well into one batch: its transaction takes some tens of milliseconds.
    pub const ORDERS_GOOD: usize = 1_000;
    /// Contacts, products or events that fit well into one batch.
    pub const ROWS_GOOD: usize = 5_000;

    /// An empty batch.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    /// The batch's short name for a product, by the shop's own id of it.
    pub fn code(&mut self, external_id: &str) -> Code {
        if let Some(code) = self.code_places.get(external_id) {
            return *code;
        }
        let code = Code(self.codes.len() as u32);
        self.codes.push(external_id.to_owned());
        self.code_places.insert(external_id.to_owned(), code);
        code
    }

    /// The products named, by [`Code`].
    #[must_use]
    pub fn codes(&self) -> &[String] {
        &self.codes
    }

    /// Whether it holds nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.contacts.is_empty()
            && self.products.is_empty()
            && self.orders.is_empty()
            && self.refunds.is_empty()
            && self.carts.is_empty()
            && self.events.is_empty()
            && self.checkpoint.is_none()
    }
}

/// What became of the items of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Not known before.
    pub new: u64,
    /// Known, and different now.
    pub changed: u64,
    /// Known, and as it was.
    pub known: u64,
    /// Refused.
    pub refused: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.changed += other.changed;
        self.known += other.known;
        self.refused += other.refused;
    }
}

/// Which vector of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKind {
    /// [`ImportBatch::contacts`].
    Contact,
    /// [`ImportBatch::products`].
    Product,
    /// [`ImportBatch::orders`].
    Order,
    /// [`ImportBatch::refunds`].
    Refund,
    /// [`ImportBatch::carts`].
    Cart,
    /// [`ImportBatch::events`].
    Event,
}

/// An item that was refused; everything else of the batch was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of which vector.
    pub kind: ItemKind,
    /// Its place there.
    pub index: usize,
    /// Why. (A refund of which a part was applied is refused with `refund.unmatched` and says how much was not.)
    pub problem: Problem,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOutcome {
    /// Contacts given. Those made because an order, cart or event named them count as new, too.
    pub contacts: Tally,
    /// Products given. Those made because a line named them count as new, too.
    pub products: Tally,
    /// Orders.
    pub orders: Tally,
    /// Refunds.
    pub refunds: Tally,
    /// Carts.
    pub carts: Tally,
    /// Events.
    pub events: Tally,
    /// What was refused.
    pub refusals: Vec<Refusal>,
}

impl ImportOutcome {
    /// Adds the counts of another batch, and takes over its refusals.
    pub fn add(&mut self, other: Self) {
        self.contacts += other.contacts;
        self.products += other.products;
        self.orders += other.orders;
        self.refunds += other.refunds;
        self.carts += other.carts;
        self.events += other.events;
        self.refusals.extend(other.refusals);
    }
}

/// Imports.
pub trait ImportStore {
    /// Writes the batch and its checkpoint in one transaction; all of it is on disk when this returns, and nothing of
    /// it on an error. An item that cannot be taken is refused alone.
    fn import(&self, batch: ImportBatch) -> impl Future<Output = Result<ImportOutcome>> + Send;
    /// Where an import stands.
    fn load_checkpoint(&self, key: String) -> impl Future<Output = Result<Option<Checkpoint>>> + Send;
    /// Forgets where an import stands: the next one begins at the first row.
    fn drop_checkpoint(&self, key: String) -> impl Future<Output = Result<()>> + Send;
}
