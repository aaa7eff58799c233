//! Compiles a document once per version: checks it, writes its pages, and tries them on samples.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, Error};
use model::{Channel, Currency, Problem, Problems, Timestamp, Zone};
use segment::{Condition, Schema};
use serde_json::Value as Json;

use crate::{
    Document, Links, RenderInput, Template, Utm, VariableType,
    build::{Build, LinkTarget},
    compact::compact,
    condition, escape,
    filters::{FILTERS, filters_in, is_known},
    ink::has_token,
    limits::{HTML_LEN_CLIPPED, SUBJECT_LEN_MAX},
    locale::LOCALES,
    page::{Page, page},
    render::{PageNames, PagePlan, environment},
    sample::{self, Edge},
    short,
};

/// What is known when a template is compiled.
#[derive(Clone)]
pub struct CompileContext<'a> {
    /// Currency of the samples.
    pub currency: Currency,
    /// Fields, segments, lists and so on, for conditions and `{{ contact.… }}`.
    pub schema: Schema<'a>,
    /// The version was checked when it was published: samples are not tried again, and fields that are not known (any
    /// more) are taken as they were frozen.
    pub published: bool,
}

impl CompileContext<'_> {
    /// For making messages from a version that was published.
    #[must_use]
    pub fn published(currency: Currency) -> Self {
        Self { currency, published: true, ..Self::default() }
    }
}

impl Default for CompileContext<'_> {
    fn default() -> Self {
        Self { currency: Currency::EUR, schema: Schema::with_fields([]), published: false }
    }
}

/// Keys of a product that expressions may read.
pub const PRODUCT_KEYS: [&str; 12] = [
    "external_id",
    "id",
    "name",
    "url",
    "image_url",
    "unit_price",
    "original_price",
    "currency",
    "brand",
    "description",
    "rating",
    "quantity",
];
/// Keys of a cart that expressions may read.
pub const CART_KEYS: [&str; 5] = ["id", "total", "currency", "recovery_url", "lines"];
/// Keys of `contact` besides its fields.
const CONTACT_KEYS: [&str; 4] = ["rfm", "segments", "lists", "consents"];
/// When samples are made: 2026-11-22T08:00:00Z.
const SAMPLE_AT: Timestamp = Timestamp(1_795_334_400 * Timestamp::SECOND);

impl Template {
    /// Checks everything and compiles, trying the result on sample data in each language.
    ///
    /// # Errors
    /// Everything that is wrong, with place and cure.
    pub fn compile(document: &Document, context: &CompileContext<'_>) -> Result<Self, Problems> {
        let mut schema = context.schema.clone();
        if context.published {
            condition::add_unknown_fields(document, &mut schema);
        }
        let mut compiler = Compiler {
            document,
            schema,
            published: context.published,
            env: environment(),
            problems: Vec::new(),
            reads: segment::Reads::default(),
            in_expressions: BTreeSet::new(),
            in_blocks: BTreeSet::new(),
        };
        let pages: Vec<PagePlan> =
            document.languages.iter().filter_map(|language| compiler.language(language)).collect();
        compiler.unused();
        let (errors, warnings): (Problems, Problems) =
            deduplicated(compiler.problems, &document.file).into_iter().partition(Problem::is_error);
        if !errors.is_empty() || pages.len() != document.languages.len() {
            return Err(errors.into_iter().chain(warnings).collect());
        }
        let field_types: BTreeMap<_, _> = compiler
            .reads
            .fields
            .iter()
            .filter_map(|name| Some((name.clone(), compiler.schema.field_type(name)?.clone())))
            .collect();
        let mut template = Self {
            slug: document.slug.clone(),
            channel: document.channel,
            expires_after: document.short.as_ref().and_then(|short| short.expires_after),
            variables: document.variables.clone(),
            reads: compiler.reads,
            warnings,
            env: compiler.env,
            pages,
            field_types,
            in_expressions: compiler.in_expressions,
        };
        if context.published {
            return Ok(template);
        }
        let problems = deduplicated(template.try_samples(context), &document.file);
        let (errors, warnings): (Problems, Problems) = problems.into_iter().partition(Problem::is_error);
        if !errors.is_empty() {
            return Err(errors);
        }
        template.warnings.extend(warnings);
        Ok(template)
    }

    /// Made-up variables for a look at the template: `{{ name }}` is Alex, and there are six products.
    #[must_use]
    pub fn sample(&self) -> Json {
        self.sample_of(Edge::Usual)
    }

    fn sample_of(&self, edge: Edge) -> Json {
        let fields: Vec<String> = self.reads.fields.iter().cloned().collect();
        sample::variables(&self.variables, &fields, edge)
    }

