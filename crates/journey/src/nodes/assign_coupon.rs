//! Gives the contact a code of a coupon set; where the set is exhausted, of the alternative set; where that is too, the
//! contact goes on by `none_left`. A plain link is for those who have a code: a mail without its coupon would be worse
//! than none.
//!
//! A run takes one code of a set, however often it comes by and however many nodes ask. With `reuse`, a code that the
//! contact was given by an earlier run, that has not expired and was not used, is taken instead of a new one.

use model::{Value, event::kind};
use serde_json::json;

use super::{Flow, Kind, Named, Reading, Role, Step};
use crate::{
    check::Binder,
    data::{DataType, Datum, Export},
    run::{Context, Coupon, CouponNeed, Given, Need, Raised},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "assign_coupon",
    name_en: "Assign coupon",
    name_fr: "Attribuer un coupon",
    role: Role::Action,
    read,
};

const OUTCOMES: &[&str] = &["assigned", "none_left"];
const ASSIGNED: u8 = 0;
const NONE_LEFT: u8 = 1;

const EXPORTS: &[Export] = &[
    Export { name: "code", kind: DataType::Text },
    Export { name: "expires_at", kind: DataType::Instant },
    Export { name: "set", kind: DataType::Text },
];

#[derive(Debug)]
struct AssignCoupon {
    set: Named,
    otherwise: Option<Named>,
    reuse: bool,
    /// Places in [`crate::Journey::coupons`], the main set first.
    slots: Vec<u16>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let set = reading.required_text("set");
    let otherwise = match reading.fields.optional("otherwise") {
        None => Some(None),
        Some(_) => reading.required_text("otherwise").map(Some),
    };
    let reuse = reading.fields.boolean("reuse");
    let reuse = reading.keep(reuse)?.unwrap_or_default();
    Some(Box::new(AssignCoupon { set: set?, otherwise: otherwise?, reuse, slots: Vec::new() }))
}

impl Step for AssignCoupon {
    fn outcomes(&self) -> &'static [&'static str] {
        OUTCOMES
    }

    fn plain(&self, outcome: usize) -> bool {
        outcome == usize::from(ASSIGNED)
    }

    fn exports(&self) -> &'static [Export] {
        EXPORTS
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        self.slots.extend(binder.coupon_set(&self.set));
        let Some(otherwise) = &self.otherwise else { return };
        if otherwise.text == self.set.text {
            binder.type_problem(
                otherwise,
                format!("`{}` is both the set and its alternative", otherwise.text),
                "name another set, or leave `otherwise` out",
            );
            return;
        }
        self.slots.extend(binder.coupon_set(otherwise));
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        if let Some(given) = self.slots.iter().find_map(|slot| context.given(*slot)) {
            return assigned(given.clone());
        }
        for slot in &self.slots {
            let need = CouponNeed { set: *slot, reuse: self.reuse };
            match context.answers.coupon(need) {
                None => return Flow::Needs(vec![Need::Coupon(need)]),
                Some(None) => {}
                Some(Some(coupon)) => {
                    let coupon = coupon.clone();
                    return give(context, *slot, &coupon);
                }
            }
        }
        Flow::done(NONE_LEFT, Detail::None)
    }
}

fn give(context: &mut Context<'_>, slot: u16, coupon: &Coupon) -> Flow {
    context.assign(slot, coupon);
    let Some(given) = context.given(slot).cloned() else { return Flow::done(NONE_LEFT, Detail::None) };
    if !coupon.held {
        let journey = context.world.journey;
        let mut properties = serde_json::Map::new();
        properties.insert("set".into(), json!(given.set));
        properties.insert("code".into(), json!(given.code));
        if let Some(end) = given.expires_at {
            properties.insert("expires_at".into(), json!(end.to_string()));
        }
        properties.insert("journey".into(), json!(journey.slug));
        properties.insert("node".into(), json!(journey.node(context.number).id));
        context.raise(Raised { kind: kind::COUPON_ASSIGNED.to_owned(), properties });
    }
    assigned(given)
}

fn assigned(given: Given) -> Flow {
    let detail = Detail::Text(given.code.clone());
    let mut exports = vec![
        ("code", Datum::Value(Value::Text(given.code))),
        ("set", Datum::Value(Value::Text(given.set.to_string()))),
    ];
    exports.extend(given.expires_at.map(|end| ("expires_at", Datum::Value(Value::Instant(end)))));
    Flow::exporting(ASSIGNED, detail, exports)
}
