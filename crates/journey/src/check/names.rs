//! Binding names: what a node reads of the journey and of what lies beside it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use model::{FieldDef, FieldType, Place, Problem, Problems, Slug, contact::BUILT_IN_FIELDS, doc};
use segment::{Condition, Kind, Leaf, Operator, Refs, Schema, Scope, reference::RefPath};
use template::{Template, VariableType};

use super::{After, Beside, Bound, Content, Read, events::Started};
use crate::{
    data::{Astray, DataType, Export, type_at},
    graph::{Node, Reads},
    nodes::{Expect, Named},
};

/// Contact fields that come from its orders.
const FROM_ORDERS: &[&str] =
    &["first_order_at", "last_order_at", "order_count", "order_total", "average_order"];

/// What a run itself has for references: when the contact entered, what tells its runs apart, the last message of a node.
const RUN_DATA: [&str; 3] = ["entered_at", "key", "message"];

/// Binds the names of one node after the other, and keeps what the journey as a whole reads.
pub struct Binder<'a> {
    beside: &'a Beside,
    problems: &'a mut Problems,
    exports: Vec<(String, &'static [Export])>,
    by_id: &'a HashMap<String, u16>,
    node: u16,
    id: String,
    segments: Vec<Slug>,
    templates: Vec<Slug>,
    conditions: Vec<Condition>,
    coupons: Vec<Slug>,
    coupon_nodes: Vec<(u16, u16)>,
    refs: Vec<Read>,
    orders: Vec<After>,
    /// By node: whether it sends.
    sends: Vec<bool>,
    /// What starts the journey.
    pub(super) started: Started,
    /// Data of the trigger that a condition of a node was found to read: said once.
    asked: BTreeSet<(u16, RefPath)>,
    /// What of a contact the journey reads beside its profile.
    pub reads: Reads,
}

impl<'a> Binder<'a> {
    pub(super) fn new(
        beside: &'a Beside,
        problems: &'a mut Problems,
        nodes: &[Node],
        by_id: &'a HashMap<String, u16>,
    ) -> Self {
        Self {
            beside,
            problems,
            exports: nodes.iter().map(|node| (node.id.clone(), node.step.exports())).collect(),
            by_id,
            node: 0,
            id: String::new(),
            segments: Vec::new(),
            templates: Vec::new(),
            conditions: Vec::new(),
            coupons: Vec::new(),
            coupon_nodes: Vec::new(),
            refs: Vec::new(),
            orders: Vec::new(),
            sends: nodes.iter().map(|node| node.step.sends()).collect(),
            started: Started::default(),
            asked: BTreeSet::new(),
            reads: Reads::default(),
        }
    }

    pub(super) fn enter(&mut self, number: u16, id: &str) {
        self.node = number;
        self.id = id.to_owned();
    }

    /// What is bound next belongs to no node.
    pub(super) fn outside_nodes(&mut self) {
        self.node = u16::MAX;
        self.id.clear();
    }

    pub(super) fn finish(self) -> Bound {
        let Self { segments, templates, conditions, coupons, coupon_nodes, refs, orders, reads, .. } = self;
        Bound { segments, templates, conditions, coupons, coupon_nodes, reads, refs, orders }
    }

    /// The path of a key of the node being bound.
    #[must_use]
    pub fn path(&self, key: &str) -> String {
        format!("nodes.{}.{key}", self.id)
    }

    /// Reports a problem.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reports a type that does not fit.
    pub fn type_problem(&mut self, named: &Named, message: String, cure: &str) {
        self.problems
            .push(Problem::new("journey.type", message).field(&named.field).at(named.place).cure(cure));
    }

    pub(super) fn unknown(
        &mut self,
        code: &'static str,
        what: &str,
        named: &Named,
        known: Vec<&str>,
        cure: &str,
    ) {
        let problem = Problem::new(code, format!("there is no {what} `{}`", named.text))
            .field(&named.field)
            .value(&named.text)
            .at(named.place);
        self.problems.push(if known.is_empty() {
            problem.cure(cure)
        } else {
            problem.suggest(&named.text, known)
        });
    }

