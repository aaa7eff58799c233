//! EASE (Steck, "Embarrassingly shallow autoencoders for sparse data", 2019) over the well-sold products: the linear
//! model that predicts each product of an order from the others.

use rayon::prelude::*;

use super::{
    dense::Tiles,
    pairs::{Pairs, Row},
};

/// Ridge in proportion to how often an item is bought: what random dropout of the input comes to (Steck,
/// "Autoencoders that don't overfit towards the identity", 2020). Not sensitive: 0.2 to 0.5 do the same.
const DROPOUT: f32 = 0.3;

/// The model.
pub(crate) struct Ease {
    inverse: Tiles,
    diagonal: Vec<f32>,
}

impl Ease {
    /// Fits it to the `head` commonest items, with a ridge of so many baskets of mean weight; none when the matrix
    /// does not invert.
    pub fn fit(pairs: &Pairs<'_>, head: usize, ridge: f32) -> Option<Self> {
        let head = head.min(pairs.items());
        let ridge = ridge * pairs.mean_weight();
        let mut gram = Tiles::zeros(head);
        let side = gram.tile;
        gram.rows_mut().par_iter_mut().enumerate().for_each_init(Row::default, |row, (tile_row, tiles)| {
            for i in tile_row * side..head.min((tile_row + 1) * side) {
                pairs.row(i as u32, row, |j, sum, _| {
                    let j = j as usize;
                    if j < i {
                        tiles[j / side][[i % side, j % side]] = sum;
                    }
                });
            }
        });
        gram.set_diagonal(|i| pairs.sums[i] * (1.0 + DROPOUT) + ridge);
        let inverse = gram.inverse()?;
        let diagonal = (0..head).map(|i| inverse.get(i, i)).collect();
        Some(Self { inverse, diagonal })
    }

    /// How many items it covers.
    pub fn len(&self) -> usize {
        self.diagonal.len()
    }

    /// What one item in a cart says for (or against) another.
    pub fn weight(&self, from: usize, to: usize) -> f32 {
        if from == to { 0.0 } else { -self.inverse.get(from, to) / self.diagonal[to] }
    }
}
