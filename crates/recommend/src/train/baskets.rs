//! Orders as training sees them: which products, whose, when.

use std::collections::HashMap;

use model::{ProductId, Timestamp};

/// One order to learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingOrder {
    /// A number for the customer; the same number is the same customer. None when nobody is known.
    pub customer: Option<u32>,
    /// When.
    pub at: Timestamp,
    /// What was bought; a product that stands twice counts once.
    pub products: Vec<ProductId>,
}

/// Orders by time, their products numbered densely by how many orders hold them: item 0 is in most orders.
#[derive(Debug)]
pub(crate) struct Baskets {
    /// By item: which product.
    pub products: Vec<ProductId>,
    pub customers: Vec<Option<u32>>,
    pub times: Vec<Timestamp>,
    offsets: Vec<usize>,
    items: Vec<u32>,
}

impl Baskets {
    /// Numbers the products of orders; orders without products are left out.
    pub fn new(orders: &[TrainingOrder]) -> Self {
        let mut by_time: Vec<&TrainingOrder> =
            orders.iter().filter(|order| !order.products.is_empty()).collect();
        by_time.sort_by(|a, b| (a.at, a.customer, &a.products).cmp(&(b.at, b.customer, &b.products)));
        let distinct: Vec<Vec<ProductId>> = by_time
            .iter()
            .map(|order| {
                let mut products = order.products.clone();
                products.sort_unstable();
                products.dedup();
                products
            })
            .collect();
        let mut counts: HashMap<ProductId, u32> = HashMap::new();
        for product in distinct.iter().flatten() {
            *counts.entry(*product).or_default() += 1;
        }
        let mut ranked: Vec<(ProductId, u32)> = counts.into_iter().collect();
        ranked.sort_unstable_by_key(|(product, count)| (std::cmp::Reverse(*count), *product));
        let item_of: HashMap<ProductId, u32> =
            ranked.iter().enumerate().map(|(item, (product, _))| (*product, item as u32)).collect();
        let mut baskets = Self {
            products: ranked.iter().map(|(product, _)| *product).collect(),
            customers: by_time.iter().map(|order| order.customer).collect(),
            times: by_time.iter().map(|order| order.at).collect(),
            offsets: vec![0],
            items: Vec::with_capacity(distinct.iter().map(Vec::len).sum()),
        };
        for products in &distinct {
            let from = baskets.items.len();
            baskets.items.extend(products.iter().map(|product| item_of[product]));
            baskets.items[from..].sort_unstable();
            baskets.offsets.push(baskets.items.len());
        }
        baskets
    }

    /// How many baskets.
    pub fn len(&self) -> usize {
        self.customers.len()
    }

    /// The items of a basket, ascending: the commonest first.
    pub fn items(&self, basket: usize) -> &[u32] {
        &self.items[self.offsets[basket]..self.offsets[basket + 1]]
    }

    /// Which baskets hold each item: offsets and basket numbers.
    pub fn by_item(&self, baskets: usize) -> (Vec<usize>, Vec<u32>) {
        let mut offsets = vec![0_usize; self.products.len() + 1];
        let used = &self.items[..self.offsets[baskets]];
        for item in used {
            offsets[*item as usize + 1] += 1;
        }
        for i in 1..offsets.len() {
            offsets[i] += offsets[i - 1];
        }
        let mut next = offsets.clone();
        let mut holders = vec![0_u32; used.len()];
        for basket in 0..baskets {
            for item in self.items(basket) {
                holders[next[*item as usize]] = basket as u32;
                next[*item as usize] += 1;
            }
        }
        (offsets, holders)
    }
}
