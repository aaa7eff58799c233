//! Fetches the contact's last purchase, or product view, that satisfies conditions, and exports its data; a contact
//! without one takes the link `no`. `{of: purchase, within: P30D, where: {property: total, greater_than: 200}}`; the order
//! that started the run: `{of: purchase, id: {ref: trigger.order_id}}`.

use std::cmp::Reverse;

use model::{Product, ProductId, Value, event::kind};
use recommend::{Catalogue, Order as ProductOrder};

use super::{
    Flow, Kind, NO, Reading, Role, Step, YES, YES_NO,
    question::{Question, add_filters, entry, map, property_is, taken, text},
};
use crate::{
    check::Binder,
    data::{DataType, Datum, Export},
    document::read_word,
    run::{Context, Found, Need},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "get_purchase_data",
    name_en: "Get purchase data",
    name_fr: "Obtenir les données d’achat",
    role: Role::Source,
    read,
};

const OF_PURCHASE: &[Export] = &[
    Export { name: "products", kind: DataType::ProductList },
    Export { name: "size", kind: DataType::Integer },
    Export { name: "at", kind: DataType::Instant },
    Export { name: "id", kind: DataType::Text },
    Export { name: "cart_id", kind: DataType::Text },
    Export { name: "total", kind: DataType::Decimal },
    Export { name: "currency", kind: DataType::Text },
];
/// What a product view has of it.
const OF_VIEW: &[Export] = &[OF_PURCHASE[0], OF_PURCHASE[1], OF_PURCHASE[2]];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Purchase,
    View,
}

#[derive(Debug)]
struct GetPurchaseData {
    of: Of,
    question: Question,
    order: ProductOrder,
    exclude_blacklisted: bool,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let path = reading.fields.path_of("of");
    let words = [("purchase", Of::Purchase), ("view", Of::View)];
    let of = match reading.fields.optional("of").map(|node| read_word(node, &path, &words)) {
        None => Some(Of::Purchase),
        Some(read) => reading.keep(read),
    };
    let path = reading.fields.path_of("order");
    let order = match reading.fields.optional("order").map(|node| ProductOrder::parse(node, &path)) {
        None => Some(ProductOrder::Default),
        Some(read) => reading.keep(read),
    };
    let blacklisted = reading.fields.boolean("exclude_blacklisted");
    let exclude_blacklisted = reading.keep(blacklisted)?.unwrap_or(false);
    let id = reading.fields.optional("id");
    let place = reading.fields.place;
    let (event, property) = match of? {
        Of::Purchase => (kind::ORDER_COMPLETED, "order_id"),
        Of::View => (kind::PRODUCT_VIEWED, "product_id"),
    };
    let mut entries = vec![entry("did", text(event, place))];
    entries.extend(taken(
        reading,
        ["where", "within", "older_than", "between_ago", "calendar", "since", "until"],
    ));
    add_filters(&mut entries, id.map(|id| property_is(property, id.clone())).into_iter().collect(), place);
    let question = Question::new(map(entries, place), reading.fields.path.clone());
    Some(Box::new(GetPurchaseData { of: of?, question, order: order?, exclude_blacklisted }))
}

impl GetPurchaseData {
    /// The products in the order that is asked for; of one place in it those with the most units first.
    fn products(&self, units: &[(ProductId, i64)], catalogue: &Catalogue) -> Vec<ProductId> {
        let mut all: Vec<(ProductId, i64)> = Vec::with_capacity(units.len());
        for (id, quantity) in units.iter().filter(|(_, quantity)| *quantity > 0) {
            match all.iter_mut().find(|(known, _)| known == id) {
                Some((_, sum)) => *sum += quantity,
                None => all.push((*id, *quantity)),
            }
        }
        let hidden = |product: &Product| product.service || (self.exclude_blacklisted && product.blacklisted);
        all.retain(|(id, _)| catalogue.product(*id).is_some_and(|product| !hidden(product)));
        if let Some(key) = self.order.ranking() {
            let ranking = catalogue.ranking(key);
            all.sort_by_key(|(id, quantity)| (catalogue.place(&ranking, *id), Reverse(*quantity)));
        }
        all.into_iter().map(|(id, _)| id).collect()
    }
}

impl Step for GetPurchaseData {
    fn outcomes(&self) -> &'static [&'static str] {
        YES_NO
    }

    fn exports(&self) -> &'static [Export] {
        match self.of {
            Of::Purchase => OF_PURCHASE,
            Of::View => OF_VIEW,
        }
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        self.question.bind(binder);
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let Some(kept) = self.question.kept() else { return Flow::done(NO, Detail::None) };
        let Some(answer) = context.answers.found(kept) else { return Flow::Needs(vec![Need::Found(kept)]) };
        let Some(found) = answer else { return Flow::done(NO, Detail::None) };
        let catalogue = context.world.catalogue;
        let value = |name: &'static str, value: Value| (name, Datum::Value(value));
        let (units, mut exports, detail) = match found {
            Found::Order(order) => {
                let units: Vec<_> = order.lines.iter().map(|line| (line.product, line.quantity)).collect();
                let exports = vec![
                    value("at", Value::Instant(order.at)),
                    value("id", Value::Text(order.external_id.clone())),
                    value("cart_id", Value::Text(order.cart_id.clone())),
                    value("total", Value::Decimal(order.net())),
                    value("currency", Value::Text(order.currency.code().to_owned())),
                ];
                (units, exports, order.external_id.clone())
            }
            Found::Event(event) => {
                let id = event.properties.get("product_id").map(|id| match id.as_str() {
                    Some(text) => text.to_owned(),
                    None => id.to_string(),
                });
                let id = id.unwrap_or_default();
                let units =
                    catalogue.by_external_id(&id).map(|product| (product.id, 1)).into_iter().collect();
                (units, vec![value("at", Value::Instant(event.at))], id)
            }
        };
        let products = self.products(&units, catalogue);
        exports.push(value("size", Value::Integer(products.len() as i64)));
        exports.push(("products", Datum::Products(products.into())));
        Flow::exporting(YES, Detail::Text(detail), exports)
    }
}
