//! Relations from each product to at most a few dozen others, with weights: learned ones, those of purchase patterns,
//! and the shop's explicit links all have this shape.

use std::sync::Arc;

use model::ProductId;

/// Most neighbours that a product keeps unless said otherwise (spec §2.6.5).
pub const NEIGHBOURS_DEFAULT: usize = 40;
/// Most neighbours that can be asked for.
pub const NEIGHBOURS_MAX: usize = 400;

/// Version of the bytes that [`Relations::to_bytes`] writes.
const FORMAT: u8 = 1;

/// One-directional weighted relations, as compressed rows by product number, immutable and cheap to clone.
///
/// Beside its neighbours a product may *pull* towards what everybody buys ([`Relations::popular`]): what a dense model
/// says of thousands of weak relations, said with one number, so that cutting to a few neighbours loses little.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relations(Arc<Inner>);

#[derive(Debug, Default, PartialEq)]
struct Inner {
    /// Row of product `p` is `offsets[p]..offsets[p + 1]`; shorter than the catalogue when the last have none.
    offsets: Vec<u32>,
    to: Vec<ProductId>,
    weight: Vec<f32>,
    /// By product number; empty when nothing pulls.
    pull: Vec<f32>,
    popular: Vec<(ProductId, f32)>,
}

impl Relations {
    /// From rows: product, its neighbours with weights. Each row is cut to the `keep` heaviest positive ones, heaviest
    /// first (equal weights: the smaller product number first). A later row of the same product is ignored.
    #[must_use]
    pub fn from_rows(mut rows: Vec<(ProductId, Vec<(ProductId, f32)>)>, keep: usize) -> Self {
        rows.sort_by_key(|(product, _)| *product);
        rows.dedup_by_key(|(product, _)| *product);
        let mut inner = Inner { offsets: vec![0], ..Inner::default() };
        for (product, mut row) in rows {
            row.retain(|(to, weight)| *weight > 0.0 && weight.is_finite() && *to != product);
            row.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            row.truncate(keep);
            // Rows of products between the last one and this one are empty.
            inner.offsets.resize(product.0 as usize + 1, inner.to.len() as u32);
            inner.to.extend(row.iter().map(|(to, _)| *to));
            inner.weight.extend(row.iter().map(|(_, weight)| *weight));
            inner.offsets.push(inner.to.len() as u32);
        }
        Self(Arc::new(inner))
    }

    /// With the pull of each product (by product number) towards popular ones.
    #[must_use]
    pub fn with_popular(self, pull: Vec<f32>, popular: Vec<(ProductId, f32)>) -> Self {
        let inner = Arc::try_unwrap(self.0).unwrap_or_else(|shared| Inner {
            offsets: shared.offsets.clone(),
            to: shared.to.clone(),
            weight: shared.weight.clone(),
            ..Inner::default()
        });
        Self(Arc::new(Inner { pull, popular, ..inner }))
    }

