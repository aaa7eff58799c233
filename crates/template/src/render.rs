//! A compiled template and what it is given for one contact.

use model::{Currency, Problem, Problems, Slug, Timestamp, Zone};
use serde_json::Value as Json;

use crate::{Document, Variable};

/// What is known when a template is compiled.
#[derive(Clone, Debug)]
pub struct CompileContext {
    /// Currency of the samples.
    pub currency: Currency,
    /// Names of the contact's fields, built-in ones included; none means "not known, do not check".
    pub fields: Option<Vec<String>>,
    /// Slugs of the segments; none means "not known, do not check".
    pub segments: Option<Vec<String>>,
}

impl Default for CompileContext {
    fn default() -> Self {
        Self { currency: Currency::EUR, fields: None, segments: None }
    }
}

/// Data of the contact that a template reads beside its variables: the sending step freezes these under `contact`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Names of contact fields, sorted.
    pub fields: Vec<String>,
    /// Segments whose membership it asks for, sorted: those that the contact is in go to `contact.segments`.
    pub segments: Vec<String>,
    /// Whether it reads the RFM placement (`contact.rfm`).
    pub rfm: bool,
}

/// Where the message's own links lead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links<'a> {
    /// The page (or one-click target) that ends the subscription; empty when the message has none.
    pub unsubscribe_url: &'a str,
    /// The page of preferences; empty when there is none.
    pub preferences_url: &'a str,
    /// This message on the web; empty when there is none.
    pub view_in_browser_url: &'a str,
}

/// Campaign parameters that are appended to the shop's links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Utm {
    /// `utm_source`, as in `relance`.
    pub source: String,
    /// `utm_medium`, as in `email`.
    pub medium: String,
    /// `utm_campaign`: the journey.
    pub campaign: String,
}

/// A link of a message as the rewriting hook sees it.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Its number in the message, from 0; the same for the same link of every message of a version, while products'
    /// links follow in the order of their appearance.
    pub number: u32,
    /// Where it leads, UTM parameters included.
    pub url: &'a str,
    /// What it is called: its title or text, or the product's name.
    pub content: &'a str,
    /// The product's external id, for links of products.
    pub product: Option<&'a str>,
}

/// Replaces a link by another (click counting); none leaves it.
pub type Rewrite<'a> = &'a (dyn Fn(&Link<'_>) -> Option<String> + Sync);

/// What one message is made from.
#[derive(Clone, Copy)]
pub struct RenderInput<'a> {
    /// The frozen variables: an object, see [`crate::variables`] for the shapes.
    pub variables: &'a Json,
    /// The contact's BCP 47 locale, as in `fr-FR`; decides language and formats.
    pub locale: &'a str,
    /// The contact's zone, for dates.
    pub zone: &'a Zone,
    /// Currency of amounts that do not name their own.
    pub currency: Currency,
    /// When the message is made: `now` and `today`.
    pub at: Timestamp,
    /// Where the message's own links lead.
    pub links: Links<'a>,
    /// Campaign parameters to append.
    pub utm: Option<&'a Utm>,
    /// Hook for click counting; not asked for `mailto:`, `tel:`, and the message's own links.
    pub rewrite: Option<Rewrite<'a>>,
}

/// A message's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// One line, without control characters.
    pub subject: String,
    /// What a mailbox shows after the subject; part of `html`.
    pub preheader: String,
    /// The page.
    pub html: String,
    /// The same for those who read plain text.
    pub text: String,
}

/// A compiled template: `Send + Sync`, made once per version, shared by all workers.
#[derive(Debug)]
pub struct Template {
    slug: Slug,
    variables: Vec<Variable>,
    reads: Reads,
    warnings: Problems,
}

impl Template {
    /// Checks everything and compiles, trying the result on sample data in each language.
    ///
    /// # Errors
    /// Everything that is wrong, with place and cure.
    pub fn compile(document: &Document, context: &CompileContext) -> Result<Self, Problems> {
        let _ = context;
        Ok(Self {
            slug: document.slug.clone(),
            variables: document.variables.clone(),
            reads: Reads::default(),
            warnings: Problems::new(),
        })
    }

    /// Its name in journeys.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        &self.slug
    }

    /// What a sending node has to hand over.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// What it reads of the contact beside its variables.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// What is worth knowing though nothing is refused.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Fills it for one contact.
    ///
    /// # Errors
    /// `template.render`, `template.fuel`, `template.too_large`; all of them were ruled out for the samples at compile.
    pub fn render(&self, input: &RenderInput<'_>) -> Result<Rendered, Problem> {
        let _ = input;
        Err(Problem::new("template.unfinished", "templates cannot be rendered yet"))
    }
}
