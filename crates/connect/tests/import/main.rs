//! Files into a real base: what is rejected and why, what orders come to, and that neither kills nor repeats change
//! the result.

mod again;
mod carts;

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use connect::{
    Kind, Options, Report,
    options::{Encoding, Incomplete, KeyKind, Negative},
    run::{ImportError, RejectsTo, Silent, Sink, import},
    source::Source,
};
use model::{ConsentState, ContactId, Order, Product, ProductId, Timestamp, Zone};
use storage::{
    catalogue::CatalogueStore,
    contacts::{ContactStore, IdentifierKind},
    orders::OrderStore,
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use testkit::{Store, block_on, store};

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text, &Zone::UTC).unwrap()
}

/// The instant of all imports here.
fn now() -> Timestamp {
    at("2026-11-22T12:00:00Z")
}

/// A file in the store's folder.
fn file(store: &Store, name: &str, content: &[u8]) -> PathBuf {
    let path = store.folder().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn run(sink: &impl Sink, path: &Path, options: &Options) -> Result<Report, ImportError> {
    let source = Source::open(path, &path.file_name().unwrap().to_string_lossy())?;
    let rejects = RejectsTo { path: path.with_extension("rejected.csv"), fallback: None };
    block_on(import(sink, &source, options, &rejects, (now(), now().plus_days(1)), Arc::new(Silent)))
}

/// What was rejected: `row field code`.
fn rejected(path: &Path) -> Vec<String> {
    let Ok(mut reader) = csv::Reader::from_path(path.with_extension("rejected.csv")) else {
        return Vec::new();
    };
    reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            format!("{} {} {}", &record[0], &record[1], &record[4])
        })
        .collect()
}

fn orders_of(store: &Store) -> Vec<Order> {
    let (send, receive) = std::sync::mpsc::channel();
    let visit = move |chunk: &[Order]| send.send(chunk.to_vec()).is_ok();
    block_on(store.scan_orders(Timestamp::MIN, Timestamp::MAX, visit)).unwrap();
    let mut orders: Vec<Order> = receive.into_iter().flatten().collect();
    orders.sort_by(|a, b| a.external_id.cmp(&b.external_id));
    orders
}

fn products_of(store: &Store) -> Vec<Product> {
    let mut products = block_on(store.load_products()).unwrap();
    products.sort_by(|a, b| a.external_id.cmp(&b.external_id));
    products
}

/// Everything that an import of orders leaves, with the shop's own ids: `id contact at total refunded counts lines`.
fn content(store: &Store) -> Vec<String> {
    let products: BTreeMap<ProductId, Product> =
        products_of(store).into_iter().map(|product| (product.id, product)).collect();
    let mut content: Vec<String> = products
        .values()
        .map(|product| {
            let price = product.unit_price.map_or_else(|| "-".to_owned(), |price| price.to_string());
            format!("product {} {} {price} {}", product.external_id, product.name, product.service)
        })
        .collect();
    for order in orders_of(store) {
        let contact = order.contact.map(|id| {
            let contacts = block_on(store.load_contacts(vec![id])).unwrap();
            contacts[0].external_id.clone().unwrap()
        });
        let mut lines: Vec<String> = order
            .lines
            .iter()
            .map(|line| {
                format!("{}x{}@{}", products[&line.product].external_id, line.quantity, line.unit_price)
            })
            .collect();
        lines.sort();
        content.push(format!(
            "order {} {contact:?} {} {} {} {} {lines:?}",
            order.external_id,
            order.at,
            order.total,
            order.refunded,
            order.counts()
        ));
    }
    content.sort();
    content
}

const LINES: &str = "order_id,contact,ordered_at,product,name,quantity,unit_price\n";

fn lines(store: &Store, name: &str, rows: &str) -> PathBuf {
    file(store, name, format!("{LINES}{rows}").as_bytes())
}

