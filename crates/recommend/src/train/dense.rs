//! Inverse of a symmetric positive definite matrix in tiles: Cholesky, inverse of the factor, product. Only the lower
//! triangle is kept; the work is matrix products of tiles, shared out to all threads.
//!
//! Single precision: the matrices of [`super::ease`] carry a ridge, so that their condition is mild.

use ndarray::{Array2, linalg::general_mat_mul};
use rayon::prelude::*;

/// Side of a tile; a smaller matrix is one tile.
const TILE: usize = 192;

/// Lower triangle of a symmetric matrix in tiles; the last ones are padded.
pub(crate) struct Tiles {
    /// By tile row, then tile column up to the row's own.
    tiles: Vec<Vec<Array2<f32>>>,
    /// Side of the matrix.
    pub side: usize,
    /// Side of a tile.
    pub tile: usize,
}

impl Tiles {
    /// Zeros.
    pub fn zeros(side: usize) -> Self {
        let tile = side.clamp(1, TILE);
        let rows = side.div_ceil(tile);
        let tiles = (0..rows).map(|i| (0..=i).map(|_| Array2::zeros((tile, tile))).collect()).collect();
        Self { tiles, side, tile }
    }

    /// The value at row and column, either way round.
    pub fn get(&self, a: usize, b: usize) -> f32 {
        let (row, column) = (a.max(b), a.min(b));
        self.tiles[row / self.tile][column / self.tile][[row % self.tile, column % self.tile]]
    }

    /// Tile rows, for filling in parallel.
    pub fn rows_mut(&mut self) -> &mut [Vec<Array2<f32>>] {
        &mut self.tiles
    }

    /// Sets the diagonal.
    pub fn set_diagonal(&mut self, value: impl Fn(usize) -> f32) {
        let tile = self.tile;
        for i in 0..self.tiles.len() * tile {
            // The padding becomes an identity, which stays out of everything else.
            self.tiles[i / tile][i / tile][[i % tile, i % tile]] = if i < self.side { value(i) } else { 1.0 };
        }
    }

    /// The inverse; none when the matrix is not positive definite (to single precision).
    pub fn inverse(mut self) -> Option<Self> {
        let diagonal = self.cholesky()?;
        let inverse = self.inverse_of_factor(&diagonal);
        self.tiles = Vec::new();
        Some(Self { tiles: inverse.gram(self.tile), side: self.side, tile: self.tile })
    }

    /// Replaces the matrix by its Cholesky factor; answers the inverses of the factor's diagonal tiles.
    fn cholesky(&mut self) -> Option<Vec<Array2<f32>>> {
        let mut inverses = Vec::with_capacity(self.tiles.len());
        for k in 0..self.tiles.len() {
            factor_tile(&mut self.tiles[k][k])?;
            let inverse = invert_lower_tile(&self.tiles[k][k]);
            let below = self.tiles[k + 1..].par_iter_mut();
            let column: Vec<Array2<f32>> = below.map(|row| row[k].dot(&inverse.t())).collect();
            self.tiles[k + 1..].par_iter_mut().enumerate().for_each(|(i, row)| {
                for (j, tile) in row[k + 1..].iter_mut().enumerate() {
                    general_mat_mul(-1.0, &column[i], &column[j].t(), 1.0, tile);
                }
            });
            for (row, tile) in self.tiles[k + 1..].iter_mut().zip(column) {
                row[k] = tile;
            }
            inverses.push(inverse);
        }
        Some(inverses)
    }

    /// The inverse of a lower triangular factor, column of tiles by column of tiles.
    fn inverse_of_factor(&self, diagonal: &[Array2<f32>]) -> Columns {
        let rows = self.tiles.len();
        let columns = (0..rows)
            .into_par_iter()
            .map(|j| {
                let mut column: Vec<Array2<f32>> = vec![diagonal[j].clone()];
                for (i, own) in diagonal.iter().enumerate().skip(j + 1) {
                    let mut sum = Array2::zeros((self.tile, self.tile));
                    for (k, above) in column.iter().enumerate() {
                        general_mat_mul(-1.0, &self.tiles[i][j + k], above, 1.0, &mut sum);
                    }
                    column.push(own.dot(&sum));
                }
                column
            })
            .collect();
        Columns(columns)
    }
}

