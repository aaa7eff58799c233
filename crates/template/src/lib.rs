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

mod build;
mod compact;
mod compile;
mod condition;
pub mod document;
mod escape;
mod fill;
mod filters;
mod grid;
mod html;
mod ink;
mod labels;
pub mod limits;
pub mod link;
pub mod locale;
mod markdown;
mod page;
mod page_ends;
mod read;
mod read_blocks;
pub mod render;
mod sample;
pub mod schema;
mod short;
pub mod sms;
pub mod variables;

pub use compile::CompileContext;
pub use document::{Document, Text, Variable, VariableType};
pub use locale::Locale;
pub use render::{Link, Links, RenderInput, Rendered, Rewrite, Template, Utm};
