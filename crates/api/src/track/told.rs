//! What events said about products a moment ago. A product that is looked at a thousand times is described a thousand times
//! in the same words: the base hears of it once an hour.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{Mutex, PoisonError},
};

use model::Timestamp;
use storage::imports::ProductPatch;

/// The same words are said again to the base after so long, so that a price that did not change stays fresh.
const AGAIN: i64 = Timestamp::HOUR;
/// Most products whose words are remembered.
const PRODUCTS_MAX: usize = 50_000;

/// By product: its words, and as of when.
pub(super) type Words = HashMap<String, (u64, Timestamp)>;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Words>);

impl Told {
    /// Leaves out what the base has heard, also from an earlier patch of the same batch; what is new, to be kept when it is
    /// committed.
    pub(super) fn leave_old(&self, patches: &mut Vec<ProductPatch>) -> Words {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = Words::new();
        patches.retain(|patch| {
            let (words, at) = (words(patch), patch.price_at.unwrap_or(Timestamp::MIN));
            let heard = news.get(&patch.external_id).or_else(|| told.get(&patch.external_id));
            if heard.is_some_and(|(known, since)| *known == words && at.since(*since) < AGAIN) {
                return false;
            }
            news.insert(patch.external_id.clone(), (words, at));
            true
        });
        news
    }

    /// They are committed.
    pub(super) fn keep(&self, news: Words) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() + news.len() > PRODUCTS_MAX {
            told.clear();
        }
        told.extend(news.into_iter().take(PRODUCTS_MAX));
    }
}

fn words(patch: &ProductPatch) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&patch.name, &patch.url, &patch.image_url, &patch.brand).hash(&mut hasher);
    (patch.unit_price, &patch.categories, patch.only_missing).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use model::Amount;

    use super::*;

    fn patch(price: i64, minute: i64) -> ProductPatch {
        ProductPatch {
            external_id: "mug".into(),
            unit_price: Some(Amount::units(price)),
            price_at: Some(Timestamp(minute * Timestamp::MINUTE)),
            ..ProductPatch::default()
        }
    }

    #[test]
    fn the_same_words_are_said_once_an_hour_and_only_when_they_are_committed() {
        let told = Told::default();
        let said = |patches: &[ProductPatch]| {
            let mut patches = patches.to_vec();
            let news = told.leave_old(&mut patches);
            (patches, news)
        };
        let (left, news) = said(&[patch(5, 0), patch(5, 1), patch(6, 2), patch(5, 3)]);
        assert_eq!(left, [patch(5, 0), patch(6, 2), patch(5, 3)], "each change counts");
        assert_eq!(said(&[patch(5, 4)]).0.len(), 1, "nothing was committed");
        told.keep(news);
        assert_eq!(said(&[patch(5, 4)]).0, []);
        assert_eq!(said(&[patch(5, 62)]).0, []);
        assert_eq!(said(&[patch(5, 63)]).0.len(), 1);
        assert_eq!(said(&[patch(7, 4)]).0.len(), 1);
    }
}
