//! A run that goes on in another version of its journey.

use super::{Exports, Run, Stay, Token};
use crate::graph::Journey;

impl Run {
    /// The run as it goes on in another version: every token that stays at a node which that version has too (the same
    /// id, the same kind) stays there, until when it was to stay. What was exported, how often nodes were passed and which
    /// messages were sent is taken along, as far as the nodes exist. None when there is no such token.
    ///
    /// The run itself is left as it is: its shell ends it ([`Run::leave`]).
    #[must_use]
    pub fn moved(&self, ordinal: u32, from: &Journey, to: &Journey) -> Option<Self> {
        let number = |node: u16| {
            let before = from.nodes.get(usize::from(node))?;
            let after = to.number(&before.id)?;
            std::ptr::eq(to.node(after).kind, before.kind).then_some(after)
        };
        let token = |token: &Token| {
            let exports = token.exports.0.iter();
            let exports =
                exports.filter_map(|(node, name, datum)| Some((number(*node)?, name.clone(), datum.clone())));
            Some(Token {
                node: number(token.node)?,
                exports: Exports(exports.collect()),
                stay: Some(Stay::clone(token.stay.as_ref()?)),
                woken: None,
            })
        };
        let staying: Vec<Token> = self.staying.iter().filter_map(token).collect();
        if staying.is_empty() {
            return None;
        }
        let mut moved = self.clone();
        moved.entry.ordinal = ordinal;
        moved.tokens.clear();
        moved.staying = staying;
        moved.answers = super::Answers::default();
        moved.visits = self.visits.iter().filter_map(|(node, n)| Some((number(*node)?, *n))).collect();
        moved.sent = self.sent.iter().filter_map(|(node, id)| Some((number(*node)?, *id))).collect();
        let notes = self.notes.iter();
        moved.notes =
            notes.filter_map(|(node, as_, by)| Some((number(*node)?, *as_, number(*by)?))).collect();
        moved.done = super::Effects::default();
        Some(moved)
    }
}
