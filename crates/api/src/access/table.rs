//! A table of counters that never grows: what callers can make us remember has a fixed size. When a bucket is full, the
//! entry that matters least makes room.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
};

/// Buckets of a table.
const BUCKETS: usize = 4_096;
/// Entries of a bucket.
const WAYS: usize = 4;

/// What a table keeps.
pub(crate) trait Entry: Copy + Default {
    /// The least of a bucket makes room for a new one.
    fn weight(&self) -> (u32, i64);
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Table<V> {
    // Keyed at random for each process: nobody can choose names that meet in one bucket.
    hasher: RandomState,
    slots: Mutex<Vec<(u64, V)>>,
}

impl<V: Entry> Default for Table<V> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), slots: Mutex::new(vec![(0, V::default()); BUCKETS * WAYS]) }
    }
}

impl<V: Entry> Table<V> {
    /// Looks at the entry of a name, or at a new one, and keeps what is made of it.
    pub(crate) fn with<R>(&self, name: impl Hash, change: impl FnOnce(&mut V) -> R) -> R {
        // 0 marks an empty slot.
        let print = self.hasher.hash_one(name).max(1);
        let first = (print as usize % BUCKETS) * WAYS;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = &mut slots[first..first + WAYS];
        let place = bucket.iter().position(|(known, _)| *known == print).unwrap_or_else(|| {
            let least = (0..WAYS).min_by_key(|way| match bucket[*way] {
                (0, _) => None,
                (_, entry) => Some(entry.weight()),
            });
            let least = least.unwrap_or_default();
            bucket[least] = (print, V::default());
            least
        });
        change(&mut bucket[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, Default)]
    struct Count(u32);

    impl Entry for Count {
        fn weight(&self) -> (u32, i64) {
            (self.0, 0)
        }
    }

    #[test]
    fn a_flood_of_names_does_not_grow_it_and_leaves_what_matters() {
        let table = Table::<Count>::default();
        let room = table.slots.lock().unwrap().len();
        table.with("watched", |count| count.0 = 9);
        for name in 0..200_000_u32 {
            table.with(name, |count| count.0 += 1);
        }
        assert_eq!(table.slots.lock().unwrap().len(), room);
        assert_eq!(table.with("watched", |count| count.0), 9);
    }
}
