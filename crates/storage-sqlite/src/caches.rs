//! What is looked up for nearly every row: numbers of products by the shop's own id, and where recent events are. Filled
//! after commits only, so that what a change that was undone wrote never gets in.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use crate::recent::Recent;

/// Numbers by name.
#[derive(Default)]
pub(crate) struct Names(RwLock<HashMap<String, u32>>);

impl Names {
    pub(crate) fn get(&self, name: &str) -> Option<u32> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    pub(crate) fn add(&self, names: impl IntoIterator<Item = (String, u32)>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(names);
    }
}

/// Of one open database.
#[derive(Default)]
pub(crate) struct Caches {
    /// Products by the shop's own id.
    pub(crate) products: Names,
    /// Events that are not in their histories yet.
    pub(crate) recent: Recent,
}
