//! What is known of one contact, as conditions ask for it.

use std::collections::{BTreeMap, HashMap};

use model::{Cart, ConsentState, Contact, FieldDef, Product, ProductId, RfmPlacement, Totals, Value, Zone};
use segment::{Activity, Condition, Data, Entries, Facts, Products, RefPath, SegmentFile, evaluate::History};
use storage::{Result, catalogue::CatalogueStore};

use super::contacts::Kept;

/// The catalogue, by both ids.
#[derive(Default)]
pub struct Catalogue {
    by_id: HashMap<ProductId, Product>,
    by_external_id: HashMap<String, ProductId>,
}

impl Catalogue {
    /// Loads it.
    ///
    /// # Errors
    /// What storage says.
    pub async fn load<S: CatalogueStore>(store: &S) -> Result<Self> {
        let mut catalogue = Self::default();
        for product in store.load_products().await? {
            catalogue.by_external_id.insert(product.external_id.clone(), product.id);
            catalogue.by_id.insert(product.id, product);
        }
        Ok(catalogue)
    }
}

impl Products for Catalogue {
    fn by_id(&self, id: ProductId) -> Option<&Product> {
        self.by_id.get(&id)
    }
    fn by_external_id(&self, id: &str) -> Option<&Product> {
        self.by_id.get(self.by_external_id.get(id)?)
    }
}

/// A profile with what its orders come to: enough for fields, consents and lists.
#[derive(Clone, Copy)]
pub(crate) struct Profile<'a> {
    pub contact: &'a Contact,
    pub totals: &'a Totals,
    pub fields: &'a BTreeMap<String, FieldDef>,
}

impl Facts for Profile<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "first_order_at" => self.totals.first_order_at.map(Value::Instant),
            "last_order_at" => self.totals.last_order_at.map(Value::Instant),
            "order_count" => Some(Value::Integer(self.totals.orders.into())),
            "order_total" => Some(Value::Decimal(model::Amount(self.totals.spent))),
            "average_order" => self.totals.average().map(Value::Decimal),
            _ => self.contact.field(name).or_else(|| self.fields.get(name)?.default.clone()),
        }
    }
    fn consent(&self, purpose: &str) -> ConsentState {
        self.contact.consent(purpose)
    }
    fn in_list(&self, slug: &str) -> bool {
        self.contact.lists.iter().any(|list| list.as_str() == slug)
    }
    fn data(&self) -> &dyn Data {
        self
    }
}

impl Data for Profile<'_> {
    fn value(&self, path: &RefPath) -> Option<Value> {
        match path.parts() {
            [root, name] if root == "contact" => self.field(name),
            _ => None,
        }
    }
    fn products(&self, _: &RefPath) -> Vec<ProductId> {
        Vec::new()
    }
}

/// Everything that was loaded of a contact.
pub(crate) struct Person<'a> {
    pub profile: Profile<'a>,
    pub placements: &'a [RfmPlacement],
    pub history: History<'a>,
    pub carts: &'a [Cart],
    pub catalogue: &'a Catalogue,
    pub segments: &'a BTreeMap<String, std::sync::Arc<SegmentFile>>,
    pub zone: &'a Zone,
    /// What is kept of histories for some of the conditions.
    pub kept: &'a [Kept<'a>],
}

impl Facts for Person<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        self.profile.field(name)
    }
    fn consent(&self, purpose: &str) -> ConsentState {
        self.profile.consent(purpose)
    }
    fn in_list(&self, slug: &str) -> bool {
        self.profile.in_list(slug)
    }
    fn segment(&self, slug: &str) -> Option<&Condition> {
        self.segments.get(slug).map(|file| &file.condition)
    }
    fn rfm(&self, model: &str) -> Option<RfmPlacement> {
        self.placements.iter().find(|placement| placement.model == model).cloned()
    }
    fn entries(&self, activity: &Activity) -> Entries<'_> {
        for kept in self.kept {
            if kept.condition.activities().iter().any(|own| std::ptr::eq(*own, activity))
                && let Some(state) = kept.states.get(&self.profile.contact.id)
            {
                return state.entries(kept.condition, activity);
            }
        }
        self.history.entries(activity, self.catalogue, self.zone)
    }
    fn carts(&self) -> &[Cart] {
        self.carts
    }
    fn products(&self) -> &dyn Products {
        self.catalogue
    }
    fn data(&self) -> &dyn Data {
        &self.profile
    }
}
