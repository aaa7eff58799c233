//! Decides whether an email may be written, and if so what it will hold. A refused message is recorded with its reason
//! and the contact goes on: links `sent` and `not_sent` can be drawn, a plain link takes both.

use std::sync::Arc;

use model::{Amount, Channel, Place, Slug, Timestamp, Value, Zone, doc};
use segment::reference::RefPath;
use template::{Template, VariableType};

use super::{Expect, Flow, Kind, Named, Reading, Role, Sending, Step};
use crate::{
    check::Binder,
    data::{DataType, Datum},
    freeze::write_text,
    run::{Context, Message, Need},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "send_email",
    name_en: "Send email",
    name_fr: "Envoyer un e-mail",
    role: Role::Action,
    read,
};

const OUTCOMES: &[&str] = &["sent", "not_sent"];
/// Place of `sent` among the outcomes.
pub const SENT: u8 = 0;
/// Place of `not_sent` among the outcomes.
pub const NOT_SENT: u8 = 1;

#[derive(Debug)]
pub(super) struct SendEmail {
    template: Named,
    purpose: Slug,
    /// A fixed address: an alert to the shop's own staff.
    to: Option<String>,
    mappings: Vec<Mapping>,
    /// Where the mappings stand.
    place: Place,
    compiled: Option<Arc<Template>>,
    segments: Vec<(Slug, u16)>,
}

#[derive(Debug)]
struct Mapping {
    name: String,
    name_place: Place,
    field: String,
    place: Place,
    from: From,
    kind: VariableType,
}

#[derive(Debug)]
enum From {
    Ref(RefPath),
    Literal(String),
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let template = reading.required_text("template");
    let purpose = read_purpose(reading);
    let to = read_to(reading);
    let place = reading.fields.place;
    let mappings = match reading.fields.optional("variables") {
        None => Some(Vec::new()),
        Some(node) => read_mappings(reading, node),
    };
    Some(Box::new(SendEmail {
        template: template?,
        purpose: purpose?,
        to: to?,
        mappings: mappings?,
        place,
        compiled: None,
        segments: Vec::new(),
    }))
}

/// What an alert writes: a template with its variables, to addresses that the alert knows, without asking for consent.
pub(super) fn read_alert(reading: &mut Reading<'_, '_>) -> Option<SendEmail> {
    let template = reading.required_text("template");
    let place = reading.fields.place;
    let mappings = match reading.fields.optional("variables") {
        None => Some(Vec::new()),
        Some(node) => read_mappings(reading, node),
    };
    let purpose = Slug::parse("transactional").ok();
    let to = Some(String::new());
    let (compiled, segments) = (None, Vec::new());
    Some(SendEmail {
        template: template?,
        purpose: purpose?,
        to,
        mappings: mappings?,
        place,
        compiled,
        segments,
    })
}

fn read_purpose(reading: &mut Reading<'_, '_>) -> Option<Slug> {
    let named = reading.required_text("purpose")?;
    let slug = Slug::parse(&named.text).map_err(|problem| {
        problem.field(&named.field).at(named.place).cure("name it as consents do, as in newsletter")
    });
    reading.keep(slug)
}

fn read_to(reading: &mut Reading<'_, '_>) -> Option<Option<String>> {
    let path = reading.fields.path_of("to");
    let Some(node) = reading.fields.optional("to") else { return Some(None) };
    let text = node.scalar().unwrap_or_default();
    if text == "contact" {
        return Some(None);
    }
    let address = model::field::parse_email(&text).map_err(|problem| {
        problem.field(path).at(node.place).cure("write contact, or a fixed address, as in alerts@example.com")
    });
    reading.keep(address).map(Some)
}

fn read_mappings(reading: &mut Reading<'_, '_>, node: &doc::Node) -> Option<Vec<Mapping>> {
    let path = reading.fields.path_of("variables");
    let Some(entries) = node.entries() else {
        let problem = node.problem("doc.type", format!("expected a mapping, found {}", node.kind()));
        reading.problems.push(problem.field(path).cure("write name: {ref: contact.first_name}"));
        return None;
    };
    let mut mappings = Vec::with_capacity(entries.len());
    let before = reading.problems.len();
    for entry in entries {
        let field = format!("{path}.{}", entry.key);
        let reference = RefPath::from_node(&entry.value).map_err(|problem| problem.field(&field));
        let from = match reading.keep(reference) {
            None => continue,
            Some(Some(path)) => From::Ref(path),
            Some(None) => {
                let text = entry.value.scalar().ok_or_else(|| {
                    let found = entry.value.kind();
                    let problem = entry.value.problem("doc.type", format!("expected a value, found {found}"));
                    problem.field(&field).cure("write a value, or {ref: contact.first_name}")
                });
                match reading.keep(text) {
                    Some(text) => From::Literal(text),
                    None => continue,
                }
            }
        };
        mappings.push(Mapping {
            name: entry.key.clone(),
            name_place: entry.place,
            field,
            place: entry.value.place,
            from,
            kind: VariableType::Text,
        });
    }
    (reading.problems.len() == before).then_some(mappings)
}

