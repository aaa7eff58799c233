//! Many seeds at once.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::{Failure, Figures, story::Bounds};

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Sum {
    /// Figures of those that ended well.
    pub figures: Figures,
    /// Those that did not, by seed.
    pub failures: Vec<Failure>,
}

/// Tells the stories of seeds on all processors; each failure is told to `told` when it is found.
pub fn run(seeds: &[u64], bounds: &Bounds, told: impl Fn(&Failure) + Sync) -> Sum {
    let next = AtomicU64::new(0);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst) as usize) {
                    let done = crate::run(*seed, bounds);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    match done {
                        Ok(figures) => sum.figures.add(&figures),
                        Err(failure) => {
                            told(&failure);
                            sum.failures.push(*failure);
                        }
                    }
                }
            });
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.failures.sort_by_key(|failure| failure.seed);
    sum
}