    /// Renders every language with every edge, and with conditional blocks shown, hidden, and as they come.
    fn try_samples(&self, context: &CompileContext<'_>) -> Problems {
        let mut problems = Vec::new();
        let utm = Utm { source: "relance".into(), medium: "email".into(), campaign: self.slug.to_string() };
        for edge in Edge::ALL {
            let variables = self.sample_of(edge);
            for page in &self.pages {
                let locale = LOCALES.iter().find(|locale| locale.language() == page.language);
                let url = if edge == Edge::Empty { "" } else { "https://example.test/u/1" };
                let input = RenderInput {
                    variables: &variables,
                    locale: locale.map_or(page.language.as_str(), |locale| locale.tag),
                    zone: &Zone::UTC,
                    currency: context.currency,
                    at: SAMPLE_AT,
                    links: Links {
                        unsubscribe_url: url,
                        preferences_url: url,
                        view_in_browser_url: url,
                        forward_url: url,
                    },
                    utm: (edge != Edge::Empty).then_some(&utm),
                    rewrite: None,
                };
                for all in [None, Some(true), Some(false)] {
                    match self.render_showing(&input, all) {
                        Ok(rendered) if self.channel == Channel::Email => {
                            problems.extend(judge(&rendered, edge, all));
                        }
                        Ok(rendered) => {
                            problems.extend(short::judge(self.channel, &rendered, edge, &page.language));
                        }
                        // Odd texts may make a text message too long: that one message fails when it comes to it.
                        Err(problem) if edge == Edge::Hostile && problem.code == "template.too_large" => {}
                        Err(problem) => {
                            let what = edge.what();
                            problems.push(Problem {
                                message: format!(
                                    "{} (with {what}, language {})",
                                    problem.message, page.language
                                ),
                                ..problem
                            });
                        }
                    }
                }
            }
        }
        problems
    }
}

/// What is wrong with a rendered sample.
fn judge(rendered: &crate::Rendered, edge: Edge, all: Option<bool>) -> Problems {
    let mut problems = Vec::new();
    if rendered.subject.is_empty() && edge != Edge::Hostile {
        problems.push(
            Problem::new("template.subject", format!("the subject is empty with {}", edge.what()))
                .field("subject")
                .cure("give its variables defaults, as in {{ name | default(\"there\") }}"),
        );
    }
    if rendered.html.len() > HTML_LEN_CLIPPED && edge == Edge::Usual && all.is_none() {
        problems.push(
            Problem::warning("template.clipped", format!("the message has {} bytes", rendered.html.len()))
                .cure(format!("Gmail cuts it at {HTML_LEN_CLIPPED}: take out blocks")),
        );
    }
    problems
}

/// What one language is made from, with tokens.
struct Parts {
    mjml: String,
    text: String,
    subject: String,
    preheader: String,
}

struct Compiler<'a> {
    document: &'a Document,
    schema: Schema<'a>,
    published: bool,
    env: Environment<'static>,
    problems: Problems,
    reads: segment::Reads,
    in_expressions: BTreeSet<String>,
    /// Variables that product and cart blocks and conditions read.
    in_blocks: BTreeSet<String>,
}

