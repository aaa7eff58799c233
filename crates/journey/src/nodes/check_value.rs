//! Does a condition hold of the contact and of the data of earlier nodes? The condition language of segments, without
//! activity (make a segment of that, and ask for the segment): `{ref: nodes.related.size, greater_than: 0}`.

use model::{ConsentState, Place, RfmPlacement, Value, doc};
use segment::{Condition, Data as _, Facts};

use super::{Expect, Flow, Kind, NO, Named, Reading, Role, Step, YES, YES_NO};
use crate::{
    check::Binder,
    run::{Context, Data, Need},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "check_value",
    name_en: "Check value",
    name_fr: "Vérifier une valeur",
    role: Role::Condition,
    read,
};

#[derive(Debug)]
struct CheckValue {
    source: doc::Node,
    place: Place,
    field: String,
    condition: Option<Condition>,
    segments: Vec<(String, u16)>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let (node, field) = reading.required("condition")?;
    Some(Box::new(CheckValue {
        source: node.clone(),
        place: node.place,
        field,
        condition: None,
        segments: Vec::new(),
    }))
}

impl Step for CheckValue {
    fn outcomes(&self) -> &'static [&'static str] {
        YES_NO
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        let Some(condition) = binder.condition(&self.source, &self.field) else { return };
        for (path, _) in condition.refs() {
            binder.reference(&path, self.place, &self.field, Expect::Any);
        }
        let reads = condition.reads();
        for field in &reads.fields {
            let named = Named { text: field.clone(), place: self.place, field: self.field.clone() };
            binder.contact_field(field, &named);
        }
        binder.reads.rfm |= !reads.rfm_models.is_empty();
        for slug in &reads.segments {
            let named = Named { text: slug.clone(), place: self.place, field: self.field.clone() };
            self.segments.extend(binder.segment(&named).map(|slot| (slug.clone(), slot)));
        }
        self.condition = Some(condition);
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let unknown = self.segments.iter().filter(|(_, slot)| context.answers.member(*slot).is_none());
        let needs: Vec<Need> = unknown.map(|(_, slot)| Need::Member(*slot)).collect();
        if !needs.is_empty() {
            return Flow::Needs(needs);
        }
        let Some(condition) = &self.condition else { return Flow::done(NO, Detail::None) };
        let data = context.data();
        let known = Known { data: &data, context, segments: &self.segments };
        let holds = segment::evaluate(condition, &known, context.world.now, context.world.zone).member;
        // The first value that was asked for says most about why.
        let detail = match condition.refs().first().and_then(|(path, _)| data.value(path)) {
            Some(value) => Detail::Text(value.to_string()),
            None => Detail::None,
        };
        Flow::done(if holds { YES } else { NO }, detail)
    }
}

struct Known<'a> {
    data: &'a Data<'a>,
    context: &'a Context<'a>,
    segments: &'a [(String, u16)],
}

impl Facts for Known<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        self.data.contact_value(name)
    }

    fn consent(&self, purpose: &str) -> ConsentState {
        self.context.person().contact.consent(purpose)
    }

    fn in_list(&self, slug: &str) -> bool {
        self.context.person().contact.lists.iter().any(|list| list.as_str() == slug)
    }

    fn in_segment(&self, slug: &str) -> bool {
        let slot = self.segments.iter().find(|(known, _)| known == slug).map(|(_, slot)| *slot);
        slot.and_then(|slot| self.context.answers.member(slot)).unwrap_or_default()
    }

    fn rfm(&self, model: &str) -> Option<RfmPlacement> {
        self.context.person().rfm.iter().find(|placement| placement.model == model).cloned()
    }

    fn data(&self) -> &dyn segment::Data {
        self.data
    }
}
