//! Kinds of nodes: one file each, and one line in [`KINDS`].
//!
//! A kind reads its part of the file ([`Kind::read`]), says its outcomes and exports, binds its names to what lies beside
//! the journey ([`Step::bind`], where it reports what it does not find), and takes a contact one step ([`Step::step`]).

pub mod ab_test;
pub mod alert;
pub mod assign_coupon;
pub mod branch;
pub mod branches;
pub mod cart_is;
pub mod check_value;
pub mod end;
pub mod exit;
pub mod get_last_cart;
pub mod get_products;
pub mod get_purchase_data;
pub mod go_to;
pub mod goal;
pub mod has_consent;
pub mod has_done;
pub mod has_field;
pub mod has_message;
pub mod has_purchased;
pub mod holdout;
pub mod in_list;
pub mod in_segment;
pub mod lists;
mod payload;
pub mod question;
pub mod raise_event;
pub mod send_email;
pub mod send_push;
pub mod send_sms;
pub mod sending;
pub mod set_field;
pub mod split;
pub mod start;
pub mod wait;
pub mod wait_for;
pub mod webhook;

use std::fmt;

use model::{
    Channel, Event, Period, Place, Problem, Problems, Timestamp, Value,
    doc::{Fields, Node},
};

use crate::{
    check::Binder,
    data::{DataType, Datum, Export},
    run::{Context, Ear, Leaving, Need},
    trace::Detail,
};

/// All kinds, in the order of the documentation.
pub const KINDS: &[&Kind] = &[
    &start::KIND,
    &in_segment::KIND,
    &check_value::KIND,
    &has_field::KIND,
    &in_list::KIND,
    &has_consent::KIND,
    &has_purchased::KIND,
    &has_done::KIND,
    &has_message::KIND,
    &cart_is::KIND,
    &get_last_cart::KIND,
    &get_products::KIND,
    &get_purchase_data::KIND,
    &set_field::KIND,
    &lists::ADD,
    &lists::REMOVE,
    &assign_coupon::KIND,
    &raise_event::KIND,
    &webhook::KIND,
    &alert::KIND,
    &send_email::KIND,
    &wait::KIND,
    &wait_for::KIND,
    &branch::KIND,
    &split::KIND,
    &ab_test::KIND,
    &holdout::KIND,
    &goal::KIND,
    &go_to::KIND,
    &exit::KIND,
    &send_sms::KIND,
    &send_push::KIND,
    &end::KIND,
];

/// The one outcome of a node that has only one.
pub const ALWAYS: &[&str] = &["always"];
/// The outcomes of a condition, and of a node that finds something or not.
pub const YES_NO: &[&str] = &["yes", "no"];
/// Place of `yes` in [`YES_NO`].
pub const YES: u8 = 0;
/// Place of `no` in [`YES_NO`].
pub const NO: u8 = 1;

/// What a kind of node is.
pub struct Kind {
    /// Its word in files.
    pub word: &'static str,
    /// Its English name.
    pub name_en: &'static str,
    /// Its French name.
    pub name_fr: &'static str,
    /// What it is to the checker.
    pub role: Role,
    /// Reads a node of this kind; none when it reported problems.
    pub read: fn(&mut Reading<'_, '_>) -> Option<Box<dyn Step>>,
}

/// What a kind of node is to the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The beginning.
    Start,
    /// Asks something: each answer should lead somewhere.
    Condition,
    /// Fetches data for later nodes: pointless as the last one.
    Source,
    /// Does something that stays.
    Action,
    /// The end of a path: nothing may follow.
    End,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word)
    }
}

/// A node's part of the file, being read.
pub struct Reading<'a, 'b> {
    /// Its keys; `kind` and `name` were read.
    pub fields: Fields<'a>,
    /// Where problems go.
    pub problems: &'b mut Problems,
}

impl<'a> Reading<'a, '_> {
    /// The value, or the problem put aside.
    pub fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// A text that must be there, with its place.
    pub fn required_text(&mut self, key: &'static str) -> Option<Named> {
        let read = self.fields.required(key).and_then(|node| {
            let text = node.scalar().filter(|text| !text.is_empty()).ok_or_else(|| {
                node.problem("doc.type", format!("expected a text, found {}", node.kind()))
                    .field(self.fields.path_of(key))
            })?;
            Ok(Named { text, place: node.place, field: self.fields.path_of(key) })
        });
        self.keep(read)
    }

    /// The node of a key that must be there, with its path.
    pub fn required(&mut self, key: &'static str) -> Option<(&'a Node, String)> {
        let path = self.fields.path_of(key);
        let read = self.fields.required(key);
        self.keep(read).map(|node| (node, path))
    }
}

/// A name in the file, with where it stands.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub text: String,
    /// Where.
    pub place: Place,
    /// Under which path, as in `nodes.high.segment`.
    pub field: String,
}

