//! Sends contacts into the first of several branches whose condition holds, else by `else`: `branches: {gold: {field: plan,
//! is: gold}, rich: {field: order_total, at_least: 100}}`. Each condition may be of the whole language of segments.
//!
//! By a value: `by: {ref: trigger.country}, branches: {fr: France, benelux: [Belgium, Luxembourg]}`.
//!
//! The conditions are asked in the file's order, and those behind the first that holds are not asked at all.

use model::{Problem, doc};
use segment::reference::RefPath;

use super::{Flow, Kind, Reading, Role, Step, branches, question::Question};
use crate::{check::Binder, run::Context, trace::Detail};

/// Most branches, `else` left aside.
pub const BRANCHES_MAX: usize = 25;
/// The branch of whoever fits none.
pub const ELSE: &str = "else";

/// The kind.
pub static KIND: Kind =
    Kind { word: "branch", name_en: "Branches", name_fr: "Branches multiples", role: Role::Condition, read };

#[derive(Debug)]
struct Branch {
    branches: Vec<(String, Question)>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let by = match reading.fields.optional("by") {
        None => None,
        Some(node) => {
            let path = reading.fields.path_of("by");
            let read = RefPath::from_node(node).map_err(|problem| problem.field(&path)).and_then(|found| {
                found.ok_or_else(|| {
                    node.problem("doc.type", "expected a reference")
                        .field(&path)
                        .cure("write by: {ref: trigger.country}")
                })
            });
            Some(reading.keep(read)?)
        }
    };
    let (node, path) = reading.required("branches")?;
    let entries = node.entries().unwrap_or_default();
    if !(1..=BRANCHES_MAX).contains(&entries.len()) {
        let message = format!("expected 1 to {BRANCHES_MAX} branches, each by its name");
        let problem = Problem::new("journey.branches", message).field(path).at(node.place);
        reading.problems.push(problem.cure("write branches: {gold: {field: plan, is: gold}}"));
        return None;
    }
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let field = format!("{path}.{}", entry.key);
        branches::check_name(reading, &entry.key, entry.place, &field, &[ELSE])?;
        let question = match &by {
            None => Question::new(entry.value.clone(), field),
            Some(by) => Question::new(comparison(by, &entry.value), field),
        };
        all.push((entry.key.clone(), question));
    }
    Some(Box::new(Branch { branches: all }))
}

/// `{ref: …, is: value}`, of a list `{ref: …, one_of: [values]}`.
fn comparison(by: &RefPath, value: &doc::Node) -> doc::Node {
    let entry = |key: &str, value: doc::Node| doc::Entry { key: key.to_owned(), place: value.place, value };
    let path = doc::Node { data: doc::Data::Text(by.to_string()), ..value.clone() };
    let operator = if value.items().is_some() { "one_of" } else { "is" };
    let entries = vec![entry("ref", path), entry(operator, value.clone())];
    doc::Node { data: doc::Data::Map(entries), ..value.clone() }
}

impl Step for Branch {
    fn branches(&self) -> Option<Vec<String>> {
        let names = self.branches.iter().map(|(name, _)| name.clone());
        Some(names.chain([ELSE.to_owned()]).collect())
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        for (_, question) in &mut self.branches {
            question.bind(binder);
        }
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let mut last = Detail::None;
        for (place, (_, question)) in self.branches.iter().enumerate() {
            match question.ask(context) {
                Err(needs) => return Flow::Needs(needs),
                Ok((true, detail)) => return Flow::done(place as u8, detail),
                Ok((false, detail)) => last = detail,
            }
        }
        Flow::done(self.branches.len() as u8, last)
    }
}