impl Compiler<'_> {
    fn language(&mut self, language: &str) -> Option<PagePlan> {
        let document = self.document;
        let mut build = Build::new(document, language);
        let Parts { mjml, text, subject, preheader } = match &document.short {
            None => {
                let Page { mjml, text } = page(&mut build);
                let (subject, preheader) =
                    (build.tokens(&document.subject), build.tokens(&document.preheader));
                Parts { mjml, text, subject, preheader }
            }
            Some(short) => {
                let lines = short::lines(&mut build, short);
                Parts {
                    mjml: lines.addresses,
                    text: lines.text,
                    subject: lines.title,
                    preheader: String::new(),
                }
            }
        };
        self.problems.append(&mut build.problems);
        self.expressions(&build);
        self.blocks(&build);
        let shows = self.shows(&build);
        let is_page = document.short.is_none();
        let html = if is_page { compact(&self.html(&mjml)?) } else { mjml };
        let names = PageNames {
            subject: format!("{language}/subject.txt"),
            preheader: format!("{language}/preheader.txt"),
            // What is no page is not escaped as one.
            html: format!("{language}/{}", if is_page { "page.html" } else { "addresses.txt" }),
            text: format!("{language}/page.txt"),
        };
        let fixed = |tokens: &str| (!has_token(tokens)).then(|| escape::one_line(tokens, SUBJECT_LEN_MAX));
        let (fixed_subject, fixed_preheader) = (fixed(&subject), fixed(&preheader));
        let sources = [
            (&names.subject, build.ink.finish(&subject)),
            (&names.preheader, build.ink.finish(&preheader)),
            (&names.html, build.ink.finish(&html)),
            (&names.text, build.ink.finish(&text)),
        ];
        for (name, source) in sources {
            self.template(name, source, false);
        }
        let mut fragments = Vec::new();
        for (number, fragment) in build.fragments.iter().enumerate() {
            let name = format!("{language}/f{number}.{}", if fragment.html { "html" } else { "txt" });
            self.template(&name, fragment.source.clone(), fragment.html);
            fragments.push(name);
        }
        let unsubscribes = build.links.iter().any(|link| link.target == LinkTarget::Unsubscribe);
        if !unsubscribes && is_page {
            self.problems.push(
                Problem::warning("template.unsubscribe", "the message has no link to unsubscribe")
                    .field("blocks")
                    .cure("add a block of kind footer, or link to #unsubscribe; transactional messages need none"),
            );
        }
        Some(PagePlan {
            language: language.to_owned(),
            names,
            fixed_subject,
            fixed_preheader,
            links: build.links,
            shows: shows?,
            grids: build.grids,
            carts: build.carts,
            fragments,
        })
    }

    /// MJML to HTML.
    fn html(&mut self, mjml: &str) -> Option<String> {
        let rendered = mrml::parse(mjml).map_err(|error| error.to_string()).and_then(|parsed| {
            let options = mrml::prelude::render::RenderOptions {
                fonts: std::collections::HashMap::new(),
                ..Default::default()
            };
            parsed.element.render(&options).map_err(|error| error.to_string())
        });
        match rendered {
            // The renderer writes some attributes in Rust's own escapes; tokens in them come back here.
            Ok(html) => Some(html.replace("\\u{e000}", "\u{e000}").replace("\\u{e001}", "\u{e001}")),
            Err(message) => {
                self.problems
                    .push(Problem::new("template.mjml", format!("the page cannot be laid out: {message}")));
                None
            }
        }
    }

    /// Adds a template; checks the names that it reads.
    fn template(&mut self, name: &str, source: String, in_card: bool) {
        if let Err(error) = self.env.add_template_owned(name.to_owned(), source) {
            self.problems.push(syntax(&error));
            return;
        }
        let Ok(template) = self.env.get_template(name) else { return };
        let names = template.undeclared_variables(true);
        for name in sorted(names) {
            if let Err(problem) = self.check_name(&name, in_card) {
                self.problems.push(problem);
            }
        }
    }

    /// Checks each expression by itself, so that a problem has a place.
    fn expressions(&mut self, build: &Build<'_>) {
        for expression in &build.ink.expressions {
            let placed = |problem: Problem| problem.at(expression.place).field(&*expression.field);
            let names = match self.env.compile_expression(&expression.source) {
                Ok(compiled) => sorted(compiled.undeclared_variables(true)),
                Err(error) => {
                    self.problems.push(placed(syntax(&error)).value(&expression.source));
                    continue;
                }
            };
            for filter in filters_in(&expression.source) {
                if !is_known(filter) {
                    self.problems.push(placed(
                        Problem::new("template.filter", format!("`{filter}` is not a filter"))
                            .value(&expression.source)
                            .suggest(filter, FILTERS),
                    ));
                }
            }
            // In a raw block's loop the loop's own names are not known here: the whole page is checked later.
            if expression.in_card {
                continue;
            }
            for name in names {
                if let Err(problem) = self.check_name(&name, false) {
                    self.problems.push(placed(problem));
                }
            }
        }
    }

    /// Whether `name.field` can be read, and what of the contact it needs.
    fn check_name(&mut self, path: &str, in_card: bool) -> Result<(), Problem> {
        let (root, field) = path.split_once('.').map_or((path, None), |(root, field)| (root, Some(field)));
        let field = field.and_then(|field| field.split('.').next());
        let known_key = |keys: &[&'static str]| match field {
            Some(field) if !keys.contains(&field) => {
                Err(Problem::new("template.unknown", format!("`{root}` has no `{field}`"))
                    .value(path)
                    .suggest(field, keys.iter().copied()))
            }
            _ => Ok(()),
        };
        if root.starts_with('_') {
            return Ok(());
        }
        if root == "contact" {
            self.in_expressions.insert(root.to_owned());
            return field.map_or(Ok(()), |field| self.contact_field(field));
        }
        if root == "product" && in_card {
            return known_key(&PRODUCT_KEYS);
        }
        let kind = match root {
            "now" | "today" => None,
            _ => match self.document.variables.iter().find(|variable| variable.name == root) {
                Some(variable) => Some(variable.kind),
                None => {
                    let names = self.document.variables.iter().map(|variable| variable.name.as_str());
                    let names: Vec<&str> = names.chain(["contact", "now", "today"]).collect();
                    return Err(Problem::new("template.unknown", format!("there is no variable `{root}`"))
                        .value(path)
                        .suggest(root, names));
                }
            },
        };
        self.in_expressions.insert(root.to_owned());
        match kind {
            Some(VariableType::Product) => known_key(&PRODUCT_KEYS),
            Some(VariableType::Cart) => known_key(&CART_KEYS),
            _ => Ok(()),
        }
    }

    fn contact_field(&mut self, field: &str) -> Result<(), Problem> {
        if CONTACT_KEYS.contains(&field) {
            if field == "rfm" {
                self.reads.rfm_models.extend(self.schema.rfm.keys().cloned());
            }
            return Ok(());
        }
        if self.schema.field_type(field).is_none() && !self.published {
            let names = self.schema.field_names();
            return Err(Problem::new("field.unknown", format!("a contact has no field `{field}`"))
                .value(field)
                .suggest(field, names));
        }
        self.reads.fields.insert(field.to_owned());
        Ok(())
    }

    /// Product and cart blocks need a variable that holds products or a cart.
    fn blocks(&mut self, build: &Build<'_>) {
        let grids = build.grids.iter().map(|grid| (&grid.variable, false));
        let carts = build.carts.iter().map(|cart| (&cart.variable, true));
        for (name, cart) in grids.chain(carts) {
            self.in_blocks.insert(name.clone());
            let fits = |kind: VariableType| match kind {
                VariableType::Cart => true,
                VariableType::Products | VariableType::Product => !cart,
                _ => false,
            };
            let wanted: Vec<&str> = self
                .document
                .variables
                .iter()
                .filter(|variable| fits(variable.kind))
                .map(|variable| variable.name.as_str())
                .collect();
            if !wanted.contains(&name.as_str()) {
                let what = if cart { "cart" } else { "list of products" };
                self.problems.push(
                    Problem::new("template.unknown", format!("no variable `{name}` holds a {what}"))
                        .field("blocks")
                        .value(name)
                        .suggest(name, wanted),
                );
            }
        }
    }

    fn shows(&mut self, build: &Build<'_>) -> Option<Vec<Condition>> {
        let mut shows = Vec::new();
        let mut sound = true;
        for show in &build.shows {
            match condition::parse(&show.node, &self.schema, &self.document.variables, &show.field) {
                Ok(condition) => {
                    let reads = condition.reads();
                    self.reads.fields.extend(reads.fields);
                    self.reads.purposes.extend(reads.purposes);
                    self.reads.rfm_models.extend(reads.rfm_models);
                    self.reads.segments.extend(reads.segments);
                    self.reads.lists.extend(reads.lists);
                    self.reads.time |= reads.time;
                    let paths = condition.refs();
                    let names = paths.iter().filter_map(|(path, _)| path.parts().get(1));
                    self.in_blocks.extend(names.cloned());
                    shows.push(condition);
                }
                Err(problems) => {
                    sound = false;
                    self.problems.extend(problems);
                }
            }
        }
        sound.then_some(shows)
    }

    fn unused(&mut self) {
        for variable in &self.document.variables {
            if !self.in_expressions.contains(&variable.name) && !self.in_blocks.contains(&variable.name) {
                self.problems.push(
                    Problem::warning(
                        "template.unused",
                        format!("the variable `{}` is not used", variable.name),
                    )
                    .field(format!("variables.{}", variable.name))
                    .at(variable.place),
                );
            }
        }
    }
}

fn sorted(names: std::collections::HashSet<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_unstable();
    names
}

fn syntax(error: &Error) -> Problem {
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    Problem::new("template.expression", format!("the expression is not understood: {detail}"))
        .cure("write it as in {{ name | default(\"there\") }}")
}

/// Each problem once: the same mistake shows in every language, and in the page as in its expression.
fn deduplicated(problems: Problems, file: &str) -> Problems {
    let mut kept: Problems = Vec::new();
    for problem in problems {
        let problem = problem.in_file(file);
        let same = |other: &Problem| {
            other.code == problem.code
                && other.message == problem.message
                && (other.place == problem.place || problem.place.is_none())
        };
        if !kept.iter().any(same) {
            kept.push(problem);
        }
    }
    kept
}
