//! Parquet files (with the feature `parquet`).
#![cfg(feature = "parquet")]

use std::{path::Path, sync::Arc};

use connect::{
    Kind, Options,
    run::{ImportError, RejectsTo, Silent, import},
    source::Source,
};
use model::{Timestamp, Zone};
use parquet::{
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};
use storage::orders::OrderStore;
use testkit::{Store, block_on, store};

/// Three orders; the second has no contact, the third a negative infinite amount.
fn write(path: &Path) {
    let schema = "message orders {
        REQUIRED BYTE_ARRAY order_id (STRING);
        OPTIONAL BYTE_ARRAY customer_id (STRING);
        REQUIRED INT64 ts (TIMESTAMP(MICROS,false));
        REQUIRED DOUBLE amount;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer =
        SerializedFileWriter::new(std::fs::File::create(path).unwrap(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let bytes = |texts: &[&str]| texts.iter().map(|text| ByteArray::from(*text)).collect::<Vec<_>>();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&bytes(&["1", "2", "3"]), None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&bytes(&["a", "c"]), Some(&[1, 0, 1]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let hour = Timestamp::parse("2024-01-01T10:00:00Z", &Zone::UTC).unwrap().0;
    column.typed::<Int64Type>().write_batch(&[hour, hour, hour], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<DoubleType>()
        .write_batch(&[139.12_f64.next_up(), 0.1 + 0.2, f64::NEG_INFINITY], None, None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

fn run(store: &Store, path: &Path) -> Result<connect::Report, ImportError> {
    let now = Timestamp::parse("2026-11-22", &Zone::UTC).unwrap();
    let mut options = Options::new(Kind::Orders);
    options.set_zone("Europe/Paris").unwrap();
    let rejects = RejectsTo { path: path.with_extension("rejected.csv"), fallback: None };
    let source = Source::open(path, "orders.parquet")?;
    block_on(import(&**store, &source, &options, &rejects, (now, now), Arc::new(Silent)))
}

#[test]
fn rows_of_parquet_are_rows_like_others() {
    let store = store();
    let path = store.folder().join("orders.parquet");
    write(&path);
    let report = run(&store, &path).unwrap();
    assert_eq!((report.rows, report.counts.orders.new, report.counts.rejected), (3, 2, 1));
    let listed = std::fs::read_to_string(path.with_extension("rejected.csv")).unwrap();
    assert!(listed.contains("\n3,total,amount,-inf,amount.invalid,"), "{listed}");
    let (send, receive) = std::sync::mpsc::channel();
    let visit = move |chunk: &[model::Order]| send.send(chunk.to_vec()).is_ok();
    block_on(store.scan_orders(Timestamp::MIN, Timestamp::MAX, visit)).unwrap();
    let mut orders: Vec<model::Order> = receive.into_iter().flatten().collect();
    orders.sort_by_key(|order| order.external_id.clone());
    let read: Vec<String> = orders
        .iter()
        .map(|order| {
            format!("{} {} {} {}", order.external_id, order.contact.is_some(), order.at, order.total)
        })
        .collect();
    // Naive instants are in the import's zone.
    assert_eq!(read, ["1 true 2024-01-01T09:00:00Z 139.12", "2 false 2024-01-01T09:00:00Z 0.3"]);
}

#[test]
fn damaged_parquet_is_refused_whole() {
    let store = store();
    let path = store.folder().join("orders.parquet");
    write(&path);
    let whole = std::fs::read(&path).unwrap();
    for cut in [10, whole.len() / 2, whole.len() - 3] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        match run(&store, &path) {
            Err(ImportError::Problems(problems)) => assert_eq!(problems[0].code, "file.damaged", "{cut}"),
            other => panic!("{cut}: {other:?}"),
        }
    }
}