/// What a reference for a variable of this kind may lead to.
const fn expected(kind: VariableType) -> Expect {
    match kind {
        VariableType::Text | VariableType::Url => Expect::Fits(DataType::Text),
        VariableType::Number | VariableType::Money => Expect::Fits(DataType::Decimal),
        VariableType::Date => Expect::Value,
        VariableType::Boolean => Expect::Fits(DataType::Boolean),
        // A single product is the first of a list.
        VariableType::Product | VariableType::Products => Expect::Fits(DataType::ProductList),
        VariableType::Cart => Expect::Fits(DataType::Cart),
    }
}

/// Whether a text in the file can stand for a variable of this kind.
fn literal_fits(text: &str, kind: VariableType) -> bool {
    match kind {
        VariableType::Text | VariableType::Url => true,
        VariableType::Number | VariableType::Money => Amount::parse(text).is_ok(),
        VariableType::Date => Timestamp::parse(text, &Zone::UTC).is_ok(),
        VariableType::Boolean => matches!(text, "true" | "false"),
        VariableType::Product | VariableType::Products | VariableType::Cart => false,
    }
}

impl Step for SendEmail {
    fn outcomes(&self) -> &'static [&'static str] {
        OUTCOMES
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        binder.reads.suppressions = true;
        let Some(template) = binder.template(&self.template) else { return };
        for mapping in &mut self.mappings {
            let Some(variable) = template.variables().iter().find(|v| v.name == mapping.name) else {
                let names = template.variables().iter().map(|v| v.name.as_str());
                binder.problem(
                    model::Problem::new(
                        "journey.unknown_variable",
                        format!("the template `{}` has no variable `{}`", template.slug(), mapping.name),
                    )
                    .field(&mapping.field)
                    .at(mapping.name_place)
                    .suggest(&mapping.name, names),
                );
                continue;
            };
            mapping.kind = variable.kind;
            match &mapping.from {
                From::Ref(path) => {
                    binder.variable(
                        path,
                        mapping.place,
                        &mapping.field,
                        variable.kind,
                        expected(variable.kind),
                    );
                }
                From::Literal(text) if literal_fits(text, variable.kind) => {}
                From::Literal(text) => binder.problem(
                    model::Problem::new(
                        "journey.type",
                        format!("`{text}` cannot stand for a variable of type {}", variable.kind.word()),
                    )
                    .field(&mapping.field)
                    .value(text)
                    .at(mapping.place)
                    .cure("map a reference, as in {ref: nodes.related.products}"),
                ),
            }
        }
        for variable in template.variables() {
            let mapped = self.mappings.iter().any(|mapping| mapping.name == variable.name);
            if variable.required && !mapped {
                binder.problem(
                    model::Problem::new(
                        "journey.missing_variable",
                        format!("the template `{}` needs the variable `{}`", template.slug(), variable.name),
                    )
                    .field(binder.path("variables"))
                    .at(self.place)
                    .cure(format!(
                        "map it, as in {}: {{ref: …}} ({})",
                        variable.name,
                        variable.kind.word()
                    )),
                );
            }
        }
        let reads = template.reads();
        for field in &reads.fields {
            binder.contact_field(field, &self.template);
        }
        for slug in &reads.segments {
            let named = Named { text: slug.clone(), ..self.template.clone() };
            if let (Some(slot), Ok(slug)) = (binder.segment(&named), Slug::parse(slug)) {
                self.segments.push((slug, slot));
            }
        }
        binder.reads.rfm |= !reads.rfm_models.is_empty();
        self.compiled = Some(template);
    }

    fn sends(&self) -> bool {
        self.to.is_none()
    }

    fn skipped(&self) -> Flow {
        Flow::done(NOT_SENT, Detail::Refused(policy::Refusal::While))
    }

    fn sending(&self) -> Option<Sending<'_>> {
        Some(Sending {
            channel: Channel::Email,
            template: &self.template.text,
            purpose: self.purpose.as_str(),
        })
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let missing = self.missing(context);
        if !missing.is_empty() {
            return Flow::Needs(missing);
        }
        if self.to.is_none() {
            let person = context.person();
            let answer = policy::email(&person.contact, self.purpose.as_str(), person.suppressed);
            if let Err(refusal) = answer {
                return Flow::done(NOT_SENT, Detail::Refused(refusal));
            }
        }
        let variables = self.freeze(context);
        let message = Message {
            node: context.number,
            visit: context.visit,
            to: self.to.clone(),
            locale: context.person().contact.locale.clone(),
            variables,
            not_before: None,
            expires_at: None,
        };
        context.send(message);
        Flow::done(SENT, Detail::None)
    }
}

