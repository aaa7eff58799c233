//! The shell: loads a batch, calls the pure rooms, commits state and outbox in one transaction, and only then acts.

pub mod campaign;
pub mod catalogue;
pub mod live;
pub mod people;
pub mod rfm;
pub mod rules;
pub mod segments;
pub mod simulate;
pub mod told;
