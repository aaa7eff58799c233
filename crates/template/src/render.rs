//! A compiled template and what it is given for one contact.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use minijinja::{Environment, Error, ErrorKind, Value, value::Object};
use model::{Channel, Currency, FieldType, Problem, Problems, Slug, Timestamp, Zone};
use segment::Condition;
use serde_json::{Map, Value as Json};

use crate::{
    Variable, VariableType,
    build::{LinkPlan, LinkTarget},
    condition::Frozen,
    escape,
    fill::{self, Filled, Message, to_value},
    filters::{self, Format},
    grid::{CartPlan, GridPlan},
    limits::{HTML_LEN_MAX, SUBJECT_LEN_MAX},
    link::{self, Campaign},
    locale::Locale,
    short,
};

/// Where the message's own links lead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links<'a> {
    /// The page (or one-click target) that ends the subscription; empty when the message has none.
    pub unsubscribe_url: &'a str,
    /// The page of preferences; empty when there is none.
    pub preferences_url: &'a str,
    /// This message on the web; empty when there is none.
    pub view_in_browser_url: &'a str,
    /// The page on which a friend is told of this message; empty when there is none.
    pub forward_url: &'a str,
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
    /// The same for those who read plain text; all that a text message or a push says, its title left aside.
    pub text: String,
    /// Where a push leads; else empty.
    pub url: String,
    /// A push's picture; else empty.
    pub icon: String,
}

/// A compiled template: `Send + Sync`, made once per version, shared by all workers.
pub struct Template {
    pub(crate) slug: Slug,
    pub(crate) channel: Channel,
    pub(crate) expires_after: Option<i64>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) reads: segment::Reads,
    pub(crate) warnings: Problems,
    pub(crate) env: Environment<'static>,
    pub(crate) pages: Vec<PagePlan>,
    pub(crate) field_types: BTreeMap<String, FieldType>,
    /// Variables that expressions read: the others are not made ready for them.
    pub(crate) in_expressions: BTreeSet<String>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("slug", &self.slug).finish_non_exhaustive()
    }
}

/// One language of a template.
pub(crate) struct PagePlan {
    pub language: String,
    pub names: PageNames,
    /// The subject and preheader when they have no expressions.
    pub fixed_subject: Option<String>,
    pub fixed_preheader: Option<String>,
    pub links: Vec<LinkPlan>,
    pub shows: Vec<Condition>,
    pub grids: Vec<GridPlan>,
    pub carts: Vec<CartPlan>,
    /// Names of the fragments' templates.
    pub fragments: Vec<String>,
}

/// Names of a page's templates in the environment.
pub(crate) struct PageNames {
    pub subject: String,
    pub preheader: String,
    pub html: String,
    pub text: String,
}

/// What stays the same for all expressions of a message.
#[derive(Debug)]
struct Base {
    names: Vec<(String, Value)>,
    format: Value,
}

/// What is ready before the page is written.
#[derive(Debug, Default)]
struct Ready {
    links: Vec<Value>,
    shows: Vec<bool>,
    grids: Vec<Block>,
    carts: Vec<Block>,
    subject: String,
    preheader: String,
}

/// A filled block.
#[derive(Debug)]
struct Block {
    html: Value,
    text: Value,
}

impl From<Filled> for Block {
    fn from(filled: Filled) -> Self {
        Self { html: Value::from_safe_string(filled.html), text: Value::from(filled.text) }
    }
}

/// The data of one expansion.
#[derive(Debug)]
struct Frame {
    base: Arc<Base>,
    ready: Option<Arc<Ready>>,
    product: Option<Value>,
    html: bool,
}

impl Object for Frame {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if let (Some(own), Some(ready)) = (key.strip_prefix('_'), &self.ready) {
            let number = || own[1..].parse::<usize>().ok();
            let block = |block: &Block| if self.html { block.html.clone() } else { block.text.clone() };
            match own.as_bytes().first()? {
                b'l' => return ready.links.get(number()?).cloned(),
                b's' if own != "subject" => {
                    return ready.shows.get(number()?).map(|shown| Value::from(*shown));
                }
                b'g' => return ready.grids.get(number()?).map(block),
                b'c' => return ready.carts.get(number()?).map(block),
                b's' => return Some(Value::from(ready.subject.as_str())),
                b'p' => return Some(Value::from(ready.preheader.as_str())),
                _ => {}
            }
        }
        match key {
            "_f" => Some(self.base.format.clone()),
            "product" if self.product.is_some() => self.product.clone(),
            _ => self.base.names.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone()),
        }
    }
}