#[test]
fn bad_rows_are_named_and_the_others_come_in() {
    for (kind, header, row, wanted) in [
        (Kind::Orders, "order_id,contact,ordered_at,total", "2,b,2024-02-30,1", "3 ordered_at time.invalid"),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,total",
            "2,b,1969-12-31,1",
            "3 ordered_at time.out_of_range",
        ),
        (Kind::Orders, "order_id,contact,ordered_at,total", "2,b,2026-11-24,1", "3 ordered_at time.future"),
        (Kind::Orders, "order_id,contact,ordered_at,total", "2,b,,1", "3 ordered_at value.missing"),
        (Kind::Orders, "order_id,contact,ordered_at,total", "2,b,2024-01-01,1e3", "3 total amount.invalid"),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,total",
            "2,b,2024-01-01,1000000000001",
            "3 total amount.too_large",
        ),
        (Kind::Orders, "order_id,contact,ordered_at,total", "2,b,2024-01-01,", "3 total value.missing"),
        (Kind::Orders, "order_id,contact,ordered_at,total", "2,b\0,2024-01-01,1", "3 contact id.invalid"),
        (Kind::Orders, "order_id,contact,ordered_at,total", "2,b,2024-01-01", "3  row.ragged"),
        (Kind::Orders, "order_id,contact,ordered_at,total", "2,\"b,2024-01-01,1", "3  csv.unclosed_quote"),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,total,currency",
            "2,b,2024-01-01,1,pounds",
            "3 currency currency.invalid",
        ),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,total,currency",
            "2,b,2024-01-01,1,USD",
            "3 currency order.currency",
        ),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,total,status",
            "2,b,2024-01-01,1,compleet",
            "3 status status.unknown",
        ),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,total,items",
            "2,b,2024-01-01,1,[1]",
            "3 items items.invalid",
        ),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,product,quantity,unit_price",
            "2,b,2024-01-01,P,1.5,1",
            "3 quantity number.invalid",
        ),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,product,quantity,unit_price",
            "2,b,2024-01-01,P,0,1",
            "3 quantity quantity.out_of_range",
        ),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,product,quantity,unit_price",
            "2,b,2024-01-01,P,1000000001,1",
            "3 quantity quantity.out_of_range",
        ),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,product,quantity,unit_price",
            "2,b,2024-01-01,P,1000000000,100000",
            "3 unit_price amount.too_large",
        ),
        (
            Kind::Orders,
            "order_id,contact,ordered_at,product,quantity,unit_price",
            "2,b,2024-01-01,,1,1",
            "3 product value.missing",
        ),
        (Kind::Contacts, "external_id,email", "b,b@example", "3 email email.invalid"),
        (Kind::Contacts, "external_id,email", ",", "3 external_id value.missing"),
        (Kind::Contacts, "external_id,phone", "b,0123", "3 phone phone.invalid"),
        (Kind::Contacts, "external_id,locale", "b,french", "3 locale locale.invalid"),
        (Kind::Contacts, "external_id,time_zone", "b,Europe/Pari", "3 time_zone zone.unknown"),
        (Kind::Contacts, "external_id,birth_date", "b,1879-12-31", "3 birth_date date.invalid"),
        (Kind::Contacts, "external_id,consent.newsletter", "b,maybe", "3 consent.newsletter consent.unknown"),
        (Kind::Contacts, "external_id,email_status", "b,dead", "3 email_status email_status.unknown"),
        (Kind::Products, "external_id,unit_price", "b,-1", "3 unit_price amount.negative"),
        (Kind::Products, "external_id,stock", "b,many", "3 stock number.invalid"),
        (Kind::Products, "external_id,out_of_stock", "b,perhaps", "3 out_of_stock boolean.invalid"),
        (Kind::Events, "kind,at,contact", "Product Viewed,2024-01-01,", "3 contact value.missing"),
        (Kind::Carts, "cart_id,contact,updated_at,items", ",b,2024-01-01,[]", "3 cart_id value.missing"),
        (Kind::Carts, "cart_id,contact,updated_at,items", "2,,2024-01-01,[]", "3 contact value.missing"),
        (Kind::Carts, "cart_id,contact,updated_at,items", "2,b,,[]", "3 updated_at value.missing"),
        (Kind::Carts, "cart_id,contact,updated_at,items", "2,b,2024-01-01,{}", "3 items items.invalid"),
        (Kind::Carts, "cart_id,contact,updated_at,items", "2,b,2026-11-24,[]", "3 updated_at time.future"),
        (Kind::Push, "contact,endpoint", ",https://push.example/1", "3 contact value.missing"),
        (Kind::Push, "contact,endpoint", "b,", "3 endpoint value.missing"),
        (Kind::Push, "contact,endpoint", "b,http://push.example/1", "3 endpoint push.invalid"),
        (
            Kind::Events,
            "kind,at,contact,properties",
            "Page Viewed,2024-01-01,b,{",
            "3 properties json.syntax",
        ),
    ] {
        let store = store();
        let columns = header.split(',').count();
        let good = match kind {
            Kind::Orders => format!(
                "1,a,2024-01-01,{}",
                if columns == 4 {
                    "10"
                } else if columns == 5 {
                    "10,"
                } else {
                    "P,1,10"
                }
            ),
            Kind::Contacts | Kind::Products => "a,".to_owned(),
            Kind::Carts => "1,a,2024-01-01,[]".to_owned(),
            Kind::Push => "a,https://push.example/a".to_owned(),
            Kind::Events => format!("Page Viewed,2024-01-01,a{}", ",".repeat(columns - 3)),
        };
        let later = good.replacen(['1', 'a'], "9", 1);
        let path = file(&store, "file.csv", format!("{header}\n{good}\n{row}\n{later}\n").as_bytes());
        let report = run(&*store, &path, &Options::new(kind)).unwrap();
        assert_eq!(rejected(&path), [wanted], "{header} / {row}");
        assert_eq!((report.rows, report.counts.rejected), (3, 1), "{header} / {row}");
        let counts = report.counts;
        let new = counts.contacts.new + counts.orders.new + counts.carts.new + counts.events.new;
        assert!(new >= 2 || counts.products.new == 2, "{header} / {row}: {counts:?}");
    }
}

