//! Small product pictures, drawn: a shape per category on a soft ground, in a number of hues. Nothing is fetched and
//! nobody's photographs are shipped.

use std::{fs, io, path::Path};

/// Edge of a picture, in pixels.
const EDGE: u32 = 240;
/// Hues in which each shape is drawn.
pub const HUES: u32 = 16;
/// Samples per pixel and axis: smooth edges.
const SAMPLES: u32 = 2;

/// What is drawn for a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A cup with a handle.
    Mug,
    /// A bag with handles.
    Bag,
    /// A lantern with a flame.
    Lantern,
    /// A five-pointed star.
    Star,
    /// A folded card.
    Card,
    /// A necklace with a drop.
    Necklace,
    /// A ball with stripes.
    Ball,
    /// A plant in a pot.
    Plant,
    /// A cushion.
    Cushion,
    /// A box with a ribbon.
    Gift,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 10] = [
        Self::Mug,
        Self::Bag,
        Self::Lantern,
        Self::Star,
        Self::Card,
        Self::Necklace,
        Self::Ball,
        Self::Plant,
        Self::Cushion,
        Self::Gift,
    ];

    /// The file's name for a hue.
    #[must_use]
    pub fn file_name(self, hue: u32) -> String {
        format!("{}-{:02}.png", format!("{self:?}").to_lowercase(), hue % HUES)
    }

    /// How much of the shape (0 or 1), of its accent (second) is at a point; both axes from -1 to 1, y downwards.
    fn at(self, x: f64, y: f64) -> (bool, bool) {
        let disc = |cx: f64, cy: f64, r: f64| (x - cx).hypot(y - cy) < r;
        let ring = |cx: f64, cy: f64, r: f64, w: f64| ((x - cx).hypot(y - cy) - r).abs() < w;
        let bar = |x0: f64, y0: f64, x1: f64, y1: f64| x > x0 && x < x1 && y > y0 && y < y1;
        let rounded = |cx: f64, cy: f64, w: f64, h: f64, r: f64| {
            let (dx, dy) = (((x - cx).abs() - w + r).max(0.0), ((y - cy).abs() - h + r).max(0.0));
            dx.hypot(dy) < r
        };
        match self {
            Self::Mug => (
                rounded(-0.1, 0.08, 0.38, 0.46, 0.12) || (ring(0.3, 0.05, 0.22, 0.065) && x > 0.22),
                bar(-0.48, -0.12, 0.28, 0.02),
            ),
            Self::Bag => {
                let half = 0.36 + 0.16 * (y + 0.2);
                (
                    (y > -0.2 && y < 0.6 && x.abs() < half) || (ring(0.0, -0.2, 0.24, 0.05) && y < -0.18),
                    disc(0.0, 0.2, 0.13),
                )
            }
            Self::Lantern => (
                rounded(0.0, 0.14, 0.32, 0.44, 0.08)
                    || (y < -0.28 && y > -0.56 && x.abs() < (y + 0.56) * 1.25)
                    || ring(0.0, -0.62, 0.09, 0.03),
                disc(0.0, 0.24, 0.13) || (y < 0.24 && y > -0.06 && x.abs() < (y + 0.06) * 0.42),
            ),
            Self::Star => {
                let (angle, radius) = (x.atan2(-y), x.hypot(y));
                let fold = (angle.rem_euclid(std::f64::consts::TAU / 5.0) - std::f64::consts::PI / 5.0).abs();
                let edge = 0.272 + 0.34 * (fold / (std::f64::consts::PI / 5.0)).powf(1.45);
                (radius < edge, radius < 0.16)
            }
            Self::Card => {
                let (rx, ry) = (x * 0.966 + y * 0.259, y * 0.966 - x * 0.259);
                (
                    rx.abs() < 0.5 && ry.abs() < 0.36,
                    ry.abs() < 0.36 && (rx.abs() < 0.018 || ((rx - 0.25).hypot(ry) < 0.12)),
                )
            }
            Self::Necklace => (
                (ring(0.0, -0.15, 0.46, 0.035)) || disc(0.0, 0.42, 0.15),
                disc(0.0, 0.42, 0.07) || disc(-0.33, 0.18, 0.06) || disc(0.33, 0.18, 0.06),
            ),
            Self::Ball => {
                let inside = disc(0.0, 0.02, 0.54);
                (inside, inside && (ring(-0.5, 0.02, 0.5, 0.07) || ring(0.5, 0.02, 0.5, 0.07)))
            }
            Self::Plant => {
                let leaf = |angle: f64, length: f64| {
                    let (s, c) = angle.sin_cos();
                    let (u, v) = (x * s - (y - 0.2) * c, x * c + (y - 0.2) * s);
                    u > 0.0 && u < length && v.abs() < 0.42 * (u / length * std::f64::consts::PI).sin() * 0.4
                };
                (
                    (y > 0.2 && y < 0.62 && x.abs() < 0.34 - 0.2 * (y - 0.2)) || bar(-0.38, 0.16, 0.38, 0.28),
                    leaf(0.0, 0.86) || leaf(0.75, 0.7) || leaf(-0.75, 0.7),
                )
            }
            Self::Cushion => {
                let edge = (x.abs() / 0.6).powi(4) + (y.abs() / 0.52).powi(4);
                (edge < 1.0, edge < 1.0 && (x + y).rem_euclid(0.32) < 0.06)
            }
            Self::Gift => (
                bar(-0.46, -0.06, 0.46, 0.56) || bar(-0.54, -0.26, 0.54, -0.02),
                (bar(-0.08, -0.26, 0.08, 0.56))
                    || ring(-0.17, -0.38, 0.13, 0.05)
                    || ring(0.17, -0.38, 0.13, 0.05),
            ),
        }
    }
}