impl Template {
    /// Its name in journeys.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        &self.slug
    }

    /// What carries its messages.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// How long after its decision a push is of use, in microseconds.
    #[must_use]
    pub const fn expires_after(&self) -> Option<i64> {
        self.expires_after
    }

    /// What a sending node has to hand over.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// What it reads of the contact beside its variables: the sending step freezes these under `contact` (see
    /// [`crate::variables::contact`]).
    #[must_use]
    pub fn reads(&self) -> &segment::Reads {
        &self.reads
    }

    /// Its languages; the first is what everybody else gets.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.pages.iter().map(|page| page.language.as_str())
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
        self.render_showing(input, None)
    }

    /// As [`Template::render`]; all conditional blocks shown, or none, when told so.
    pub(crate) fn render_showing(
        &self,
        input: &RenderInput<'_>,
        all: Option<bool>,
    ) -> Result<Rendered, Problem> {
        let locale = Locale::of(input.locale);
        let language = crate::locale::language(input.locale);
        let page = self
            .pages
            .iter()
            .find(|page| page.language.eq_ignore_ascii_case(language))
            .or_else(|| self.pages.first())
            .ok_or_else(|| Problem::new("template.render", "the template has no language"))?;
        // A text in another language than the contact's keeps the contact's formats.
        let variables = self.completed(input.variables, &page.language);
        let variables = variables.as_ref().map_or_else(|| input.variables.as_object(), Some);
        let nothing = Map::new();
        let variables = variables.unwrap_or(&nothing);
        let run = Run { template: self, page, input, locale, variables };
        run.render(all)
    }

    /// The variables with their defaults where something is missing; none when nothing is.
    fn completed(&self, json: &Json, language: &str) -> Option<Map<String, Json>> {
        let map = json.as_object();
        let missing = |variable: &&Variable| {
            variable.default.is_some()
                && match map.and_then(|map| map.get(&variable.name)) {
                    None | Some(Json::Null) => true,
                    Some(Json::String(text)) => text.trim().is_empty(),
                    Some(_) => false,
                }
        };
        let mut completed: Option<Map<String, Json>> = None;
        for variable in self.variables.iter().filter(missing) {
            let default = variable.default.as_ref().map_or("", |text| text.get(language));
            completed
                .get_or_insert_with(|| map.cloned().unwrap_or_default())
                .insert(variable.name.clone(), default_of(variable.kind, default));
        }
        completed
    }

    fn expand(&self, name: &str, frame: Frame) -> Result<String, Problem> {
        let template = self.env.get_template(name).map_err(|error| self.problem(&error))?;
        template.render(Value::from_object(frame)).map_err(|error| self.problem(&error))
    }

    fn problem(&self, error: &Error) -> Problem {
        let (code, message) = match error.kind() {
            ErrorKind::OutOfFuel => ("template.fuel", "the template does too much work".to_owned()),
            _ => ("template.render", error.detail().map_or_else(|| error.to_string(), str::to_owned)),
        };
        Problem::new(code, message).field(self.slug.as_str())
    }
}

/// A default as its type has it.
fn default_of(kind: VariableType, text: &str) -> Json {
    match kind {
        VariableType::Boolean => Json::Bool(text == "true"),
        VariableType::Number | VariableType::Money => {
            text.parse::<serde_json::Number>().map_or_else(|_| Json::String(text.to_owned()), Json::Number)
        }
        _ => Json::String(text.to_owned()),
    }
}

/// One message being made.
struct Run<'a> {
    template: &'a Template,
    page: &'a PagePlan,
    input: &'a RenderInput<'a>,
    locale: &'static Locale,
    variables: &'a Map<String, Json>,
}