#[test]
fn files_that_cannot_be_read_are_refused_whole() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let good = format!("{LINES}{}", "1,a,2024-01-01,P,Pot,1,10\n".repeat(20_000));
    let zstd = zstd::encode_all(good.as_bytes(), 1).unwrap();
    let mut damaged = gzip(good.as_bytes());
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 0xff;
    for (content, code) in [
        (Vec::new(), "file.empty"),
        (b" \n \n".to_vec(), "file.empty"),
        (gzip(b""), "file.empty"),
        (gzip(good.as_bytes())[..1_000].to_vec(), "file.truncated"),
        (zstd[..zstd.len() - 10].to_vec(), "file.truncated"),
        (damaged, "file.damaged"),
        (b"\xff\xfea\0,\0".to_vec(), "file.encoding"),
        (b"PK\x03\x04....".to_vec(), "file.spreadsheet"),
        (b"\x01\x02\x03,\n".to_vec(), "file.binary"),
        (b"[{\"order_id\": 1}]".to_vec(), "file.json_array"),
        (b"1,a,2024-01-01,10\n".to_vec(), "mapping.missing"),
        (b"order_id,ordered_at,ordered_at,total\n1,2024-01-01,2024-01-01,1\n".to_vec(), "mapping.twice"),
        (b"order_id,contact,bought_on,total\n1,a,2024-01-01,1\n".to_vec(), "mapping.missing"),
    ] {
        let store = store();
        let path = file(&store, "file.csv", &content);
        let mut options = Options::new(Kind::Orders);
        if code == "mapping.twice" {
            options.add_map("ordered_at=ordered_at").unwrap();
        }
        match run(&*store, &path, &options) {
            Err(ImportError::Problems(problems)) => assert_eq!(problems[0].code, code, "{problems:?}"),
            other => panic!("{code}: {other:?}"),
        }
        assert!(orders_of(&store).is_empty(), "{code}");
    }
    let store = store();
    let problem = Source::open(store.folder(), "here").unwrap_err();
    assert_eq!(problem.code, "file.directory");
    assert_eq!(Source::open(&store.folder().join("none"), "none").unwrap_err().code, "file.missing");
    let path = file(&store, "file.csv", b"order_id,contact,ordered_at,total\n");
    assert_eq!(run(&*store, &path, &Options::new(Kind::Orders)).unwrap().rows, 0);
}

