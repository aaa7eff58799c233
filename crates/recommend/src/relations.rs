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
/// A weight may be negative: "who buys this rather does not buy that". Such a relation recommends nothing by itself, it
/// counts against what other products of a cart recommend; leaving them out costs wholesale carts much.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relations(Arc<Inner>);

#[derive(Debug, Default, PartialEq)]
struct Inner {
    /// Row of product `p` is `offsets[p]..offsets[p + 1]`; shorter than the catalogue when the last have none.
    offsets: Vec<u32>,
    to: Vec<ProductId>,
    weight: Vec<f32>,
}

impl Relations {
    /// From rows: product, its neighbours with weights. Each row is cut to the `keep` weights that are farthest from 0
    /// (equal ones: the smaller product number first). A later row of the same product is ignored.
    #[must_use]
    pub fn from_rows(mut rows: Vec<(ProductId, Vec<(ProductId, f32)>)>, keep: usize) -> Self {
        rows.sort_by_key(|(product, _)| *product);
        rows.dedup_by_key(|(product, _)| *product);
        let mut inner = Inner { offsets: vec![0], ..Inner::default() };
        for (product, mut row) in rows {
            row.retain(|(to, weight)| *weight != 0.0 && weight.is_finite() && *to != product);
            row.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
            row.truncate(keep);
            row.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            // Rows of products between the last one and this one are empty.
            inner.offsets.resize(product.0 as usize + 1, inner.to.len() as u32);
            inner.to.extend(row.iter().map(|(to, _)| *to));
            inner.weight.extend(row.iter().map(|(_, weight)| *weight));
            inner.offsets.push(inner.to.len() as u32);
        }
        Self(Arc::new(inner))
    }

    /// The neighbours of a product, heaviest first, negative ones last.
    pub fn of(&self, product: ProductId) -> impl ExactSizeIterator<Item = (ProductId, f32)> + '_ {
        let row = product.0 as usize;
        let range = match (self.0.offsets.get(row), self.0.offsets.get(row + 1)) {
            (Some(from), Some(to)) => *from as usize..*to as usize,
            _ => 0..0,
        };
        self.0.to[range.clone()].iter().copied().zip(self.0.weight[range].iter().copied())
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

    /// As versioned bytes: a version, two counts, then the columns, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let inner = &*self.0;
        let mut bytes = Vec::with_capacity(9 + 4 * (inner.offsets.len() + 2 * inner.to.len()));
        bytes.push(FORMAT);
        for count in [inner.offsets.len(), inner.to.len()] {
            bytes.extend_from_slice(&(count as u32).to_le_bytes());
        }
        for number in inner.offsets.iter().copied().chain(inner.to.iter().map(|to| to.0)) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for weight in &inner.weight {
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
        let mut words = rest.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
        let mut count = || words.next().map(|word| u32::from_le_bytes(word) as usize).ok_or("cut short");
        let (rows, len) = (count()?, count()?);
        if rest.len() != 4 * (2 + rows + 2 * len) {
            return Err("cut short, or longer than it says".into());
        }
        let offsets: Vec<u32> = words.by_ref().take(rows).map(u32::from_le_bytes).collect();
        let to: Vec<ProductId> =
            words.by_ref().take(len).map(|word| ProductId(u32::from_le_bytes(word))).collect();
        let weight: Vec<f32> = words.map(f32::from_le_bytes).collect();
        let ordered = offsets.first().is_none_or(|first| *first == 0) && offsets.is_sorted();
        let ends = offsets.last().map_or(len == 0, |end| *end as usize == len);
        if !ordered || !ends || weight.iter().any(|w| !w.is_finite()) {
            return Err("rows out of order".into());
        }
        Ok(Self(Arc::new(Inner { offsets, to, weight })))
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

    /// Adds the relations of seeds with their weights.
    pub fn add_related(&mut self, relations: &Relations, seeds: impl IntoIterator<Item = (ProductId, f32)>) {
        for (seed, strength) in seeds {
            for (to, weight) in relations.of(seed) {
                self.add(to, strength * weight);
            }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<(ProductId, Vec<(ProductId, f32)>)>> {
        let neighbour = (1_u32..50, -1.0_f32..1.0).prop_map(|(to, weight)| (ProductId(to), weight));
        let row =
            (1_u32..50, proptest::collection::vec(neighbour, 0..12)).prop_map(|(p, row)| (ProductId(p), row));
        proptest::collection::vec(row, 0..20)
    }

    proptest! {
        #[test]
        fn bytes_read_back_and_damaged_ones_never_panic(rows in rows(), cut in 0_usize..400, flip in any::<u8>()) {
            let relations = Relations::from_rows(rows, 5);
            let mut bytes = relations.to_bytes();
            prop_assert_eq!(Relations::from_bytes(&bytes), Ok(relations));
            let at = cut % bytes.len();
            prop_assert!(Relations::from_bytes(&bytes[..at]).is_err());
            bytes[at] = flip;
            if let Ok(read) = Relations::from_bytes(&bytes) {
                for product in 0..60 {
                    prop_assert!(read.of(ProductId(product)).len() <= read.len());
                }
            }
        }

        #[test]
        fn rows_are_cut_to_the_farthest_from_nothing(rows in rows(), keep in 0_usize..8) {
            let relations = Relations::from_rows(rows.clone(), keep);
            for product in (0..60).map(ProductId) {
                let kept: Vec<(ProductId, f32)> = relations.of(product).collect();
                prop_assert!(kept.len() <= keep);
                prop_assert!(kept.windows(2).all(|pair| pair[0].1 >= pair[1].1));
                prop_assert!(kept.iter().all(|(to, _)| *to != product));
                let row = rows.iter().find(|(p, _)| *p == product).map(|(_, row)| row.clone()).unwrap_or_default();
                let least = kept.iter().map(|(_, weight)| weight.abs()).fold(f32::INFINITY, f32::min);
                let heavier = row.iter().filter(|(to, weight)| *to != product && weight.abs() > least).count();
                prop_assert!(kept.is_empty() || heavier < keep);
            }
        }
    }

    #[test]
    fn another_version_says_what_to_do() {
        let problem = Relations::from_bytes(&[9, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(problem, "relations of format 9, this program reads 1: train them again");
        assert_eq!(Relations::from_bytes(&Relations::default().to_bytes()), Ok(Relations::default()));
    }
}