    /// The neighbours of a product, heaviest first.
    pub fn of(&self, product: ProductId) -> impl ExactSizeIterator<Item = (ProductId, f32)> + '_ {
        let row = product.0 as usize;
        let range = match (self.0.offsets.get(row), self.0.offsets.get(row + 1)) {
            (Some(from), Some(to)) => *from as usize..*to as usize,
            _ => 0..0,
        };
        self.0.to[range.clone()].iter().copied().zip(self.0.weight[range].iter().copied())
    }

    /// How strongly a product pulls towards popular ones.
    #[must_use]
    pub fn pull(&self, product: ProductId) -> f32 {
        self.0.pull.get(product.0 as usize).copied().unwrap_or_default()
    }

    /// Popular products with their share, largest first; empty when nothing pulls.
    #[must_use]
    pub fn popular(&self) -> &[(ProductId, f32)] {
        &self.0.popular
    }

    /// How many products have neighbours.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.offsets.windows(2).filter(|pair| pair[0] < pair[1]).count()
    }

    /// How many relations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.to.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.to.is_empty()
    }

    /// As versioned bytes: a version, four counts, then the columns, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let inner = &*self.0;
        let mut bytes = vec![FORMAT];
        for count in [inner.offsets.len(), inner.to.len(), inner.pull.len(), inner.popular.len()] {
            bytes.extend_from_slice(&(count as u32).to_le_bytes());
        }
        let popular_ids = inner.popular.iter().map(|(product, _)| product.0);
        for number in inner.offsets.iter().copied().chain(inner.to.iter().map(|to| to.0)).chain(popular_ids) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let popular_weights = inner.popular.iter().map(|(_, weight)| *weight);
        for weight in inner.weight.iter().copied().chain(inner.pull.iter().copied()).chain(popular_weights) {
            bytes.extend_from_slice(&weight.to_le_bytes());
        }
        bytes
    }

    /// Reads [`Relations::to_bytes`].
    ///
    /// # Errors
    /// Why the bytes cannot be read: another version, cut short, or rows out of order. Never panics.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (&version, rest) = bytes.split_first().ok_or("no bytes")?;
        if version != FORMAT {
            return Err(format!(
                "relations of format {version}, this program reads {FORMAT}: train them again"
            ));
        }
        let word = |i: usize| -> Option<[u8; 4]> { rest.get(4 * i..4 * i + 4)?.try_into().ok() };
        let count = |i: usize| word(i).map(|w| u32::from_le_bytes(w) as usize).ok_or("cut short");
        let (rows, len, pulls, popular) = (count(0)?, count(1)?, count(2)?, count(3)?);
        if rest.len() != 4 * (4 + rows + 2 * len + pulls + 2 * popular) {
            return Err("cut short, or longer than it says".into());
        }
        let mut at = 4;
        let mut words = |n: usize| {
            let range = at..at + n;
            at += n;
            range.map(|i| word(i).unwrap_or_default()).collect::<Vec<_>>()
        };
        let offsets: Vec<u32> = words(rows).into_iter().map(u32::from_le_bytes).collect();
        let to = words(len).into_iter().map(|w| ProductId(u32::from_le_bytes(w))).collect();
        let popular_ids: Vec<u32> = words(popular).into_iter().map(u32::from_le_bytes).collect();
        let mut floats = |n: usize| words(n).into_iter().map(f32::from_le_bytes).collect::<Vec<f32>>();
        let (weight, pull, shares) = (floats(len), floats(pulls), floats(popular));
        let ordered = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        let ends = offsets.last().map_or(len == 0, |end| *end as usize == len);
        if !ordered || !ends || weight.iter().chain(&pull).chain(&shares).any(|w| !w.is_finite()) {
            return Err("rows out of order".into());
        }
        let popular = popular_ids.into_iter().map(ProductId).zip(shares).collect();
        Ok(Self(Arc::new(Inner { offsets, to, weight, pull, popular })))
    }
}

/// Adds up the relations of several products; kept by the caller so that a cart costs no allocation.
#[derive(Debug, Default)]
pub struct Scores {
    /// By product number; 0 for those not touched.
    sum: Vec<f32>,
    touched: Vec<ProductId>,
}

impl Scores {
    /// Forgets the last cart.
    pub fn clear(&mut self) {
        for product in self.touched.drain(..) {
            self.sum[product.0 as usize] = 0.0;
        }
    }

    /// Adds to one product's score.
    pub fn add(&mut self, product: ProductId, weight: f32) {
        let at = product.0 as usize;
        if at >= self.sum.len() {
            self.sum.resize(at + 1, 0.0);
        }
        if self.sum[at] == 0.0 {
            self.touched.push(product);
        }
        // A sum that comes to exactly nothing would be touched twice.
        let sum = self.sum[at] + weight;
        self.sum[at] = if sum == 0.0 { f32::MIN_POSITIVE } else { sum };
    }

    /// Adds the relations of seeds with their weights, and their common pull towards popular products.
    pub fn add_related(&mut self, relations: &Relations, seeds: impl IntoIterator<Item = (ProductId, f32)>) {
        let mut pull = 0.0;
        for (seed, strength) in seeds {
            for (to, weight) in relations.of(seed) {
                self.add(to, strength * weight);
            }
            pull += strength * relations.pull(seed);
        }
        if pull > 0.0 {
            for (product, share) in relations.popular() {
                self.add(*product, pull * share);
            }
        }
    }

    /// Takes a product out.
    pub fn remove(&mut self, product: ProductId) {
        if let Some(sum) = self.sum.get_mut(product.0 as usize)
            && *sum != 0.0
        {
            *sum = 0.0;
            self.touched.retain(|other| *other != product);
        }
    }

    /// The products with their scores, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (ProductId, f32)> + '_ {
        self.touched.iter().map(|product| (*product, self.sum[product.0 as usize]))
    }

    /// The score of a product; 0 when nothing was added.
    #[must_use]
    pub fn get(&self, product: ProductId) -> f32 {
        self.sum.get(product.0 as usize).copied().unwrap_or_default()
    }
}