impl Run<'_> {
    fn render(&self, all: Option<bool>) -> Result<Rendered, Problem> {
        let base = Arc::new(self.base());
        let mut ready = Ready { shows: self.shows(all), ..Ready::default() };
        ready.links = self.links(&base)?;
        self.blocks(&base, &mut ready)?;
        ready.subject = self.line(&base, self.page.fixed_subject.as_ref(), &self.page.names.subject)?;
        ready.preheader = self.line(&base, self.page.fixed_preheader.as_ref(), &self.page.names.preheader)?;
        let ready = Arc::new(ready);
        let frame = |html| Frame { base: base.clone(), ready: Some(ready.clone()), product: None, html };
        let html = self.template.expand(&self.page.names.html, frame(true))?;
        if html.len() > HTML_LEN_MAX {
            return Err(Problem::new("template.too_large", format!("the message has {} bytes", html.len()))
                .cure(format!("keep it under {HTML_LEN_MAX}")));
        }
        let text = self.template.expand(&self.page.names.text, frame(false))?;
        if self.template.channel != Channel::Email {
            return short::rendered(self.template.channel, ready.subject.clone(), &text, &html);
        }
        let (subject, preheader) = (ready.subject.clone(), ready.preheader.clone());
        Ok(Rendered { subject, preheader, html, text, ..Rendered::default() })
    }

    fn base(&self) -> Base {
        let used = &self.template.in_expressions;
        let mut names = Vec::with_capacity(used.len());
        for name in used {
            let value = match name.as_str() {
                "now" => Value::from(self.input.at.to_string()),
                "today" => Value::from(self.input.at.civil(self.input.zone).date().to_string()),
                _ => {
                    let Some(json) = self.variables.get(name) else { continue };
                    let declared = self.template.variables.iter().find(|variable| variable.name == *name);
                    match (declared.map(|variable| variable.kind), json) {
                        (Some(VariableType::Product), Json::Array(list)) => {
                            list.first().map_or(Value::UNDEFINED, |first| to_value(first, 0))
                        }
                        _ => to_value(json, 0),
                    }
                }
            };
            names.push((name.clone(), value));
        }
        let format = Format {
            locale: self.locale,
            zone: self.input.zone.clone(),
            currency: self.input.currency.code().to_owned(),
            campaign: self.input.utm.map(Campaign::new),
        };
        Base { names, format: Value::from_object(format) }
    }

    fn shows(&self, all: Option<bool>) -> Vec<bool> {
        if let Some(all) = all {
            return vec![all; self.page.shows.len()];
        }
        let frozen = Frozen {
            variables: self.variables,
            contact: self.variables.get("contact").and_then(Json::as_object),
            fields: &self.template.field_types,
            declared: &self.template.variables,
        };
        self.page.shows.iter().map(|show| frozen.holds(show, self.input.at, self.input.zone)).collect()
    }

    fn fragment(&self, base: &Arc<Base>, number: usize, product: Option<Value>) -> Result<String, Problem> {
        let name = self.page.fragments.get(number).map_or("", String::as_str);
        self.template.expand(name, Frame { base: base.clone(), ready: None, product, html: true })
    }

    /// Adds campaign parameters, and asks the hook.
    fn finished(&self, campaign: Option<&Campaign>, link: &Link<'_>) -> String {
        let url =
            campaign.map_or_else(|| link.url.to_owned(), |campaign| campaign.append(link.url, link.content));
        if let Some(rewrite) = self.input.rewrite.filter(|_| link::is_web(&url)) {
            return rewrite(&Link { url: &url, ..*link }).unwrap_or(url);
        }
        url
    }

    fn links(&self, base: &Arc<Base>) -> Result<Vec<Value>, Problem> {
        let format = base.format.downcast_object_ref::<Format>();
        let campaign = format.and_then(|format| format.campaign.as_ref());
        let own = &self.input.links;
        let mut links = Vec::with_capacity(self.page.links.len());
        for (number, plan) in self.page.links.iter().enumerate() {
            let link = |url: &str| {
                let link = Link { number: number as u32, url, content: &plan.content, product: None };
                Value::from(self.finished(campaign, &link))
            };
            let safe = |url: &str| if link::is_safe(url) { Value::from(url) } else { Value::from("") };
            links.push(match &plan.target {
                LinkTarget::Fixed(url) => link(url),
                LinkTarget::Fragment(fragment) => {
                    let url = self.fragment(base, *fragment, None)?;
                    if link::is_safe(url.trim()) { link(url.trim()) } else { Value::from("") }
                }
                LinkTarget::Picture(fragment) => {
                    let url = self.fragment(base, *fragment, None)?;
                    if link::is_safe_image(url.trim()) { Value::from(url.trim()) } else { Value::from("") }
                }
                LinkTarget::Unsubscribe => safe(own.unsubscribe_url),
                LinkTarget::Preferences => safe(own.preferences_url),
                LinkTarget::ViewInBrowser => safe(own.view_in_browser_url),
                LinkTarget::Forward => safe(own.forward_url),
            });
        }
        Ok(links)
    }

    fn blocks(&self, base: &Arc<Base>, ready: &mut Ready) -> Result<(), Problem> {
        let format = base.format.downcast_object_ref::<Format>();
        let campaign = format.and_then(|format| format.campaign.as_ref());
        let mut number = self.page.links.len() as u32;
        let mut finish = |url: &str, content: &str, product: Option<&str>| {
            let link = Link { number, url, content, product };
            number += 1;
            self.finished(campaign, &link)
        };
        let fragment = |number: usize, product: &Value| self.fragment(base, number, Some(product.clone()));
        let currency = self.input.currency;
        let mut message = Message {
            locale: self.locale,
            currency: currency.code(),
            finish: &mut finish,
            fragment: &fragment,
        };
        for plan in &self.page.grids {
            ready.grids.push(fill::grid(plan, self.variables.get(&plan.variable), &mut message)?.into());
        }
        for plan in &self.page.carts {
            ready.carts.push(fill::cart(plan, self.variables.get(&plan.variable), &mut message)?.into());
        }
        Ok(())
    }

    /// A subject or preheader: one line that no header can be broken with.
    fn line(&self, base: &Arc<Base>, fixed: Option<&String>, name: &str) -> Result<String, Problem> {
        if let Some(fixed) = fixed {
            return Ok(fixed.clone());
        }
        let frame = Frame { base: base.clone(), ready: None, product: None, html: false };
        let line = self.template.expand(name, frame)?;
        Ok(escape::one_line(&line, SUBJECT_LEN_MAX))
    }
}

/// The environment for a template's pages.
pub(crate) fn environment() -> Environment<'static> {
    filters::environment()
}
