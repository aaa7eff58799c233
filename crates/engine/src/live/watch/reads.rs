//! Which segments read what an input changes.

use std::collections::{BTreeMap, BTreeSet};

use model::{ContactId, Event, event::kind};
use segment::{Reads, SegmentFile};
use serde_json::Value;

use crate::segments::{Workspace, contacts::FIELDS_OF_ORDERS};

/// The slugs of a segment and of all that it refers to, directly or through others.
pub(super) fn all_segments(workspace: &Workspace, file: &SegmentFile) -> BTreeSet<String> {
    let mut all = BTreeSet::from([file.slug.to_string()]);
    let mut open: Vec<String> = file.condition.reads().segments.into_iter().collect();
    while let Some(slug) = open.pop() {
        if let Some(other) = workspace.segments.get(&slug)
            && all.insert(slug)
        {
            open.extend(other.condition.reads().segments);
        }
    }
    all
}

/// What a segment reads, through those that it refers to as well.
#[must_use]
pub fn all_reads(workspace: &Workspace, file: &SegmentFile) -> Reads {
    let mut all = Reads::default();
    for slug in all_segments(workspace, file) {
        // The file itself may not be the stored one.
        let reads = match slug == file.slug.as_str() {
            true => file.condition.reads(),
            false => workspace.segments.get(&slug).map(|file| file.condition.reads()).unwrap_or_default(),
        };
        all.fields.extend(reads.fields);
        all.purposes.extend(reads.purposes);
        all.rfm_models.extend(reads.rfm_models);
        all.segments.extend(reads.segments);
        all.lists.extend(reads.lists);
        all.event_kinds.extend(reads.event_kinds);
        all.carts |= reads.carts;
        all.products |= reads.products;
        all.time |= reads.time;
    }
    all
}

/// Contacts that are no more, as an input tells it: merged into another, or erased.
pub(super) fn gone(event: &Event) -> Vec<ContactId> {
    let name = match event.kind.as_str() {
        kind::CONTACT_MERGED => "merged",
        kind::CONTACT_ERASED => "erased",
        _ => return Vec::new(),
    };
    let ids = event.properties.get(name).and_then(Value::as_array);
    ids.into_iter().flatten().filter_map(Value::as_i64).map(ContactId).collect()
}

/// Whether an input of this kind is about an order.
pub(super) fn is_order(name: &str) -> bool {
    matches!(name, kind::ORDER_COMPLETED | kind::ORDER_REFUNDED | kind::ORDER_CANCELLED)
}

/// Which of the watched segments, by place, read what.
#[derive(Default)]
pub(super) struct Interest {
    reads: Vec<Reads>,
    /// Of inputs that tell all by their kind.
    by_kind: BTreeMap<String, Vec<usize>>,
    products: bool,
}

impl Interest {
    pub(super) fn of<'f>(workspace: &Workspace, files: impl Iterator<Item = &'f SegmentFile>) -> Self {
        let reads: Vec<Reads> = files.map(|file| all_reads(workspace, file)).collect();
        let mut by_kind: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let always = [
            kind::ORDER_COMPLETED,
            kind::ORDER_REFUNDED,
            kind::ORDER_CANCELLED,
            kind::CART_UPDATED,
            kind::EMAIL_BOUNCED,
            kind::EMAIL_COMPLAINED,
            kind::UNSUBSCRIBED,
        ];
        let kinds: BTreeSet<&str> =
            reads.iter().flat_map(|reads| &reads.event_kinds).map(String::as_str).chain(always).collect();
        for kind in kinds {
            let places = (0..reads.len()).filter(|place| reads_kind(&reads[*place], kind));
            by_kind.insert(kind.to_owned(), places.collect());
        }
        let products = reads.iter().any(|reads| reads.products);
        Self { reads, by_kind, products }
    }

    /// Whether any of them reads the catalogue.
    pub(super) const fn products(&self) -> bool {
        self.products
    }

    pub(super) fn reads_field(&self, field: &str) -> bool {
        self.reads.iter().any(|reads| reads.fields.contains(field))
    }

    /// Shows the places of those that read an RFM model.
    pub(super) fn rfm(&self, model: &str, show: &mut dyn FnMut(usize)) {
        for (place, reads) in self.reads.iter().enumerate() {
            if reads.rfm_models.contains(model) {
                show(place);
            }
        }
    }

    /// Shows the places of those whose answer an input may change.
    pub(super) fn touched(&self, event: &Event, show: &mut dyn FnMut(usize)) {
        for place in self.by_kind.get(event.kind.as_str()).into_iter().flatten() {
            show(*place);
        }
        match event.kind.as_str() {
            // Somebody new has an answer to everything, and so has somebody who was two.
            kind::CONTACT_CREATED | kind::CONTACT_MERGED => (0..self.reads.len()).for_each(show),
            kind::HISTORY_TRIMMED => {
                let reads = self.reads.iter().enumerate();
                reads
                    .filter(|(_, reads)| reads.carts || !reads.event_kinds.is_empty())
                    .for_each(|(place, _)| show(place));
            }
            kind::CONTACT_UPDATED => {
                for (place, reads) in self.reads.iter().enumerate() {
                    if reads_update(reads, event) {
                        show(place);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether events of a kind touch what is read, whatever they say.
fn reads_kind(reads: &Reads, name: &str) -> bool {
    let orders = || {
        reads.event_kinds.contains(kind::ORDER_COMPLETED)
            || reads.carts
            || FIELDS_OF_ORDERS.iter().any(|field| reads.fields.contains(*field))
    };
    reads.event_kinds.contains(name)
        || match name {
            kind::CART_UPDATED => reads.carts,
            kind::EMAIL_BOUNCED | kind::EMAIL_COMPLAINED => reads.fields.contains("email_status"),
            kind::UNSUBSCRIBED => !reads.purposes.is_empty(),
            name => is_order(name) && orders(),
        }
}

/// Whether an update of a profile touches what is read. It names the fields that changed; what is no field that anybody
/// reads is a purpose or a list. One that names nothing may have changed anything.
fn reads_update(reads: &Reads, event: &Event) -> bool {
    let of_profile = || !reads.fields.is_empty() || !reads.purposes.is_empty() || !reads.lists.is_empty();
    let Some(Value::Array(names)) = event.properties.get("fields") else { return of_profile() };
    if reads.fields.contains("updated_at") {
        return true;
    }
    names.iter().filter_map(Value::as_str).any(|name| {
        let name = name.strip_prefix("fields.").unwrap_or(name);
        let other = || {
            (name.starts_with("consent") && !reads.purposes.is_empty())
                || (name.starts_with("list") && !reads.lists.is_empty())
                || reads.purposes.contains(name)
                || reads.lists.contains(name)
        };
        reads.fields.contains(name) || other()
    })
}
