//! What `relance demo` shows: a shop's files made from real orders, then the program's own commands, one after the
//! other, printed as one would type them.

pub mod people;
pub mod pictures;
pub mod prepare;
pub mod shelf;

/// The files of the campaign and the mapping of the orders, as they lie in the repository: name and content.
pub const FILES: &[(&str, &str)] = &[
    ("mapping.yaml", include_str!("../../../../data/online_retail/mapping.yaml")),
    ("s0/journey.yaml", include_str!("../../../../examples/s0/journey.yaml")),
    ("s0/fields.yaml", include_str!("../../../../examples/s0/fields.yaml")),
    ("s0/segments/rfm-high.yaml", include_str!("../../../../examples/s0/segments/rfm-high.yaml")),
    ("s0/segments/rfm-medium.yaml", include_str!("../../../../examples/s0/segments/rfm-medium.yaml")),
    ("s0/segments/rfm-low.yaml", include_str!("../../../../examples/s0/segments/rfm-low.yaml")),
    ("s0/templates/up-selling.yaml", include_str!("../../../../examples/s0/templates/up-selling.yaml")),
    ("s0/templates/cross-selling.yaml", include_str!("../../../../examples/s0/templates/cross-selling.yaml")),
    ("s0/templates/best-sellers.yaml", include_str!("../../../../examples/s0/templates/best-sellers.yaml")),
];
