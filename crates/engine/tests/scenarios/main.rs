//! The examples as they lie in `examples/`, read from the disk and lived through under a virtual clock; and what users of
//! other systems complain of.

#[path = "../support/mod.rs"]
mod support;

mod s2;
mod world;