/// What a node does with a contact.
pub trait Step: fmt::Debug + Send + Sync {
    /// The words of its outcomes, which links may carry beside `always`.
    fn outcomes(&self) -> &'static [&'static str] {
        ALWAYS
    }

    /// The words of its outcomes where the file names them (branches of a split); none: [`Step::outcomes`].
    fn branches(&self) -> Option<Vec<String>> {
        None
    }

    /// Whether a link without a word takes the outcome of this place.
    fn plain(&self, outcome: usize) -> bool {
        let _ = outcome;
        true
    }

    /// Whether a signal ends a stay here. Asked for each signal while a contact stays; the node itself takes note of it
    /// in [`Step::step`], where [`Context::stayed`] says what ended the stay.
    fn hears(&self, signal: &Event, ear: &Ear<'_>) -> bool {
        let _ = (signal, ear);
        false
    }

    /// Whether [`Step::hears`] reads the contact before it answers for events of a kind: then it is asked only when the
    /// contact is loaded.
    fn hears_by_contact(&self, kind: &str) -> bool {
        let _ = kind;
        false
    }

    /// Whether an interaction with the message of another node (by its number) must be remembered for this one, though
    /// nobody stays here yet; and as what.
    fn notes(&self, signal: &Event, sender: u16) -> Option<u8> {
        let _ = (signal, sender);
        None
    }

    /// The kinds of events that [`Step::hears`] or [`Step::notes`] may answer yes to, so that others never wake anybody.
    fn listens(&self) -> Vec<String> {
        Vec::new()
    }

    /// What becomes of a contact whose message the journey's `while` forbids.
    fn skipped(&self) -> Flow {
        Flow::done(0, Detail::None)
    }

    /// What it exports to later nodes.
    fn exports(&self) -> &'static [Export] {
        &[]
    }

    /// Binds its names to what lies beside the journey, and reports what it does not find.
    fn bind(&mut self, binder: &mut Binder<'_>);

    /// Whether a contact may stay here for a time: a loop needs such a node.
    fn waits(&self) -> bool {
        false
    }

    /// Whether contacts are found here between two batches, also where they do not always stay.
    fn may_stay(&self) -> bool {
        self.waits()
    }

    /// The test that it makes of its branches.
    fn trial(&self) -> Option<&crate::ab::Trial> {
        None
    }

    /// Whether it may keep a contact without any message of the run.
    fn holds(&self) -> bool {
        false
    }

    /// Whether it sends a message to the contact.
    fn sends(&self) -> bool {
        false
    }

    /// The contact field that it changes.
    fn changes_field(&self) -> Option<&str> {
        None
    }

    /// How far back sales and visits of products must be known.
    fn figures_period(&self) -> Option<Period> {
        None
    }

    /// The send point of a sending node.
    fn sending(&self) -> Option<Sending<'_>> {
        None
    }

    /// Takes a contact one step.
    fn step(&self, context: &mut Context<'_>) -> Flow;
}

/// What all messages of a sending node have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending<'a> {
    /// What carries them.
    pub channel: Channel,
    /// The template; empty where there is none (a webhook).
    pub template: &'a str,
    /// Why we write.
    pub purpose: &'a str,
}

/// Where a step ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Flow {
    /// It cannot go on without these.
    Needs(Vec<Need>),
    /// The contact stays here.
    Wait(Wait),
    /// It is done.
    Done(Passage),
    /// The token ends here, before its path does.
    Leave(Leaving),
    /// The node is passed by its first outcome, with this detail, and the whole run ends: other tokens leave where they
    /// stand.
    Exit(Detail),
}

/// A stay that begins, or goes on with another end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wait {
    /// When time alone ends it.
    pub until: Option<Timestamp>,
    /// What the node wants to remember of it.
    pub memo: Option<Value>,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// Place of the outcome among the node's outcomes.
    pub outcome: u8,
    /// What decided it.
    pub detail: Detail,
    /// What it exports, by name.
    pub exports: Vec<(&'static str, Datum)>,
}

impl Flow {
    /// Done, with an outcome and what decided it.
    #[must_use]
    pub const fn done(outcome: u8, detail: Detail) -> Self {
        Self::Done(Passage { outcome, detail, exports: Vec::new() })
    }

    /// Done, and hands data on.
    #[must_use]
    pub const fn exporting(outcome: u8, detail: Detail, exports: Vec<(&'static str, Datum)>) -> Self {
        Self::Done(Passage { outcome, detail, exports })
    }
}

/// The kind with this word.
#[must_use]
pub fn kind(word: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.word == word)
}

/// What a reference must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A single value of any type.
    Value,
    /// A datum that fits this type.
    Fits(DataType),
    /// A single value that can be compared with this kind.
    Comparable(segment::Kind),
    /// Anything.
    Any,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_names_are_there() {
        for (i, one) in KINDS.iter().enumerate() {
            assert!(KINDS[i + 1..].iter().all(|other| other.word != one.word), "{}", one.word);
            assert!(!one.name_en.is_empty() && !one.name_fr.is_empty());
        }
    }
}
