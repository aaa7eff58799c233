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
    /// Products were searched.
    pub const PRODUCTS_SEARCHED: &str = "Products Searched";
    /// The cart was viewed.
    pub const CART_VIEWED: &str = "Cart Viewed";
    /// Check-out began.
    pub const CHECKOUT_STARTED: &str = "Checkout Started";
    /// An order was completed. Orders are kept as orders; conditions see them under this kind too.
    pub const ORDER_COMPLETED: &str = "Order Completed";
    /// An order was refunded, wholly or in part.
    pub const ORDER_REFUNDED: &str = "Order Refunded";
    /// An order was cancelled.
    pub const ORDER_CANCELLED: &str = "Order Cancelled";
    /// An email was handed over.
    pub const EMAIL_SENT: &str = "Email Sent";
    /// An email was opened.
    pub const EMAIL_OPENED: &str = "Email Opened";
    /// A link of an email was clicked.
    pub const EMAIL_CLICKED: &str = "Email Link Clicked";
    /// A contact entered a segment; property `segment`.
    pub const SEGMENT_ENTERED: &str = "Segment Entered";
    /// A contact left a segment; property `segment`.
    pub const SEGMENT_EXITED: &str = "Segment Exited";
    /// A contact changed its RFM group; properties `model`, `from`, `to`.
    pub const RFM_GROUP_CHANGED: &str = "RFM Group Changed";

    /// All of the above, for suggestions.
    pub const KNOWN: &[&str] = &[
        PAGE_VIEWED,
        PRODUCT_VIEWED,
        PRODUCT_ADDED,
        PRODUCT_REMOVED,
        PRODUCTS_SEARCHED,
        CART_VIEWED,
        CHECKOUT_STARTED,
        ORDER_COMPLETED,
        ORDER_REFUNDED,
        ORDER_CANCELLED,
        EMAIL_SENT,
        EMAIL_OPENED,
        EMAIL_CLICKED,
        SEGMENT_ENTERED,
        SEGMENT_EXITED,
        RFM_GROUP_CHANGED,
    ];
}
