//! Chooses products for the contact (the room `recommend`). Exports `products` and `size`; a contact for whom nothing
//! is found goes on with an empty list, or takes the link `no`.

use model::{Period, ProductId};
use recommend::{GetProducts, Needs};

use super::{Expect, Flow, Kind, NO, Reading, Role, Step, YES, YES_NO};
use crate::{
    check::Binder,
    data::{DataType, Datum, Export},
    run::{Context, Need},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "get_products",
    name_en: "Get products",
    name_fr: "Obtenir des produits",
    role: Role::Source,
    read,
};

const EXPORTS: &[Export] = &[
    Export { name: "products", kind: DataType::ProductList },
    Export { name: "size", kind: DataType::Integer },
];

#[derive(Debug)]
struct Choose {
    step: GetProducts,
    needs: Needs,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    match GetProducts::read(&mut reading.fields) {
        Ok(step) => Some(Box::new(Choose { needs: step.needs(), step })),
        Err(problems) => {
            reading.problems.extend(problems);
            None
        }
    }
}

impl Step for Choose {
    fn outcomes(&self) -> &'static [&'static str] {
        YES_NO
    }

    fn exports(&self) -> &'static [Export] {
        EXPORTS
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        for reference in self.step.refs() {
            let expect = match reference.kind {
                _ if reference.products => Expect::Fits(DataType::ProductList),
                Some(kind) => Expect::Comparable(kind),
                None => Expect::Value,
            };
            binder.reference(&reference.path, reference.place, &reference.field, expect);
        }
    }

    fn figures_period(&self) -> Option<Period> {
        Some(self.step.figures_period())
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        if !self.needs.is_nothing() && !context.answers.knows_facts(&self.needs) {
            return Flow::Needs(vec![Need::Facts(self.needs)]);
        }
        let exported: Vec<ProductId> =
            if self.step.exclude_exported { context.exports.products() } else { Vec::new() };
        let mut dice = context.dice();
        let chosen = recommend::select(
            &self.step,
            context.world.catalogue,
            context.answers.facts(),
            &context.data(),
            &exported,
            context.world.now,
            &mut dice,
        );
        let outcome = if chosen.is_empty() { NO } else { YES };
        let detail = Detail::Count(chosen.len() as u64);
        Flow::exporting(outcome, detail, vec![("products", Datum::Products(chosen.into()))])
    }
}
