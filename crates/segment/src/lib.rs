//! The condition language: parse, type-check, evaluate, and *when could this flip next*.

pub mod reference;

pub use reference::{Data, Operand, RefPath};
