//! What the nodes that send have in common: the template and its variables, the sending rules, and what a message holds.
//! A refused message is recorded with its reason and the contact goes on: links `sent` and `not_sent` can be drawn, a plain
//! link takes both.
//!
//! Keys of all of them, beside `template`, `purpose` and `variables`:
//!
//! ```yaml
//! ignore_caps: true            # goes out whatever the frequency caps say; counts for others all the same
//! smart_sending: PT16H         # true (the usual window), false, or a window; what the workspace says without it
//! expires_after: PT6H          # not handed over later than this after its decision
//! skip_duplicates: true        # one message per address and journey: what a second contact with it gets is skipped
//! ```

use std::sync::Arc;

use model::{AddressStatus, Amount, Channel, Period, Place, Slug, Timestamp, Value, Zone, doc};
use policy::{Decision, Facts, Refusal, SendingRules, Smart};
use segment::reference::RefPath;
use template::{Template, VariableType};

use super::{Expect, Flow, Named, Reading, Sending};
use crate::{
    check::Binder,
    data::{DataType, Datum},
    freeze::write_text,
    run::{Context, Message, Need},
    trace::Detail,
};

/// Outcomes of a node that sends.
pub const OUTCOMES: &[&str] = &["sent", "not_sent"];
/// Place of `sent` among the outcomes.
pub const SENT: u8 = 0;
/// Place of `not_sent` among the outcomes.
pub const NOT_SENT: u8 = 1;
/// The name under which a message's variables say what it asks of the rules at hand-over; no template variable has it.
pub const ASKS: &str = "_send";
/// Longest `expires_after`, in microseconds.
pub const EXPIRY_MAX: i64 = 90 * Timestamp::DAY;

