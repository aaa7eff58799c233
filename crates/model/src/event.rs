//! What happened to a contact at an instant.

use serde::{Deserialize, Serialize};

use crate::{ContactId, Timestamp};

/// An event. `kind` is free text in the ecosystem's own spelling, as in `Product Viewed`; unknown kinds are kept and
/// usable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Whose.
    pub contact: ContactId,
    /// When it happened, by the sender's clock.
    pub at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What, as in `Product Viewed`.
    pub kind: String,
    /// The sender's id of it: a repeat is recognised by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Its properties, at most [`Event::DEPTH_MAX`] deep.
    #[serde(default)]
    pub properties: serde_json::Map<String, serde_json::Value>,
}

impl Event {
    /// Deepest nesting of properties.
    pub const DEPTH_MAX: usize = 8;
    /// Largest event, in bytes of JSON.
    pub const SIZE_MAX: usize = 32 * 1024;
    /// Longest kind, in characters.
    pub const KIND_LEN_MAX: usize = 100;

    /// Whether a machine did it in the contact's name (property `machine`): a mail program that opens in advance, a filter
    /// that follows links.
    #[must_use]
    pub fn by_machine(&self) -> bool {
        kind::MACHINES_TOO.contains(&self.kind.as_str())
            && self.properties.get("machine").and_then(serde_json::Value::as_bool) == Some(true)
    }
}

/// Kinds that Relance itself understands (Segment's e-commerce spelling) or raises.
pub mod kind {
    /// A page was viewed.
    pub const PAGE_VIEWED: &str = "Page Viewed";
    /// A product was viewed; property `product_id`.
    pub const PRODUCT_VIEWED: &str = "Product Viewed";
    /// A product was put into a cart.
    pub const PRODUCT_ADDED: &str = "Product Added";
    /// A product was taken out of a cart.
    pub const PRODUCT_REMOVED: &str = "Product Removed";
    /// A screen of an app was viewed.
    pub const SCREEN_VIEWED: &str = "Screen Viewed";
    /// The contact agreed to be written to; property `purpose`.
    pub const SUBSCRIBED: &str = "Subscribed";
    /// Somebody logged in.
    pub const SIGNED_IN: &str = "Signed In";
    /// Somebody made an account.
    pub const SIGNED_UP: &str = "Signed Up";
    /// A form was sent; property `form`.
    pub const FORM_SUBMITTED: &str = "Form Submitted";
    /// Products were searched.
    pub const PRODUCTS_SEARCHED: &str = "Products Searched";
    /// The cart was viewed.
    pub const CART_VIEWED: &str = "Cart Viewed";
    /// Check-out began.
    pub const CHECKOUT_STARTED: &str = "Checkout Started";
    /// An order was completed. Orders are kept as orders; conditions see them under this kind too.
    pub const ORDER_COMPLETED: &str = "Order Completed";
    /// What was ordered was changed after the order was completed.
    pub const ORDER_UPDATED: &str = "Order Updated";
    /// An order was refunded, wholly or in part.
    pub const ORDER_REFUNDED: &str = "Order Refunded";
    /// An order was cancelled.
    pub const ORDER_CANCELLED: &str = "Order Cancelled";
    /// A cart was changed as a whole; properties `cart_id`, `total`, `currency`, `products`, `recovery_url`.
    pub const CART_UPDATED: &str = "Cart Updated";
    /// A cart was left alone for the time that a trigger says; properties as of [`CART_UPDATED`].
    pub const CART_ABANDONED: &str = "Cart Abandoned";
    /// An email was handed over. This and the following kinds about messages have the properties `message_id` (32
    /// hexadecimal digits), `journey`, `node`, `template`, `purpose`; clicks also `link` and `url`.
    pub const EMAIL_SENT: &str = "Email Sent";
    /// An email was opened.
    pub const EMAIL_OPENED: &str = "Email Opened";
    /// A link of an email was clicked.
    pub const EMAIL_CLICKED: &str = "Email Link Clicked";
    /// Mail came back for good.
    pub const EMAIL_BOUNCED: &str = "Email Bounced";
    /// The reader of a mail called it spam; properties `message_id`, `source`.
    pub const EMAIL_COMPLAINED: &str = "Email Complained";
    /// The contact took back a consent; property `purpose`.
    pub const UNSUBSCRIBED: &str = "Unsubscribed";
    /// A text message was handed over.
    pub const SMS_SENT: &str = "SMS Sent";
    /// A link of a text message was clicked.
    pub const SMS_CLICKED: &str = "SMS Link Clicked";
    /// A push was handed over.
    pub const PUSH_SENT: &str = "Push Sent";
    /// A push was shown or opened.
    pub const PUSH_OPENED: &str = "Push Opened";
    /// A link of a push was clicked.
    pub const PUSH_CLICKED: &str = "Push Clicked";
    /// A contact was seen for the first time.
    pub const CONTACT_CREATED: &str = "Contact Created";
    /// A contact's profile, consent or lists changed; property `fields`: the names of what changed.
    pub const CONTACT_UPDATED: &str = "Contact Updated";
    /// Another contact was merged into this one; property `merged`: the numbers of those that are no more. Raised by the
    /// storage with the merge.
    pub const CONTACT_MERGED: &str = "Contact Merged";
    /// Contacts were erased; property `erased`: their numbers. It happens to contact 0.
    pub const CONTACT_ERASED: &str = "Contact Erased";
    /// What was kept of a contact became shorter: retention. Raised by the storage.
    pub const HISTORY_TRIMMED: &str = "History Trimmed";
    /// A date field comes near; properties `field`, `date`. Raised by the engine for triggers of that kind.
    pub const DATE_REACHED: &str = "Date Reached";
    /// A recurring start; raised by the engine for the whole audience.
    pub const SCHEDULED: &str = "Scheduled";
    /// A product that the contact looked at costs less; properties `product_id`, `price`, `price_before`.
    pub const PRICE_DROPPED: &str = "Price Dropped";
    /// A product that the contact asked for can be bought again; property `product_id`.
    pub const BACK_IN_STOCK: &str = "Back In Stock";
    /// A product that the contact looked at is nearly gone; properties `product_id`, `stock`.
    pub const LOW_STOCK: &str = "Low Stock";
    /// The contact wants to hear when a product is back; property `product_id`.
    pub const BACK_IN_STOCK_SUBSCRIBED: &str = "Subscribed to Back in Stock";
    /// Somebody asked by API or by hand that the contact enters a journey; properties `journey`, and what was given.
    pub const JOURNEY_ENTRY: &str = "Journey Entry";
    /// A coupon was put to a cart, or with `order_id` to an order; properties `coupon`, `order_id`.
    pub const COUPON_APPLIED: &str = "Coupon Applied";
    /// A contact was given a coupon; properties `set`, `code`.
    pub const COUPON_ASSIGNED: &str = "Coupon Assigned";
    /// An order used a coupon that was given; properties `set`, `code`, `order_id`, `net` (what was paid).
    pub const COUPON_REDEEMED: &str = "Coupon Redeemed";
    /// A contact entered a segment; property `segment`.
    pub const SEGMENT_ENTERED: &str = "Segment Entered";
    /// A contact left a segment; property `segment`.
    pub const SEGMENT_EXITED: &str = "Segment Exited";
    /// A contact changed its RFM group; properties `model`, `from`, `to`.
    pub const RFM_GROUP_CHANGED: &str = "RFM Group Changed";

