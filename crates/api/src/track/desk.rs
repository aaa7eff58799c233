//! What the workspace has chosen about tracking, looked up once in a few seconds and not for each request.

use std::sync::{Arc, Mutex, PoisonError};

use connect::segment_http::{Confirm, Mapper, Rules};
use delivery::Links;
use model::{Currency, FieldDef, Problem, Timestamp};
use serde_json::Value;
use storage::{
    Result, Storage, StoreError,
    settings::{DefinitionKind, key},
};

use crate::{Chance, links::Asker};

/// A change is seen after so long.
pub const FRESH: i64 = 2 * Timestamp::SECOND;

/// What the workspace has chosen, as of a moment ago.
pub(crate) struct Desk<S> {
    store: S,
    links: Links,
    chance: Arc<dyn Chance>,
    known: Mutex<Option<(Arc<Mapper>, Timestamp)>>,
}

impl<S: Storage> Desk<S> {
    pub(super) fn new(store: S, links: Links, chance: Arc<dyn Chance>) -> Self {
        Self { store, links, chance, known: Mutex::default() }
    }

    /// How messages are mapped now.
    pub(super) async fn mapper(&self, now: Timestamp) -> Result<Arc<Mapper>> {
        if let Some((mapper, since)) = &*self.known.lock().unwrap_or_else(PoisonError::into_inner)
            && (0..FRESH).contains(&now.since(*since))
        {
            return Ok(Arc::clone(mapper));
        }
        let mapper = Arc::new(self.load(now).await?);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(&mapper), now));
        Ok(mapper)
    }

    async fn load(&self, now: Timestamp) -> Result<Mapper> {
        let rules = match self.store.load_setting(Rules::SETTING.to_owned()).await? {
            Some(value) => serde_json::from_value(value).map_err(|error| {
                StoreError::Refused(
                    Problem::new("setting.invalid", format!("the setting is not usable: {error}"))
                        .field("setting tracking")
                        .cure("set it as docs/tracking.md says"),
                )
            })?,
            None => Rules::default(),
        };
        let currency = self.store.load_setting(key::CURRENCY.to_owned()).await?;
        let currency = currency.as_ref().and_then(Value::as_str).map(Currency::parse).transpose();
        let mut fields = Vec::new();
        for definition in self.store.load_definitions(DefinitionKind::Field).await? {
            match serde_json::from_value::<FieldDef>(definition.content) {
                Ok(field) => fields.push(field),
                Err(error) => tracing::warn!(field = %definition.slug, %error, "the field is not usable"),
            }
        }
        let confirm = Asker::load(&self.store, &self.links, &self.chance, now).await?;
        let confirm = confirm.map(|asker| Arc::new(asker) as Arc<dyn Confirm>);
        Ok(Mapper { rules, fields, currency: currency.map_err(StoreError::Refused)?, confirm })
    }
}