    pub(super) fn audience(&mut self, key: &str, slug: &str, place: Place) {
        self.segment(&Named { text: slug.to_owned(), place, field: format!("audience.{key}") });
    }

    pub(super) const fn beside(&self) -> &'a Beside {
        self.beside
    }

    /// A node that sends the contact messages and that every path to the node being bound must lead through, by its
    /// number: for waits for an interaction with a message.
    pub fn sender(&mut self, named: &Named) -> Option<u16> {
        let found = self.by_id.get(&named.text).copied();
        if let Some(before) = found.filter(|number| self.sends[usize::from(*number)]) {
            let (node, place, field) = (self.node, named.place, named.field.clone());
            self.orders.push(After { node, before, place, field });
            return Some(before);
        }
        let ids = self.exports.iter().zip(&self.sends).filter(|(_, sends)| **sends);
        let senders: Vec<String> = ids.map(|((id, _), _)| id.clone()).collect();
        let (code, message) = match found {
            Some(_) => ("journey.no_sender", format!("`{}` sends the contact no message", named.text)),
            None => ("journey.unknown_node", format!("there is no node `{}`", named.text)),
        };
        let problem = Problem::new(code, message).field(&named.field).value(&named.text).at(named.place);
        self.problems.push(if senders.is_empty() {
            problem.cure("name a node that sends, as send_email does")
        } else {
            problem.suggest(&named.text, senders.iter().map(String::as_str).collect::<Vec<_>>())
        });
        None
    }

    /// Warns of a journey that does not exist yet: two that lead into each other cannot both be published first.
    pub fn journey(&mut self, named: &Named) {
        if self.beside.journeys.contains(&named.text) {
            return;
        }
        let known: Vec<&str> = self.beside.journeys.iter().map(String::as_str).collect();
        let problem =
            Problem::warning("journey.unknown_journey", format!("there is no journey `{}`", named.text));
        let problem = problem.field(&named.field).value(&named.text).at(named.place);
        self.problems.push(if known.is_empty() {
            problem.cure("publish it before contacts come here")
        } else {
            problem.suggest(&named.text, known)
        });
    }

    /// Warns of a kind of event that was never seen and that Relance does not know.
    pub fn event_kind(&mut self, kind: &str, place: Place, key: &str) {
        let field = if self.id.is_empty() { key.to_owned() } else { self.path(key) };
        self.problems.extend(super::sense::unknown_kind(self.beside, kind, &field, place));
    }

    /// The place of a segment in [`crate::Journey::segments`].
    pub fn segment(&mut self, named: &Named) -> Option<u16> {
        let slug = Slug::parse(&named.text).ok().filter(|_| self.beside.segments.contains(&named.text));
        let Some(slug) = slug else {
            let known = self.beside.segments.iter().map(String::as_str).collect();
            self.unknown(
                "journey.unknown_segment",
                "segment",
                named,
                known,
                "put a file of that name into the folder `segments` beside the journey",
            );
            return None;
        };
        let place = self.segments.iter().position(|known| *known == slug).unwrap_or_else(|| {
            self.segments.push(slug);
            self.segments.len() - 1
        });
        u16::try_from(place).ok()
    }

    /// Keeps a condition that needs the contact's history, and answers with its place in [`crate::Journey::conditions`].
    pub fn keep_condition(&mut self, condition: Condition) -> u16 {
        let place = self.conditions.iter().position(|known| *known == condition).unwrap_or_else(|| {
            self.conditions.push(condition);
            self.conditions.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// The place of a coupon set in [`crate::Journey::coupons`].
    pub fn coupon_set(&mut self, named: &Named) -> Option<u16> {
        let slug = Slug::parse(&named.text).ok().filter(|_| self.beside.coupons.contains(&named.text));
        let Some(slug) = slug else {
            let known = self.beside.coupons.iter().map(String::as_str).collect();
            self.unknown(
                "journey.unknown_coupon_set",
                "coupon set",
                named,
                known,
                "put a file of that name into the folder `coupons` beside the journey",
            );
            return None;
        };
        let place = self.coupons.iter().position(|known| *known == slug).unwrap_or_else(|| {
            self.coupons.push(slug);
            self.coupons.len() - 1
        });
        let place = u16::try_from(place).ok()?;
        self.coupon_nodes.push((self.node, place));
        Some(place)
    }

    /// A template that is ready to be sent.
    pub fn template(&mut self, named: &Named) -> Option<Arc<Template>> {
        let beside = self.beside;
        match beside.templates.get(&named.text) {
            Some(Content::Ready(template)) => {
                if !self.templates.contains(template.slug()) {
                    self.templates.push(template.slug().clone());
                }
                Some(Arc::clone(template))
            }
            Some(Content::Broken) => {
                self.problems.push(
                    Problem::new(
                        "journey.content_not_ready",
                        format!("the template `{}` cannot be sent yet", named.text),
                    )
                    .field(&named.field)
                    .value(&named.text)
                    .at(named.place)
                    .cure("mend what is reported of its file"),
                );
                None
            }
            None => {
                let known = beside.templates.keys().map(String::as_str).collect();
                self.unknown(
                    "journey.unknown_template",
                    "template",
                    named,
                    known,
                    "put a file of that name into the folder `templates` beside the journey",
                );
                None
            }
        }
    }

    /// A custom field, which a node may write.
    pub fn custom_field(&mut self, named: &Named) -> Option<FieldDef> {
        let beside = self.beside;
        if let Some(def) = beside.fields.iter().find(|def| def.slug.as_str() == named.text) {
            return Some(def.clone());
        }
        if BUILT_IN_FIELDS.iter().any(|(name, _)| *name == named.text) {
            self.problems.push(
                Problem::new(
                    "journey.built_in_field",
                    format!("`{}` is built in and cannot be set", named.text),
                )
                .field(&named.field)
                .at(named.place)
                .cure("make a custom field for it in fields.yaml"),
            );
            return None;
        }
        let known = beside.fields.iter().map(|def| def.slug.as_str()).collect();
        self.unknown(
            "journey.unknown_field",
            "custom field",
            named,
            known,
            "define it in fields.yaml beside the journey",
        );
        None
    }

    /// The type of a contact field, built in or custom; `named` is where it is read.
    pub fn contact_field(&mut self, name: &str, named: &Named) -> Option<DataType> {
        let beside = self.beside;
        let custom = beside.fields.iter().find(|def| def.slug.as_str() == name).map(|def| &def.kind);
        let built_in = || BUILT_IN_FIELDS.iter().find(|(own, _)| *own == name).map(|(_, kind)| kind);
        if let Some(kind) = custom.or_else(built_in) {
            self.reads.totals |= FROM_ORDERS.contains(&name);
            return Some(DataType::of_field(kind));
        }
        let known: Vec<&str> = BUILT_IN_FIELDS
            .iter()
            .map(|(name, _)| *name)
            .chain(beside.fields.iter().map(|def| def.slug.as_str()))
            .collect();
        let named = Named { text: name.to_owned(), ..named.clone() };
        self.unknown("journey.unknown_field", "contact field", &named, known, "");
        None
    }

    /// Checks what a reference leads to, and keeps it for the check of the paths. `field` is the setting within the
    /// node.
    pub fn reference(
        &mut self,
        path: &RefPath,
        place: Place,
        field: &str,
        expect: Expect,
    ) -> Option<DataType> {
        let field = if field.starts_with("nodes.") { field.to_owned() } else { self.path(field) };
        let named = Named { text: path.to_string(), place, field };
        let found = self.type_of(path, &named)?;
        let fits = match expect {
            Expect::Any => true,
            Expect::Value => found.is_value(),
            Expect::Fits(wanted) => found.fits(wanted),
            // Text compares with a list's entries; otherwise like with like.
            Expect::Comparable(kind) => found.kind().is_some_and(|own| {
                let any = kind == Kind::Any || own == Kind::Any;
                own == kind || any || (own, kind) == (Kind::Text, Kind::Options)
            }),
        };
        if !fits {
            let wanted = match expect {
                Expect::Fits(wanted) => wanted.word(),
                Expect::Comparable(kind) => kind.word(),
                _ => "single value",
            };
            self.mismatch(&named, found, wanted);
            return None;
        }
        Some(found)
    }

    /// As [`Self::reference`], for the value of a field.
    pub fn reference_to(
        &mut self,
        path: &RefPath,
        place: Place,
        field: &str,
        expect: Expect,
        def: &FieldDef,
    ) -> Option<DataType> {
        if let (Expect::Fits(DataType::Text), FieldType::Email | FieldType::Phone) = (expect, &def.kind) {
            // Any text could stand in a text field, but an address must be one.
            let found = self.reference(path, place, field, Expect::Value)?;
            if found != DataType::Text {
                let named = Named { text: path.to_string(), place, field: field.to_owned() };
                self.mismatch(&named, found, def.kind.word());
                return None;
            }
            return Some(found);
        }
        self.reference(path, place, field, expect)
    }

    /// As [`Self::reference`], for a variable of a template.
    pub fn variable(
        &mut self,
        path: &RefPath,
        place: Place,
        field: &str,
        kind: VariableType,
        expect: Expect,
    ) -> Option<DataType> {
        let found = self.reference(path, place, field, expect)?;
        if kind == VariableType::Date && !matches!(found, DataType::Date | DataType::Instant) {
            let named = Named { text: path.to_string(), place, field: field.to_owned() };
            self.mismatch(&named, found, kind.word());
            return None;
        }
        Some(found)
    }

    /// Reads a condition about the contact, what it did, and the data of the trigger and of earlier nodes. One that asks
    /// histories or carts is for [`Binder::keep_condition`]: see [`crate::nodes::question::Question`], which knows the
    /// difference.
    pub fn condition(&mut self, node: &doc::Node, field: &str) -> Option<Condition> {
        self.condition_named(node, field, |path| path)
    }

    /// As [`Binder::condition`], where the paths in problems are named otherwise in the file.
    pub fn condition_named(
        &mut self,
        node: &doc::Node,
        field: &str,
        in_file: impl Fn(String) -> String,
    ) -> Option<Condition> {
        let table =
            Table { exports: &self.exports, by_id: self.by_id, started: &self.started, of_event: false };
        let renamed = |problems: Problems| -> Problems {
            let one = |problem: Problem| Problem { field: problem.field.map(&in_file), ..problem };
            problems.into_iter().map(one).collect()
        };
        let read = parse(self.beside, node, field, Scope::Full, &table)
            .map(|(condition, warnings)| (condition, renamed(warnings)))
            .map_err(renamed);
        let condition = self.kept(read)?;
        self.trigger_data_of(&condition, node.place, field);
        Some(condition)
    }

    /// Reads the journey's own condition, which no node's data is there for.
    pub(super) fn journey_condition(&mut self, node: &doc::Node, field: &str) -> Option<Condition> {
        let none = HashMap::new();
        let table = Table { exports: &[], by_id: &none, started: &self.started, of_event: false };
        let read = parse(self.beside, node, field, Scope::Full, &table);
        let condition = self.kept(read)?;
        self.trigger_data_of(&condition, node.place, field);
        Some(condition)
    }

    /// As [`Self::condition`], of an event that is waited for (`event.…`).
    pub fn event_condition(&mut self, node: &doc::Node, field: &str) -> Option<Condition> {
        let table =
            Table { exports: &self.exports, by_id: self.by_id, started: &self.started, of_event: true };
        let read = parse(self.beside, node, field, Scope::Full, &table);
        let condition = self.kept(read)?;
        self.trigger_data_of(&condition, node.place, field);
        Some(condition)
    }

    pub(super) fn kept(&mut self, read: Result<(Condition, Problems), Problems>) -> Option<Condition> {
        match read {
            Ok((condition, warnings)) => {
                self.problems.extend(warnings);
                Some(condition)
            }
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    /// What a condition reads of the trigger must be there whichever trigger it was, unless the condition itself asks
    /// whether it is.
    fn trigger_data_of(&mut self, condition: &Condition, place: Place, field: &str) {
        let mut optional: BTreeSet<&RefPath> = BTreeSet::new();
        for leaf in condition.leaves() {
            if let Leaf::Value { path, tests, .. } = leaf
                && tests.0.iter().any(|test| test.operator == Operator::HasValue)
            {
                optional.insert(path);
            }
        }
        for (path, _) in condition.refs().into_iter().filter(|(path, _)| path.parts()[0] == "trigger") {
            let named = Named { text: path.to_string(), place, field: field.to_owned() };
            self.type_of_trigger(&path, &named, optional.contains(&path));
            self.asked.insert((self.node, path));
        }
    }

    /// Binds the names of a condition that stands outside the nodes.
    pub(super) fn names_of(&mut self, condition: &Condition, place: Place, field: &str) {
        let reads = condition.reads();
        let named = |text: &str| Named { text: text.to_owned(), place, field: field.to_owned() };
        for name in &reads.fields {
            self.contact_field(name, &named(name));
        }
        for slug in &reads.segments {
            self.segment(&named(slug));
        }
        self.reads.rfm |= !reads.rfm_models.is_empty();
    }

    fn mismatch(&mut self, named: &Named, found: DataType, wanted: &str) {
        let cure = match found {
            DataType::ProductList => format!("take one product's datum, as in {}.0.unit_price", named.text),
            DataType::Product => format!("take a datum of the product, as in {}.unit_price", named.text),
            DataType::Cart => format!("take a datum of the cart, as in {}.total", named.text),
            DataType::Any => {
                let name = named.text.trim_start_matches("trigger.");
                format!("say its type at the trigger, as in properties: {{\"{name}\": {wanted}}}")
            }
            _ => format!("refer to a datum of type {wanted}"),
        };
        self.problems.push(
            Problem::new(
                "journey.type",
                format!("`{}` is of type {found}, expected is {wanted}", named.text),
            )
            .field(&named.field)
            .value(&named.text)
            .at(named.place)
            .cure(cure),
        );
    }

    fn type_of(&mut self, path: &RefPath, named: &Named) -> Option<DataType> {
        let parts = path.parts();
        match parts[0].as_str() {
            "contact" => {
                let kind = self.contact_field(&parts[1], named)?;
                self.walk(kind, &parts[2..], named)
            }
            "nodes" => self.type_of_export(path, named),
            "trigger" if self.asked.contains(&(self.node, path.clone())) => self.started.type_of(&parts[1..]),
            "trigger" => self.type_of_trigger(path, named, false),
            "run" => self.type_of_run(parts, named),
            // What a wait hears; its condition was checked as it was read.
            "event" => Some(DataType::Any),
            _ => {
                let problem = Problem::new("journey.no_such_data", format!("`{path}` is not known here"));
                self.problems.push(problem.field(&named.field).value(&named.text).at(named.place));
                None
            }
        }
    }

    fn type_of_trigger(&mut self, path: &RefPath, named: &Named, optional: bool) -> Option<DataType> {
        let (found, problem) = self.started.look_up(path, optional);
        self.problems
            .extend(problem.map(|problem| problem.field(&named.field).value(&named.text).at(named.place)));
        found
    }

    fn type_of_run(&mut self, parts: &[String], named: &Named) -> Option<DataType> {
        match parts[1..].iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["entered_at"] => Some(DataType::Instant),
            ["key"] if self.started.keyed() => Some(DataType::Text),
            ["key"] => {
                let problem = Problem::new("journey.no_such_data", "no trigger of this journey has a key");
                let problem = problem.field(&named.field).value(&named.text).at(named.place);
                self.problems.push(problem.cure("add one to the trigger, as in key: trigger.cart_id"));
                None
            }
            ["message", node] if self.by_id.contains_key(*node) => Some(DataType::Text),
            ["message", node] => {
                let problem = Problem::new("journey.unknown_node", format!("there is no node `{node}`"))
                    .field(&named.field)
                    .value(&named.text)
                    .at(named.place);
                let ids: Vec<&str> = self.exports.iter().map(|(id, _)| id.as_str()).collect();
                self.problems.push(problem.suggest(node, ids));
                None
            }
            _ => {
                let problem = Problem::new("journey.no_such_data", "a run has no such data")
                    .field(&named.field)
                    .value(&named.text)
                    .at(named.place);
                self.problems.push(problem.suggest(&parts[1], RUN_DATA));
                None
            }
        }
    }

    fn type_of_export(&mut self, path: &RefPath, named: &Named) -> Option<DataType> {
        let parts = path.parts();
        let Some(number) = self.by_id.get(&parts[1]).copied() else {
            let problem = Problem::new("journey.unknown_node", format!("there is no node `{}`", parts[1]))
                .field(&named.field)
                .value(&named.text)
                .at(named.place);
            let ids: Vec<&str> = self.exports.iter().map(|(id, _)| id.as_str()).collect();
            self.problems.push(problem.suggest(&parts[1], ids));
            return None;
        };
        self.refs.push(Read {
            node: self.node,
            path: path.clone(),
            place: named.place,
            field: named.field.clone(),
        });
        let exports = self.exports[usize::from(number)].1;
        let own = match parts.get(2) {
            None => exports.first(),
            Some(name) => exports.iter().find(|export| export.name == name),
        };
        let Some(own) = own else {
            let name = parts.get(2).map_or("", String::as_str);
            let problem = Problem::new("journey.no_such_data", format!("`{}` exports no `{name}`", parts[1]))
                .field(&named.field)
                .value(&named.text)
                .at(named.place);
            let names: Vec<&str> = exports.iter().map(|export| export.name).collect();
            self.problems.push(if names.is_empty() {
                problem.cure("this kind of node exports nothing")
            } else {
                problem.suggest(name, names)
            });
            return None;
        };
        self.walk(own.kind, parts.get(3..).unwrap_or_default(), named)
    }

    fn walk(&mut self, from: DataType, path: &[String], named: &Named) -> Option<DataType> {
        type_at(from, path)
            .map_err(|Astray { part, within, known }| {
                let problem = Problem::new("journey.no_such_data", format!("a {within} has no `{part}`"))
                    .field(&named.field)
                    .value(&named.text)
                    .at(named.place);
                self.problems.push(if known.is_empty() {
                    problem.cure("end the reference before it")
                } else {
                    problem.suggest(part, known)
                });
            })
            .ok()
    }
}

/// Reads a condition against what lies beside the journey and what can be referred to.
pub(super) fn parse(
    beside: &Beside,
    node: &doc::Node,
    field: &str,
    scope: Scope,
    refs: &dyn Refs,
) -> Result<(Condition, Problems), Problems> {
    let mut schema = Schema::with_fields(beside.fields.iter().cloned());
    schema.segments = beside.segments.iter().cloned().collect();
    if !beside.event_kinds.is_empty() {
        schema.event_kinds = beside.event_kinds.iter().cloned().collect();
    }
    schema.lists = beside.lists.clone();
    schema.refs = Some(refs);
    schema.scope = scope;
    Condition::parse_noting(node, &schema, field)
}

/// The data of all nodes, of the trigger and of the run, for conditions. Whether it is there on every path is the
/// graph's business.
struct Table<'a> {
    exports: &'a [(String, &'static [Export])],
    by_id: &'a HashMap<String, u16>,
    started: &'a Started,
    /// Whether an event is heard, of which anything may be asked.
    of_event: bool,
}

