//! Block documents → MJML → responsive HTML and plain text: personalisation, show/hide, product and cart blocks, links
//! and UTM parameters.
//!
//! A marketer writes a [`Document`] (YAML or JSON, see `docs/templates.md`). [`Template::compile`] turns it, once per
//! version, into HTML and text for each of its languages and tries it on sample data with every edge (no products, no
//! name, long texts), so that a mistake is found when a journey is checked and not when a message leaves.
//! [`Template::render`] then fills it for one contact; a template is `Send + Sync` and shared by all workers.
//!
//! What comes from outside (names, products, links) is escaped where it is written; a link must be `http`, `https`,
//! `mailto` or `tel`; expansion runs with fuel and a size limit (see [`limits`]).

pub mod document;
mod escape;
mod ink;
pub mod limits;
pub mod link;
pub mod locale;
mod read;
mod read_blocks;
pub mod render;
pub mod variables;

pub use document::{Document, Text, Variable, VariableType};
pub use locale::Locale;
pub use render::{CompileContext, Link, Links, Reads, RenderInput, Rendered, Template, Utm};
