//! Carts and push subscriptions out of files.

use std::sync::atomic::AtomicU64;

use model::Cart;
use storage::StoreError;

use super::*;
use crate::again::Fragile;

/// A cart as the base has it: `contact updated_at total lines`.
fn cart(store: &Store, id: &str) -> Option<String> {
    let cart: Cart = block_on(store.find_cart(id.to_owned())).unwrap()?;
    let contact = block_on(store.load_contacts(vec![cart.contact])).unwrap().remove(0);
    let products = products_of(store);
    let code = |id: ProductId| products.iter().find(|one| one.id == id).map(|one| one.external_id.clone());
    let lines: Vec<String> = cart
        .lines
        .iter()
        .map(|line| format!("{}x{}@{}", code(line.product).unwrap(), line.quantity, line.unit_price))
        .collect();
    let who = contact.external_id.or(contact.email).unwrap();
    Some(format!("{who} {} {} {}", cart.updated_at, cart.total, lines.join(",")))
}

#[test]
fn lines_of_a_cart_are_put_together_wherever_they_stand() {
    let header = "cart_id,contact,updated_at,recovery_url,sku,qty,price\n";
    let rows = "c1,a,2026-11-20T10:00:00Z,https://shop.example/c1,P,2,1.50\n\
                c2,b,2026-11-20T11:00:00Z,,P,1,1.50\n\
                c1,a,2026-11-20T12:00:00Z,,Q,1,10\n\
                c2,z,2026-11-20T11:00:00Z,,Q,1,10\n\
                c3,a,2026-11-20T12:00:00Z,,Q,-1,10\n\
                c4,a,2026-11-20T12:00:00Z,,Q,1,-10\n\
                c5,a,2026-11-20T12:00:00Z,,Q,1,10\n\
                c5,a,2026-11-20T12:00:00Z,,Q,0,10\n\
                c6,a,2026-11-20T12:00:00Z,,Q,1000000000,1000000000\n";
    let store_of = |incomplete: Incomplete| {
        let store = store();
        let path = file(&store, "carts.csv", format!("{header}{rows}").as_bytes());
        let options = Options { incomplete, ..Options::new(Kind::Carts) };
        let report = run(&*store, &path, &options).unwrap();
        (rejected(&path), report, store)
    };
    let (refused, report, store) = store_of(Incomplete::Import);
    assert_eq!(
        refused,
        [
            "5 contact cart.two_contacts",
            "6 quantity quantity.negative",
            "7 unit_price amount.negative",
            "9 quantity quantity.out_of_range",
            "10 unit_price amount.too_large",
        ]
    );
    assert_eq!((report.counts.carts.new, report.counts.contacts.new), (3, 2));
    assert_eq!(cart(&store, "c1").unwrap(), "a 2026-11-20T12:00:00Z 13 Px2@1.5,Qx1@10");
    assert_eq!(cart(&store, "c2").unwrap(), "b 2026-11-20T11:00:00Z 1.5 Px1@1.5");
    let found = block_on(store.find_cart("c1".into())).unwrap().unwrap();
    assert_eq!(found.recovery_url.as_deref(), Some("https://shop.example/c1"));
    let (refused, report, store) = store_of(Incomplete::Hold);
    assert_eq!(refused.iter().filter(|line| line.contains("cart.incomplete")).count(), 2, "{refused:?}");
    assert_eq!((report.counts.carts.new, cart(&store, "c2"), cart(&store, "c5")), (1, None, None));
}

#[test]
fn whole_carts_replace_older_ones_and_may_be_empty() {
    let store = store();
    let options = Options { contact_key: KeyKind::Email, ..Options::new(Kind::Carts) };
    let at = |hour: u32, items: &str| {
        format!(
            "{{\"id\": \"c\", \"customer\": \"a@example.test\", \"updated_at\": \"2026-11-20T{hour}:00:00Z\", \"items\": {items}}}\n"
        )
    };
    let with = "[{\"sku\": \"P\", \"qty\": 2, \"price\": 1.25}]";
    for (name, content, wanted) in [
        ("1.jsonl", at(10, with), "a@example.test 2026-11-20T10:00:00Z 2.5 Px2@1.25"),
        ("2.jsonl", at(12, "[]"), "a@example.test 2026-11-20T12:00:00Z 0 "),
        ("3.jsonl", at(11, with), "a@example.test 2026-11-20T12:00:00Z 0 "),
    ] {
        let path = file(&store, name, content.as_bytes());
        run(&*store, &path, &options).unwrap();
        assert!(rejected(&path).is_empty());
        assert_eq!(cart(&store, "c").unwrap(), wanted, "{name}");
    }
    // Nothing is imported without saying what is in the cart.
    let path = file(&store, "4.csv", b"cart_id,contact,updated_at\nc,a,2026-11-20\n");
    let Err(ImportError::Problems(problems)) = run(&*store, &path, &options) else { panic!("refused") };
    assert!(problems[0].message.contains("items"), "{problems:?}");
}