impl Refs for Table<'_> {
    fn kind(&self, path: &RefPath) -> Option<Kind> {
        match path.parts() {
            [root, ..] if root == "event" => self.of_event.then_some(Kind::Any),
            [root, rest @ ..] if root == "trigger" => self.started.type_of(rest)?.kind(),
            [root, name] if root == "run" => super::events::run_kind(name),
            [root, name, node] if root == "run" && name == "message" => {
                self.by_id.contains_key(node).then_some(Kind::Text)
            }
            [root, node, name, rest @ ..] if root == "nodes" => {
                let number = self.by_id.get(node)?;
                let exports = self.exports[usize::from(*number)].1;
                let export = exports.iter().find(|export| export.name == name)?;
                type_at(export.kind, rest).ok()?.kind()
            }
            _ => None,
        }
    }

    fn known(&self) -> Vec<String> {
        let single = |export: &&Export| export.kind.is_value();
        let of = |(id, exports): &(String, &'static [Export])| {
            exports
                .iter()
                .filter(single)
                .map(|export| format!("nodes.{id}.{}", export.name))
                .collect::<Vec<_>>()
        };
        let of_run = RUN_DATA.iter().take(2).map(|name| format!("run.{name}"));
        self.exports.iter().flat_map(of).chain(self.started.paths()).chain(of_run).collect()
    }
}
