//! Rows of browsers that take push messages, and what tells that a subscription is one.

use model::{Problem, PushSubscription};
use storage::imports::{ContactKey, ContactPatch};

use crate::{
    contacts::contact_key,
    mapping::{Kind, Mapping},
    values::{ID_LEN_MAX, Result, TEXT_LEN_MAX, Values, missing},
};

/// Longest endpoint of a push service, in bytes.
pub const ENDPOINT_LEN_MAX: usize = 2_000;

/// Reads subscriptions, each as a patch of its contact.
pub struct PushReader {
    mapping: Mapping,
}

impl PushReader {
    /// Reads with this mapping.
    #[must_use]
    pub fn new(mapping: Mapping) -> Self {
        Self { mapping }
    }

    /// One subscription.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn read(&self, values: Values<'_>) -> Result<ContactPatch> {
        let slot = |name: &str| self.mapping.slot(Kind::Push, name);
        let text = |name: &str| values.text_of(slot(name), name, TEXT_LEN_MAX);
        let contact = contact_key(values, slot("contact"))?.ok_or_else(|| missing("contact"))?;
        let endpoint = text("endpoint")?.ok_or_else(|| missing("endpoint"))?;
        let (p256dh, auth) = (text("p256dh")?.unwrap_or_default(), text("auth")?.unwrap_or_default());
        let subscription = PushSubscription { endpoint, p256dh, auth };
        let push = vec![checked(subscription).map_err(|problem| problem.field("endpoint"))?];
        Ok(match contact {
            ContactKey::Email(email) => ContactPatch { email: Some(email), push, ..ContactPatch::default() },
            // No file names its contacts by browsers: see `contact_key`.
            other => {
                ContactPatch { external_id: Some(other.text().to_owned()), push, ..ContactPatch::default() }
            }
        })
    }
}

/// A subscription that a message can be posted to: at an https address, with keys that are short plain texts.
///
/// # Errors
/// `push.invalid`.
pub(crate) fn checked(subscription: PushSubscription) -> Result<PushSubscription> {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    let short = |text: &str| text.len() <= ID_LEN_MAX && plain(text);
    let ok = subscription.endpoint.starts_with("https://")
        && subscription.endpoint.len() <= ENDPOINT_LEN_MAX
        && plain(&subscription.endpoint)
        && short(&subscription.p256dh)
        && short(&subscription.auth);
    if ok {
        return Ok(subscription);
    }
    Err(Problem::new("push.invalid", "this is no subscription of a browser's push service")
        .value(&subscription.endpoint)
        .cure("give what PushManager.subscribe() gave: its endpoint, and its keys p256dh and auth"))
}
