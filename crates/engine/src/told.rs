//! Steps of a contact in words.

use journey::{
    Journey,
    trace::{self, Detail, TraceStep},
};
use model::Lang;

/// A step in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The node's id.
    pub node: String,
    /// What people call it.
    pub name: String,
    /// The outcome's word; `stays` or `left`.
    pub outcome: String,
    /// What decided it; may be empty.
    pub why: String,
}

/// Tells a step of a journey in a language.
#[must_use]
pub fn told(journey: &Journey, step: &TraceStep, lang: Lang) -> Told {
    let Some(node) = journey.nodes.get(usize::from(step.node)) else {
        return Told { node: step.node.to_string(), outcome: step.outcome.to_string(), ..Told::default() };
    };
    let outcome = match step.outcome {
        trace::STAYS => "stays",
        trace::LEFT => "left",
        outcome => node.outcomes().get(usize::from(outcome)).map_or("?", String::as_str),
    };
    let until = match lang {
        Lang::En => "until",
        Lang::Fr => "jusqu'à",
    };
    let why = match &step.detail {
        Detail::None => String::new(),
        Detail::Count(n) => n.to_string(),
        Detail::Text(text) => text.clone(),
        Detail::Refused(refusal) => refusal.label(lang).to_owned(),
        Detail::Until(at) => format!("{until} {at}"),
        Detail::Left(why) => why.word().to_owned(),
    };
    Told { node: node.id.clone(), name: node.label(lang).to_owned(), outcome: outcome.to_owned(), why }
}