/// What a sending node says about its message, whatever carries it.
#[derive(Debug)]
pub(crate) struct Content {
    pub channel: Channel,
    pub template: Named,
    pub purpose: Slug,
    mappings: Vec<Mapping>,
    /// Where the mappings stand.
    place: Place,
    compiled: Option<Arc<Template>>,
    segments: Vec<(Slug, u16)>,
    smart: Smart,
    ignore_caps: bool,
    expires_after: Option<i64>,
    skip_duplicates: bool,
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

/// Reads the keys that all have.
pub(crate) fn read(reading: &mut Reading<'_, '_>, channel: Channel) -> Option<Content> {
    let template = reading.required_text("template");
    let purpose = read_purpose(reading);
    let place = reading.fields.place;
    let mappings = match reading.fields.optional("variables") {
        None => Some(Vec::new()),
        Some(node) => read_mappings(reading, node),
    };
    let ignore_caps = reading.fields.boolean("ignore_caps");
    let skip_duplicates = reading.fields.boolean("skip_duplicates");
    let smart = read_smart(reading);
    let expires_after = read_period(reading, "expires_after", EXPIRY_MAX);
    let (ignore_caps, skip_duplicates) = (reading.keep(ignore_caps), reading.keep(skip_duplicates));
    Some(Content {
        channel,
        template: template?,
        purpose: purpose?,
        mappings: mappings?,
        place,
        compiled: None,
        segments: Vec::new(),
        smart: smart?,
        ignore_caps: ignore_caps?.unwrap_or_default(),
        expires_after: expires_after?,
        skip_duplicates: skip_duplicates?.unwrap_or_default(),
    })
}

/// What an alert writes: a template with its variables, to addresses that the alert knows, without asking for consent.
pub(super) fn read_alert(reading: &mut Reading<'_, '_>) -> Option<Content> {
    let template = reading.required_text("template");
    let place = reading.fields.place;
    let mappings = match reading.fields.optional("variables") {
        None => Some(Vec::new()),
        Some(node) => read_mappings(reading, node),
    };
    let purpose = Slug::parse(policy::TRANSACTIONAL).ok();
    Some(Content {
        channel: Channel::Email,
        template: template?,
        purpose: purpose?,
        mappings: mappings?,
        place,
        compiled: None,
        segments: Vec::new(),
        smart: Smart::Off,
        ignore_caps: false,
        expires_after: None,
        skip_duplicates: false,
    })
}

fn read_purpose(reading: &mut Reading<'_, '_>) -> Option<Slug> {
    let named = reading.required_text("purpose")?;
    let slug = Slug::purpose(&named.text).map_err(|problem| {
        let cure = "name it as consents do, as in newsletter or newsletter/promotions";
        problem.field(&named.field).at(named.place).cure(cure)
    });
    reading.keep(slug)
}

fn read_smart(reading: &mut Reading<'_, '_>) -> Option<Smart> {
    let node = reading.fields.optional("smart_sending");
    match node.map(|node| &node.data) {
        None => Some(Smart::Workspace),
        Some(doc::Data::Bool(true)) => Some(Smart::On),
        Some(doc::Data::Bool(false)) => Some(Smart::Off),
        Some(_) => {
            let window = read_period(reading, "smart_sending", SendingRules::SMART_MAX)?;
            window.map(Smart::Window)
        }
    }
}

/// A time of a fixed length, in microseconds; none of it when it is not there.
fn read_period(reading: &mut Reading<'_, '_>, key: &'static str, most: i64) -> Option<Option<i64>> {
    let path = reading.fields.path_of(key);
    let Some(node) = reading.fields.optional(key) else { return Some(None) };
    let text = node.text().unwrap_or_default();
    let period = Period::parse(text).ok().filter(|p| p.months == 0 && p.micros > 0 && p.micros <= most);
    if period.is_none() {
        let message = format!("`{text}` is no time up to {} days", most / Timestamp::DAY);
        let problem = node.problem("journey.period", message).field(path);
        reading.problems.push(problem.cure("write it as in PT6H or P2D"));
        return None;
    }
    Some(period.map(|period| period.micros))
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

impl Content {
    /// Binds template and variables, and says what the shell has to load.
    pub(crate) fn bind(&mut self, binder: &mut Binder<'_>) {
        binder.reads.suppressions = true;
        binder.reads.sends |= self.purpose.as_str() != policy::TRANSACTIONAL;
        let own = match self.smart {
            Smart::On => SendingRules::smart_default(self.channel),
            Smart::Window(window) => window,
            Smart::Workspace | Smart::Off => 0,
        };
        binder.reads.sends_back = binder.reads.sends_back.max(own);
        binder.reads.push |= self.channel == Channel::WebPush;
        let Some(template) = binder.template(&self.template) else { return };
        if template.channel() != self.channel {
            binder.problem(
                model::Problem::new(
                    "journey.template_channel",
                    format!(
                        "the template `{}` is for {}, the node sends {}",
                        template.slug(),
                        channel_word(template.channel()),
                        channel_word(self.channel)
                    ),
                )
                .field(&self.template.field)
                .value(&self.template.text)
                .at(self.template.place)
                .cure(format!("name a template with channel: {}", channel_word(self.channel))),
            );
            return;
        }
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

    /// What has to be known before the message can be written.
    pub(super) fn missing(&self, context: &Context<'_>) -> Vec<Need> {
        let unknown = self.segments.iter().filter(|(_, slot)| context.answers.member(*slot).is_none());
        unknown.map(|(_, slot)| Need::Member(*slot)).collect()
    }

    /// Decides the message: to the contact under the sending rules, or to a fixed address without them.
    pub(crate) fn step(&self, to: Option<&str>, context: &mut Context<'_>) -> Flow {
        let missing = self.missing(context);
        if !missing.is_empty() {
            return Flow::Needs(missing);
        }
        let now = context.world.now;
        let lasting = self.compiled.as_ref().and_then(|template| template.expires_after());
        let expires_at = self.expires_after.or(lasting).map(|after| now.plus(after));
        let not_before = if to.is_some() {
            None
        } else {
            match self.decide(context, expires_at) {
                Decision::Send => None,
                Decision::Hold(until) => Some(until),
                Decision::Refuse(refusal) => return Flow::done(NOT_SENT, Detail::Refused(refusal)),
            }
        };
        let message = Message {
            node: context.number,
            visit: context.visit,
            to: to.map(str::to_owned),
            locale: context.person().contact.locale.clone(),
            variables: self.freeze(context),
            not_before,
            expires_at,
        };
        context.send(message);
        Flow::done(SENT, not_before.map_or(Detail::None, Detail::Until))
    }

    fn decide(&self, context: &Context<'_>, expires_at: Option<Timestamp>) -> Decision {
        let (person, world) = (context.person(), context.world);
        let of_profile =
            Facts::of(&person.contact, self.channel, self.purpose.as_str(), world.zone, world.now);
        let push = self.channel == Channel::WebPush;
        let address = if push { (person.push > 0).then_some("push") } else { of_profile.address };
        world.sending.decide(&Facts {
            address,
            status: if push { AddressStatus::Active } else { of_profile.status },
            consent: policy::consent(&person.contact, self.purpose.as_str(), world.sending.topics),
            suppressed: match self.channel {
                Channel::Email => person.suppressed,
                other => person.suppressed_on.contains(&other),
            },
            sends: &person.sends,
            smart: self.smart,
            ignore_caps: self.ignore_caps,
            expires_at,
            ..of_profile
        })
    }

    /// Writes what the rules must know again at hand-over; nothing for a message that asks for nothing.
    fn write_asks(&self, out: &mut String) {
        let mut asks = serde_json::Map::new();
        match self.smart {
            Smart::Workspace => {}
            Smart::Off => drop(asks.insert("smart".into(), false.into())),
            Smart::On => drop(asks.insert("smart".into(), true.into())),
            Smart::Window(window) => drop(asks.insert("smart".into(), window.into())),
        }
        if self.ignore_caps {
            asks.insert("ignore_caps".into(), true.into());
        }
        if self.skip_duplicates {
            asks.insert("skip_duplicates".into(), true.into());
        }
        if asks.is_empty() {
            return;
        }
        if out.len() > 1 {
            out.push(',');
        }
        write_text(ASKS, out);
        out.push(':');
        out.push_str(&serde_json::Value::Object(asks).to_string());
    }

    /// What its messages have in common.
    pub(crate) fn sending(&self) -> Sending<'_> {
        Sending { channel: self.channel, template: &self.template.text, purpose: self.purpose.as_str() }
    }

    /// The flow of a message that the journey's `while` forbids.
    pub(crate) const fn skipped() -> Flow {
        Flow::done(NOT_SENT, Detail::Refused(Refusal::While))
    }

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
        self.write_asks(&mut out);
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

/// A channel as templates name it.
const fn channel_word(channel: Channel) -> &'static str {
    match channel {
        Channel::WebPush => "push",
        other => other.word(),
    }
}