/// A lower triangular matrix by columns of tiles, each from the diagonal down.
struct Columns(Vec<Vec<Array2<f32>>>);

impl Columns {
    /// Its transpose times itself, lower triangle.
    fn gram(&self, tile: usize) -> Vec<Vec<Array2<f32>>> {
        let rows = self.0.len();
        (0..rows)
            .into_par_iter()
            .map(|i| {
                (0..=i)
                    .map(|j| {
                        let mut sum = Array2::zeros((tile, tile));
                        for k in i..rows {
                            general_mat_mul(1.0, &self.0[i][k - i].t(), &self.0[j][k - j], 1.0, &mut sum);
                        }
                        sum
                    })
                    .collect()
            })
            .collect()
    }
}

/// Cholesky of one tile, in double precision; its upper triangle becomes zero.
fn factor_tile(tile: &mut Array2<f32>) -> Option<()> {
    let side = tile.nrows();
    let mut wide: Vec<f64> = tile.iter().map(|x| f64::from(*x)).collect();
    for j in 0..side {
        let (row_j, below) = wide[j * side..].split_at_mut(side);
        let pivot = row_j[j] - row_j[..j].iter().map(|x| x * x).sum::<f64>();
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        let root = pivot.sqrt();
        row_j[j] = root;
        for row in below.chunks_exact_mut(side) {
            let dot: f64 = row[..j].iter().zip(&row_j[..j]).map(|(a, b)| a * b).sum();
            row[j] = (row[j] - dot) / root;
        }
    }
    for i in 0..side {
        for j in 0..side {
            tile[[i, j]] = if j <= i { wide[i * side + j] as f32 } else { 0.0 };
        }
    }
    Some(())
}

/// Inverse of a lower triangular tile.
fn invert_lower_tile(tile: &Array2<f32>) -> Array2<f32> {
    let side = tile.nrows();
    let mut inverse = vec![0.0_f64; side * side];
    for i in 0..side {
        let (above, row) = inverse.split_at_mut(i * side);
        let row = &mut row[..side];
        for k in 0..i {
            let factor = f64::from(tile[[i, k]]);
            if factor != 0.0 {
                for (x, y) in row[..=k].iter_mut().zip(&above[k * side..=k * side + k]) {
                    *x -= factor * y;
                }
            }
        }
        row[i] = 1.0;
        let pivot = f64::from(tile[[i, i]]);
        for x in &mut row[..=i] {
            *x /= pivot;
        }
    }
    Array2::from_shape_fn((side, side), |(i, j)| inverse[i * side + j] as f32)
}

#[cfg(test)]
mod tests {
    use model::Dice;

    use super::*;

    #[test]
    fn the_inverse_times_the_matrix_is_the_identity() {
        for side in [1, 7, TILE, TILE + 1, 2 * TILE + 50] {
            let mut dice = Dice::new(7);
            let mut tiles = Tiles::zeros(side);
            for (i, row) in tiles.rows_mut().iter_mut().enumerate() {
                for (j, tile) in row.iter_mut().enumerate() {
                    for ((r, c), cell) in tile.indexed_iter_mut() {
                        let (r, c) = (i * side.min(TILE) + r, j * side.min(TILE) + c);
                        if r < side && c <= r {
                            *cell = if r == c { 0.0 } else { dice.unit() as f32 - 0.5 };
                        }
                    }
                }
            }
            // A heavy diagonal makes it positive definite. The upper halves of diagonal tiles are never read.
            tiles.set_diagonal(|_| side as f32);
            let full: Vec<f64> =
                (0..side * side).map(|at| f64::from(tiles.get(at / side, at % side))).collect();
            let inverse = tiles.inverse().unwrap();
            for (i, j) in [(0, 0), (side - 1, 0), (side / 2, side / 2), (side / 3, side - 1)] {
                let dot: f64 = (0..side).map(|k| full[i * side + k] * f64::from(inverse.get(k, j))).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-4, "{side}: ({i}, {j}) is {dot}");
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_no_inverse_here() {
        let mut tiles = Tiles::zeros(3);
        tiles.set_diagonal(|i| if i == 1 { -1.0 } else { 1.0 });
        assert!(tiles.inverse().is_none());
    }
}
