//! Fetches the contact's last cart in a state. Exports it as a whole (`nodes.<id>.cart`) and its parts; a contact
//! without one goes on with nothing, or takes the link `no`.

use std::sync::Arc;

use super::{Flow, Kind, NO, Reading, Role, Step, YES, YES_NO};
use crate::{
    check::Binder,
    data::{DataType, Datum, Export},
    document::read_word,
    run::{CartChoice, Context, Need},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "get_last_cart",
    name_en: "Get last cart",
    name_fr: "Obtenir le dernier panier",
    role: Role::Source,
    read,
};

const EXPORTS: &[Export] = &[
    Export { name: "cart", kind: DataType::Cart },
    Export { name: "id", kind: DataType::Text },
    Export { name: "total", kind: DataType::Decimal },
    Export { name: "currency", kind: DataType::Text },
    Export { name: "updated_at", kind: DataType::Instant },
    Export { name: "recovery_url", kind: DataType::Text },
    Export { name: "products", kind: DataType::ProductList },
    Export { name: "size", kind: DataType::Integer },
];

#[derive(Debug)]
struct GetLastCart {
    choice: CartChoice,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let path = reading.fields.path_of("state");
    let words = [
        ("any", CartChoice::Any),
        ("active", CartChoice::Active),
        ("abandoned", CartChoice::Abandoned),
        ("purchased", CartChoice::Purchased),
    ];
    let choice = match reading.fields.optional("state").map(|node| read_word(node, &path, &words)) {
        None => CartChoice::Any,
        Some(read) => reading.keep(read)?,
    };
    Some(Box::new(GetLastCart { choice }))
}

impl Step for GetLastCart {
    fn outcomes(&self) -> &'static [&'static str] {
        YES_NO
    }

    fn exports(&self) -> &'static [Export] {
        EXPORTS
    }

    fn bind(&mut self, _: &mut Binder<'_>) {}

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let Some(answer) = context.answers.last_cart(self.choice) else {
            return Flow::Needs(vec![Need::LastCart(self.choice)]);
        };
        let Some(cart) = answer else { return Flow::done(NO, Detail::None) };
        let detail = Detail::Text(cart.external_id.clone());
        // The whole cart is what every reference walks through: see `crate::run::Data`.
        Flow::exporting(YES, detail, vec![("cart", Datum::Cart(Arc::clone(cart)))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::CART_FIELDS;

    #[test]
    fn every_field_of_a_cart_is_exported() {
        let fields: Vec<(&str, DataType)> = EXPORTS[1..].iter().map(|e| (e.name, e.kind)).collect();
        assert_eq!(fields, CART_FIELDS);
    }
}