#[test]
fn an_import_of_carts_that_broke_off_goes_on() {
    let mut rows = "cart_id,contact,updated_at,product,quantity,unit_price\n".to_owned();
    for n in 0..2_500 {
        rows += &format!("c{n},{},2026-11-20,P{},2,1.25\n", n % 37, n % 11);
        rows += &format!(
            "c{n},{},2026-11-20,R{},{},1.25\n",
            n % 37,
            n % 7,
            if n % 50 == 0 { "none" } else { "1" }
        );
    }
    let options = Options::new(Kind::Carts);
    let ids = ["c0", "c1", "c999", "c1000", "c2499"];
    let whole = store();
    let path = file(&whole, "carts.csv", rows.as_bytes());
    assert_eq!(run(&*whole, &path, &options).unwrap().counts.carts.new, 2_500);
    let (wanted, listed) = (ids.map(|id| cart(&whole, id).unwrap()), rejected(&path));
    assert_eq!(listed.len(), 50);
    for (batch, after) in [(0, false), (0, true), (1, true), (2, false)] {
        let store = store();
        let path = file(&store, "carts.csv", rows.as_bytes());
        let fragile = Fragile { store: &store, left: AtomicU64::new(batch), after };
        let stopped = run(&fragile, &path, &options);
        assert!(matches!(stopped, Err(ImportError::Store(StoreError::DiskFull))), "{batch} {after}");
        let second = run(&*store, &path, &options).unwrap();
        assert_eq!(ids.map(|id| cart(&store, id).unwrap()), wanted, "{batch} {after}");
        assert_eq!(rejected(&path), listed, "{batch} {after}");
        assert_eq!(second.counts.rejected, 50);
    }
}

#[test]
fn push_subscriptions_join_their_contacts() {
    let store = store();
    let path = file(&store, "people.csv", b"external_id,email\n1,ann@example.test\n");
    run(&*store, &path, &Options::new(Kind::Contacts)).unwrap();
    let long = |length: usize| format!("https://push.example/{}", "x".repeat(length - 21));
    let rows = format!(
        "{{\"customer_id\": \"1\", \"endpoint\": \"https://push.example/a\", \"keys\": {{\"p256dh\": \"BN\", \"auth\": \"s\"}}}}\n\
         {{\"customer_id\": \"1\", \"endpoint\": \"{}\"}}\n\
         {{\"customer_id\": \"2\", \"endpoint\": \"https://push.example/b\", \"keys\": {{\"p256dh\": \"B N\"}}}}\n\
         {{\"customer_id\": \"2\", \"endpoint\": \"{}\"}}\n",
        long(connect::push::ENDPOINT_LEN_MAX),
        long(connect::push::ENDPOINT_LEN_MAX + 1),
    );
    let path = file(&store, "push.jsonl", rows.as_bytes());
    let report = run(&*store, &path, &Options::new(Kind::Push)).unwrap();
    assert_eq!(rejected(&path), ["3 endpoint push.invalid", "4 endpoint push.invalid"]);
    assert_eq!((report.counts.contacts.changed, report.counts.rejected), (2, 2), "{:?}", report.counts);
    let ann = block_on(store.resolve(vec![(IdentifierKind::ExternalId, "1".into())])).unwrap()[0].unwrap();
    let push = || block_on(store.load_contacts(vec![ann])).unwrap().remove(0).push;
    assert_eq!(push().len(), 2);
    assert_eq!((push()[0].p256dh.as_str(), push()[0].auth.as_str()), ("BN", "s"));
    // The same browser again, named by address: what is known stays once.
    let again = "contact,endpoint,p256dh,auth\nann@example.test,https://push.example/a,BN,t\n";
    let path = file(&store, "again.csv", again.as_bytes());
    let options = Options { contact_key: KeyKind::Email, ..Options::new(Kind::Push) };
    run(&*store, &path, &options).unwrap();
    assert_eq!(push().len(), 2);
    assert_eq!(push()[1].auth, "t");
}