#[test]
fn mappings_are_found_by_name_and_typos_named() {
    let mut options = Options::new(Kind::Orders);
    for (map, code, cure) in [
        ("order", "mapping.syntax", None),
        ("quanity=Qty", "mapping.unknown_field", Some("did you mean `quantity`?")),
    ] {
        let problem = options.add_map(map).unwrap_err();
        assert_eq!(problem.code, code);
        if cure.is_some() {
            assert_eq!(problem.cure.as_deref(), cure);
        }
    }
    options.add_map("order_id=InvoceNo").unwrap();
    let columns: Vec<String> =
        ["InvoiceNo", "CustomerID", "Invoice Date", "Amount"].iter().map(|name| (*name).to_owned()).collect();
    let problems = connect::Mapping::resolve(&options, &columns, &[]).unwrap_err();
    assert_eq!(
        (problems[0].code.as_ref(), problems[0].cure.as_deref()),
        ("mapping.unknown_column", Some("did you mean `InvoiceNo`?"))
    );
    let mapping = connect::Mapping::resolve(&Options::new(Kind::Orders), &columns, &[]).unwrap();
    let used: Vec<&str> = mapping.used.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(used, ["order_id", "contact", "ordered_at", "total"]);

    let mut options = Options::new(Kind::Orders);
    let problems = options
        .read_mapping("format: 1\nkind: contacts\ncolums: {a: b}\ncolumns:\n  ordr_id: X\ntimezone: Europe/Pari\nnegative: refnd\n")
        .unwrap_err();
    let found: Vec<String> = problems
        .iter()
        .map(|problem| {
            format!(
                "{}:{} {}",
                problem.place.unwrap().line,
                problem.code,
                problem.field.as_deref().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "2:mapping.value kind",
            "5:mapping.unknown_field columns.ordr_id",
            "6:zone.unknown timezone",
            "7:mapping.value negative",
            "3:doc.unknown_key colums",
        ]
    );
}

#[test]
fn lines_of_an_order_are_put_together_wherever_they_stand() {
    let store = store();
    let path = lines(
        &store,
        "file.csv",
        "1,a,2024-01-01 10:00,P,Pot,2,1.5\n2,b,2024-01-02,Q,Quilt,1,20\n1,a,2024-01-01 10:05,Q,Quilt,1,19.999\n3,,2024-01-03,P,Big pot,1,1.75\n4,a,2024-01-04,P,Pot,1,0\n",
    );
    run(&*store, &path, &Options::new(Kind::Orders)).unwrap();
    assert_eq!(
        content(&store),
        [
            "order 1 Some(\"a\") 2024-01-01T10:05:00Z 22.999 0 true [\"Px2@1.5\", \"Qx1@19.999\"]",
            "order 2 Some(\"b\") 2024-01-02T00:00:00Z 20 0 true [\"Qx1@20\"]",
            "order 3 None 2024-01-03T00:00:00Z 1.75 0 true [\"Px1@1.75\"]",
            "order 4 Some(\"a\") 2024-01-04T00:00:00Z 0 0 true [\"Px1@0\"]",
            "product P Pot 1.75 false",
            "product Q Quilt 20 false",
        ]
    );
}

#[test]
fn cancellations_reduce_the_latest_order_that_holds_the_product() {
    let store = store();
    let rows = "1,a,2024-01-01,P,Pot,5,2\n2,a,2024-01-02,P,Pot,3,2\n2,a,2024-01-02,Q,Quilt,1,20\n\
                C3,a,2024-01-03,P,Pot,-4,2\nC4,a,2024-01-03,X,Unknown,-1,2\nC5,,2024-01-03,P,Pot,-1,2\n\
                6,b,2024-01-04,Q,Quilt,1,20\n7,b,2024-01-05,Q,Quilt,-1,20\n8,a,2024-01-06,POST,Postage,1,4\n\
                9,a,2024-01-07,P,Pot,2,2\n9,a,2024-01-07,D,Discount,-1,1\n";
    let path = lines(&store, "file.csv", rows);
    let mut options = Options::new(Kind::Orders);
    options.cancellation_prefix = Some("C".into());
    options.service_codes = vec!["post".into(), "D".into()];
    let report = run(&*store, &path, &options).unwrap();
    let content_once = content(&store);
    let orders: Vec<&String> = content_once.iter().filter(|line| line.starts_with("order")).collect();
    let start =
        |id: &str| orders.iter().find(|line| line.starts_with(&format!("order {id} "))).unwrap().as_str();
    // Three of order 2, one of order 1.
    assert!(start("1").contains(" 10 2 true "), "{}", start("1"));
    assert!(start("2").contains(" 26 6 true "), "{}", start("2"));
    assert!(start("6").contains(" 20 20 false "), "a full refund does not count: {}", start("6"));
    assert!(start("8").contains(" 4 0 true "));
    assert!(start("9").contains(" 3 0 true "), "a discount is in the total: {}", start("9"));
    assert_eq!(orders.len(), 5);
    assert!(content_once.contains(&"product POST Postage 4 true".to_owned()), "{content_once:?}");
    assert_eq!((report.counts.refunds.new, report.counts.unmatched, report.counts.rejected), (2, 2, 0));
    assert_eq!(rejected(&path), ["7 contact refund.no_contact", "6 quantity refund.unmatched"]);
    let again = run(&*store, &path, &options).unwrap();
    assert_eq!((again.counts.orders.new, again.counts.refunds.new), (0, 0));
    assert!(again.repeated);
    assert_eq!(content(&store), content_once);

    options.negative = Negative::Reject;
    options.cancellation_prefix = None;
    let other = testkit::store();
    let path = lines(&other, "file.csv", "1,a,2024-01-01,P,Pot,1,2\n7,b,2024-01-05,Q,Quilt,-1,20\n");
    run(&*other, &path, &options).unwrap();
    assert_eq!(rejected(&path), ["3 quantity quantity.negative"]);
}

#[test]
fn orders_with_a_rejected_row_come_in_without_it_or_are_held() {
    let rows = "1,a,2024-01-01,P,Pot,x,2\n1,a,2024-01-01,Q,Quilt,1,20\n2,a,2024-01-02,Q,Quilt,1,20\n";
    for (incomplete, orders, listed) in [
        (Incomplete::Import, 2, vec!["2 quantity number.invalid"]),
        (Incomplete::Hold, 1, vec!["2 quantity number.invalid", "3 order_id order.incomplete"]),
    ] {
        let store = store();
        let path = lines(&store, "file.csv", rows);
        let options = Options { incomplete, ..Options::new(Kind::Orders) };
        let report = run(&*store, &path, &options).unwrap();
        assert_eq!(
            (report.counts.orders.new, rejected(&path)),
            (orders, listed.iter().map(|s| (*s).to_owned()).collect())
        );
        assert_eq!(report.incomplete_orders, u64::from(orders == 2));
    }
}

#[test]
fn orders_without_an_id_are_recognised_when_they_come_again() {
    let store = store();
    let rows = "contact,ordered_at,total\na,2024-01-01,10\na,2024-01-01,10\nb,2024-01-01,10\n";
    let path = file(&store, "file.csv", rows.as_bytes());
    let options = Options::new(Kind::Orders);
    assert_eq!(run(&*store, &path, &options).unwrap().counts.orders.new, 3);
    // The same rows in another file: a comment in the name of a column makes it one.
    let more = format!("{rows}c,2024-01-02,5\n").replace("contact,", "Contact,");
    let path = file(&store, "more.csv", more.as_bytes());
    let counts = run(&*store, &path, &options).unwrap().counts;
    assert_eq!((counts.orders.new, counts.orders.known), (1, 3));
}

#[test]
fn encodings_marks_separators_and_formats() {
    let store = store();
    let mut bytes = b"\xef\xbb\xbforder_id;contact;ordered_at;product;name;quantity;unit_price\r\n".to_vec();
    bytes.extend(b"1;caf\xe9;31/12/2023 23:30;P;Th\xe9i\xe8re \x80;2;1.234,50\r\n");
    let path = file(&store, "file.csv", &bytes);
    let mut options = Options::new(Kind::Orders);
    options.decimal_comma = true;
    options.date_format = Some("%d/%m/%Y %H:%M".into());
    options.set_zone("America/New_York").unwrap();
    run(&*store, &path, &options).unwrap();
    assert_eq!(rejected(&path), ["2 name text.encoding"]);
    options.encoding = Encoding::parse("latin1").unwrap();
    run(&*store, &path, &options).unwrap();
    assert!(rejected(&path).is_empty());
    assert_eq!(
        content(&store),
        [
            "order 1 Some(\"café\") 2024-01-01T04:30:00Z 2469 0 true [\"Px2@1234.5\"]",
            "product P Théière € 1234.5 false",
        ]
    );
}

#[test]
fn contacts_with_consent_fields_and_lists() {
    let store = store();
    let field = serde_json::json!({"slug": "shoe_size", "type": "integer", "min": 10, "max": 60});
    block_on(store.save_definitions(
        vec![NewDefinition {
            kind: DefinitionKind::Field,
            slug: model::Slug::parse("shoe_size").unwrap(),
            content: field,
        }],
        now(),
    ))
    .unwrap();
    let rows = "{\"external_id\": 7, \"email\": \"Ann@Example.TEST\", \"first_name\": \"Ann\", \"birth_date\": \"1984-05-31\", \"fields\": {\"shoe_size\": 38}, \"consent\": {\"newsletter\": true}, \"consent_at\": {\"newsletter\": \"2024-05-01\"}, \"lists\": [\"vip\", \"press\"]}\n\n{\"external_id\": \"8\", \"consent\": {\"newsletter\": \"unsubscribed\"}}\n{\"external_id\": \"9\", \"fields\": {\"shoe_size\": 99}}\nnonsense\n[1]\n";
    let path = file(&store, "file.jsonl", rows.as_bytes());
    let report = run(&*store, &path, &Options::new(Kind::Contacts)).unwrap();
    assert_eq!(
        rejected(&path),
        ["4 fields.shoe_size field.out_of_range", "5  json.syntax", "6  json.no_object"]
    );
    assert_eq!(report.counts.contacts.new, 2);
    let id = block_on(store.resolve(vec![(IdentifierKind::ExternalId, "7".into())])).unwrap()[0].unwrap();
    let contact = block_on(store.load_contacts(vec![id])).unwrap().remove(0);
    assert_eq!(contact.email.as_deref(), Some("Ann@example.test"));
    assert_eq!(contact.consent("newsletter"), ConsentState::Subscribed);
    assert_eq!(contact.consents[0].at, at("2024-05-01"));
    assert!(contact.consents[0].proof.starts_with("import:") && contact.consents[0].proof.len() == 71);
    assert_eq!(contact.fields["shoe_size"], model::Value::Integer(38));
    assert_eq!(contact.lists.len(), 2);
    let again = run(&*store, &path, &Options::new(Kind::Contacts)).unwrap();
    assert_eq!(
        (again.counts.contacts.new, again.counts.contacts.changed, again.counts.contacts.known),
        (0, 0, 2)
    );
}

#[test]
fn products_and_events() {
    let store = store();
    let path = file(
        &store,
        "products.csv",
        b"sku,title,price,category,stock,related\nP,Pot,2.5,/Kitchen/Pots|/Gifts,3,Q|R\nQ,Quilt,,,,\n",
    );
    run(&*store, &path, &Options::new(Kind::Products)).unwrap();
    let products = products_of(&store);
    assert_eq!(products[0].categories, ["/Kitchen/Pots", "/Gifts"]);
    assert_eq!((products[0].stock, products[0].related.len(), products[1].unit_price), (Some(3), 2, None));
    let rows = "event,timestamp,email,product_id,price,in_sale\nProduct Viewed,2024-01-01T10:00:00+01:00,a@example.test,00123,2.50,true\nProduct Viewed,2024-01-01T10:00:00+01:00,a@example.test,00123,2.50,true\n";
    let path = file(&store, "events.csv", rows.as_bytes());
    let options = Options { contact_key: KeyKind::Email, ..Options::new(Kind::Events) };
    assert_eq!(run(&*store, &path, &options).unwrap().counts.events.new, 2);
    assert_eq!(run(&*store, &path, &options).unwrap().counts.events.known, 2);
    let events = block_on(storage::events::EventStore::load_events(
        &*store,
        vec![ContactId(1)],
        Vec::new(),
        Timestamp::MIN,
        Timestamp::MAX,
    ))
    .unwrap();
    assert_eq!(
        serde_json::to_string(&events[0].properties).unwrap(),
        "{\"product_id\":\"00123\",\"price\":2.5,\"in_sale\":true}"
    );
    assert_eq!(events[0].at, at("2024-01-01T09:00:00Z"));
}

#[test]
fn items_and_packed_files() {
    let store = store();
    let json = "{\"order_id\": \"1\", \"contact\": \"a\", \"ordered_at\": \"2024-01-01T10:00:00Z\", \"items\": [{\"product\": \"P\", \"name\": \"Pot\", \"quantity\": 2, \"unit_price\": 1.1}, {\"sku\": 5, \"price\": \"0.05\"}]}\n";
    let packed = zstd::encode_all(json.as_bytes(), 1).unwrap();
    let path = file(&store, "orders.anything", &packed);
    run(&*store, &path, &Options::new(Kind::Orders)).unwrap();
    assert_eq!(
        content(&store)[0],
        "order 1 Some(\"a\") 2024-01-01T10:00:00Z 2.25 0 true [\"5x1@0.05\", \"Px2@1.1\"]"
    );
}
