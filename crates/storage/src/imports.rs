//! Imports: batches of rows, each committed in one transaction together with its checkpoint, so that a killed import is
//! resumed where it stood and a repeated one changes nothing.

use std::{collections::HashMap, future::Future};

use model::{
    AddressStatus, Amount, Consent, Currency, OrderStatus, Problem, PushSubscription, Slug, Timestamp, Value,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{Result, consents::ToConfirm};

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
    /// Answers that are asked for by mail before they count, as often as [`crate::consents`] allows; refused for a contact
    /// without an address.
    pub to_confirm: Vec<ToConfirm>,
    /// Lists to put it in.
    pub lists: Vec<Slug>,
    /// Browsers that take push messages from now on: one with a known endpoint is replaced. At most
    /// [`PushSubscription::MAX`] are kept, the latest.
    pub push: Vec<PushSubscription>,
    /// Custom fields; none removes the value.
    pub fields: BTreeMap<String, Option<Value>>,
    /// Which of them nobody has defined, and how many fields a contact may have when it gets a new one of these.
    pub undefined: Undefined,
}

/// Fields that nobody has defined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undefined {
    /// Their names.
    pub names: Vec<String>,
    /// With one of them that is new a contact has at most so many custom fields; else the patch is refused
    /// (`contact.too_many_fields`).
    pub fields_max: u32,
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
    /// What is stored stays, and only what is missing is taken (a newer price counts all the same): for senders who are not
    /// to be believed over the shop's own catalogue. A name that is only the id counts as missing.
    pub only_missing: bool,
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
    /// The shop's id of the cart that it came from; the contact's current cart ([`CartChange::cart_id`]) when none is given
    /// and the order happens now, else the order's own id.
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

/// What a cart change does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CartStep {
    /// The whole cart as it stands now. One that is older than what is stored changes nothing.
    Set(Vec<ImportLine>),
    /// So many more of these, at this price from now on; the price that is known where it is 0.
    Add(Vec<ImportLine>),
    /// So many less of these; a product of which none is left goes.
    Remove(Vec<ImportLine>),
}

impl CartStep {
    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> &[ImportLine] {
        let (Self::Set(lines) | Self::Add(lines) | Self::Remove(lines)) = self;
        lines
    }

    fn lines_mut(&mut self) -> &mut Vec<ImportLine> {
        let (Self::Set(lines) | Self::Add(lines) | Self::Remove(lines)) = self;
        lines
    }
}

/// A change of a cart, applied to the cart as it stands, in the same transaction. One whose message is known, or whose
/// cart was bought, changes nothing. Additions and removals count whatever their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartChange {
    /// The shop's own id of the cart. None for the contact's current cart: the open one that has no id of the shop's, which
    /// is made when there is none and called `auto-` and a number. An order that happens now and names no cart buys it.
    pub cart_id: Option<String>,
    /// Whose; made when not known yet.
    pub contact: ContactKey,
    /// When.
    pub at: Timestamp,
    /// Currency, as in [`ImportOrder::currency`].
    pub currency: Currency,
    /// Where to go on with it; what is stored stays when none is given.
    pub recovery_url: Option<String>,
    /// The sender's id of the event that it comes from.
    pub message_id: Option<String>,
    /// What changes.
    pub step: CartStep,
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

/// What is committed at once: contacts, then products, orders, order updates, refunds, carts, cart changes, events, each
/// in their order.
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
    /// Orders that replace what is stored: the total and what was bought of one that counts. One that is not known is an
    /// order like others. What came back stays taken off.
    pub order_updates: Vec<ImportOrder>,
    /// Refunds and cancellations.
    pub refunds: Vec<ImportRefund>,
    /// Open carts.
    pub carts: Vec<ImportCart>,
    /// Changes of carts.
    pub cart_changes: Vec<CartChange>,
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
    /// * order updates that change something: `Order Updated`, as `Order Completed`;
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

    /// How many items of a kind it holds.
    #[must_use]
    pub fn count(&self, kind: ItemKind) -> usize {
        match kind {
            ItemKind::Contact => self.contacts.len(),
            ItemKind::Product => self.products.len(),
            ItemKind::Order => self.orders.len(),
            ItemKind::OrderUpdate => self.order_updates.len(),
            ItemKind::Refund => self.refunds.len(),
            ItemKind::Cart => self.carts.len(),
            ItemKind::CartChange => self.cart_changes.len(),
            ItemKind::Event => self.events.len(),
        }
    }

    /// Puts what another batch holds behind what this one holds; the other's instant, liveness and checkpoint are left
    /// out.
    pub fn append(&mut self, mut other: Self) {
        let codes: Vec<Code> = other.codes.iter().map(|name| self.code(name)).collect();
        let orders = other.orders.iter_mut().chain(&mut other.order_updates).map(|order| &mut order.lines);
        let refunds = other.refunds.iter_mut().map(|refund| &mut refund.lines);
        let carts = other.carts.iter_mut().map(|cart| &mut cart.lines);
        let changes = other.cart_changes.iter_mut().map(|change| change.step.lines_mut());
        for line in orders.chain(refunds).chain(carts).chain(changes).flatten() {
            line.product = codes[line.product.index()];
        }
        self.contacts.append(&mut other.contacts);
        self.products.append(&mut other.products);
        self.orders.append(&mut other.orders);
        self.order_updates.append(&mut other.order_updates);
        self.refunds.append(&mut other.refunds);
        self.carts.append(&mut other.carts);
        self.cart_changes.append(&mut other.cart_changes);
        self.events.append(&mut other.events);
    }

    /// Whether it holds nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.contacts.is_empty()
            && self.products.is_empty()
            && self.orders.is_empty()
            && self.order_updates.is_empty()
            && self.refunds.is_empty()
            && self.carts.is_empty()
            && self.cart_changes.is_empty()
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
    /// [`ImportBatch::order_updates`].
    OrderUpdate,
    /// [`ImportBatch::refunds`].
    Refund,
    /// [`ImportBatch::carts`].
    Cart,
    /// [`ImportBatch::cart_changes`].
    CartChange,
    /// [`ImportBatch::events`].
    Event,
}

impl ItemKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Contact,
        Self::Product,
        Self::Order,
        Self::OrderUpdate,
        Self::Refund,
        Self::Cart,
        Self::CartChange,
        Self::Event,
    ];
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
    /// Orders and their updates.
    pub orders: Tally,
    /// Refunds.
    pub refunds: Tally,
    /// Carts and their changes.
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