impl SendEmail {
    /// Segments that the template asks for and nobody has answered yet.
    pub(super) fn missing(&self, context: &Context<'_>) -> Vec<Need> {
        let unknown = self.segments.iter().filter(|(_, slot)| context.answers.member(*slot).is_none());
        unknown.map(|(_, slot)| Need::Member(*slot)).collect()
    }

    /// The variables of a message, as of now: a JSON object.
    pub(super) fn freeze(&self, context: &Context<'_>) -> String {
        let mut out = String::with_capacity(1_024);
        out.push('{');
        let data = context.data();
        for mapping in &self.mappings {
            let before = out.len();
            if out.len() > 1 {
                out.push(',');
            }
            write_text(&mapping.name, &mut out);
            out.push(':');
            let written = match &mapping.from {
                From::Literal(text) => write_literal(text, mapping.kind, &mut out),
                From::Ref(path) => {
                    data.datum(path).is_some_and(|datum| write_datum(&datum, mapping.kind, context, &mut out))
                }
            };
            if !written {
                out.truncate(before); // what is missing is left out: the template has its default
            }
        }
        if let Some(contact) = self.freeze_contact(context) {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str("\"contact\":");
            out.push_str(&contact.to_string());
        }
        out.push('}');
        out
    }

    fn freeze_contact(&self, context: &Context<'_>) -> Option<serde_json::Value> {
        let reads = self.compiled.as_ref()?.reads();
        if *reads == segment::Reads::default() {
            return None;
        }
        let data = context.data();
        let fields = reads
            .fields
            .iter()
            .filter_map(|name| data.contact_value(name).map(|value| (name.as_str(), value)));
        let segments: Vec<String> = self
            .segments
            .iter()
            .filter(|(_, slot)| context.answers.member(*slot) == Some(true))
            .map(|(slug, _)| slug.to_string())
            .collect();
        let person = context.person();
        let lists: Vec<String> = person
            .contact
            .lists
            .iter()
            .filter(|slug| reads.lists.contains(slug.as_str()))
            .map(Slug::to_string)
            .collect();
        let consents =
            reads.purposes.iter().map(|purpose| (purpose.as_str(), person.contact.consent(purpose)));
        let placements: Vec<model::RfmPlacement> = person
            .rfm
            .iter()
            .filter(|placement| reads.rfm_models.contains(&placement.model))
            .cloned()
            .collect();
        Some(template::variables::contact(fields, &segments, &lists, consents, &placements))
    }
}

fn write_literal(text: &str, kind: VariableType, out: &mut String) -> bool {
    match kind {
        VariableType::Number | VariableType::Money => match Amount::parse(text) {
            Ok(amount) => out.push_str(&amount.to_string()),
            Err(_) => return false,
        },
        VariableType::Boolean => out.push_str(if text == "true" { "true" } else { "false" }),
        _ => write_text(text, out),
    }
    true
}

fn write_datum(datum: &Datum, kind: VariableType, context: &Context<'_>, out: &mut String) -> bool {
    let world = context.world;
    match kind {
        VariableType::Products => {
            world.frozen.write_list(&datum.products(), world.catalogue, out);
            true
        }
        VariableType::Product => {
            let first = datum.products().first().copied();
            first.is_some_and(|id| world.frozen.write(id, world.catalogue, out))
        }
        VariableType::Cart => {
            let Datum::Cart(cart) = datum else { return false };
            let json = template::variables::cart(cart, |id| world.catalogue.product(id));
            out.push_str(&json.to_string());
            true
        }
        _ => {
            let Datum::Value(value) = datum else { return false };
            match value {
                Value::Text(text) => write_text(text, out),
                // Exact, as written in the field: a float would not be.
                Value::Decimal(amount) => out.push_str(&amount.to_string()),
                other => out.push_str(&template::variables::value(other).to_string()),
            }
            true
        }
    }
}