    /// What machines do, too: what they did counts only for who asks for it (`machine: true`).
    pub const MACHINES_TOO: &[&str] = &[EMAIL_OPENED, EMAIL_CLICKED, SMS_CLICKED, PUSH_OPENED, PUSH_CLICKED];

    /// All of the above, for suggestions.
    pub const KNOWN: &[&str] = &[
        PAGE_VIEWED,
        SCREEN_VIEWED,
        SUBSCRIBED,
        PRODUCT_VIEWED,
        PRODUCT_ADDED,
        PRODUCT_REMOVED,
        SIGNED_IN,
        SIGNED_UP,
        FORM_SUBMITTED,
        PRODUCTS_SEARCHED,
        CART_VIEWED,
        CHECKOUT_STARTED,
        ORDER_COMPLETED,
        ORDER_UPDATED,
        ORDER_REFUNDED,
        ORDER_CANCELLED,
        CART_UPDATED,
        CART_ABANDONED,
        EMAIL_SENT,
        EMAIL_OPENED,
        EMAIL_CLICKED,
        EMAIL_BOUNCED,
        EMAIL_COMPLAINED,
        UNSUBSCRIBED,
        SMS_SENT,
        SMS_CLICKED,
        PUSH_SENT,
        PUSH_OPENED,
        PUSH_CLICKED,
        CONTACT_CREATED,
        CONTACT_UPDATED,
        CONTACT_MERGED,
        DATE_REACHED,
        SCHEDULED,
        PRICE_DROPPED,
        BACK_IN_STOCK,
        LOW_STOCK,
        BACK_IN_STOCK_SUBSCRIBED,
        JOURNEY_ENTRY,
        COUPON_APPLIED,
        COUPON_ASSIGNED,
        COUPON_REDEEMED,
        SEGMENT_ENTERED,
        SEGMENT_EXITED,
        RFM_GROUP_CHANGED,
    ];
}
