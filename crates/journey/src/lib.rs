//! Journeys: a graph that contacts go through, checked like a program, and the interpreter that takes a contact through it.
//!
//! Pure: a run stops with [`Need`]s that the shell answers for a whole batch at once, and ends with what it wants done
//! ([`Finished`]). The same arguments give the same answer.
//!
//! - [`document`]: the file format, with places.
//! - [`nodes`]: one file for each kind of node; [`nodes::KINDS`] is the registry.
//! - [`check`]: compiles a document against what lies beside it, like a compiler: unknown names, missing data, types,
//!   unreachable nodes, loops.
//! - [`entry`]: triggers, exits, goals, re-entry; [`signal`]: events as journeys see them.
//! - [`ab`]: who wins an A/B test.
//! - [`run`]: the interpreter. [`trace`]: why a contact went where it went. [`counts`]: how many did.

pub mod ab;
pub mod check;
pub mod counts;
pub mod data;
pub mod document;
pub mod entry;
pub mod fields;
pub mod freeze;
pub mod graph;
pub mod hear;
pub mod nodes;
pub mod run;
pub mod schema;
pub mod signal;
pub mod trace;

pub use check::{Beside, compile};
pub use counts::Counts;
pub use data::{DataType, Datum};
pub use document::Document;
pub use freeze::FrozenProducts;
pub use graph::{Journey, Node};
pub use hear::{Hearing, Profile};
pub use run::{
    Answers, CartChoice, Change, Effects, Entry, Finished, Found, Leaving, Message, Need, Person, Progress,
    Run, Woken, World, advance,
};