/// Draws all pictures into a folder, over `threads` threads.
///
/// # Errors
/// What writing says.
pub fn draw_all(folder: &Path, threads: usize) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    let jobs: Vec<(Shape, u32)> =
        Shape::ALL.iter().flat_map(|shape| (0..HUES).map(move |hue| (*shape, hue))).collect();
    let chunk = jobs.len().div_ceil(threads.max(1));
    std::thread::scope(|scope| {
        let workers: Vec<_> = jobs
            .chunks(chunk)
            .map(|part| {
                scope.spawn(move || {
                    part.iter().try_for_each(|(shape, hue)| {
                        fs::write(folder.join(shape.file_name(*hue)), draw(*shape, *hue)?)
                    })
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(io::Error::other("a drawing thread panicked")))
        })
    })?;
    Ok(jobs.len())
}

/// A picture as a PNG file's bytes.
fn draw(shape: Shape, hue: u32) -> io::Result<Vec<u8>> {
    let turn = f64::from(hue) / f64::from(HUES);
    let (ground, body, accent) =
        (colour(turn, 0.32, 0.93), colour(turn, 0.42, 0.48), colour(turn + 0.47, 0.55, 0.74));
    let mut pixels = Vec::with_capacity((EDGE * EDGE * 3) as usize);
    for row in 0..EDGE {
        for column in 0..EDGE {
            let mut sum = [0.0; 3];
            for sample in 0..SAMPLES * SAMPLES {
                let offset = |i: u32| (f64::from(i) + 0.5) / f64::from(SAMPLES);
                let x = (f64::from(column) + offset(sample % SAMPLES)) / f64::from(EDGE) * 2.0 - 1.0;
                let y = (f64::from(row) + offset(sample / SAMPLES)) / f64::from(EDGE) * 2.0 - 1.0;
                let (inside, marked) = shape.at(x * 1.15, y * 1.15);
                let shade = 1.0 - 0.07 * (y + 1.0) / 2.0;
                let tone = if marked {
                    accent
                } else if inside {
                    body
                } else {
                    ground.map(|c| c * shade)
                };
                for (total, part) in sum.iter_mut().zip(tone) {
                    *total += part;
                }
            }
            pixels.extend(
                sum.map(|c| (c / f64::from(SAMPLES * SAMPLES) * 255.0).round().clamp(0.0, 255.0) as u8),
            );
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, EDGE, EDGE);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&pixels).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(file)
}

/// Red, green and blue of a hue (in turns), saturation and lightness, each from 0 to 1.
fn colour(hue: f64, saturation: f64, lightness: f64) -> [f64; 3] {
    let amplitude = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|n: f64| {
        let k = (n + hue.rem_euclid(1.0) * 12.0).rem_euclid(12.0);
        lightness - amplitude * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_shows_ground_body_and_accent() {
        for shape in Shape::ALL {
            let seen: std::collections::HashSet<(bool, bool)> = (-20..=20)
                .flat_map(|x| (-20..=20).map(move |y| shape.at(f64::from(x) / 20.0, f64::from(y) / 20.0)))
                .collect();
            assert!(seen.contains(&(false, false)) && seen.contains(&(true, false)), "{shape:?}");
            assert!(seen.iter().any(|(_, accent)| *accent), "{shape:?}");
        }
    }

    #[test]
    fn a_picture_is_a_small_png() {
        let file = draw(Shape::Mug, 3).unwrap();
        assert!(file.starts_with(b"\x89PNG"));
        assert!(file.len() < 40_000, "{} bytes", file.len());
    }
}
